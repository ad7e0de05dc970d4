//! HTTP/2 clients that ask for much and take nothing, while they answer every ping.

use super::frames::{Heard, Peer};
use crate::bound::until_async;
use crate::proxy::{Proxy, Setup, blob, manifest};
use crate::upstream::{Behaviour, FakeUpstream, Gate};

const BLOB_BYTES: usize = 4 << 20;

/// A kept blob of 4 MiB, and its path.
async fn with_a_blob(configure: impl FnOnce(&mut Setup)) -> (FakeUpstream, Proxy, String) {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image("team/app", "latest", 1, &[BLOB_BYTES]);
    let mut setup = Setup::of(&upstream);
    configure(&mut setup);
    let proxy = setup.start().await;
    let path = blob("team/app", &image.layer().digest);
    proxy.get(&path).await.assert_body(&image.layer().bytes);
    proxy.kept(&image.layer().digest).await;
    (upstream, proxy, path)
}

/// Streams that have got a byte of their answer and take no more.
async fn stalled(proxy: &Proxy, path: &str, connections: usize, streams: usize) -> Vec<Peer> {
    let mut peers = Vec::new();
    for _ in 0..connections {
        let mut peer = Peer::connect(&proxy.client(), 1).await;
        for _ in 0..streams {
            peer.ask("GET", path).await;
        }
        let (mut taken, mut refused) = (0, 0);
        while taken + refused < streams {
            match peer.hear().await {
                Heard::Data(_, 1) => taken += 1,
                Heard::Reset(_) => refused += 1,
                Heard::Status(_, 200) => {}
                heard => panic!("{heard:?}"),
            }
        }
        peers.push(peer);
    }
    peers
}

/// 4 connections took 533 MiB, 24 took 3 GiB.
#[tokio::test]
async fn t07_streams_that_take_nothing_hold_little_memory() {
    let (_upstream, proxy, path) = with_a_blob(|setup| {
        setup.http.set("max_streams", 256);
    })
    .await;
    let before = proxy.resident_bytes();
    let peers = stalled(&proxy, &path, 4, 250).await;
    let grown = proxy.resident_bytes().saturating_sub(before);
    eprintln!("1000 streams: {} KiB each", (grown >> 10) / 1000);
    assert!(grown < 64 << 20, "{} MiB for 1000 streams", grown >> 20);
    drop(peers);
    until_async("the streams are gone", async || proxy.metrics().await.sum("entrepot_http_requests_in_flight") == 0.0)
        .await;
    until_async("the memory is given back", async || proxy.resident_bytes() < before + (16 << 20)).await;
}

#[tokio::test]
async fn t07_a_connection_has_32_streams() {
    let (_upstream, proxy, path) = with_a_blob(|_| {}).await;
    let peers = stalled(&proxy, &path, 2, 250).await;
    assert_eq!(proxy.metrics().await.sum("entrepot_http_requests_in_flight"), 64.0);
    drop(peers);
}

#[tokio::test]
async fn t07_a_stalled_stream_is_reset_and_its_connection_lives() {
    let (_upstream, proxy, path) = with_a_blob(|setup| {
        setup.http.text("stall_timeout", "1s");
    })
    .await;
    let mut peer = Peer::connect(&proxy.client(), 1).await;
    let stalled = peer.ask("GET", &path).await;
    peer.hear_until(&Heard::Reset(stalled)).await;
    let next = peer.ask("HEAD", &path).await;
    peer.hear_until(&Heard::Status(next, 200)).await;
    assert_eq!(proxy.metrics().await.with("entrepot_http_ended_total", &[("why", "stalled_stream")]), 1.0);
}

/// The end of an answer waits in the window after the stream's task has ended: nobody watches it, and the connection is idle.
#[tokio::test]
async fn t07_a_connection_with_the_ends_of_answers_only_is_idle() {
    let (_upstream, proxy, _) = with_a_blob(|setup| {
        setup.http.text("idle_timeout", "1s").text("header_timeout", "1s");
    })
    .await;
    let mut peer = Peer::connect(&proxy.client(), 1).await;
    let stream = peer.ask("GET", "/v2/").await;
    peer.hear_until(&Heard::Data(stream, 1)).await;
    peer.hear_until(&Heard::Bye).await;
    while peer.hear().await != Heard::Closed {}
}

