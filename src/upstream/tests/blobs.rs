//! Opening blobs, and reading them when upstream stalls, breaks off, lies or ignores ranges.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::fake::{Answer, Fake, Piece, Seen, answer, upstream};
use super::{SECOND, digest, repository};
use crate::oci::ByteRange;
use crate::upstream::{Error, ErrorKind, Stream};

const BLOB: &[u8] = b"0123456789abcdefghij";

async fn open(fake: &Fake, start: u64, expected: Option<u64>) -> Result<Stream, Error> {
    fake.upstream().source(repository(), digest()).open(start, expected).await
}

async fn read(stream: &mut Stream) -> Result<Vec<u8>, Error> {
    let (first, mut bytes) = (stream.start, Vec::new());
    while let Some(chunk) = stream.chunk().await? {
        bytes.extend_from_slice(&chunk);
        assert_eq!(stream.start, first + bytes.len() as u64);
    }
    Ok(bytes)
}

/// What came before the error.
async fn read_broken(stream: &mut Stream) -> (Vec<u8>, String) {
    let mut bytes = Vec::new();
    loop {
        match stream.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => panic!("the body ended well"),
            Err(Error { kind: ErrorKind::BrokenBody { detail }, .. }) => return (bytes, detail),
            Err(error) => panic!("{error}"),
        }
    }
}

fn misbehaved(result: Result<Stream, Error>) -> String {
    match result {
        Err(Error { kind: ErrorKind::Misbehaved { detail }, .. }) => detail,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was opened"),
    }
}

/// A server that knows ranges.
fn ranged(seen: &Seen) -> Answer {
    let Some(range) = seen.header("range").strip_prefix("bytes=") else { return answer(200).body(BLOB) };
    let (first, last) = range.split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap_or(BLOB.len() - 1));
    let content_range = format!("bytes {first}-{last}/{}", BLOB.len());
    answer(206).header("content-range", content_range).body(&BLOB[first..=last])
}

#[tokio::test]
async fn whole_and_from_any_offset() {
    let fake = Fake::new(ranged).await;
    let mut stream = open(&fake, 0, None).await.unwrap();
    assert_eq!((stream.start, stream.total), (0, Some(20)));
    assert_eq!(read(&mut stream).await.unwrap(), BLOB);
    assert!(matches!(stream.chunk().await, Ok(None)));

    let mut stream = open(&fake, 5, Some(20)).await.unwrap();
    assert_eq!((stream.start, stream.total), (5, Some(20)));
    assert_eq!(read(&mut stream).await.unwrap(), &BLOB[5..]);

    let source = fake.upstream().source(repository(), digest());
    let mut stream = source.open_range(ByteRange::new(3, 7).unwrap()).await.unwrap();
    assert_eq!(read(&mut stream).await.unwrap(), &BLOB[3..7]);

    let seen = fake.seen();
    assert_eq!(seen[0].path, format!("/v2/team/app/blobs/{}", digest()));
    assert_eq!(seen.iter().map(|seen| seen.header("range")).collect::<Vec<_>>(), ["", "bytes=5-", "bytes=3-6"]);
    for seen in seen {
        assert_eq!(seen.header("accept-encoding"), "identity");
        assert!(seen.header("user-agent").starts_with("entrepot/"));
        assert_eq!(seen.header("authorization"), "");
    }
}

/// C27: never splice what comes from the beginning into the middle.
#[tokio::test]
async fn c27_upstream_ignores_the_range() {
    let fake = Fake::new(|_| answer(200).body(BLOB)).await;
    let mut stream = open(&fake, 15, Some(20)).await.unwrap();
    assert_eq!(read(&mut stream).await.unwrap(), &BLOB[15..]);
    let source = fake.upstream().source(repository(), digest());
    let mut stream = source.open_range(ByteRange::new(3, 7).unwrap()).await.unwrap();
    assert_eq!(read(&mut stream).await.unwrap(), &BLOB[3..7]);
}

/// C28
#[tokio::test]
async fn c28_upstream_sends_another_range() {
    for content_range in ["bytes 6-19/20", "bytes 5-20/21", "bytes 5-19/", ""] {
        let fake = Fake::new(move |_| answer(206).header("content-range", content_range).body(&BLOB[5..])).await;
        misbehaved(open(&fake, 5, Some(20)).await);
    }
}

