//! The fill: one fetch upstream, read by everyone while it comes.

use futures_util::future::join_all;

use crate::bound::{until, until_async};
use crate::proxy::{Proxy, Setup, blob, manifest};
use crate::upstream::{Behaviour, FakeUpstream, Gate, OCI_MANIFEST, noise};

const REPO: &str = "team/app";
/// Larger than what is kept in memory.
const LEN: usize = 1 << 20;

/// An upstream with one blob: its bytes, and its digest.
async fn upstream_with(len: usize) -> (FakeUpstream, bytes::Bytes, String) {
    let upstream = FakeUpstream::start().await;
    let bytes = noise(len as u64, len);
    let digest = upstream.blob(REPO, bytes.clone());
    (upstream, bytes, digest)
}

#[tokio::test]
async fn c01_hundred_clients_one_get() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(LEN as u64 / 2, &gate));
    let proxy = Proxy::of(&upstream).await;
    let path = blob(REPO, &digest);
    let mut exchanges = join_all((0..100).map(|_| async { proxy.client().open("GET", &path, &[]).await })).await;
    // Everyone has half of it while the upstream stands still.
    for exchange in &mut exchanges {
        assert_eq!(exchange.read(LEN / 2 - 4096).await, &bytes[..LEN / 2 - 4096]);
    }
    gate.open();
    for exchange in exchanges {
        exchange.rest().await.assert_body(&bytes);
    }
    assert_eq!(upstream.count("GET", &digest), 1);
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.with("entrepot_cache_requests_total", &[("type", "blob"), ("outcome", "miss")]), 1.0);
    assert_eq!(metrics.with("entrepot_cache_requests_total", &[("type", "blob"), ("outcome", "coalesced")]), 99.0);
}

#[tokio::test]
async fn c01_warm_blob_costs_nothing_upstream() {
    for len in [100, LEN] {
        let (upstream, bytes, digest) = upstream_with(len).await;
        let proxy = Proxy::of(&upstream).await;
        proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
        proxy.kept(&digest).await;
        assert_eq!(upstream.count("GET", &digest), 1);
        assert!(proxy.staging().is_empty());
        upstream.clear_log();
        for _ in 0..5 {
            proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
        }
        assert!(upstream.log().is_empty());
    }
}

#[tokio::test]
async fn c02_two_repositories_one_get() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    upstream.blob("other/app", bytes.clone());
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(LEN as u64 / 2, &gate));
    let proxy = Proxy::of(&upstream).await;
    let mut first = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    let mut second = proxy.client().open("GET", &blob("other/app", &digest), &[]).await;
    assert_eq!(first.read(1000).await, &bytes[..1000]);
    assert_eq!(second.read(1000).await, &bytes[..1000]);
    gate.open();
    first.rest().await.assert_body(&bytes);
    second.rest().await.assert_body(&bytes);
    assert_eq!(upstream.count("GET", &digest), 1);
}

#[tokio::test]
async fn c02_two_tags_one_get() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "one", 1, &[LEN]);
    upstream.tag(REPO, "two", &image.manifest.digest);
    let proxy = Proxy::of(&upstream).await;
    let pull = async |tag: &str| {
        proxy.get(&manifest(REPO, tag)).await.assert_body(&image.manifest.bytes);
        proxy.get(&blob(REPO, &image.layer().digest)).await.assert_body(&image.layer().bytes);
    };
    tokio::join!(pull("one"), pull("two"));
    assert_eq!(upstream.count("GET", &image.layer().digest), 1);
}

#[tokio::test]
async fn c03_first_client_leaves() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(LEN as u64 / 2, &gate));
    let proxy = Proxy::of(&upstream).await;
    let path = blob(REPO, &digest);
    let mut first = proxy.client().open("GET", &path, &[]).await;
    first.read(LEN / 10).await;
    let mut others = join_all((0..4).map(|_| async { proxy.client().open("GET", &path, &[]).await })).await;
    for other in &mut others {
        other.read(1).await;
    }
    first.reset();
    gate.open();
    for other in others {
        other.rest().await.assert_body(&bytes);
    }
    assert_eq!(upstream.count("GET", &digest), 1);
}

