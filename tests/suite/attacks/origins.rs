//! Upstreams that lie, stall and refuse, beside one that is honest: what its clients see is what they would have seen alone.

use futures_util::future::join_all;

use crate::bound::{until, until_async};
use crate::client::Client;
use crate::proxy::{Proxy, Setup};
use crate::upstream::{Behaviour, FakeUpstream, Gate, OCI_INDEX, OCI_MANIFEST, noise, sha256};

const REPO: &str = "team/app";
/// Larger than what is kept in memory.
const LEN: usize = 1 << 20;

/// Two upstreams, and a process in front of both that remembers no refusal longer than the default.
struct Pair {
    good: FakeUpstream,
    evil: FakeUpstream,
    proxy: Proxy,
}

async fn pair() -> Pair {
    pair_of(|_| {}).await
}

async fn pair_of(change: impl FnOnce(&mut Setup)) -> Pair {
    let (good, evil) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let mut setup = Setup::new();
    setup.add("good", &good.url());
    setup.add("evil", &evil.url());
    change(&mut setup);
    let proxy = setup.start().await;
    Pair { good, evil, proxy }
}

fn blob(upstream: &str, repository: &str, digest: &str) -> String {
    format!("/v2/{upstream}/{repository}/blobs/{digest}")
}

fn manifest(upstream: &str, repository: &str, reference: &str) -> String {
    format!("/v2/{upstream}/{repository}/manifests/{reference}")
}

/// A manifest of `repository` at `upstream` that names `digest` as a layer of `size` bytes; returns its tag.
fn name_it(upstream: &FakeUpstream, repository: &str, digest: &str, size: usize) -> &'static str {
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":{size}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{digest}","size":{size}}}]}}"#
    );
    upstream.manifest(repository, Some("names-it"), OCI_MANIFEST, text);
    "names-it"
}

/// The reader that comes second gets the whole blob although the first one's upstream stands still.
async fn assert_whole(client: &Client, path: &str, bytes: &[u8]) {
    client.get(path).await.assert_body(bytes);
}

#[tokio::test]
async fn t01_a_question_for_a_manifest_takes_no_blob_away() {
    let upstream = FakeUpstream::start().await;
    // One that is kept on disk only, one larger than any manifest, one in memory.
    for (seed, len) in [LEN, 5 << 20, 1000].into_iter().enumerate() {
        let bytes = noise(seed as u64, len);
        let digest = upstream.blob(REPO, bytes.clone());
        let proxy = Proxy::of(&upstream).await;
        let path = crate::proxy::blob(REPO, &digest);
        let wrong = crate::proxy::manifest(REPO, &digest);
        // Cold: what is no manifest is a blob all the same.
        proxy.head(&wrong).await.assert_status(404);
        assert_whole(&proxy.client(), &path, &bytes).await;
        proxy.kept(&digest).await;
        upstream.clear_log();
        for method in ["HEAD", "GET"] {
            proxy.client().request(method, &wrong, &[]).await.assert_status(404);
            assert_whole(&proxy.client(), &path, &bytes).await;
            proxy.head(&path).await.assert_status(200);
        }
        assert!(proxy.is_kept(&digest));
        assert_eq!(upstream.count("GET", &format!("blobs/{digest}")), 0, "what is kept is served");
    }
}

/// The order in which containerd asks for a digest of which it does not know the kind.
#[tokio::test]
async fn t01_a_question_for_a_blob_takes_no_manifest_away() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[1000]);
    let proxy = Proxy::of(&upstream).await;
    let digest = &image.manifest.digest;
    upstream.on("HEAD", format!("blobs/{digest}"), Behaviour::status(404));
    upstream.on("GET", format!("blobs/{digest}"), Behaviour::status(404));
    proxy.head(&crate::proxy::blob(REPO, digest)).await.assert_status(404);
    proxy.get(&crate::proxy::manifest(REPO, digest)).await.assert_body(&image.manifest.bytes);
    proxy.head(&crate::proxy::blob(REPO, digest)).await.assert_status(404);
    proxy.get(&crate::proxy::manifest(REPO, digest)).await.assert_body(&image.manifest.bytes);
}

