//! Parts of blobs, cold and warm (RFC 9110 section 14).

use futures_util::future::join_all;

use crate::client::Answer;
use crate::proxy::{Proxy, Setup, blob, manifest};
use crate::upstream::{Behaviour, FakeUpstream, Gate, noise};

const REPO: &str = "team/app";
const LEN: usize = 1 << 20;

async fn upstream_with(len: usize) -> (FakeUpstream, bytes::Bytes, String) {
    let upstream = FakeUpstream::start().await;
    let bytes = noise(len as u64, len);
    let digest = upstream.blob(REPO, bytes.clone());
    (upstream, bytes, digest)
}

#[tokio::test]
async fn c24_a_range_of_a_cold_blob() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let proxy = Proxy::of(&upstream).await;
    let path = blob(REPO, &digest);
    let answer = proxy.client().get_range(&path, "bytes=1000-1999").await;
    answer.assert_bytes(206, &bytes[1000..2000]);
    assert_eq!(answer.header("content-range"), Some(format!("bytes 1000-1999/{LEN}").as_str()));
    assert_eq!(answer.header("content-length"), Some("1000"));
    proxy.kept(&digest).await;
    proxy.get(&path).await.assert_body(&bytes);
    assert_eq!(upstream.count("GET", &digest), 1);
}

#[tokio::test]
async fn c24_a_range_does_not_wait_for_the_whole() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(LEN as u64 / 2, &gate));
    let proxy = Proxy::of(&upstream).await;
    let path = blob(REPO, &digest);
    // Behind the gate nothing has come: this is answered while the upstream stands still.
    proxy.client().get_range(&path, "bytes=1000-1999").await.assert_bytes(206, &bytes[1000..2000]);
    // A near range waits for its bytes.
    let mut waiting = proxy.client().open("GET", &path, &[("Range", "bytes=1048570-")]).await;
    assert_eq!(waiting.head().await.status, 206);
    gate.open();
    waiting.rest().await.assert_bytes(206, &bytes[1_048_570..]);
    assert_eq!(upstream.count("GET", &digest), 1);
}

#[tokio::test]
async fn c24_a_far_range_is_fetched_directly() {
    let (upstream, bytes, digest) = upstream_with(4 << 20).await;
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(256 << 10, &gate).if_ranged(false));
    let mut setup = Setup::of(&upstream);
    setup.cache.text("range_window", "64KiB");
    let proxy = setup.start().await;
    let path = blob(REPO, &digest);
    let whole = proxy.client().open("GET", &path, &[]).await;
    gate.reached().await;
    let far = proxy.client().get_range(&path, "bytes=3000000-3000099").await;
    far.assert_bytes(206, &bytes[3_000_000..3_000_100]);
    assert_eq!(far.header("content-range"), Some("bytes 3000000-3000099/4194304"));
    let asked = upstream.asked("GET", &digest);
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].header("range"), Some("bytes=3000000-3000099"));
    gate.open();
    whole.rest().await.assert_body(&bytes);
    assert_eq!(upstream.count("GET", &digest), 2);
}

#[tokio::test]
async fn c25_eight_chunks_one_fill() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let proxy = Proxy::of(&upstream).await;
    let path = blob(REPO, &digest);
    let chunk = LEN / 8;
    // As containerd asks: each chunk with its own open-ended range, in parallel, leaving when it has enough.
    let fetch = async |at: usize| {
        let start = at * chunk;
        let range = format!("bytes={start}-");
        let mut exchange = proxy.client().open("GET", &path, &[("Range", &range)]).await;
        assert_eq!(exchange.head().await.status, 206);
        assert_eq!(exchange.read(chunk).await, &bytes[start..start + chunk]);
        exchange.reset();
    };
    join_all((0..8).map(fetch)).await;
    assert_eq!(upstream.count("GET", &digest), 1);
    proxy.kept(&digest).await;
}