#[tokio::test]
async fn c04_every_client_leaves() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(LEN as u64 / 2, &gate));
    let proxy = Proxy::of(&upstream).await;
    let path = blob(REPO, &digest);
    for _ in 0..3 {
        let mut client = proxy.client().open("GET", &path, &[]).await;
        client.read(LEN / 10).await;
        client.reset();
    }
    gate.reached().await;
    assert!(!proxy.is_kept(&digest));
    gate.open();
    proxy.kept(&digest).await;
    proxy.get(&path).await.assert_body(&bytes);
    assert_eq!(upstream.count("GET", &digest), 1);
}

#[tokio::test]
async fn c05_a_slow_client_slows_nobody() {
    let len = 12 << 20;
    let (upstream, bytes, digest) = upstream_with(len).await;
    let proxy = Proxy::of(&upstream).await;
    let path = blob(REPO, &digest);
    // It takes a few bytes and then stops reading, long before the end.
    let mut slow = proxy.client().slow().open("GET", &path, &[]).await;
    slow.read(1000).await;
    join_all((0..3).map(|_| async { proxy.get(&path).await.assert_body(&bytes) })).await;
    for _ in 0..20 {
        let more = slow.received.len() + 1000;
        slow.read(more).await;
    }
    slow.rest().await.assert_body(&bytes);
    assert_eq!(upstream.count("GET", &digest), 1);
}

#[tokio::test]
async fn c06_a_late_joiner_gets_what_is_there() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let gate = Gate::new();
    let most = LEN / 10 * 9;
    upstream.on("GET", &digest, Behaviour::usual().gate_at(most as u64, &gate));
    let proxy = Proxy::of(&upstream).await;
    let mut first = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    assert_eq!(first.read(most).await, &bytes[..most]);
    let mut joiner = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    assert_eq!(joiner.read(most).await, &bytes[..most]);
    gate.open();
    joiner.rest().await.assert_body(&bytes);
    first.rest().await.assert_body(&bytes);
    assert_eq!(upstream.count("GET", &digest), 1);
}

#[tokio::test]
async fn c07_head_and_first_bytes_at_once() {
    let upstream = FakeUpstream::start().await;
    let gates = [Gate::new(), Gate::new()];
    // One is kept; the other is larger than the whole cache and passes through.
    let kept = upstream.blob(REPO, noise(1, 8 << 20));
    let huge = upstream.boundless_blob(REPO, 2, 10 << 30);
    for (digest, gate) in [&kept, &huge].into_iter().zip(&gates) {
        upstream.on("GET", digest, Behaviour::usual().gate_at(256 << 10, gate));
    }
    let mut setup = Setup::of(&upstream);
    setup.cache.text("disk", "64MiB");
    let proxy = setup.start().await;
    for (digest, seed, len) in [(&kept, 1, 8_u64 << 20), (&huge, 2, 10 << 30)] {
        let mut exchange = proxy.client().open("GET", &blob(REPO, digest), &[]).await;
        exchange.head().await;
        assert_eq!(exchange.status, 200);
        assert_eq!(exchange.header("content-length"), Some(len.to_string().as_str()));
        assert_eq!(exchange.read(60 << 10).await, noise(seed, 60 << 10));
    }
}

#[tokio::test]
async fn c07_the_head_does_not_wait_for_the_body() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(0, &gate));
    let proxy = Proxy::of(&upstream).await;
    let mut exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    assert_eq!(exchange.head().await.status, 200);
    gate.reached().await;
    gate.open();
    exchange.rest().await.assert_body(&bytes);
}

#[tokio::test]
async fn c08_a_broken_body_is_gone_on_with() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let half = LEN as u64 / 2;
    upstream.on("GET", &digest, Behaviour::usual().cut_after(half).once());
    let proxy = Proxy::of(&upstream).await;
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    let asked = upstream.asked("GET", &digest);
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(asked[1].range_start(), Some(half));
    assert_eq!(asked[1].status(), 206);
    proxy.kept(&digest).await;
    assert!(proxy.metrics().await.sum("entrepot_cache_fill_resumes_total") >= 1.0);
}

#[tokio::test]
async fn c08_a_body_may_break_often() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    // Each piece makes progress, so that no number of breaks is too many.
    upstream.on("GET", &digest, Behaviour::usual().cut_after(LEN as u64 / 12 + 1).times(11));
    let proxy = Proxy::of(&upstream).await;
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    assert_eq!(upstream.count("GET", &digest), 12);
}

