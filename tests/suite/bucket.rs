//! A registry on a bucket and on PostgreSQL, alone and as two replicas.
//!
//! Real servers take part where the environment names them, as `.ci/run` does: `TEST_S3_URL` a store with the bucket
//! `entrepot` for the key `test` and the secret `secret`, `TEST_POSTGRES_URL` a database server.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::bound::until_async;
use crate::jobs::state;
use crate::proxy::{Proxy, Setup};
use crate::push::{an_image, assert_image, begin, files, path, push_blob, push_image, push_manifest, tags};
use crate::upstream::{Behaviour, FakeUpstream, Gate, Image, noise, sha256};

const REPO: &str = "team/app";

/// The variable's value; where it is not set that is said, and the test has nothing to do.
pub fn server(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok();
    if value.is_none() {
        eprintln!("left out: {variable} is not set");
    }
    value
}

/// `[storage]` of a bucket that no other test knows.
pub fn in_bucket(setup: &mut Setup, endpoint: &str, prefix: &str) {
    setup.storage.text("kind", "s3").text("bucket", "entrepot").text("endpoint", endpoint).text("prefix", prefix);
    setup.storage.text("access_key_id", "test").text("secret_access_key", "secret");
}

pub fn prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}-{}", std::process::id(), fastrand::u32(..), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A database that no other test knows.
pub async fn a_database(server: &str) -> String {
    sqlx::any::install_default_drivers();
    let name = format!("entrepot_suite_{:016x}", fastrand::u64(..));
    let pool = sqlx::AnyPool::connect(server).await.expect("PostgreSQL can be reached");
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&pool)
        .await
        .expect("a database is made");
    pool.close().await;
    let (base, _) = server.rsplit_once('/').expect("a database in the URL");
    format!("{base}/{name}")
}

async fn assert_blob(proxy: &Proxy, repository: &str, bytes: &[u8]) {
    proxy.get(&path(repository, &format!("blobs/{}", sha256(bytes)))).await.assert_body(bytes);
}

#[tokio::test]
async fn what_is_pushed_lies_in_the_bucket() {
    let Some(endpoint) = server("TEST_S3_URL") else { return };
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    in_bucket(&mut setup, &endpoint, &prefix());
    let mut proxy = setup.start().await;
    // More than one part, and not a whole number of them.
    let image = an_image(1, &[1000, (40 << 20) + 17]).await;
    push_image(&proxy, REPO, "latest", &image).await;
    assert_eq!((files(&proxy, "staging"), files(&proxy, "blobs")), (0, 0));
    assert_image(&proxy, REPO, "latest", &image).await;
    // What was sent stays here as a copy.
    assert!(proxy.is_kept(&image.layers[1].digest));
    let layer = path(REPO, &format!("blobs/{}", image.layers[1].digest));
    proxy.kept(&image.layers[1].digest).await;
    proxy.kill().await;
    // Nothing but the database is left here.
    for folder in ["blobs", "staging", "hosted"] {
        std::fs::remove_dir_all(proxy.data_path().join(folder)).unwrap();
    }
    proxy.start().await;
    // A range far into a layer that is not here costs the range.
    let far = proxy.client().get_range(&layer, "bytes=39000000-39000099").await;
    far.assert_bytes(206, &image.layers[1].bytes[39_000_000..39_000_100]);
    for (from, to) in
        [(0, 0), (1_048_575, 1_048_576), (3_000_000, 6_500_000), (5_000_000, 35_000_000), (39_000_000, 41_943_056)]
    {
        for _ in 0..2 {
            let part = proxy.client().get_range(&layer, &format!("bytes={from}-{to}")).await;
            part.assert_bytes(206, &image.layers[1].bytes[from..=to]);
        }
    }
    assert!(!proxy.is_kept(&image.layers[1].digest), "nobody asked for the whole");
    assert_image(&proxy, REPO, "latest", &image).await;
    let wrong = begin(&proxy, REPO).await;
    let put = format!("{wrong}?digest={}", sha256(b"right"));
    proxy.client().send("PUT", &put, &[], b"wrong").await.assert_error(400, "DIGEST_INVALID");
    proxy.get(&path(REPO, &format!("blobs/{}", sha256(b"right")))).await.assert_error(404, "BLOB_UNKNOWN");
}

