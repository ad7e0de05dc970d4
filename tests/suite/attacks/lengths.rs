//! Upstreams that do not tell how long a blob is, or tell it wrongly.

use std::os::unix::fs::MetadataExt;

use crate::proxy::{Proxy, Setup, blob};
use crate::upstream::{Behaviour, FakeUpstream, Gate, noise};

const REPO: &str = "team/app";
const LEN: usize = 1 << 20;

/// What was allocated ahead of a blob of unknown length used to stay with it, beside the limit.
#[tokio::test]
async fn d01_a_small_blob_of_unknown_length_takes_little_disk() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.cache.text("disk", "20GiB").text("memory", "0B");
    let proxy = setup.start().await;
    upstream.on("GET", "blobs/", Behaviour::usual().chunked());
    for seed in 0..4 {
        let bytes = noise(seed, 100_000);
        let digest = upstream.blob(REPO, bytes.clone());
        proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
        proxy.kept(&digest).await;
        let file = std::fs::metadata(proxy.blob_path(&digest)).unwrap();
        assert!(file.blocks() * 512 <= 128 << 10, "{} bytes are allocated", file.blocks() * 512);
    }
}

/// A blob that turns out to be larger than one may be pushes nothing out, though nobody had told.
#[tokio::test]
async fn d02_a_large_blob_of_unknown_length_pushes_little_out() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.cache.text("disk", "16MiB").text("disk_object", "4MiB").text("memory", "0B");
    let proxy = setup.start().await;
    let kept: Vec<_> = (0..10).map(|n| noise(n, LEN)).collect();
    let digests: Vec<_> = kept.iter().map(|bytes| upstream.blob(REPO, bytes.clone())).collect();
    for (bytes, digest) in kept.iter().zip(&digests) {
        proxy.get(&blob(REPO, digest)).await.assert_body(bytes);
        proxy.kept(digest).await;
    }
    let large = noise(100, 14 << 20);
    let endless = upstream.blob(REPO, large.clone());
    upstream.on("GET", &endless, Behaviour::usual().chunked());
    let wrong = noise(101, 14 << 20);
    let lie = upstream.blob(REPO, noise(102, LEN));
    upstream.blob_as(REPO, &lie, wrong);
    upstream.on("GET", &lie, Behaviour::usual().chunked());
    proxy.get(&blob(REPO, &endless)).await.assert_body(&large);
    assert!(!proxy.get(&blob(REPO, &lie)).await.complete);
    assert!(!proxy.is_kept(&endless) && !proxy.is_kept(&lie));
    let left = digests.iter().filter(|digest| proxy.is_kept(digest)).count();
    assert_eq!(left, 10, "there was room for 4 MiB beside them");
}

/// A client of HTTP/1.0 takes the end of the connection for the end of the blob, so that it is told the length, or nothing.
#[tokio::test]
async fn d07_clients_of_http_1_0_get_no_wrong_or_cut_blob() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.cache.text("disk_object", "2MiB");
    let proxy = setup.start().await;
    for (seed, behaviour) in [
        (1, Behaviour::usual().chunked().flip(LEN as u64 - 1)),
        (2, Behaviour::usual().chunked().shorten(LEN as u64 / 2)),
        (3, Behaviour::usual().chunked().append("more")),
    ] {
        let digest = upstream.blob(REPO, noise(seed, LEN));
        let rule = upstream.on("GET", &digest, behaviour);
        let said = said_in_http_1_0(&proxy, &blob(REPO, &digest)).await;
        assert!(
            said.starts_with("HTTP/1.0 50") || said.starts_with("HTTP/1.1 50"),
            "{}",
            said.get(..200).unwrap_or(&said)
        );
        upstream.forget(rule);
    }
    upstream.on("GET", "blobs/", Behaviour::usual().chunked());
    // One that is kept is measured; of one that is passed through nobody will ever know.
    for (seed, len, status) in [(4, LEN, "200 OK"), (5, 8 << 20, "505")] {
        let digest = upstream.blob(REPO, noise(seed, len));
        let said = said_in_http_1_0(&proxy, &blob(REPO, &digest)).await;
        let head = said.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
        assert!(head.contains(&status.to_ascii_lowercase()) && head.contains("content-length: "), "{head}");
    }
}

async fn said_in_http_1_0(proxy: &Proxy, path: &str) -> String {
    super::said_to(&proxy.client(), format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").as_bytes()).await
}

/// All of a blob as one range is verified like the whole.
#[tokio::test]
async fn d09_a_range_of_everything_is_verified() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.cache.text("disk_object", "256KiB");
    let proxy = setup.start().await;
    for (seed, range) in [(1, "bytes=0-".to_owned()), (2, format!("bytes=0-{}", LEN - 1)), (3, format!("bytes=-{LEN}"))]
    {
        let right = noise(seed, LEN);
        let digest = upstream.blob(REPO, right.clone());
        let rule = upstream.on("GET", &digest, Behaviour::usual().flip(LEN as u64 - 1));
        let answer = proxy.client().get_range(&blob(REPO, &digest), &range).await;
        assert!(!answer.complete, "{range}");
        upstream.forget(rule);
        proxy.client().get_range(&blob(REPO, &digest), &range).await.assert_bytes(206, &right);
    }
}

/// Each reader used to take as many addresses as upstream announced bytes: some thousand readers took all that a process has.
#[tokio::test]
async fn d04_readers_take_few_addresses_whatever_length_is_announced() {
    const ANNOUNCED: u64 = 1 << 40;
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.cache.text("disk", "4TiB").text("disk_object", "2TiB");
    let proxy = setup.start().await;
    let (digest, gate) = (upstream.boundless_blob(REPO, 1, ANNOUNCED), Gate::new());
    upstream.on("GET", &digest, Behaviour::usual().gate_at(LEN as u64, &gate));
    let before = proxy.address_bytes();
    let mut readers = Vec::new();
    for _ in 0..8 {
        let mut reader = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
        assert_eq!(reader.read(LEN / 2).await.len(), LEN / 2);
        readers.push(reader);
    }
    let taken = proxy.address_bytes().saturating_sub(before);
    assert!(taken < ANNOUNCED, "{} GiB of addresses are taken", taken >> 30);
    drop(readers);
    gate.open();
}