#[tokio::test]
async fn t02_a_dripping_upstream_holds_up_nobody_elses_reader() {
    let Pair { good, evil, proxy } = pair().await;
    let bytes = noise(1, LEN);
    let digest = good.blob(REPO, bytes.clone());
    evil.blob_as(REPO, &digest, noise(2, LEN));
    let gate = Gate::new();
    evil.on("GET", &digest, Behaviour::usual().gate_at(70_000, &gate));
    let mut held = proxy.client().open("GET", &blob("evil", REPO, &digest), &[]).await;
    held.read(1000).await;
    assert_whole(&proxy.client(), &blob("good", REPO, &digest), &bytes).await;
    assert_eq!(good.count("GET", &digest), 1);
    gate.open();
    assert!(!held.rest().await.complete, "wrong bytes are never complete");
    assert_whole(&proxy.client(), &blob("good", REPO, &digest), &bytes).await;
}

#[tokio::test]
async fn t02_one_upstreams_refusal_is_not_anothers() {
    let Pair { good, evil, proxy } = pair().await;
    for status in [404, 401, 403] {
        let bytes = noise(status, LEN);
        let digest = good.blob(REPO, bytes.clone());
        let gate = Gate::new();
        let rule = evil.on("GET", &digest, Behaviour::status(status as u16).gate_head(&gate));
        let refused = {
            let client = proxy.client();
            let path = blob("evil", REPO, &digest);
            tokio::spawn(async move { client.get(&path).await.status })
        };
        until("evil was asked", || evil.count("GET", &digest) > 0).await;
        let reading = {
            let client = proxy.client();
            let path = blob("good", REPO, &digest);
            tokio::spawn(async move { client.get(&path).await })
        };
        until("good was asked", || good.count("GET", &digest) > 0).await;
        gate.open();
        assert_eq!(u64::from(refused.await.unwrap()), status);
        reading.await.unwrap().assert_body(&bytes);
        assert_whole(&proxy.client(), &blob("good", REPO, &digest), &bytes).await;
        evil.forget(rule);
        evil.clear_log();
    }
}

/// An upstream may refuse one repository what another has; both ask at once.
#[tokio::test]
async fn t02_a_refusal_for_one_repository_is_not_anothers() {
    let upstream = FakeUpstream::start().await;
    let proxy = Proxy::of(&upstream).await;
    let bytes = noise(1, LEN);
    let digest = upstream.blob(REPO, bytes.clone());
    let gate = Gate::new();
    upstream.on("GET", format!("other/app/blobs/{digest}"), Behaviour::status(403).gate_head(&gate));
    let refused = {
        let (client, path) = (proxy.client(), crate::proxy::blob("other/app", &digest));
        tokio::spawn(async move { client.get(&path).await.status })
    };
    until("the other repository was asked", || upstream.count("GET", "other/app/blobs") > 0).await;
    let reading = {
        let (client, path) = (proxy.client(), crate::proxy::blob(REPO, &digest));
        tokio::spawn(async move { client.get(&path).await })
    };
    until("it joins, once it is known to be the repository's", || upstream.count("HEAD", REPO) > 0).await;
    gate.open();
    assert_eq!(refused.await.unwrap(), 403);
    reading.await.unwrap().assert_body(&bytes);
}

/// The same for a repository whose right to the blob is known already, so that its readers join at once.
#[tokio::test]
async fn t02_a_refusal_for_one_repository_is_not_that_of_one_with_a_right() {
    let upstream = FakeUpstream::start().await;
    let proxy = Proxy::of(&upstream).await;
    let bytes = noise(1, LEN);
    let digest = upstream.blob(REPO, bytes.clone());
    proxy.head(&crate::proxy::blob(REPO, &digest)).await.assert_status(200);
    let gate = Gate::new();
    upstream.on("GET", format!("other/app/blobs/{digest}"), Behaviour::status(403).gate_head(&gate));
    let other = proxy.client().open("GET", &crate::proxy::blob("other/app", &digest), &[]).await;
    until("the other repository was asked", || upstream.count("GET", "other/app/blobs") > 0).await;
    let readers =
        join_all((0..8).map(|_| async { proxy.client().open("GET", &crate::proxy::blob(REPO, &digest), &[]).await }))
            .await;
    until_async("they are being answered", async || {
        proxy.metrics().await.sum("entrepot_http_requests_in_flight") >= 9.0
    })
    .await;
    gate.open();
    other.rest().await.assert_status(403);
    for reader in readers {
        reader.rest().await.assert_body(&bytes);
    }
}