/// C77: many blobs go in one round.
#[tokio::test]
async fn c77_what_nobody_needs_leaves_the_bucket() {
    let Some(endpoint) = server("TEST_S3_URL") else { return };
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    in_bucket(&mut setup, &endpoint, &prefix());
    setup.hosted.text("grace", "500ms").text("reclaim_every", "100ms");
    let proxy = setup.start().await;
    let (kept, gone) = (an_image(1, &[1000]).await, an_image(2, &[1000]).await);
    push_image(&proxy, REPO, "kept", &kept).await;
    push_image(&proxy, REPO, "gone", &gone).await;
    let manifest = path(REPO, &format!("manifests/{}", gone.manifest.digest));
    proxy.client().request("DELETE", &manifest, &[]).await.assert_status(202);
    until_async("both blobs are removed", async || proxy.metrics().await.sum("entrepot_reclaimed_blobs_total") == 2.0)
        .await;
    assert_image(&proxy, REPO, "kept", &kept).await;
    push_image(&proxy, REPO, "again", &gone).await;
    assert_image(&proxy, REPO, "again", &gone).await;
}

#[tokio::test]
async fn clients_are_sent_to_the_bucket_where_the_listener_says_so() {
    let Some(endpoint) = server("TEST_S3_URL") else { return };
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    in_bucket(&mut setup, &endpoint, &prefix());
    setup.redirect();
    let proxy = setup.start().await;
    let image = an_image(1, &[100_000]).await;
    push_image(&proxy, REPO, "latest", &image).await;
    let blob = path(REPO, &format!("blobs/{}", image.layer().digest));
    let sent = proxy.get(&blob).await;
    sent.assert_status(307);
    let url = sent.header("location").unwrap().to_owned();
    let (host, rest) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let store = crate::client::Client::new(host.parse().unwrap());
    store.get(&format!("/{rest}")).await.assert_body(&image.layer().bytes);
    store.get_range(&format!("/{rest}"), "bytes=5-9").await.assert_bytes(206, &image.layer().bytes[5..10]);
    let bare = rest.split('?').next().unwrap();
    assert_eq!(store.get(&format!("/{bare}")).await.status, 403, "without the signature nobody may");
    assert_eq!(proxy.head(&blob).await.header("content-length"), Some("100000"));
    proxy.get(&path(REPO, "manifests/latest")).await.assert_body(&image.manifest.bytes);
}

/// A bucket that is away: what is here is served, pushes are told to come back, nothing is lost.
#[tokio::test]
async fn a_bucket_that_is_away() {
    let Some(endpoint) = server("TEST_S3_URL") else { return };
    let upstream = FakeUpstream::start().await;
    let theirs = upstream.image("team/theirs", "latest", 5, &[1000]);
    let mut setup = Setup::of(&upstream);
    let prefix = prefix();
    in_bucket(&mut setup, &endpoint, &prefix);
    let mut proxy = setup.start().await;
    let image = an_image(3, &[200_000]).await;
    push_image(&proxy, REPO, "latest", &image).await;
    assert_image(&proxy, REPO, "latest", &image).await;
    proxy.kept(&image.layer().digest).await;
    let cold = noise(9, 300_000);
    push_blob(&proxy, REPO, &cold).await.assert_status(201);
    std::fs::remove_file(proxy.blob_path(&sha256(&cold))).unwrap();
    // The same bucket at an address where nobody listens.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    proxy.environment("ENTREPOT_STORAGE__ENDPOINT", &format!("http://{nobody}"));
    proxy.restart().await;
    assert_image(&proxy, REPO, "latest", &image).await;
    let away = proxy.get(&path(REPO, &format!("blobs/{}", sha256(&cold)))).await;
    away.assert_error(503, "UNAVAILABLE");
    assert!(away.header("retry-after").is_some());
    let refused = push_blob(&proxy, REPO, b"new").await;
    refused.assert_error(503, "UNAVAILABLE");
    assert!(refused.header("retry-after").is_some() && !refused.text().contains("secret"));
    proxy.get(&crate::proxy::manifest("team/theirs", "latest")).await.assert_body(&theirs.manifest.bytes);
    proxy.environment("ENTREPOT_STORAGE__ENDPOINT", &endpoint);
    proxy.restart().await;
    proxy.get(&path(REPO, &format!("blobs/{}", sha256(&cold)))).await.assert_body(&cold);
    push_blob(&proxy, REPO, b"new").await.assert_status(201);
}

