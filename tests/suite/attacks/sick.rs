//! Upstreams that are well but for one repository, one redirect, one mirror or one method: who asks for the rest is served.

use futures_util::future::join_all;

use crate::bound::{until, until_async};
use crate::proxy::{HUB, Proxy, Setup, blob, manifest};
use crate::upstream::{Behaviour, FakeUpstream, Gate, noise};

const REPO: &str = "ok/app";
const LEN: usize = 1 << 20;

/// Of the circuit of the first URL.
async fn available(proxy: &Proxy) -> f64 {
    proxy.metrics().await.with("entrepot_upstream_available", &[("upstream", HUB), ("endpoint", "0")])
}

/// Whoever can name a broken repository does not decide about the others.
#[tokio::test]
async fn d04_a_broken_repository_starves_nobody() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[10]);
    let storage = FakeUpstream::start().await;
    storage.refuse();
    upstream.on("*", "/v2/fail/", Behaviour::status(500));
    upstream.on("*", "/v2/redirect/", Behaviour::redirect(307, storage.url()));
    upstream.on("*", "/v2/dropped/", Behaviour::drop_connection());
    let proxy = Setup::of(&upstream).fresh_tags().start().await;
    let digest = upstream.blob(REPO, "x");
    for round in 0..3 {
        let paths = (0..4).flat_map(|at| {
            [
                manifest("fail/app", &format!("t{round}-{at}")),
                manifest("dropped/app", &format!("t{round}-{at}")),
                blob(&format!("redirect/app{round}-{at}"), &digest),
            ]
        });
        let (client, paths): (_, Vec<_>) = (proxy.client(), paths.collect());
        for refused in join_all(paths.iter().map(|path| client.get(path))).await {
            assert_eq!(refused.status, 502);
        }
        for _ in 0..10 {
            proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    assert_eq!(available(&proxy).await, 1.0);
}

/// Where `/v2/` is all that is broken, what was answered before shows that the registry works.
#[tokio::test]
async fn a_registry_whose_ping_is_broken_is_used() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[10]);
    upstream.on("GET", "/v2/?", Behaviour::status(500));
    upstream.on("*", "/v2/fail/", Behaviour::status(500));
    for answered_before in [true, false] {
        let proxy = Setup::of(&upstream).fresh_tags().start().await;
        let path = manifest(REPO, "latest");
        if answered_before {
            proxy.get(&path).await.assert_body(&image.manifest.bytes);
        }
        upstream.clear_log();
        for at in 0..5 {
            proxy.get(&manifest("fail/app", &format!("t{at}"))).await.assert_status(502);
        }
        until("it was asked how it is", || upstream.count("GET", "/v2/?") > 0).await;
        if !answered_before {
            until_async("it is left alone for a while", async || available(&proxy).await == 0.0).await;
            until_async("it is tried", async || proxy.get(&path).await.status == 200).await;
        }
        for round in 0..20 {
            proxy.get(&path).await.assert_body(&image.manifest.bytes);
            proxy.get(&manifest("fail/app", &format!("u{round}"))).await.assert_status(502);
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

/// Upstream has said no: neither a restart nor an outage makes a client see what it was given before.
#[tokio::test]
async fn d20_a_refusal_is_not_forgotten_before_what_was_refused() {
    for status in [401, 403, 404] {
        let upstream = FakeUpstream::start().await;
        let image = upstream.image(REPO, "latest", 1, &[10]);
        let mut setup = Setup::of(&upstream);
        setup.hub().text("tag_ttl", "1s").text("stale_while_revalidate", "1h").text("negative_ttl", "0s");
        let mut proxy = setup.start().await;
        let (path, list) = (manifest(REPO, "latest"), format!("/v2/{HUB}/{REPO}/tags/list"));
        proxy.get(&path).await.assert_body(&image.manifest.bytes);
        proxy.get(&list).await.assert_status(200);
        for behaviour in ["manifests/latest", "tags/list"] {
            upstream.on("*", behaviour, Behaviour::status(status));
        }
        for path in [&path, &list] {
            until_async("it is refused", async || proxy.get(path).await.status == status).await;
        }
        proxy.restart().await;
        for path in [&path, &list] {
            proxy.get(path).await.assert_status(status);
        }
        upstream.refuse();
        for path in [&path, &list] {
            proxy.get(path).await.assert_status(502);
        }
    }
}

async fn with_one_place(upstream: &FakeUpstream, queue_timeout: &str) -> Proxy {
    let mut setup = Setup::of(upstream);
    setup.hub().set("max_fetches", 1).text("queue_timeout", queue_timeout);
    setup.start().await
}

/// The other half: a fetch that stalls and that nobody reads holds no place that somebody waits for, before its head and after.
#[tokio::test]
async fn d04_a_stalled_fill_without_readers_gives_its_place() {
    for is_head in [true, false] {
        let upstream = FakeUpstream::start().await;
        let (bytes, gate) = (noise(1, LEN), Gate::new());
        let stalls = upstream.blob("stall/app", bytes.clone());
        let wanted = upstream.blob(REPO, "wanted");
        let behaviour = Behaviour::usual();
        let behaviour = if is_head { behaviour.gate_head(&gate) } else { behaviour.gate_at(500_000, &gate) };
        let rule = upstream.on("GET", &stalls, behaviour);
        let proxy = with_one_place(&upstream, "30s").await;
        let leaving = proxy.client().open("GET", &blob("stall/app", &stalls), &[]).await;
        gate.reached().await;
        leaving.reset();
        proxy.get(&blob(REPO, &wanted)).await.assert_body(b"wanted");
        // What had come is gone on with.
        upstream.forget(rule);
        upstream.clear_log();
        proxy.get(&blob("stall/app", &stalls)).await.assert_body(&bytes);
        let ranged = upstream.asked("GET", &stalls).iter().any(|asked| asked.header("range").is_some());
        assert_eq!(ranged, !is_head);
    }
}

#[tokio::test]
async fn d04_a_stalled_fill_with_a_reader_keeps_its_place() {
    let upstream = FakeUpstream::start().await;
    let (bytes, gate) = (noise(1, LEN), Gate::new());
    let stalls = upstream.blob("stall/app", bytes.clone());
    let wanted = upstream.blob(REPO, "wanted");
    upstream.on("GET", &stalls, Behaviour::usual().gate_at(500_000, &gate));
    let proxy = with_one_place(&upstream, "5s").await;
    let mut reader = proxy.client().open("GET", &blob("stall/app", &stalls), &[]).await;
    reader.read(100_000).await;
    proxy.get(&blob(REPO, &wanted)).await.assert_status(503);
    gate.open();
    reader.rest().await.assert_body(&bytes);
    assert_eq!(upstream.count("GET", &stalls), 1);
}

/// HEAD works and GET is limited, as at Docker Hub: the tag that has moved is worth less than the image that is here.
#[tokio::test]
async fn d03_a_tag_that_moved_is_served_stale_until_its_manifest_can_be_had() {
    let upstream = FakeUpstream::start().await;
    let old = upstream.image(REPO, "latest", 1, &[10]);
    let mut proxy = Setup::of(&upstream).fresh_tags().start().await;
    let path = manifest(REPO, "latest");
    proxy.get(&path).await.assert_body(&old.manifest.bytes);
    let new = upstream.image(REPO, "latest", 2, &[10]);
    for failing in [Behaviour::limited(30), Behaviour::status(500), Behaviour::drop_connection()] {
        let limited = upstream.on("GET", "/manifests/", failing);
        for _ in 0..2 {
            for _ in 0..3 {
                let answer = proxy.get(&path).await;
                answer.assert_body(&old.manifest.bytes);
                assert!(answer.header("warning").is_some());
                let head = proxy.head(&path).await;
                assert_eq!(head.header("docker-content-digest"), Some(old.manifest.digest.as_str()));
            }
            proxy.restart().await;
        }
        upstream.forget(limited);
    }
    upstream.refuse();
    proxy.get(&path).await.assert_body(&old.manifest.bytes);
    upstream.accept().await;
    until_async("the new image is served", async || proxy.get(&path).await.body == new.manifest.bytes).await;
}

/// A HEAD that tells a length that is not the manifest's.
#[tokio::test]
async fn d15_the_length_of_a_kept_manifest_is_its_own() {
    for told in [0, 7] {
        let upstream = FakeUpstream::start().await;
        let image = upstream.image(REPO, "latest", 1, &[10]);
        let length = image.manifest.bytes.len().to_string();
        upstream.on("HEAD", "/manifests/", Behaviour::usual().header("Content-Length", told));
        let proxy = Setup::of(&upstream).fresh_tags().start().await;
        let path = manifest(REPO, "latest");
        if told == 0 {
            assert_eq!(proxy.head(&path).await.header("content-length"), Some(length.as_str()));
        }
        proxy.get(&path).await.assert_body(&image.manifest.bytes);
        assert_eq!(proxy.head(&path).await.header("content-length"), Some(length.as_str()), "{told}");
    }
}

/// Ranges of blobs that are too large to be kept, as clients that pull lazily ask for: none waits for a place with another in hand.
#[tokio::test]
async fn d18_ranges_of_passed_through_blobs_do_not_lock_each_other_out() {
    let upstream = FakeUpstream::start().await;
    let blobs: Vec<_> = (0..24).map(|seed| noise(seed, 2 * LEN)).collect();
    let digests: Vec<_> = blobs.iter().map(|bytes| upstream.blob(REPO, bytes.clone())).collect();
    for places in [1, 4] {
        let mut setup = Setup::of(&upstream);
        setup.hub().set("max_fetches", places).text("queue_timeout", "20s");
        setup.cache.text("disk", "64MiB").text("disk_object", "1MiB");
        let proxy = setup.start().await;
        let (client, count) = (proxy.client(), if places == 1 { 3 } else { blobs.len() });
        let ranged = digests.iter().take(count).map(|digest| {
            let (client, path) = (&client, blob(REPO, digest));
            async move { client.get_range(&path, "bytes=1000000-1000099").await }
        });
        for (answer, bytes) in join_all(ranged).await.iter().zip(&blobs) {
            answer.assert_status(206);
            assert_eq!(answer.body, bytes[1_000_000..1_000_100]);
        }
        // Whole ones as well, by one fetch.
        upstream.clear_log();
        proxy.get(&blob(REPO, &digests[0])).await.assert_body(&blobs[0]);
        assert_eq!(upstream.count("GET", &digests[0]), 1);
    }
}

/// The upstream is away for longer than it takes until nobody asks it any more.
#[tokio::test]
async fn d19_a_blob_under_way_waits_for_its_upstream_to_come_back() {
    let upstream = FakeUpstream::start().await;
    let (bytes, gate) = (noise(1, LEN), Gate::new());
    let digest = upstream.blob(REPO, bytes.clone());
    let rule = upstream.on("GET", &digest, Behaviour::usual().gate_at(500_000, &gate));
    let proxy = Proxy::of(&upstream).await;
    let mut reader = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    reader.read(100_000).await;
    upstream.refuse();
    upstream.forget(rule);
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    upstream.accept().await;
    reader.rest().await.assert_body(&bytes);
}

/// A blob stands still in one repository and comes at once in another: both readers have it.
#[tokio::test]
async fn d25_a_fill_that_stalls_goes_on_with_another_repository() {
    for stays in [true, false] {
        let upstream = FakeUpstream::start().await;
        let (bytes, gate) = (noise(1, LEN), Gate::new());
        let digest = upstream.blob(REPO, bytes.clone());
        upstream.blob("stall/app", bytes.clone());
        upstream.on("GET", format!("stall/app/blobs/{digest}"), Behaviour::usual().gate_at(500_000, &gate));
        let proxy = Proxy::of(&upstream).await;
        let mut first = proxy.client().open("GET", &blob("stall/app", &digest), &[]).await;
        first.read(100_000).await;
        let first = if stays {
            Some(first)
        } else {
            first.reset();
            None
        };
        proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
        if let Some(first) = first {
            first.rest().await.assert_body(&bytes);
        }
        let asked = upstream.asked("GET", &format!("{REPO}/blobs/{digest}"));
        assert!(asked.len() == 1 && asked[0].header("range").is_some(), "{asked:?}");
        assert_eq!(upstream.count("GET", "stall/app"), 1);
    }
}

/// One mirror sends wrong bytes, or a wrong length, and breaks off; the other is right, and wins.
#[tokio::test]
async fn d06_a_mirror_that_lies_and_breaks_off_does_not_win() {
    for lie in [Behaviour::usual().flip(1000), Behaviour::usual().declare_length(LEN as u64 + 4)] {
        let (wrong, right) = (FakeUpstream::start().await, FakeUpstream::start().await);
        let bytes = noise(1, LEN);
        let digest = right.blob(REPO, bytes.clone());
        wrong.blob(REPO, bytes.clone());
        wrong.on("GET", &digest, lie.cut_after(500_000));
        let mut setup = Setup::of(&wrong);
        setup.hub().texts("url", &[&wrong.url(), &right.url()]);
        let proxy = setup.start().await;
        let first = proxy.get(&blob(REPO, &digest)).await;
        assert!(!first.complete && first.body.len() < LEN);
        proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
        proxy.kept(&digest).await;
    }
}

/// Fetches that wait for their place hold no files.
#[tokio::test]
async fn d17_a_fetch_that_waits_holds_no_file() {
    let upstream = FakeUpstream::start().await;
    let (bytes, gate) = (noise(0, LEN), Gate::new());
    let first = upstream.blob(REPO, bytes.clone());
    upstream.on("GET", &first, Behaviour::usual().gate_at(500_000, &gate));
    let proxy = with_one_place(&upstream, "60s").await;
    let holding = proxy.client().open("GET", &blob(REPO, &first), &[]).await;
    gate.reached().await;
    let others: Vec<_> = (1..20).map(|seed| upstream.blob(REPO, noise(seed, 1000))).collect();
    let waiting =
        join_all(others.iter().map(|digest| async { proxy.client().open("GET", &blob(REPO, digest), &[]).await }))
            .await;
    until_async("all wait", async || proxy.metrics().await.sum("entrepot_upstream_fetches_waiting") >= 19.0).await;
    assert_eq!(proxy.staging().len(), 1, "{:?}", proxy.staging());
    gate.open();
    holding.rest().await.assert_body(&bytes);
    for exchange in waiting {
        exchange.rest().await.assert_status(200);
    }
    until("nothing is left", || proxy.staging().is_empty()).await;
}