#[tokio::test]
async fn t02_what_one_upstream_left_is_not_gone_on_with_for_another() {
    let Pair { good, evil, proxy } = pair_of(|setup| {
        setup.cache.set("fill_attempts", 1);
    })
    .await;
    let bytes = noise(1, LEN);
    let digest = good.blob(REPO, bytes.clone());
    evil.blob_as(REPO, &digest, noise(2, LEN));
    evil.on("GET", &digest, Behaviour::usual().cut_after(200_000));
    let broken = proxy.get(&blob("evil", REPO, &digest)).await;
    assert!(!broken.complete);
    until("what came is left", || !proxy.staging().is_empty()).await;
    assert_whole(&proxy.client(), &blob("good", REPO, &digest), &bytes).await;
    assert!(good.asked("GET", &digest).iter().all(|asked| asked.header("range").is_none()), "from the beginning");
}

#[tokio::test]
async fn t02_a_size_that_a_manifest_says_is_no_reason_to_doubt() {
    let Pair { good, evil, proxy } = pair().await;
    let bytes = noise(1, LEN);
    let digest = good.blob(REPO, bytes.clone());
    assert_whole(&proxy.client(), &blob("good", REPO, &digest), &bytes).await;
    proxy.kept(&digest).await;
    for size in [1, LEN - 1, LEN + 1] {
        let tag = name_it(&evil, REPO, &digest, size);
        proxy.get(&manifest("evil", REPO, tag)).await.assert_status(200);
        let _ = proxy.head(&blob("evil", REPO, &digest)).await;
        let tag = name_it(&good, "liar/app", &digest, size);
        proxy.get(&manifest("good", "liar/app", tag)).await.assert_status(200);
        proxy.head(&blob("good", "liar/app", &digest)).await.assert_status(404);
        assert!(proxy.is_kept(&digest));
    }
    good.clear_log();
    assert_whole(&proxy.client(), &blob("good", REPO, &digest), &bytes).await;
    assert_eq!(good.count("GET", &digest), 0);
}

/// A manifest of the same repository says another size, and the blob is cold: upstream's own word counts.
#[tokio::test]
async fn t02_a_wrong_size_in_the_same_repository_breaks_no_fill() {
    let upstream = FakeUpstream::start().await;
    let proxy = Proxy::of(&upstream).await;
    let bytes = noise(1, LEN);
    let digest = upstream.blob(REPO, bytes.clone());
    let tag = name_it(&upstream, REPO, &digest, 17);
    proxy.get(&crate::proxy::manifest(REPO, tag)).await.assert_status(200);
    proxy.get(&crate::proxy::blob(REPO, &digest)).await.assert_body(&bytes);
}

/// An honest manifest is kept while a fill of its digest from elsewhere is under way; then the fill's wrong bytes come.
#[tokio::test]
async fn t03_a_published_file_is_written_by_nobody() {
    let Pair { good, evil, proxy } = pair_of(|setup| {
        setup.cache.set("fill_attempts", 1);
    })
    .await;
    let padding = "x".repeat(400_000);
    let text =
        format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","layers":[],"annotations":{{"a":"{padding}"}}}}"#);
    let digest = good.manifest(REPO, None, OCI_MANIFEST, text.clone());
    good.blob(REPO, text.clone());
    for ends in [false, true] {
        evil.blob_as(REPO, &digest, noise(2, text.len()));
        let gate = Gate::new();
        let behaviour = Behaviour::usual().gate_head(&gate);
        let rule = evil.on("GET", &digest, if ends { behaviour } else { behaviour.cut_after(1000) });
        let lied_to = {
            let (client, path) = (proxy.client(), blob("evil", REPO, &digest));
            tokio::spawn(async move { client.get(&path).await })
        };
        until("evil was asked", || evil.count("GET", &digest) > 0).await;
        proxy.get(&manifest("good", REPO, &digest)).await.assert_body(text.as_bytes());
        proxy.kept(&digest).await;
        gate.open();
        let lied_to = lied_to.await.unwrap();
        assert!(!(lied_to.status == 200 && lied_to.complete));
        let file = std::fs::read(proxy.blob_path(&digest)).unwrap();
        assert_eq!(sha256(&file), digest, "the published file is as it was");
        proxy.get(&manifest("good", REPO, &digest)).await.assert_body(text.as_bytes());
        proxy.get(&blob("good", REPO, &digest)).await.assert_body(text.as_bytes());
        evil.forget(rule);
        evil.clear_log();
    }
    assert_eq!(proxy.metrics().await.sum("entrepot_storage_errors_total"), 0.0);
}