/// Puts an object into the bucket behind the registry's back.
async fn overwrite(proxy: &Proxy, object: &str, bytes: &[u8]) {
    let file = proxy.data_path().join("wrong");
    std::fs::write(&file, bytes).unwrap();
    in_store(&["-T", file.to_str().unwrap(), object]).await;
}

async fn in_store(arguments: &[&str]) {
    let signed = ["-sf", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "test:secret"];
    let done = tokio::process::Command::new("curl").args(signed).args(arguments).status().await;
    assert!(done.unwrap().success(), "{arguments:?}");
}

/// The bytes of an object, if it is there.
async fn object_bytes(object: &str) -> Option<Vec<u8>> {
    let signed = ["-sf", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "test:secret", object];
    let read = tokio::process::Command::new("curl").args(signed).output().await.unwrap();
    read.status.success().then_some(read.stdout)
}

/// What the bucket has lost is not said to be there, so that clients push it again.
#[tokio::test]
async fn d11_what_the_bucket_has_lost_can_be_pushed_again() {
    let Some(endpoint) = server("TEST_S3_URL") else { return };
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    let prefix = prefix();
    in_bucket(&mut setup, &endpoint, &prefix);
    let proxy = setup.start().await;
    for (seed, damage) in [(1, "changed"), (2, "cut"), (3, "gone")] {
        let bytes = noise(seed, 2_000_000);
        let digest = sha256(&bytes);
        push_blob(&proxy, REPO, &bytes).await.assert_status(201);
        proxy.kept(&digest).await;
        // The copy here goes, as it does when there is no more room for it.
        std::fs::remove_file(proxy.blob_path(&digest)).unwrap();
        let hex = digest.strip_prefix("sha256:").unwrap();
        let object = format!("{endpoint}/entrepot/{prefix}/blobs/sha256/{}/{hex}", &hex[..2]);
        let mut wrong = bytes.to_vec();
        match damage {
            "changed" => {
                wrong[700_000] ^= 1;
                overwrite(&proxy, &object, &wrong).await;
            }
            "cut" => {
                wrong.truncate(1_000_000);
                overwrite(&proxy, &object, &wrong).await;
            }
            _ => in_store(&["-X", "DELETE", &object]).await,
        }
        let to = path(REPO, &format!("blobs/{digest}"));
        assert!(!proxy.get(&to).await.complete || proxy.get(&to).await.status != 200, "{damage}");
        let lost = async || proxy.head(&to).await.status == 404;
        until_async("it is not said to be there", lost).await;
        push_blob(&proxy, REPO, &bytes).await.assert_status(201);
        proxy.get(&to).await.assert_body(&bytes);
    }
}