#[tokio::test]
async fn c08_the_rest_comes_from_the_next_url() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let second = FakeUpstream::start().await;
    second.blob(REPO, bytes.clone());
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(LEN as u64 / 2, &gate));
    let mut setup = Setup::of(&upstream).impatient();
    setup.hub().texts("url", &[&upstream.url(), &second.url()]);
    let proxy = setup.start().await;
    let mut exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    exchange.read(LEN / 4).await;
    upstream.refuse();
    exchange.rest().await.assert_body(&bytes);
    assert!(second.asked("GET", &digest).iter().any(|asked| asked.range_start() > Some(0)), "{:?}", second.log());
}

#[tokio::test]
async fn c09_a_truncated_chunked_body_is_never_kept() {
    let cut = Behaviour::usual().chunked().if_ranged(false);
    for behaviour in [Behaviour::usual().chunked().shorten(LEN as u64 / 2), cut.cut_after(1000)] {
        let (upstream, bytes, digest) = upstream_with(LEN).await;
        let mut setup = Setup::of(&upstream).fresh_tags();
        setup.cache.set("fill_attempts", 2);
        let proxy = setup.start().await;
        // Asking for the rest brings nothing.
        upstream.on("GET", &digest, Behaviour::usual().chunked().cut_after(0).if_ranged(true));
        upstream.on("GET", &digest, behaviour);
        proxy.get(&blob(REPO, &digest)).await.assert_not_served();
        assert!(!proxy.is_kept(&digest));
        upstream.forget_all();
        proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    }
}

#[tokio::test]
async fn c10_a_wrong_byte_is_never_served_whole() {
    for (len, flip) in [(LEN, 0), (LEN, LEN / 2), (LEN, LEN - 1), (300, 299), (1, 0)] {
        let (upstream, bytes, digest) = upstream_with(len).await;
        let proxy = Setup::of(&upstream).fresh_tags().start().await;
        let gate = Gate::new();
        upstream.on("GET", &digest, Behaviour::usual().flip(flip as u64).gate_at(len as u64 / 2, &gate));
        let clients: Vec<_> =
            join_all((0..3).map(|_| async { proxy.client().open("GET", &blob(REPO, &digest), &[]).await })).await;
        gate.reached().await;
        gate.open();
        for client in clients {
            client.rest().await.assert_not_served();
        }
        until("the corrupt bytes are gone", || proxy.kept_bytes() == 0).await;
        let metrics = proxy.metrics().await;
        assert!(metrics.sum("entrepot_cache_digest_mismatches_total") >= 1.0);
        upstream.forget_all();
        proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    }
}

#[tokio::test]
async fn c10_after_wrong_bytes_the_next_url_is_asked() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let second = FakeUpstream::start().await;
    second.blob(REPO, bytes.clone());
    let mut setup = Setup::of(&upstream);
    setup.hub().texts("url", &[&upstream.url(), &second.url()]);
    let proxy = setup.start().await;
    upstream.on("GET", &digest, Behaviour::usual().flip(7));
    proxy.get(&blob(REPO, &digest)).await.assert_not_served();
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    assert_eq!((upstream.count("GET", &digest), second.count("GET", &digest)), (1, 1));
}

#[tokio::test]
async fn c11_a_body_longer_than_its_descriptor() {
    for chunked in [false, true] {
        for known in [false, true] {
            let upstream = FakeUpstream::start().await;
            let image = upstream.image(REPO, "latest", 1, &[LEN]);
            let digest = &image.layer().digest;
            let proxy = Setup::of(&upstream).fresh_tags().start().await;
            if known {
                proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
            }
            let longer = Behaviour::usual().append("one more layer of paint");
            upstream.on("GET", digest, if chunked { longer.chunked() } else { longer });
            proxy.get(&blob(REPO, digest)).await.assert_not_served();
            assert!(!proxy.is_kept(digest));
            upstream.forget_all();
            proxy.get(&blob(REPO, digest)).await.assert_body(&image.layer().bytes);
        }
    }
}

#[tokio::test]
async fn c11_a_body_shorter_than_its_descriptor() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[LEN]);
    let digest = &image.layer().digest;
    let proxy = Setup::of(&upstream).fresh_tags().start().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    upstream.on("GET", digest, Behaviour::usual().shorten(LEN as u64 - 1));
    proxy.get(&blob(REPO, digest)).await.assert_not_served();
    assert!(!proxy.is_kept(digest));
}