/// A range, and what of the blob it means; nothing where it cannot be satisfied.
type Row = (&'static str, Option<(usize, usize)>);

const SINGLE: [Row; 10] = [
    ("bytes=0-0", Some((0, 1))),
    ("bytes=0-99", Some((0, 100))),
    ("bytes=500-", Some((500, 300_000))),
    ("bytes=-10", Some((299_990, 300_000))),
    ("bytes=-999999", Some((0, 300_000))),
    ("bytes=299999-999999", Some((299_999, 300_000))),
    ("bytes=300000-", None),
    ("bytes=400000-500000", None),
    ("bytes=-0", None),
    ("bytes=5-4", None),
];

const IGNORED: [&str; 5] = ["bytes=", "bytes=a-b", "items=0-1", "nonsense", "bytes 0-1"];

async fn check_table(proxy: &Proxy, path: &str, bytes: &[u8]) {
    let total = bytes.len();
    for (range, meaning) in SINGLE {
        let answer = proxy.client().get_range(path, range).await;
        match meaning {
            Some((start, end)) => {
                answer.assert_bytes(206, &bytes[start..end]);
                let expected = format!("bytes {start}-{}/{total}", end - 1);
                assert_eq!(answer.header("content-range"), Some(expected.as_str()), "{range}");
            }
            None => {
                answer.assert_status(416);
                assert_eq!(answer.header("content-range"), Some(format!("bytes */{total}").as_str()), "{range}");
            }
        }
    }
    for range in IGNORED {
        let answer = proxy.client().get_range(path, range).await;
        answer.assert_body(bytes);
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
    }
}

#[tokio::test]
async fn c26_ranges_of_a_warm_blob() {
    let (upstream, bytes, digest) = upstream_with(300_000).await;
    let proxy = Proxy::of(&upstream).await;
    let path = blob(REPO, &digest);
    proxy.get(&path).await.assert_body(&bytes);
    check_table(&proxy, &path, &bytes).await;
    check_parts(&proxy.client().get_range(&path, PARTS).await, &bytes);
    assert_eq!(upstream.count("GET", &digest), 1);
}

#[tokio::test]
async fn c26_ranges_of_a_blob_in_memory() {
    let upstream = FakeUpstream::start().await;
    let bytes = noise(1, 300_000);
    let digest = upstream.blob(REPO, bytes.clone());
    let mut setup = Setup::of(&upstream);
    setup.cache.text("memory", "8MiB").text("memory_object", "1MiB");
    let proxy = setup.start().await;
    let path = blob(REPO, &digest);
    proxy.get(&path).await.assert_body(&bytes);
    check_table(&proxy, &path, &bytes).await;
    check_parts(&proxy.client().get_range(&path, PARTS).await, &bytes);
}

#[tokio::test]
async fn c26_ranges_of_a_cold_blob() {
    let mut rows = SINGLE.to_vec();
    rows.extend(IGNORED.map(|range| (range, Some((0, 300_000)))));
    let upstream = FakeUpstream::start().await;
    let proxy = Proxy::of(&upstream).await;
    for (seed, (range, meaning)) in rows.into_iter().enumerate() {
        let bytes = noise(seed as u64, 300_000);
        let digest = upstream.blob(REPO, bytes.clone());
        let answer = proxy.client().get_range(&blob(REPO, &digest), range).await;
        match meaning {
            Some((start, end)) => {
                let status = if IGNORED.contains(&range) { 200 } else { 206 };
                answer.assert_bytes(status, &bytes[start..end]);
            }
            None => answer.assert_status(416),
        }
    }
}

#[tokio::test]
async fn c26_many_ranges_of_a_cold_blob() {
    let (upstream, bytes, digest) = upstream_with(300_000).await;
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(250_000, &gate));
    let proxy = Proxy::of(&upstream).await;
    let client = proxy.client().open("GET", &blob(REPO, &digest), &[("Range", PARTS)]).await;
    gate.reached().await;
    gate.open();
    check_parts(&client.rest().await, &bytes);
    assert_eq!(upstream.count("GET", &digest), 1);
}

/// `count` ranges of 100 bytes, far from each other and from what the fill has, and what they mean.
fn scattered(count: usize) -> (String, Vec<(usize, usize)>) {
    let ranges: Vec<_> = (1..=count).map(|at| (at * 100_000, at * 100_000 + 100)).collect();
    let texts: Vec<_> = ranges.iter().map(|(start, end)| format!("{start}-{}", end - 1)).collect();
    (format!("bytes={}", texts.join(",")), ranges)
}

/// A cold blob whose fill stands still, behind an upstream with two places, one of which the fill has.
async fn with_a_stuck_fill(gate: &Gate) -> (FakeUpstream, Proxy, bytes::Bytes, String) {
    let (upstream, bytes, digest) = upstream_with(4 << 20).await;
    upstream.on("GET", &digest, Behaviour::usual().gate_at(1000, gate).if_ranged(false));
    let mut setup = Setup::of(&upstream);
    setup.hub().set("max_fetches", 2);
    setup.cache.text("range_window", "0B");
    let proxy = setup.start().await;
    (upstream, proxy, bytes, digest)
}