/// Parts of a wrong object that ranges have brought are no parts of what is pushed in its place.
#[tokio::test]
async fn d16_ranges_of_a_wrong_object_do_not_outlive_it() {
    let Some(endpoint) = server("TEST_S3_URL") else { return };
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    let prefix = prefix();
    in_bucket(&mut setup, &endpoint, &prefix);
    let mut proxy = setup.start().await;
    for (seed, how) in [(1, "read whole"), (2, "scrubbed"), (3, "shorter"), (4, "passed through")] {
        let is_kept = how != "passed through";
        if !is_kept {
            proxy.setup.cache.text("disk_object", "1MiB");
            proxy.restart().await;
        }
        let bytes = noise(seed, 3_000_000);
        let digest = sha256(&bytes);
        let bring = async || {
            push_blob(&proxy, REPO, &bytes).await.assert_status(201);
            if is_kept {
                // The copy here goes, as it does when there is no more room for it.
                proxy.kept(&digest).await;
                std::fs::remove_file(proxy.blob_path(&digest)).unwrap();
            }
        };
        bring().await;
        let hex = digest.strip_prefix("sha256:").unwrap();
        let object = format!("{endpoint}/entrepot/{prefix}/blobs/sha256/{}/{hex}", &hex[..2]);
        let mut wrong = bytes.to_vec();
        wrong[700_000] ^= 1;
        if how == "shorter" {
            wrong.truncate(2_500_000);
        }
        overwrite(&proxy, &object, &wrong).await;
        let to = path(REPO, &format!("blobs/{digest}"));
        let range = async || proxy.client().get_range(&to, "bytes=699990-700009").await;
        let lost = async || proxy.head(&to).await.status == 404;
        match how {
            // A part of an object of another length is not even served once.
            "shorter" => range().await.assert_not_served(),
            _ => range().await.assert_bytes(206, &wrong[699_990..700_010]),
        }
        match how {
            "read whole" | "passed through" => proxy.get(&to).await.assert_not_served(),
            "scrubbed" => proxy.admin().send("POST", "/jobs/scrub", &[], &[]).await.assert_status(202),
            _ => {}
        }
        until_async("it is not said to be there", lost).await;
        bring().await;
        range().await.assert_bytes(206, &bytes[699_990..700_010]);
    }
}

/// A scrub that reads wrong bytes takes nothing out of the bucket: they may come right another time.
#[tokio::test]
async fn h12_a_scrub_takes_nothing_out_of_the_bucket() {
    let Some(endpoint) = server("TEST_S3_URL") else { return };
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    let prefix = prefix();
    in_bucket(&mut setup, &endpoint, &prefix);
    let proxy = setup.start().await;
    let scrub = async || {
        let runs = async || state(&proxy, "scrub").await["run"].as_u64();
        let before = runs().await;
        proxy.admin().send("POST", "/jobs/scrub", &[], b"").await.assert_status(202);
        let has_ended = async || runs().await > before && state(&proxy, "scrub").await["running"] == json!(false);
        until_async("a scrub has ended", has_ended).await;
    };
    let blobs: Vec<_> = (0..12).map(|n| noise(n, 100_000 + usize::try_from(n).unwrap())).collect();
    let to = |bytes: &[u8]| path(REPO, &format!("blobs/{}", sha256(bytes)));
    let object = |bytes: &[u8]| {
        let digest = sha256(bytes);
        format!("{endpoint}/entrepot/{prefix}/blobs/sha256/{}/{}", &digest[7..9], &digest[7..])
    };
    for bytes in &blobs {
        push_blob(&proxy, REPO, bytes).await.assert_status(201);
    }
    // One is wrong: it is lost until it is right.
    overwrite(&proxy, &object(&blobs[0]), b"wrong").await;
    scrub().await;
    proxy.head(&to(&blobs[0])).await.assert_status(404);
    in_store(&["-o", "/dev/null", &object(&blobs[0])]).await;
    overwrite(&proxy, &object(&blobs[0]), &blobs[0]).await;
    scrub().await;
    proxy.head(&to(&blobs[0])).await.assert_status(200);
    // All are: the bucket is not itself.
    for bytes in &blobs {
        overwrite(&proxy, &object(bytes), b"a page of a gateway").await;
    }
    scrub().await;
    for bytes in &blobs {
        proxy.head(&to(bytes)).await.assert_status(200);
        in_store(&["-o", "/dev/null", &object(bytes)]).await;
    }
}

