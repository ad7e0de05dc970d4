//! Clients that ask for what is kept and take next to nothing of it: what they read cannot go from a disk that is full.

use std::time::Duration;

use futures_util::future::select_all;

use super::frames::{Heard, Peer};
use crate::bound::until_async;
use crate::client::Client;
use crate::proxy::{Proxy, Setup, blob};
use crate::upstream::{Behaviour, FakeUpstream, Gate, noise};

const REPO: &str = "team/app";

/// Bytes a second that a stream takes.
const WINDOW: usize = 8192;

/// Reads a little each second, until the server has enough of it. Whether it was cut off.
async fn drip(client: Client, path: String) -> bool {
    let mut exchange = client.slow().open("GET", &path, &[]).await;
    let mut read = 0;
    loop {
        read += 1;
        if exchange.read(read).await.len() < read {
            return !exchange.rest().await.complete;
        }
        read = exchange.received.len();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The same over HTTP/2. Whether the stream was reset.
async fn drip_by_frames(client: Client, path: String) -> bool {
    let mut peer = Peer::connect(&client, u32::try_from(WINDOW).unwrap()).await;
    let stream = peer.ask("GET", &path).await;
    let mut taken = 0;
    loop {
        match peer.hear().await {
            Heard::Data(_, bytes) => taken += bytes,
            Heard::Reset(reset) => return reset == stream,
            Heard::Closed | Heard::Bye => return false,
            Heard::Status(..) => {}
        }
        if taken >= WINDOW {
            taken = 0;
            tokio::time::sleep(Duration::from_secs(1)).await;
            peer.give(stream, u32::try_from(WINDOW).unwrap()).await;
        }
    }
}

/// Three readers of three blobs that fill the disk take a few bytes each second, so that none of them stalls. Others are served past the
/// disk, and soon what they need is kept.
#[tokio::test]
async fn d24_readers_that_drip_do_not_keep_the_disk() {
    let upstream = FakeUpstream::start().await;
    let kept: Vec<_> = (1..4).map(|seed| upstream.blob(REPO, noise(seed, 5 << 19))).collect();
    let bytes = noise(9, 2 << 20);
    let wanted = upstream.blob(REPO, bytes.clone());
    let mut setup = Setup::of(&upstream);
    setup.cache.text("disk", "8MiB");
    let proxy = setup.start().await;
    let mut readers = Vec::new();
    for (number, digest) in kept.iter().enumerate() {
        proxy.get(&blob(REPO, digest)).await.assert_status(200);
        proxy.kept(digest).await;
        let (client, path) = (proxy.client(), blob(REPO, digest));
        readers.push(match number {
            0 => tokio::spawn(drip_by_frames(client, path)),
            _ => tokio::spawn(drip(client, path)),
        });
    }
    until_async("all three are read", async || proxy.metrics().await.sum("entrepot_http_requests_in_flight") >= 3.0)
        .await;
    let path = blob(REPO, &wanted);
    for _ in 0..3 {
        proxy.get(&path).await.assert_body(&bytes);
        assert!(!proxy.is_kept(&wanted), "there is no room");
    }
    until_async("it is kept", async || {
        proxy.get(&path).await.assert_body(&bytes);
        proxy.is_kept(&wanted)
    })
    .await;
    let (was_cut_off, ..) = select_all(readers).await;
    assert!(was_cut_off.unwrap(), "who was in the way was cut off");
}

/// A limit that is lowered while more than that is read holds as soon as it is read no more, not at the next fill.
#[tokio::test]
async fn a_lowered_limit_holds_when_readers_leave() {
    let upstream = FakeUpstream::start().await;
    let digests: Vec<_> = (1..4).map(|seed| upstream.blob(REPO, noise(seed, 4 << 20))).collect();
    let mut proxy = Proxy::of(&upstream).await;
    let mut readers = Vec::new();
    for digest in &digests {
        proxy.get(&blob(REPO, digest)).await.assert_status(200);
        proxy.kept(digest).await;
        let mut reader = proxy.client().slow().open("GET", &blob(REPO, digest), &[]).await;
        reader.read(1).await;
        readers.push(reader);
    }
    proxy.setup.cache.text("disk", "4MiB").text("disk_object", "4MiB");
    proxy.reload().await;
    assert!(proxy.kept_bytes() > 4 << 20, "what is read stays");
    drop(readers);
    until_async("the rest is gone", async || proxy.kept_bytes() <= 4 << 20).await;
}

/// What an earlier process left of a blob that is too large now: who goes on with it waits for no place with another in hand.
#[tokio::test]
async fn a_fill_that_detaches_gives_its_place_back_first() {
    let upstream = FakeUpstream::start().await;
    let (bytes, gate) = (noise(1, 3 << 20), Gate::new());
    let digest = upstream.blob(REPO, bytes.clone());
    let rule = upstream.on("GET", &digest, Behaviour::usual().gate_at(3 << 19, &gate));
    let mut setup = Setup::of(&upstream);
    setup.hub().set("max_fetches", 1).text("queue_timeout", "5s");
    let mut proxy = setup.start().await;
    let mut reader = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    reader.read(1 << 20).await;
    gate.reached().await;
    drop(reader);
    proxy.terminate().await;
    assert!(proxy.staging().iter().any(|(_, size)| *size > 1 << 20), "{:?}", proxy.staging());
    upstream.forget(rule);
    proxy.setup.cache.text("disk", "2MiB").text("disk_object", "2MiB");
    proxy.start().await;
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
}