#[tokio::test]
async fn t07_idle_connections_are_closed_though_they_answer_pings() {
    let (_upstream, proxy, path) = with_a_blob(|setup| {
        setup.http.text("idle_timeout", "1s").set("max_connections", 50).set("max_connections_per_client", 50);
    })
    .await;
    let mut peers = Vec::new();
    for _ in 0..50 {
        let mut peer = Peer::connect(&proxy.client(), 1).await;
        let stream = peer.ask("HEAD", &path).await;
        peer.hear_until(&Heard::Status(stream, 200)).await;
        peers.push(tokio::spawn(async move { while peer.hear().await != Heard::Closed {} }));
    }
    // Somebody else comes in.
    proxy.head(&path).await.assert_status(200);
    for peer in peers {
        peer.await.unwrap();
    }
}

/// A stream that waits for its upstream is no stalled one, however long that takes.
#[tokio::test]
async fn t07_a_stream_that_waits_for_upstream_goes_on() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image("team/app", "latest", 1, &[1_000_000]);
    let path = blob("team/app", &image.layer().digest);
    let gate = Gate::new();
    let at = format!("/v2/team/app/blobs/{}", image.layer().digest);
    upstream.on("GET", at, Behaviour::usual().gate_at(500, &gate));
    let mut setup = Setup::of(&upstream);
    setup.http.text("stall_timeout", "1s");
    let proxy = setup.start().await;
    // All that comes fits into the window of the connection.
    let mut waiting = Peer::connect(&proxy.client(), 60_000).await;
    let stream = waiting.ask_with("GET", &path, &[("range", "bytes=0-9999")]).await;
    waiting.hear_until(&Heard::Status(stream, 206)).await;
    gate.reached().await;
    // Meanwhile another one stalls for longer than the limit.
    let kept = proxy_with_a_kept_blob(&upstream, &proxy).await;
    let mut other = Peer::connect(&proxy.client(), 1).await;
    let stalled = other.ask("GET", &kept).await;
    other.hear_until(&Heard::Reset(stalled)).await;
    gate.open();
    let mut taken = 0;
    while taken < 10_000 {
        match waiting.hear().await {
            Heard::Data(of, bytes) if of == stream => taken += bytes,
            heard => panic!("{heard:?}"),
        }
    }
}

async fn proxy_with_a_kept_blob(upstream: &FakeUpstream, proxy: &Proxy) -> String {
    let other = upstream.image("team/other", "latest", 2, &[BLOB_BYTES]);
    let path = blob("team/other", &other.layer().digest);
    proxy.get(&path).await.assert_status(200);
    path
}

/// Answers that are made in memory for each request: lists of tags, of some 70 KB each. Nobody takes them.
#[tokio::test]
async fn t07_answers_from_memory_have_a_limit() {
    let (upstream, proxy, path) = with_a_blob(|setup| {
        setup.http.set("max_streams", 256).text("body_memory", "1MiB");
    })
    .await;
    let tags: Vec<String> = (0..1000).map(|n| format!("{n:0>70}")).collect();
    let list = serde_json::json!({ "name": "team/app", "tags": tags }).to_string();
    upstream.on("GET", "/v2/team/app/tags/list", Behaviour::answer(200, "application/json", list));
    let tags = manifest("team/app", "").replace("manifests/", "tags/list");
    let mut peer = Peer::connect(&proxy.client(), 1).await;
    let (mut given, mut refused) = (0, 0);
    for _ in 0..100 {
        let stream = peer.ask("GET", &tags).await;
        loop {
            match peer.hear().await {
                Heard::Status(of, status) if of == stream => {
                    given += usize::from(status == 200);
                    refused += usize::from(status == 503);
                    break;
                }
                Heard::Data(..) => {}
                heard => panic!("{heard:?}"),
            }
        }
    }
    assert!(given >= 5 && refused >= 80, "{given} given, {refused} refused");
    // What is small, what leaves as a file, and what operators ask is served all the same.
    proxy.get("/v2/").await.assert_status(200);
    proxy.get(&path).await.assert_status(200);
    proxy.admin().get("/metrics").await.assert_status(200);
    // And when nobody holds anything any more, so are lists.
    drop(peer);
    until_async("lists are given again", async || proxy.get(&tags).await.status == 200).await;
}