/// A registry with a database of its own under the prefix of another: what it does not know is not for it to remove.
#[tokio::test]
async fn h13_another_registrys_objects_are_no_orphans() {
    let Some(endpoint) = server("TEST_S3_URL") else { return };
    let upstream = FakeUpstream::start().await;
    let prefix = prefix();
    let start = async || {
        let mut setup = Setup::of(&upstream);
        in_bucket(&mut setup, &endpoint, &prefix);
        setup.hosted.text("grace", "100ms").text("reclaim_every", "1h");
        setup.start().await
    };
    let (ours, other) = (start().await, start().await);
    let image = an_image(1, &[1000, 2000]).await;
    push_image(&ours, REPO, "latest", &image).await;
    until_async("the other one has seen objects that it does not know", async || {
        let before = state(&other, "scrub").await["run"].as_u64();
        other.admin().send("POST", "/jobs/scrub", &[], b"").await.assert_status(202);
        let ended = async || {
            let now = state(&other, "scrub").await;
            now["run"].as_u64() > before && now["running"] == json!(false)
        };
        until_async("a scrub has ended", ended).await;
        let found = state(&other, "scrub").await;
        assert_eq!(found["result"]["orphans_removed"], json!(0), "{found}");
        found["result"]["failed"].as_u64() >= Some(1)
    })
    .await;
    ours.admin().send("POST", "/jobs/scrub", &[], b"").await.assert_status(202);
    until_async("its own scrub has ended", async || {
        let now = state(&ours, "scrub").await;
        now["run"].as_u64() >= Some(1) && now["running"] == json!(false)
    })
    .await;
    assert_image(&ours, REPO, "latest", &image).await;
}