#[tokio::test]
async fn c12_no_content_length() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[LEN]);
    let layer = image.layer();
    upstream.on("*", &layer.digest, Behaviour::usual().chunked());
    let proxy = Proxy::of(&upstream).await;
    let answer = proxy.head(&blob(REPO, &layer.digest)).await;
    answer.assert_status(200);
    let len = LEN.to_string();
    assert!(answer.header("content-length").is_none_or(|told| told == len), "{:?}", answer.headers);
    // The manifest tells the size that the upstream's HEAD does not.
    proxy.get(&manifest(REPO, "latest")).await.assert_status(200);
    let answer = proxy.head(&blob(REPO, &layer.digest)).await;
    assert_eq!(answer.header("content-length"), Some(len.as_str()));
    proxy.get(&blob(REPO, &layer.digest)).await.assert_body(&layer.bytes);
    proxy.kept(&layer.digest).await;
}

#[tokio::test]
async fn c12_an_unknown_length_streams() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().chunked().gate_at(LEN as u64 / 2, &gate));
    let proxy = Proxy::of(&upstream).await;
    let mut exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    assert_eq!(exchange.read(1000).await, &bytes[..1000]);
    gate.open();
    exchange.rest().await.assert_body(&bytes);
    proxy.kept(&digest).await;
}

#[tokio::test]
async fn c14_content_encoding() {
    let (upstream, bytes, digest) = upstream_with(100_000).await;
    let proxy = Setup::of(&upstream).fresh_tags().start().await;
    let path = blob(REPO, &digest);
    // As containerd asks.
    let accept = [("Accept-Encoding", "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5")];
    upstream.on("GET", &digest, Behaviour::usual().gzip_always().once());
    let answer = proxy.client().request("GET", &path, &accept).await;
    assert!(answer.status >= 400 || !answer.complete || answer.body == bytes);
    upstream.on("GET", &digest, Behaviour::usual().gzip_if_accepted());
    let answer = proxy.client().request("GET", &path, &accept).await;
    answer.assert_body(&bytes);
    assert_eq!(answer.header("content-encoding"), None);
    for asked in upstream.asked("GET", &digest) {
        assert!(!asked.header("accept-encoding").is_some_and(|value| value.contains("gzip") || value.contains("zstd")));
    }
}

#[tokio::test]
async fn c15_a_page_instead_of_a_blob() {
    for (content_type, page) in [
        ("text/html", "<html>Please log in to the guest network</html>"),
        ("application/json", r#"{"errors":[{"code":"UNKNOWN","message":"try later"}]}"#),
    ] {
        let (upstream, bytes, digest) = upstream_with(LEN).await;
        let proxy = Setup::of(&upstream).fresh_tags().start().await;
        upstream.on("GET", &digest, Behaviour::answer(200, content_type, page));
        proxy.get(&blob(REPO, &digest)).await.assert_not_served();
        assert!(!proxy.is_kept(&digest));
        upstream.forget_all();
        proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    }
}

#[tokio::test]
async fn c15_a_page_instead_of_a_manifest() {
    for (content_type, page) in [
        ("text/html", "<html>Please log in to the guest network</html>"),
        ("application/json", r#"{"errors":[{"code":"UNKNOWN","message":"try later"}]}"#),
        (OCI_MANIFEST, "not JSON at all"),
    ] {
        let upstream = FakeUpstream::start().await;
        let image = upstream.image(REPO, "latest", 1, &[10]);
        let proxy = Setup::of(&upstream).fresh_tags().start().await;
        upstream.on("*", "/manifests/", Behaviour::answer(200, content_type, page));
        for reference in ["latest", &image.manifest.digest] {
            let answer = proxy.get(&manifest(REPO, reference)).await;
            assert_eq!(answer.status, 502, "{content_type} {reference}: {}", answer.text());
        }
        upstream.forget_all();
        for reference in ["latest", &image.manifest.digest] {
            proxy.get(&manifest(REPO, reference)).await.assert_body(&image.manifest.bytes);
        }
    }
}

#[tokio::test]
async fn c16_a_limit_between_two_pieces() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    upstream.on("GET", &digest, Behaviour::limited(1).if_ranged(true).once());
    upstream.on("GET", &digest, Behaviour::usual().cut_after(LEN as u64 / 2).if_ranged(false).once());
    let proxy = Proxy::of(&upstream).await;
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    let statuses: Vec<_> = upstream.asked("GET", &digest).iter().map(|asked| asked.status()).collect();
    assert_eq!(statuses, [200, 429, 206]);
}

#[tokio::test]
async fn c17_the_disk_is_full() {
    let (upstream, bytes, digest) = upstream_with(4 << 20).await;
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(2 << 20, &gate));
    let proxy = Proxy::of(&upstream).await;
    // In the middle: what has arrived so far is in the file, the rest does not fit.
    let mut exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    exchange.read(1 << 20).await;
    let mut joined = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    joined.read(1 << 20).await;
    gate.reached().await;
    proxy.limit_file_size(Some(2 << 20));
    gate.open();
    exchange.rest().await.assert_body(&bytes);
    joined.rest().await.assert_body(&bytes);
    until("nothing is left of it", || proxy.kept_bytes() == 0).await;
    // From the start: there is no room at all.
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    assert!(!proxy.is_kept(&digest));
    proxy.admin().get("/readyz").await.assert_status(200);
    assert!(proxy.metrics().await.sum("entrepot_storage_errors_total") >= 1.0);
    // And there is room again.
    proxy.limit_file_size(None);
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    proxy.kept(&digest).await;
}