/// A part of what was asked for is used, and the rest must be asked for again.
#[tokio::test]
async fn a_short_part_is_a_broken_body() {
    let fake = Fake::new(|_| answer(206).header("content-range", "bytes 5-9/20").body(&BLOB[5..10])).await;
    let mut stream = open(&fake, 5, Some(20)).await.unwrap();
    assert_eq!(read_broken(&mut stream).await.0, &BLOB[5..10]);
    assert_eq!(stream.start, 10);
}

#[tokio::test]
async fn nothing_is_left_to_fetch() {
    let fake = Fake::new(|_| answer(416).header("content-range", "bytes */20").body("no such range")).await;
    let mut stream = open(&fake, 20, None).await.unwrap();
    assert_eq!(stream.total, Some(20));
    assert!(read(&mut stream).await.unwrap().is_empty());
    misbehaved(open(&fake, 21, None).await);
    misbehaved(open(&fake, 5, Some(20)).await);
}

/// C11: a size that contradicts the manifest is refused before any byte.
#[tokio::test]
async fn c11_upstream_has_another_size() {
    let fake = Fake::new(|_| answer(200).body(BLOB)).await;
    misbehaved(open(&fake, 0, Some(19)).await);
    misbehaved(open(&fake, 0, Some(21)).await);
}

/// C11, where only the body itself shows it.
#[tokio::test]
async fn c11_a_body_without_length_is_longer() {
    let fake =
        Fake::new(|_| answer(200).piece(Piece::Bytes(BLOB.to_vec())).piece(Piece::Bytes(b"more".to_vec()))).await;
    let mut stream = open(&fake, 0, Some(20)).await.unwrap();
    assert_eq!(stream.total, None);
    let (bytes, detail) = read_broken(&mut stream).await;
    assert!(bytes.len() <= 20 && detail.contains("goes on"), "{detail}");
    let mut stream = open(&fake, 0, None).await.unwrap();
    assert_eq!(read(&mut stream).await.unwrap().len(), 24);
}

/// C8, C9: the end comes too early, with and without an announced length.
#[tokio::test]
async fn c8_c9_upstream_breaks_off() {
    let half = || Piece::Bytes(BLOB[..10].to_vec());
    let announced =
        Fake::new(move |_| answer(200).header("content-length", 20).piece(half()).piece(Piece::Break)).await;
    let mut stream = open(&announced, 0, None).await.unwrap();
    assert_eq!(read_broken(&mut stream).await.0, &BLOB[..10]);
    let chunked = Fake::new(move |_| answer(200).piece(half()).piece(Piece::Break)).await;
    let mut stream = open(&chunked, 0, None).await.unwrap();
    assert_eq!(read_broken(&mut stream).await.0, &BLOB[..10]);
    let ended = Fake::new(move |_| answer(200).piece(half())).await;
    let mut stream = open(&ended, 0, Some(20)).await.unwrap();
    assert_eq!(read_broken(&mut stream).await.0, &BLOB[..10]);
    assert_eq!(stream.start, 10);
}

#[tokio::test]
async fn a_body_that_stalls_is_broken_off() {
    let fake = Fake::new(|_| {
        let part = |bytes: &[u8]| Piece::Bytes(bytes.to_vec());
        answer(200).header("content-length", 20).piece(part(&BLOB[..4])).piece(Piece::Pause(60 * SECOND))
    })
    .await;
    let mut settings = fake.settings();
    settings.stall_timeout = Duration::from_millis(200);
    let mut stream = upstream(settings).source(repository(), digest()).open(0, None).await.unwrap();
    let (bytes, detail) = read_broken(&mut stream).await;
    assert_eq!(bytes, &BLOB[..4]);
    assert!(detail.contains("nothing came for 0.2 s"), "{detail}");
}

/// C14
#[tokio::test]
async fn c14_upstream_packs_the_body() {
    let fake = Fake::new(|_| answer(200).header("content-encoding", "gzip").body(BLOB)).await;
    assert!(misbehaved(open(&fake, 0, None).await).contains("gzip"));
    let fake = Fake::new(|_| answer(200).header("content-encoding", "identity").body(BLOB)).await;
    assert!(open(&fake, 0, None).await.is_ok());
}