/// Without malice: one manifest under many tags at once.
#[tokio::test]
async fn t03_many_writers_of_one_manifest_fail_nobody() {
    let upstream = FakeUpstream::start().await;
    let padding = "x".repeat(3_000_000);
    let text =
        format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","layers":[],"annotations":{{"a":"{padding}"}}}}"#);
    let digest = upstream.manifest(REPO, None, OCI_MANIFEST, text.clone());
    let tags: Vec<_> = (0..8).map(|n| format!("t{n}")).collect();
    tags.iter().for_each(|tag| upstream.tag(REPO, tag, &digest));
    let proxy = Proxy::of(&upstream).await;
    join_all(tags.iter().map(|tag| async {
        proxy.get(&crate::proxy::manifest(REPO, tag)).await.assert_body(text.as_bytes());
    }))
    .await;
    assert_eq!(proxy.metrics().await.sum("entrepot_storage_errors_total"), 0.0);
    until("nothing is left", || proxy.staging().is_empty()).await;
}

/// Somebody names another repository's blob in a manifest of theirs.
#[tokio::test]
async fn t05_a_manifest_that_names_a_blob_makes_no_right_to_it() {
    let Pair { good, evil, proxy } = pair().await;
    for len in [100, LEN] {
        let bytes = noise(len as u64, len);
        let digest = good.blob("private/app", bytes.clone());
        assert_whole(&proxy.client(), &blob("good", "private/app", &digest), &bytes).await;
        proxy.kept(&digest).await;
        for (upstream, name) in [(&evil, "evil"), (&good, "good")] {
            let tag = name_it(upstream, "mine/app", &digest, len);
            proxy.get(&manifest(name, "mine/app", tag)).await.assert_status(200);
            for method in ["HEAD", "GET"] {
                let answer = proxy.client().request(method, &blob(name, "mine/app", &digest), &[]).await;
                answer.assert_status(404);
            }
        }
        assert_whole(&proxy.client(), &blob("good", "private/app", &digest), &bytes).await;
    }
}

/// The upstream is the attacker's and says that it has whatever it is asked for.
#[tokio::test]
async fn t05_an_upstream_that_only_says_that_it_has_a_blob_is_given_nobodys() {
    let Pair { good, evil, mut proxy } = pair().await;
    for (size, len) in [100, LEN].into_iter().enumerate() {
        let bytes = noise(len as u64, len);
        let digest = good.blob("private/app", bytes.clone());
        assert_whole(&proxy.client(), &blob("good", "private/app", &digest), &bytes).await;
        proxy.kept(&digest).await;
        // HEAD says yes, and the length; GET sends something else of that length.
        evil.blob_as("mine/app", &digest, noise(99, len));
        let path = blob("evil", "mine/app", &digest);
        for _ in 0..2 {
            proxy.head(&path).await.assert_status(200);
            let answer = proxy.get(&path).await;
            assert!(!answer.complete || answer.status != 200, "{size}");
            assert!(!bytes.starts_with(&answer.body) || answer.body.is_empty(), "not one byte of it");
            let ranged = proxy.client().get_range(&path, "bytes=0-49").await;
            assert_ne!(&ranged.body[..], &bytes[..50]);
            proxy.restart().await;
        }
        assert_whole(&proxy.client(), &blob("good", "private/app", &digest), &bytes).await;
    }
}