#[tokio::test]
async fn c18_killed_in_a_fill() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(LEN as u64 / 2, &gate).once());
    let mut proxy = Proxy::of(&upstream).await;
    let mut exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    exchange.read(LEN / 4).await;
    proxy.kill().await;
    exchange.rest().await.assert_not_served();
    assert!(!proxy.is_kept(&digest));
    proxy.start().await;
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    until("staging is empty", || proxy.staging().is_empty()).await;
}

#[tokio::test]
async fn c18_a_restart_resumes() {
    let (upstream, bytes, digest) = upstream_with(4 << 20).await;
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(2 << 20, &gate).once());
    let mut proxy = Proxy::of(&upstream).await;
    let mut exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    exchange.read(1 << 20).await;
    gate.reached().await;
    proxy.kill().await;
    proxy.start().await;
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    let asked = upstream.asked("GET", &digest);
    assert!(asked.last().unwrap().range_start() > Some(0), "{asked:?}");
    proxy.kept(&digest).await;
}

#[tokio::test]
async fn c18_what_was_left_is_not_trusted() {
    let (upstream, bytes, digest) = upstream_with(4 << 20).await;
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(2 << 20, &gate).once());
    let mut proxy = Setup::of(&upstream).fresh_tags().start().await;
    let mut exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    exchange.read(1 << 20).await;
    proxy.kill().await;
    // The crash left garbage where data had been.
    let (left, size) = proxy.staging().into_iter().next().expect("the beginning of the blob");
    let mut garbage = std::fs::read(&left).unwrap();
    garbage[size as usize / 2] ^= 1;
    std::fs::write(&left, garbage).unwrap();
    std::fs::write(proxy.data_path().join("staging/what is this"), "x").unwrap();
    proxy.start().await;
    let first = proxy.get(&blob(REPO, &digest)).await;
    assert!(!first.complete || first.body == bytes, "garbage was served");
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    until("staging is empty", || proxy.staging().is_empty()).await;
}

#[tokio::test]
async fn c19_a_fill_longer_than_every_deadline() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let pause = std::time::Duration::from_millis(300);
    upstream.on("GET", &digest, Behaviour::usual().pause_every(LEN as u64 / 10, pause));
    // Every deadline is a second, the fill takes three.
    let proxy = Setup::of(&upstream).impatient().start().await;
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    assert_eq!(upstream.count("GET", &digest), 1);
}

#[tokio::test]
async fn c19_a_stalled_body_is_asked_for_again() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    upstream.on("GET", &digest, Behaviour::usual().gate_at(LEN as u64 / 2, &Gate::new()).once());
    let proxy = Setup::of(&upstream).impatient().start().await;
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    assert_eq!(upstream.asked("GET", &digest).last().unwrap().range_start(), Some(LEN as u64 / 2));
}