/// C15
#[tokio::test]
async fn c15_a_page_instead_of_a_blob() {
    let fake = Fake::new(|_| answer(200).header("content-type", "text/html; charset=utf-8").body(BLOB)).await;
    assert!(misbehaved(open(&fake, 0, None).await).contains("text/html"));
}

/// C16: the text of a 429 never becomes data.
#[tokio::test]
async fn c16_a_rate_limit_between_pieces() {
    let fake = Fake::new(|seen| match seen.header("range") {
        "" => answer(200).body(BLOB),
        _ => answer(429).header("retry-after", 30).body("too many requests"),
    })
    .await;
    let refused = open(&fake, 5, Some(20)).await;
    assert!(matches!(
        refused.err().map(|error| error.kind),
        Some(ErrorKind::RateLimited { retry_after: Some(wait) }) if wait == 30 * SECOND
    ));
}

/// C12: the size of a blob from whatever upstream tells.
#[tokio::test]
async fn c12_head_without_a_length() {
    let size = async |handler: fn(&Seen) -> Answer| {
        let fake = Fake::new(handler).await;
        fake.upstream().blob_head(&repository(), &digest()).await
    };
    assert_eq!(size(|_| answer(200).header("content-length", 7)).await.unwrap(), Some(7));
    assert!(size(|_| answer(404)).await.unwrap_err().is_not_found());
    // Without a length: as if the body of a GET would be chunked.
    let chunked: fn(&Seen) -> Answer = |_| answer(200).header("transfer-encoding", "chunked");
    assert_eq!(size(chunked).await.unwrap(), None);
    let no_head: fn(&Seen) -> Answer = |seen| match seen.method.as_str() {
        "HEAD" => answer(405),
        _ => ranged(seen),
    };
    assert_eq!(size(no_head).await.unwrap(), Some(20));
    let page: fn(&Seen) -> Answer = |_| answer(200).header("content-type", "text/html").body("x");
    assert!(size(page).await.is_err());
}

/// C22: beyond the limit, fetches wait; they do not fail.
#[tokio::test]
async fn c22_fetches_wait_for_a_place() {
    let fake = Fake::new(ranged).await;
    let mut settings = fake.settings();
    settings.max_fetches = 2;
    let upstream = upstream(settings);
    let source = upstream.source(repository(), digest());
    let (one, two) = (source.open(0, None).await.unwrap(), source.open(0, None).await.unwrap());
    let waiting = AtomicUsize::new(0);
    let third = async {
        let stream = source.open(0, None).await.unwrap();
        waiting.fetch_add(1, Ordering::Relaxed);
        stream
    };
    tokio::pin!(third);
    assert!(tokio::time::timeout(SECOND / 5, &mut third).await.is_err());
    assert_eq!(upstream.metrics.upstream_fetches_waiting.with_label_values(&["fake"]).get(), 1);
    // One who gives up waiting leaves the queue.
    assert!(tokio::time::timeout(SECOND / 20, source.open(0, None)).await.is_err());
    assert_eq!(
        (upstream.metrics.upstream_fetches_waiting.with_label_values(&["fake"]).get(), fake.seen().len()),
        (1, 2)
    );
    drop(one);
    let mut third = third.await;
    assert_eq!(read(&mut third).await.unwrap(), BLOB);
    assert_eq!(
        (upstream.metrics.upstream_fetches_waiting.with_label_values(&["fake"]).get(), waiting.load(Ordering::Relaxed)),
        (0, 1)
    );
    drop(two);
}

/// Clients that read ranges slowly cannot keep fills from starting.
#[tokio::test]
async fn ranges_leave_places_to_fills() {
    let fake = Fake::new(ranged).await;
    let mut settings = fake.settings();
    settings.max_fetches = 4;
    let upstream = upstream(settings);
    let source = upstream.source(repository(), digest());
    let range = ByteRange::new(0, 5).unwrap();
    let _held = (source.open_range(range).await.unwrap(), source.open_range(range).await.unwrap());
    assert!(tokio::time::timeout(SECOND / 5, source.open_range(range)).await.is_err());
    let mut fill = source.open(0, None).await.unwrap();
    assert_eq!(read(&mut fill).await.unwrap(), BLOB);
}