/// While the blob is under way for the repository that may have it, others are not let in on it.
#[tokio::test]
async fn t05_a_fill_under_way_is_nobody_elses() {
    let Pair { good, evil, proxy } = pair().await;
    let bytes = noise(1, LEN);
    let digest = good.blob("private/app", bytes.clone());
    let gate = Gate::new();
    good.on("GET", &digest, Behaviour::usual().gate_at(500_000, &gate));
    let mut reading = proxy.client().open("GET", &blob("good", "private/app", &digest), &[]).await;
    reading.read(1000).await;
    for (upstream, name) in [(&evil, "evil"), (&good, "good")] {
        let tag = name_it(upstream, "mine/app", &digest, LEN);
        proxy.get(&manifest(name, "mine/app", tag)).await.assert_status(200);
        proxy.get(&blob(name, "mine/app", &digest)).await.assert_status(404);
        proxy.head(&blob(name, "mine/app", &digest)).await.assert_status(404);
    }
    gate.open();
    reading.rest().await.assert_body(&bytes);
}

/// The same for manifests: an index that names another repository's image.
#[tokio::test]
async fn t05_an_index_that_names_an_image_makes_no_right_to_it() {
    let Pair { good, evil, proxy } = pair().await;
    let image = good.image("private/app", "latest", 1, &[1000]);
    proxy.get(&manifest("good", "private/app", "latest")).await.assert_body(&image.manifest.bytes);
    let (digest, size) = (&image.manifest.digest, image.manifest.bytes.len());
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"{OCI_MANIFEST}","digest":"{digest}","size":{size}}}]}}"#
    );
    for (upstream, name) in [(&evil, "evil"), (&good, "good")] {
        upstream.manifest("mine/app", Some("latest"), OCI_INDEX, index.clone());
        proxy.get(&manifest(name, "mine/app", "latest")).await.assert_body(index.as_bytes());
        proxy.get(&manifest(name, "mine/app", digest)).await.assert_status(404);
        proxy.head(&manifest(name, "mine/app", digest)).await.assert_status(404);
    }
}

/// What is shared between repositories of one upstream is fetched once, when upstream says that both have it.
#[tokio::test]
async fn t05_a_shared_layer_costs_a_question_and_no_fetch() {
    let Pair { good, proxy, .. } = pair().await;
    let bytes = noise(1, LEN);
    let digest = good.blob("one/app", bytes.clone());
    good.blob("two/app", bytes.clone());
    assert_whole(&proxy.client(), &blob("good", "one/app", &digest), &bytes).await;
    proxy.kept(&digest).await;
    for _ in 0..3 {
        assert_whole(&proxy.client(), &blob("good", "two/app", &digest), &bytes).await;
    }
    assert_eq!((good.count("GET", &digest), good.count("HEAD", &digest)), (1, 1));
}

#[tokio::test]
async fn t10_a_blob_that_does_not_fit_pushes_nothing_out() {
    let Pair { good, evil, proxy } = pair_of(|setup| {
        setup.cache.text("disk", "8MiB").text("memory", "0B");
    })
    .await;
    let kept: Vec<_> = (0..5).map(|n| noise(n, LEN)).collect();
    let digests: Vec<_> = kept.iter().map(|bytes| good.blob(REPO, bytes.clone())).collect();
    for (bytes, digest) in kept.iter().zip(&digests) {
        assert_whole(&proxy.client(), &blob("good", REPO, digest), bytes).await;
        proxy.kept(digest).await;
    }
    // Larger than half of the limit, larger than all of it, and announced but never sent.
    for len in [5 << 20, 20 << 20] {
        let large = noise(100 + len as u64, len);
        let digest = evil.blob(REPO, large.clone());
        assert_whole(&proxy.client(), &blob("evil", REPO, &digest), &large).await;
        assert!(!proxy.is_kept(&digest));
    }
    let announced = noise(7, 4 << 20);
    let digest = evil.blob(REPO, announced.clone());
    let gate = Gate::new();
    evil.on("GET", &digest, Behaviour::usual().gate_at(1000, &gate));
    let dripping = proxy.client().open("GET", &blob("evil", REPO, &digest), &[]).await;
    until("it is under way", || evil.count("GET", &digest) > 0).await;
    good.clear_log();
    for (bytes, digest) in kept.iter().zip(&digests) {
        assert_whole(&proxy.client(), &blob("good", REPO, digest), bytes).await;
    }
    assert!(good.log().is_empty(), "all that was kept is kept");
    dripping.reset();
    gate.open();
}