/// A part of an answer holds a place below `max_fetches` only while it is sent.
#[tokio::test]
async fn t09_twenty_ranges_of_a_cold_blob() {
    let gate = Gate::new();
    let (upstream, proxy, bytes, digest) = with_a_stuck_fill(&gate).await;
    let (header, ranges) = scattered(20);
    let answer = proxy.client().get_range(&blob(REPO, &digest), &header).await;
    check_parts_of(&answer, &bytes, &ranges);
    assert_eq!(upstream.asked("GET", &digest).iter().filter(|asked| asked.header("range").is_some()).count(), 20);
    gate.open();
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
}

#[tokio::test]
async fn t09_four_clients_with_twelve_ranges_each() {
    let gate = Gate::new();
    let (_upstream, proxy, bytes, digest) = with_a_stuck_fill(&gate).await;
    let (header, ranges) = scattered(12);
    let path = blob(REPO, &digest);
    let answers = join_all((0..4).map(async |_| proxy.client().get_range(&path, &header).await)).await;
    for answer in answers {
        check_parts_of(&answer, &bytes, &ranges);
    }
    gate.open();
}

/// A client that reads nothing of its many ranges holds no more than the place of the first.
#[tokio::test]
async fn t09_a_stalled_client_holds_one_place() {
    let gate = Gate::new();
    let (upstream, bytes, digest) = upstream_with(64 << 20).await;
    upstream.on("GET", &digest, Behaviour::usual().gate_at(1000, &gate).if_ranged(false));
    let mut setup = Setup::of(&upstream);
    setup.hub().set("max_fetches", 4);
    setup.cache.text("range_window", "0B");
    let proxy = setup.start().await;
    let path = blob(REPO, &digest);
    let wide = "bytes=1000000-19999999,21000000-39999999,41000000-60000000";
    let mut stalled = proxy.client().slow().open("GET", &path, &[("Range", wide)]).await;
    assert_eq!(stalled.head().await.status, 206);
    proxy.client().get_range(&path, "bytes=2000000-2000099").await.assert_bytes(206, &bytes[2_000_000..2_000_100]);
    gate.open();
}

const PARTS: &str = "bytes=0-9, 1000-1099, -5";

/// `multipart/byteranges` (RFC 9110 section 14.6).
fn check_parts(answer: &Answer, bytes: &[u8]) {
    check_parts_of(answer, bytes, &[(0, 10), (1000, 1100), (bytes.len() - 5, bytes.len())]);
}

fn check_parts_of(answer: &Answer, bytes: &[u8], ranges: &[(usize, usize)]) {
    answer.assert_status(206);
    assert!(answer.complete);
    assert_eq!(answer.header("content-range"), None);
    let content_type = answer.header("content-type").unwrap();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect(content_type).trim_matches('"');
    let mut rest: &[u8] = &answer.body;
    let total = bytes.len();
    for &(start, end) in ranges {
        let delimiter = format!("--{boundary}\r\n");
        let at = find(rest, delimiter.as_bytes()).expect("a part");
        rest = &rest[at + delimiter.len()..];
        let head_end = find(rest, b"\r\n\r\n").expect("the part's head");
        let head = String::from_utf8_lossy(&rest[..head_end]).to_ascii_lowercase();
        assert!(head.contains(&format!("content-range: bytes {start}-{}/{total}", end - 1)), "{head}");
        assert!(head.contains("content-type: application/octet-stream"), "{head}");
        rest = &rest[head_end + 4..];
        assert_eq!(&rest[..end - start], &bytes[start..end]);
        rest = &rest[end - start..];
        assert!(rest.starts_with(b"\r\n--"));
    }
    assert_eq!(rest, format!("\r\n--{boundary}--\r\n").as_bytes());
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[tokio::test]
async fn c27_the_upstream_ignores_ranges() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let half = LEN as u64 / 2;
    upstream.on("GET", &digest, Behaviour::usual().ignore_range());
    upstream.on("GET", &digest, Behaviour::usual().cut_after(half).once());
    let proxy = Proxy::of(&upstream).await;
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    proxy.kept(&digest).await;
}

#[tokio::test]
async fn c27_a_far_range_of_an_upstream_without_ranges() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().ignore_range());
    upstream.on("GET", &digest, Behaviour::usual().gate_at(1000, &gate).if_ranged(false));
    let mut setup = Setup::of(&upstream);
    setup.cache.text("range_window", "0B");
    let proxy = setup.start().await;
    let answer = proxy.client().get_range(&blob(REPO, &digest), "bytes=900000-900099").await;
    answer.assert_bytes(206, &bytes[900_000..900_100]);
    gate.open();
}