#[tokio::test]
async fn c20_every_waiter_gets_the_error() {
    for (status, expected) in [(404, 404), (403, 403), (500, 502)] {
        let (upstream, _, digest) = upstream_with(LEN).await;
        let gate = Gate::new();
        upstream.on("*", &digest, Behaviour::status(status).gate_head(&gate));
        let proxy = Proxy::of(&upstream).await;
        let path = blob(REPO, &digest);
        let clients = join_all((0..10).map(|_| async { proxy.client().open("GET", &path, &[]).await })).await;
        gate.reached().await;
        until_async("everyone waits", async || proxy.metrics().await.sum("entrepot_http_requests_in_flight") >= 10.0)
            .await;
        gate.open();
        for client in clients {
            let answer = client.rest().await;
            answer.assert_status(expected);
            assert!(answer.complete);
        }
    }
}

#[tokio::test]
async fn c21_a_digest_and_its_referrers_at_once() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[10]);
    upstream.artifact(REPO, "application/vnd.sig", &image.manifest, OCI_MANIFEST);
    let gate = Gate::new();
    upstream.on("*", &image.manifest.digest, Behaviour::usual().gate_head(&gate));
    let proxy = Proxy::of(&upstream).await;
    let digest = &image.manifest.digest;
    let referrers = format!("/v2/{}/{REPO}/referrers/{digest}", crate::proxy::HUB);
    let one = proxy.client().open("GET", &manifest(REPO, digest), &[]).await;
    let two = proxy.client().open("GET", &referrers, &[]).await;
    gate.reached_by(2).await;
    gate.open();
    one.rest().await.assert_body(&image.manifest.bytes);
    let two = two.rest().await;
    two.assert_status(200);
    assert_eq!(two.json()["manifests"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn c22_fetches_beyond_the_limit_wait() {
    let upstream = FakeUpstream::start().await;
    let gate = Gate::new();
    upstream.on("GET", "/blobs/", Behaviour::usual().gate_at(1000, &gate));
    let blobs: Vec<_> = (0..6)
        .map(|seed| {
            let bytes = noise(seed, 300_000);
            (upstream.blob(REPO, bytes.clone()), bytes)
        })
        .collect();
    let mut setup = Setup::of(&upstream);
    setup.hub().set("max_fetches", 2);
    let proxy = setup.start().await;
    let mut clients = Vec::new();
    for (digest, _) in &blobs {
        clients.push(proxy.client().open("GET", &blob(REPO, digest), &[]).await);
    }
    gate.reached_by(2).await;
    until_async("four fetches wait", async || proxy.metrics().await.sum("entrepot_upstream_fetches_waiting") >= 4.0)
        .await;
    gate.open();
    for (client, (_, bytes)) in clients.into_iter().zip(&blobs) {
        client.rest().await.assert_body(bytes);
    }
    assert_eq!(upstream.bodies_most(), 2);
}

#[tokio::test]
async fn c23_the_smallest_blobs() {
    let upstream = FakeUpstream::start().await;
    let proxy = Proxy::of(&upstream).await;
    for bytes in ["", "{}", "x"] {
        let digest = upstream.blob(REPO, bytes);
        for _ in 0..2 {
            let answer = proxy.get(&blob(REPO, &digest)).await;
            answer.assert_body(bytes.as_bytes());
            let length = bytes.len().to_string();
            assert_eq!(answer.header("content-length"), Some(length.as_str()));
            let head = proxy.head(&blob(REPO, &digest)).await;
            head.assert_status(200);
            assert_eq!(head.header("content-length"), Some(length.as_str()));
        }
        assert_eq!(upstream.count("GET", &digest), 1);
    }
}

#[tokio::test]
async fn c23_forty_gigabytes() {
    let upstream = FakeUpstream::start().await;
    let len = 40 << 30;
    let digest = upstream.boundless_blob(REPO, 9, len);
    // Whoever fetches from the start gets no further than this.
    upstream.on("GET", &digest, Behaviour::usual().gate_at(1 << 20, &Gate::new()));
    let mut setup = Setup::of(&upstream);
    setup.cache.text("disk", "64MiB");
    let proxy = setup.start().await;
    let head = proxy.head(&blob(REPO, &digest)).await;
    assert_eq!(head.header("content-length"), Some(len.to_string().as_str()));
    for start in [len - 10, 5 << 30, 39 << 30] {
        let range = format!("bytes={start}-{}", start + 9);
        let answer = proxy.client().get_range(&blob(REPO, &digest), &range).await;
        answer.assert_bytes(206, &crate::upstream::noise_range(9, start, start + 10));
        assert_eq!(answer.header("content-range"), Some(format!("bytes {start}-{}/{len}", start + 9).as_str()));
    }
    assert!(proxy.kept_bytes() <= 64 << 20);
}