/// The disk gives out in the middle of a blob: what follows goes past it, and not into memory.
#[tokio::test]
async fn t11_the_rest_of_a_blob_is_passed_on_as_it_comes() {
    let upstream = FakeUpstream::start().await;
    let proxy = Setup::of(&upstream).start().await;
    let len = 24 << 20;
    let bytes = noise(1, len);
    let digest = upstream.blob(REPO, bytes.clone());
    // Files of this process end here.
    proxy.limit_file_size(Some(4 << 20));
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(20 << 20, &gate));
    let mut reader = proxy.client().open("GET", &crate::proxy::blob(REPO, &digest), &[]).await;
    // Upstream stands still with 4 MiB to come: all is there but what is held back, and what lies in buffers on the way.
    let most = 18 << 20;
    assert_eq!(reader.read(most).await, &bytes[..most]);
    gate.open();
    reader.rest().await.assert_body(&bytes);
}

/// Fetches that nobody waits for any more are not made.
#[tokio::test]
async fn t18_a_fetch_that_nobody_waits_for_gives_up_its_turn() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.hub().set("max_fetches", 1);
    let proxy = setup.start().await;
    let first = upstream.blob(REPO, noise(0, LEN));
    let gate = Gate::new();
    upstream.on("GET", &first, Behaviour::usual().gate_at(1000, &gate));
    let holding = proxy.client().open("GET", &crate::proxy::blob(REPO, &first), &[]).await;
    until("the only place is taken", || upstream.count("GET", &first) > 0).await;
    let abandoned: Vec<_> = (1..20).map(|n| upstream.blob(REPO, noise(n, LEN))).collect();
    let leaving = join_all(
        abandoned
            .iter()
            .map(|digest| async { proxy.client().open("GET", &crate::proxy::blob(REPO, digest), &[]).await }),
    )
    .await;
    let metric = "entrepot_upstream_fetches_waiting";
    until_async("all wait", async || proxy.metrics().await.sum(metric) >= 19.0).await;
    leaving.into_iter().for_each(|exchange| exchange.reset());
    until_async("none waits", async || proxy.metrics().await.sum(metric) == 0.0).await;
    let bytes = noise(100, 1000);
    let wanted = upstream.blob(REPO, bytes.clone());
    gate.open();
    holding.rest().await.assert_status(200);
    proxy.get(&crate::proxy::blob(REPO, &wanted)).await.assert_body(&bytes);
    for digest in &abandoned {
        assert_eq!(upstream.count("GET", digest), 0, "nobody waits for it");
    }
    // Whoever asks again is served.
    proxy.get(&crate::proxy::blob(REPO, &abandoned[3])).await.assert_body(&noise(4, LEN));
}

/// What an upstream said where it was before is no answer of the one that has its name now.
#[tokio::test]
async fn d12_another_registry_under_the_name_answers_for_itself() {
    for restarted in [false, true] {
        let (old, new) = (FakeUpstream::start().await, FakeUpstream::start().await);
        let image = old.image(REPO, "latest", 1, &[10]);
        old.image(REPO, "only-there", 1, &[10]);
        let other = new.image(REPO, "latest", 2, &[10]);
        // The new one has the old one's manifest as well, as any registry may that was filled from the same builds.
        new.image(REPO, "old", 1, &[10]);
        let mut setup = Setup::new();
        setup.add("good", &old.url());
        let mut proxy = setup.start().await;
        let latest = manifest("good", REPO, "latest");
        let tags = format!("/v2/good/{REPO}/tags/list");
        proxy.get(&latest).await.assert_body(&image.manifest.bytes);
        assert!(proxy.get(&tags).await.text().contains("only-there"));
        proxy.setup.upstreams.clear();
        proxy.setup.add("good", &new.url());
        if restarted {
            proxy.write_config();
            proxy.restart().await;
        } else {
            proxy.reload().await;
        }
        proxy.get(&latest).await.assert_body(&other.manifest.bytes);
        assert_eq!(proxy.head(&latest).await.header("docker-content-digest"), Some(other.manifest.digest.as_str()));
        assert!(!proxy.get(&tags).await.text().contains("only-there"), "restarted: {restarted}");
        // The same URLs again are the same upstream.
        proxy.restart().await;
        new.refuse();
        proxy.get(&latest).await.assert_body(&other.manifest.bytes);
    }
}