#[tokio::test]
async fn c28_a_lying_content_range() {
    let half = LEN / 2;
    for lie in [
        format!("bytes 0-{}/{LEN}", half - 1),
        format!("bytes {}-{}/{LEN}", half + 1, LEN),
        format!("bytes {half}-{}/{}", LEN - 1, LEN + 1),
        format!("bytes {half}-{}/{}", LEN - 2, LEN - 1),
        "bytes */*".to_owned(),
        "nonsense".to_owned(),
    ] {
        let (upstream, bytes, digest) = upstream_with(LEN).await;
        upstream.on("GET", &digest, Behaviour::usual().header("content-range", &lie).if_ranged(true));
        upstream.on("GET", &digest, Behaviour::usual().cut_after(half as u64).once());
        let mut setup = Setup::of(&upstream).fresh_tags();
        setup.cache.set("fill_attempts", 2);
        let proxy = setup.start().await;
        let answer = proxy.get(&blob(REPO, &digest)).await;
        assert!(!answer.complete || answer.body == bytes, "spliced after {lie}");
        assert!(bytes.starts_with(&answer.body), "wrong bytes after {lie}");
        upstream.forget_all();
        proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    }
}

#[tokio::test]
async fn c28_the_blob_changes_between_two_pieces() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let half = LEN / 2;
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_head(&gate).if_ranged(true));
    upstream.on("GET", &digest, Behaviour::usual().cut_after(half as u64).once());
    let mut setup = Setup::of(&upstream).fresh_tags();
    setup.cache.set("fill_attempts", 2);
    let proxy = setup.start().await;
    let exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    gate.reached().await;
    upstream.blob_as(REPO, &digest, noise(77, LEN));
    gate.open();
    exchange.rest().await.assert_not_served();
    assert!(!proxy.is_kept(&digest));
    upstream.blob_as(REPO, &digest, bytes.clone());
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
}

#[tokio::test]
async fn c29_conditional_requests() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[LEN]);
    let proxy = Proxy::of(&upstream).await;
    let layer = image.layer();
    for (path, digest) in [
        (blob(REPO, &layer.digest), &layer.digest),
        (manifest(REPO, &image.manifest.digest), &image.manifest.digest),
        (manifest(REPO, "latest"), &image.manifest.digest),
    ] {
        let whole = proxy.get(&path).await;
        whole.assert_status(200);
        let etag = format!("\"{digest}\"");
        assert_eq!(whole.header("etag"), Some(etag.as_str()));
        for matching in [etag.clone(), format!("\"other\", {etag}"), format!("W/{etag}"), "*".to_owned()] {
            for method in ["GET", "HEAD"] {
                let answer = proxy.client().request(method, &path, &[("If-None-Match", &matching)]).await;
                answer.assert_status(304);
                assert!(answer.body.is_empty());
                assert_eq!(answer.header("etag"), Some(etag.as_str()));
            }
        }
        let other = proxy.client().request("GET", &path, &[("If-None-Match", "\"other\"")]).await;
        other.assert_body(&whole.body);
    }
    let (path, etag) = (blob(REPO, &layer.digest), format!("\"{}\"", layer.digest));
    for (if_range, status) in [(etag.as_str(), 206), ("\"other\"", 200), ("Wed, 21 Oct 2015 07:28:00 GMT", 200)] {
        let headers = [("Range", "bytes=0-9"), ("If-Range", if_range)];
        let answer = proxy.client().request("GET", &path, &headers).await;
        answer.assert_bytes(status, if status == 206 { &layer.bytes[..10] } else { &layer.bytes });
    }
}

#[tokio::test]
async fn c30_a_client_comes_back_for_the_rest() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(LEN as u64 / 2, &gate));
    let proxy = Proxy::of(&upstream).await;
    let path = blob(REPO, &digest);
    let mut exchange = proxy.client().open("GET", &path, &[]).await;
    let have = exchange.read(LEN / 4).await.to_vec();
    exchange.reset();
    let range = format!("bytes={}-", have.len());
    let rest = proxy.client().open("GET", &path, &[("Range", &range)]).await;
    gate.open();
    rest.rest().await.assert_bytes(206, &bytes[have.len()..]);
    assert_eq!(have, bytes[..have.len()]);
    assert_eq!(upstream.count("GET", &digest), 1);
}

#[tokio::test]
async fn c30_the_rest_after_a_restart() {
    let (upstream, bytes, digest) = upstream_with(LEN).await;
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(LEN as u64 / 2, &gate).once());
    let mut proxy = Proxy::of(&upstream).await;
    let mut exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    let have = exchange.read(LEN / 4).await.to_vec();
    proxy.kill().await;
    proxy.start().await;
    let range = format!("bytes={}-", have.len());
    let rest = proxy.client().get_range(&blob(REPO, &digest), &range).await;
    rest.assert_bytes(206, &bytes[have.len()..]);
}