/// C78: what one replica pushes the other serves, and neither takes away what the other needs.
#[tokio::test]
async fn c78_two_replicas_are_one_registry() {
    let (Some(endpoint), Some(database)) = (server("TEST_S3_URL"), server("TEST_POSTGRES_URL")) else { return };
    let upstream = FakeUpstream::start().await;
    let (prefix, database) = (prefix(), a_database(&database).await);
    let start = async || {
        let mut setup = Setup::of(&upstream);
        in_bucket(&mut setup, &endpoint, &prefix);
        setup.meta.text("url", &database);
        setup.hosted.text("grace", "2s").text("reclaim_every", "100ms");
        setup.start().await
    };
    let (mut one, two): (Proxy, Proxy) = (start().await, start().await);
    let image = an_image(1, &[1000, 2 << 20]).await;
    push_image(&one, REPO, "latest", &image).await;
    assert_image(&two, REPO, "latest", &image).await;
    let moved = an_image(2, &[1000]).await;
    push_image(&two, REPO, "latest", &moved).await;
    assert_image(&one, REPO, "latest", &moved).await;
    assert_eq!(tags(&one, REPO).await, json!(["latest"]));
    // A client may come to another replica with each request.
    for size in [0, 5, 9_000_000] {
        let blob = noise(size as u64, size);
        let upload = begin(&one, REPO).await;
        let put = format!("{upload}?digest={}", sha256(&blob));
        one.client().send("PATCH", &upload, &[], &blob).await.assert_status(202);
        two.client().send("PUT", &put, &[], b"").await.assert_status(201);
        assert_blob(&one, REPO, &blob).await;
        let upload = begin(&one, REPO).await;
        let (first, second) = blob.split_at(size / 2);
        let (second, third) = second.split_at(size / 4);
        let third = [third, b"more"].concat();
        one.client().send("PATCH", &upload, &[], first).await.assert_status(202);
        two.client().send("PATCH", &upload, &[], second).await.assert_status(202);
        let came = format!("0-{}", (first.len() + second.len()).saturating_sub(1));
        for proxy in [&one, &two] {
            let status = proxy.client().request("GET", &upload, &[]).await;
            assert_eq!((status.status, status.header("range")), (204, Some(came.as_str())));
        }
        let whole = [&blob[..], b"more"].concat();
        let put = format!("{upload}?digest={}", sha256(&whole));
        one.client().send("PUT", &put, &[], &third).await.assert_status(201);
        assert_blob(&two, REPO, &whole).await;
        one.client().request("GET", &upload, &[]).await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
    let upload = begin(&one, REPO).await;
    one.client().send("PATCH", &upload, &[], b"some").await.assert_status(202);
    two.client().request("DELETE", &upload, &[]).await.assert_status(204);
    one.client().send("PATCH", &upload, &[], b"more").await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    // Both push the same at once, while both remove what nobody needs.
    for round in 0..10u64 {
        let image = an_image(100 + round % 2, &[50_000]).await;
        let tag = format!("t{round}");
        let push = async |proxy: &Proxy| {
            for _ in 0..20 {
                for part in image.layers.iter().chain([&image.config]) {
                    push_blob(proxy, REPO, &part.bytes).await.assert_status(201);
                }
                if push_manifest(proxy, REPO, &tag, image.media_type, &image.manifest.bytes).await.status == 201 {
                    return;
                }
            }
            panic!("twenty times in vain");
        };
        tokio::join!(push(&one), push(&two));
        assert_image(&one, REPO, &tag, &image).await;
        assert_image(&two, REPO, &tag, &image).await;
        let manifest = path(REPO, &format!("manifests/{}", image.manifest.digest));
        let deletes = tokio::join!(async { one.client().request("DELETE", &manifest, &[]).await.status }, async {
            two.client().request("DELETE", &manifest, &[]).await.status
        });
        assert!(matches!(deletes, (202, 404) | (404, 202)), "{deletes:?}");
        assert_eq!(tags(&two, REPO).await, json!(["latest"]));
    }
    assert_image(&two, REPO, "latest", &moved).await;
    // An upload outlives the replica that it began at.
    let blob = noise(77, 9_000_000);
    let upload = begin(&one, REPO).await;
    one.client().send("PATCH", &upload, &[], &blob).await.assert_status(202);
    one.kill().await;
    two.client().send("PATCH", &upload, &[], b"more").await.assert_status(202);
    let whole = [&blob[..], b"more"].concat();
    let put = format!("{upload}?digest={}", sha256(&whole));
    two.client().send("PUT", &put, &[], b"").await.assert_status(201);
    assert_blob(&two, REPO, &whole).await;
}

/// C78: two replicas fetch a cold blob once, and what one has fetched the other serves while the upstream is away.
#[tokio::test]
async fn c78_replicas_fetch_once() {
    let (Some(endpoint), Some(database)) = (server("TEST_S3_URL"), server("TEST_POSTGRES_URL")) else { return };
    let upstream = FakeUpstream::start().await;
    let (prefix, database) = (prefix(), a_database(&database).await);
    let start = async |changes: &[(&str, &str)]| {
        let mut setup = Setup::of(&upstream).impatient();
        in_bucket(&mut setup, &endpoint, &prefix);
        for (key, value) in changes {
            setup.storage.text(key, value);
        }
        setup.meta.text("url", &database);
        // Sending to the bucket takes a while where others work as well.
        setup.hosted.text("grace", "30s").text("reclaim_every", "100ms");
        setup.start().await
    };
    let image = upstream.image("team/app", "latest", 1, &[1000, 9_000_000, 20 << 20]);
    let manifest = crate::proxy::manifest("team/app", "latest");
    let blob = |digest: &str| crate::proxy::blob("team/app", digest);
    let (mut one, two) = (start(&[]).await, start(&[]).await);
    let (a, b) = tokio::join!(one.get(&manifest), two.get(&manifest));
    a.assert_body(&image.manifest.bytes);
    b.assert_body(&image.manifest.bytes);
    for part in image.layers.iter().chain([&image.config]) {
        let path = blob(&part.digest);
        let herd =
            futures_util::future::join_all((0..8).map(|n| if n % 2 == 0 { one.get(&path) } else { two.get(&path) }));
        for answer in herd.await {
            answer.assert_body(&part.bytes);
        }
        assert_eq!(upstream.count("GET", &part.digest), 1, "{}", part.digest);
    }
    // A replica that dies with the turn in hand stands in the way for no longer than the wait.
    let slow = upstream.image("team/app", "slow", 2, &[3_000_000]);
    one.get(&crate::proxy::manifest("team/app", "slow")).await.assert_body(&slow.manifest.bytes);
    let gate = Gate::new();
    let held = upstream.on("GET", &slow.layer().digest, Behaviour::usual().gate_at(1_000_000, &gate));
    let (client, path) = (one.client(), blob(&slow.layer().digest));
    let cold = tokio::spawn(async move { client.get(&path).await });
    until_async("the fetch is under way", async || upstream.count("GET", &slow.layer().digest) == 1).await;
    one.kill().await;
    upstream.forget(held);
    gate.open();
    assert!(!cold.await.unwrap().complete);
    let impatient = start(&[("fetch_wait", "300ms")]).await;
    impatient.get(&blob(&slow.layer().digest)).await.assert_body(&slow.layer().bytes);
    // The upstream is away, and a replica that has nothing on its disk begins.
    upstream.refuse();
    let three = start(&[]).await;
    three.get(&manifest).await.assert_body(&image.manifest.bytes);
    for part in image.layers.iter().chain([&image.config]) {
        three.get(&blob(&part.digest)).await.assert_body(&part.bytes);
    }
}

/// What upstreams sent leaves the bucket when there is too much of it, and what it has wrong is fetched again.
#[tokio::test]
async fn what_was_pulled_stays_within_its_limit() {
    let Some(endpoint) = server("TEST_S3_URL") else { return };
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    let prefix = prefix();
    in_bucket(&mut setup, &endpoint, &prefix);
    setup.storage.text("pulled", "2MiB");
    setup.hosted.text("grace", "100ms").text("reclaim_every", "100ms");
    let mut proxy = setup.start().await;
    let images: Vec<_> = (1..=3).map(|n| upstream.image("team/app", &format!("t{n}"), n, &[1_500_000])).collect();
    let object = |image: &Image| {
        let hex = image.layer().digest.strip_prefix("sha256:").unwrap().to_owned();
        format!("{endpoint}/entrepot/{prefix}/blobs/sha256/{}/{hex}", &hex[..2])
    };
    let is_there = async |image: &Image| object_bytes(&object(image)).await.is_some();
    for (n, image) in images.iter().enumerate() {
        proxy.get(&crate::proxy::manifest("team/app", &format!("t{}", n + 1))).await.assert_body(&image.manifest.bytes);
        proxy.get(&crate::proxy::blob("team/app", &image.layer().digest)).await.assert_body(&image.layer().bytes);
        // It goes there behind its client's back.
        until_async("it is in the bucket", async || is_there(image).await).await;
    }
    let removed = async || proxy.metrics().await.sum("entrepot_reclaimed_bytes_total") >= 3_000_000.0;
    until_async("what is too much leaves the bucket", removed).await;
    let newest_is_left =
        async || is_there(&images[2]).await && !is_there(&images[0]).await && !is_there(&images[1]).await;
    until_async("the newest is left", newest_is_left).await;
    // With its disk lost the replica takes the newest from the bucket and the oldest from upstream.
    proxy.kill().await;
    proxy.environment("ENTREPOT_STORAGE__PULLED", "1GiB");
    std::fs::remove_dir_all(proxy.data_path().join("blobs")).unwrap();
    proxy.start().await;
    upstream.clear_log();
    for image in [&images[0], &images[2]] {
        proxy.get(&crate::proxy::blob("team/app", &image.layer().digest)).await.assert_body(&image.layer().bytes);
    }
    assert_eq!(upstream.count("GET", &images[0].layer().digest), 1);
    assert_eq!(upstream.count("GET", &images[2].layer().digest), 0);
    until_async("the oldest is there again", async || is_there(&images[0]).await).await;
    // The bucket's copy is changed behind our back.
    proxy.kill().await;
    std::fs::remove_dir_all(proxy.data_path().join("blobs")).unwrap();
    let mut wrong = images[2].layer().bytes.to_vec();
    wrong[700_000] ^= 1;
    let changed = object(&images[2]);
    overwrite(&proxy, &changed, &wrong).await;
    until_async("the store tells the change", async || object_bytes(&changed).await.as_ref() == Some(&wrong)).await;
    proxy.start().await;
    let path = crate::proxy::blob("team/app", &images[2].layer().digest);
    let first = proxy.get(&path).await;
    // A whole answer is of upstream's bytes: a round may have taken the object out since.
    assert!(!first.complete || first.body == images[2].layer().bytes, "wrong bytes are never a whole answer");
    proxy.get(&path).await.assert_body(&images[2].layer().bytes);
    assert_eq!(upstream.count("GET", &images[2].layer().digest), 1);
}

/// Uploads of many parts that the store has under way, by the names of their objects.
async fn multipart_uploads(endpoint: &str, prefix: &str) -> Vec<String> {
    let signed = ["-s", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "test:secret"];
    let url = format!("{endpoint}/entrepot?uploads=");
    let listed = tokio::process::Command::new("curl").args(signed).arg(url).output().await.unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("ListMultipartUploadsResult"), "{listed}");
    let keys = listed.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
    keys.filter(|key| key.contains(prefix)).map(str::to_owned).collect()
}

