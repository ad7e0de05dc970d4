//! Places below an upstream's `max_fetches`: clients that hold them at their own pace keep nobody else from fetching.

use futures_util::future::join_all;

use crate::bound::{until, until_async};
use crate::client::Exchange;
use crate::proxy::{Proxy, Setup, blob};
use crate::upstream::{Behaviour, FakeUpstream, Gate, noise};

const REPO: &str = "team/app";

async fn with_places(upstream: &FakeUpstream, places: u32, queue_timeout: &str) -> Proxy {
    let mut setup = Setup::of(upstream);
    setup.hub().set("max_fetches", places).text("queue_timeout", queue_timeout);
    setup.cache.text("disk", "64MiB");
    setup.start().await
}

async fn stalled(proxy: &Proxy, path: &str) -> (u16, Exchange) {
    let mut exchange = proxy.client().slow().open("GET", path, &[]).await;
    let status = exchange.head().await.status;
    (status, exchange)
}

/// Readers of a blob that is not kept stall. They have half of the places; a fill gets one at once.
#[tokio::test]
async fn t19_stalled_readers_leave_places_to_fills() {
    let upstream = FakeUpstream::start().await;
    let endless = upstream.boundless_blob(REPO, 9, 1 << 40);
    let small = upstream.blob(REPO, "small");
    let proxy = with_places(&upstream, 4, "1s").await;
    let path = blob(REPO, &endless);
    let readers = join_all((0..8).map(|_| stalled(&proxy, &path))).await;
    // Readers that joined the fill have their heads and wait for their bytes; half of the places is what they may hold.
    assert!(readers.iter().any(|(status, _)| *status == 200));
    until("readers hold half of the places", || upstream.bodies_now() <= 2).await;
    for (_, refused) in readers.iter().filter(|(status, _)| *status != 200) {
        assert_eq!(refused.status, 503);
        let told = refused.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
        assert!(told.is_some(), "{:?}", refused.headers);
    }
    proxy.get(&blob(REPO, &small)).await.assert_body(b"small");
}

/// A fetch whose turn does not come is told to come back; one that is told so has cost upstream nothing.
#[tokio::test]
async fn t19_waiting_for_a_place_ends() {
    let upstream = FakeUpstream::start().await;
    let gate = Gate::new();
    let held = upstream.blob(REPO, noise(1, 300_000));
    let other = upstream.blob(REPO, noise(2, 300_000));
    upstream.on("GET", &held, Behaviour::usual().gate_at(1000, &gate));
    let proxy = with_places(&upstream, 1, "500ms").await;
    let client = proxy.client().open("GET", &blob(REPO, &held), &[]).await;
    gate.reached().await;
    let refused = proxy.get(&blob(REPO, &other)).await;
    refused.assert_error(503, "UNAVAILABLE");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(upstream.count("GET", &other), 0);
    assert_eq!(proxy.metrics().await.sum("entrepot_upstream_fetches_waiting"), 0.0);
    gate.open();
    client.rest().await.assert_body(&noise(1, 300_000));
    until_async("the place is free", async || proxy.get(&blob(REPO, &other)).await.status == 200).await;
}

/// An upstream that drips keeps neither a fill nor its place: it is given up, whichever of its urls drips.
#[tokio::test]
async fn t28_an_upstream_that_drips_is_given_up() {
    let upstream = FakeUpstream::start().await;
    let bytes = noise(3, 1 << 20);
    let digest = upstream.blob(REPO, bytes.clone());
    let dripping = upstream.on("GET", &digest, Behaviour::usual().trickle(200));
    let mut setup = Setup::of(&upstream);
    setup.hub().set("max_fetches", 1).text("min_rate", "64KiB").text("min_rate_window", "1s");
    let proxy = setup.start().await;
    let answer = proxy.get(&blob(REPO, &digest)).await;
    assert!(!answer.complete && answer.body.len() < 100_000, "{} bytes", answer.body.len());
    until("the operator is told why", || proxy.log().contains("min_rate")).await;
    // The place is free, and what has come is gone on with.
    upstream.forget(dripping);
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
}

/// As slow, and breaking off after each byte: each body is new, the fetch is one.
#[tokio::test]
async fn t28_an_upstream_that_breaks_off_again_and_again_is_given_up() {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.blob(REPO, noise(4, 1 << 20));
    upstream.on("GET", &digest, Behaviour::usual().cut_after(100));
    let proxy = Proxy::of(&upstream).await;
    let answer = proxy.get(&blob(REPO, &digest)).await;
    assert!(!answer.complete);
    assert!(upstream.count("GET", &digest) <= 20, "{}", upstream.count("GET", &digest));
}

/// The other side of it: a client that reads slowly is no reason to break off from upstream.
#[tokio::test]
async fn t28_a_slow_reader_is_not_a_slow_upstream() {
    let upstream = FakeUpstream::start().await;
    let endless = upstream.boundless_blob(REPO, 9, 1 << 40);
    let mut setup = Setup::of(&upstream);
    setup.hub().text("min_rate", "1MiB").text("min_rate_window", "100ms").text("stall_timeout", "1s");
    setup.cache.text("disk", "64MiB");
    let proxy = setup.start().await;
    let mut reader = proxy.client().slow().open("GET", &blob(REPO, &endless), &[]).await;
    for step in 1..=30 {
        reader.read(step * 100_000).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(reader.received.len() / 100_000, 30);
    assert_eq!(upstream.count("GET", &endless), 1);
}

/// A place behind a proxy that is believed, so that a test has as many clients as it wants.
async fn with_one_place(upstream: &FakeUpstream) -> Proxy {
    let mut setup = Setup::of(upstream);
    setup.hub().set("max_fetches", 1).text("queue_timeout", "60s");
    setup.http.texts("trusted_proxies", &["127.0.0.1"]);
    setup.start().await
}

async fn ask(proxy: &Proxy, client: &str, digest: &str) -> Exchange {
    proxy.client().open("GET", &blob(REPO, digest), &[("X-Forwarded-For", client)]).await
}

async fn waiting(proxy: &Proxy, count: usize) {
    let is_so = async || proxy.metrics().await.sum("entrepot_upstream_fetches_waiting") == count as f64;
    until_async("they wait for their turns", is_so).await;
}

async fn requests_waiting(proxy: &Proxy, count: usize) {
    let is_so = async || proxy.metrics().await.sum("entrepot_cache_requests_waiting") == count as f64;
    until_async("they wait for first answers", is_so).await;
}

/// The blob's place among all blobs that upstream was asked for.
fn turn_of(upstream: &FakeUpstream, digest: &str) -> Option<usize> {
    let asked: Vec<_> = upstream.asked("GET", "/blobs/").into_iter().map(|logged| logged.path).collect();
    asked.iter().position(|path| path.contains(digest))
}

const FLOODER: &str = "203.0.113.1";
const HONEST: &str = "198.51.100.1";

/// One client wants hundreds of cold blobs, another one wants one: it waits for one of the others, and nobody who waits holds a file.
#[tokio::test]
async fn t18_a_flood_of_cold_blobs_delays_others_by_one_round() {
    let upstream = FakeUpstream::start().await;
    let gate = Gate::new();
    let held = upstream.blob(REPO, noise(1, 300_000));
    upstream.on("GET", &held, Behaviour::usual().gate_at(1000, &gate));
    let proxy = with_one_place(&upstream).await;
    let first = ask(&proxy, FLOODER, &held).await;
    gate.reached().await;
    let blobs: Vec<_> = (0..200).map(|n| upstream.blob(REPO, noise(100 + n, 1000))).collect();
    let flood = join_all(blobs.iter().map(|digest| ask(&proxy, FLOODER, digest))).await;
    waiting(&proxy, 200).await;
    assert_eq!(proxy.staging().len(), 1, "of the one that is fetched");
    let wanted = upstream.blob(REPO, "wanted");
    let honest = ask(&proxy, HONEST, &wanted).await;
    waiting(&proxy, 201).await;
    gate.open();
    honest.rest().await.assert_body(b"wanted");
    assert_eq!(turn_of(&upstream, &wanted), Some(2), "after the first, and one of the flood");
    first.rest().await.assert_body(&noise(1, 300_000));
    for exchange in flood {
        exchange.rest().await.assert_status(200);
    }
}

/// The last of a flood's blobs is the only one that another client wants, too: it is fetched in that client's turn. One who leaves again
/// takes the turn along.
#[tokio::test]
async fn t18_a_fill_has_the_earliest_turn_of_its_readers() {
    let upstream = FakeUpstream::start().await;
    let gate = Gate::new();
    let held = upstream.blob(REPO, noise(1, 300_000));
    upstream.on("GET", &held, Behaviour::usual().gate_at(1000, &gate));
    let proxy = with_one_place(&upstream).await;
    let first = ask(&proxy, FLOODER, &held).await;
    gate.reached().await;
    let mut blobs = Vec::new();
    let mut flood = Vec::new();
    // In this order.
    for n in 0..30 {
        blobs.push(upstream.blob(REPO, noise(100 + n, 1000)));
        flood.push(ask(&proxy, FLOODER, &blobs[n as usize]).await);
        waiting(&proxy, flood.len()).await;
    }
    let (left, wanted) = (&blobs[28], &blobs[29]);
    let leaves = ask(&proxy, "198.51.100.2", left).await;
    let honest = ask(&proxy, HONEST, wanted).await;
    requests_waiting(&proxy, 32).await;
    leaves.reset();
    requests_waiting(&proxy, 31).await;
    gate.open();
    honest.rest().await.assert_body(&noise(129, 1000));
    assert_eq!(turn_of(&upstream, wanted), Some(2));
    first.rest().await.assert_body(&noise(1, 300_000));
    for exchange in flood {
        exchange.rest().await.assert_status(200);
    }
    assert_eq!(turn_of(&upstream, left), Some(30), "the last of the flood");
}