/// 2-D21: what a replica that was killed has sent of a blob is removed by another; what a living one sends is not.
#[tokio::test]
async fn d21_uploads_of_killed_replicas_are_ended() {
    let (Some(endpoint), Some(database)) = (server("TEST_S3_URL"), server("TEST_POSTGRES_URL")) else { return };
    let (database, prefix) = (a_database(&database).await, prefix());
    let replica = async || {
        let mut setup = Setup::new();
        in_bucket(&mut setup, &endpoint, &prefix);
        setup.storage.text("multipart_ttl", "4s");
        setup.meta.text("url", &database);
        setup.start().await
    };
    let (mut killed, living) = (replica().await, replica().await);
    let bytes = noise(1, 20 << 20);
    let length = bytes.len().to_string();
    let push = async |proxy: &Proxy, repository: &str| {
        let location = begin(proxy, repository).await;
        let mut exchange = proxy.client().open("PATCH", &location, &[("Content-Length", length.as_str())]).await;
        exchange.write(&bytes[..18 << 20]).await;
        (exchange, location)
    };
    let under_way = async || multipart_uploads(&endpoint, &prefix).await.len();
    let (going_on, location) = push(&living, "team/living").await;
    until_async("the living one sends", async || under_way().await == 1).await;
    let left = push(&killed, "team/killed").await;
    until_async("the other one sends, too", async || under_way().await == 2).await;
    killed.kill().await;
    drop(left);
    until_async("what the killed one has sent is removed", async || {
        living.admin().request("POST", "/jobs/gc", &[("Content-Length", "0")]).await;
        under_way().await == 1
    })
    .await;
    let mut going_on = going_on;
    going_on.write(&bytes[18 << 20..]).await;
    going_on.rest().await.assert_status(202);
    let separator = if location.contains('?') { '&' } else { '?' };
    let finish = format!("{location}{separator}digest={}", sha256(&bytes));
    living.client().send("PUT", &finish, &[], &[]).await.assert_status(201);
    until_async("nothing is under way", async || under_way().await == 0).await;
    assert_blob(&living, "team/living", &bytes).await;
}
