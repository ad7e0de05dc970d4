//! Manifests by HEAD and GET.

use super::fake::{Answer, Fake, Piece, Seen, answer};
use super::{SECOND, repository};
use crate::oci::{AcceptSet, Algorithm, Digest, Reference};
use crate::upstream::{Error, ErrorKind, ManifestBody, ManifestHead};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const TEXT: &str = r#"{"schemaVersion":2,  "manifests":[]}"#;

fn tag() -> Reference {
    Reference::Tag("latest".parse().unwrap())
}

fn by_digest() -> Reference {
    Reference::Digest(Digest::of(TEXT.as_bytes()))
}

async fn head(handler: fn(&Seen) -> Answer) -> Result<ManifestHead, Error> {
    let fake = Fake::new(handler).await;
    fake.upstream().manifest_head(&repository(), &tag(), AcceptSet::current(), 5 * SECOND).await
}

async fn get(reference: Reference, handler: fn(&Seen) -> Answer) -> Result<ManifestBody, Error> {
    let fake = Fake::new(handler).await;
    fake.upstream()
        .manifest(&repository(), &reference, AcceptSet::current(), 5 * SECOND)
        .await
        .map(|received| received.value)
}

fn index() -> Answer {
    answer(200).header("content-type", INDEX)
}

fn is_misbehaviour<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error { kind: ErrorKind::Misbehaved { .. }, .. }))
}

#[tokio::test]
async fn bytes_and_type_are_exactly_upstreams() {
    let fake = Fake::new(|_| index().body(TEXT)).await;
    let upstream = fake.upstream();
    let found = upstream
        .manifest(&repository(), &tag(), AcceptSet::current(), 5 * SECOND)
        .await
        .map(|received| received.value)
        .unwrap();
    assert_eq!((found.bytes.as_ref(), found.media_type.as_str()), (TEXT.as_bytes(), INDEX));
    assert_eq!(found.digest, Digest::of(TEXT.as_bytes()));
    let seen = &fake.seen()[0];
    assert_eq!(
        (seen.path.as_str(), seen.header("accept")),
        ("/v2/team/app/manifests/latest", &*AcceptSet::current().header())
    );
    upstream
        .manifest(&repository(), &by_digest(), AcceptSet::current(), 5 * SECOND)
        .await
        .map(|received| received.value)
        .unwrap();
    assert_eq!(fake.seen()[1].path, format!("/v2/team/app/manifests/{}", Digest::of(TEXT.as_bytes())));
}

/// C13: a digest that upstream does not tell is computed, or left open where there are no bytes.
#[tokio::test]
async fn c13_without_a_digest_header() {
    assert_eq!(head(|_| index().header("content-length", 9)).await.unwrap().digest, None);
    let told =
        head(|_| index().header("content-length", 9).header("docker-content-digest", Digest::of(b"x"))).await.unwrap();
    assert_eq!((told.digest, told.size, told.media_type.as_str()), (Some(Digest::of(b"x")), Some(9), INDEX));
    assert_eq!(get(tag(), |_| index().body(TEXT)).await.unwrap().digest, Digest::of(TEXT.as_bytes()));
}

/// C45: the longer digest holds, too; one that nobody can compute is passed over.
#[tokio::test]
async fn c45_other_algorithms() {
    let long = Digest::compute(Algorithm::Sha512, TEXT.as_bytes());
    assert_eq!(get(Reference::Digest(long), |_| index().body(TEXT)).await.unwrap().digest, long);
    let odd = get(tag(), |_| index().header("docker-content-digest", "blake3:abcd").body(TEXT)).await.unwrap();
    assert_eq!(odd.digest, Digest::of(TEXT.as_bytes()));
}

#[tokio::test]
async fn bytes_that_do_not_match_are_refused_and_counted() {
    let fake = Fake::new(|_| index().body(r#"{"schemaVersion":2,"manifests":[ ]}"#)).await;
    let upstream = fake.upstream();
    assert!(is_misbehaviour(
        upstream
            .manifest(&repository(), &by_digest(), AcceptSet::current(), 5 * SECOND)
            .await
            .map(|received| received.value)
    ));
    assert_eq!(upstream.metrics.cache_digest_mismatches.with_label_values(&["fake"]).get(), 1);
    assert!(is_misbehaviour(
        get(tag(), |_| index().header("docker-content-digest", Digest::of(b"x")).body(TEXT)).await
    ));
}

/// C15
#[tokio::test]
async fn c15_pages_and_errors_with_status_200() {
    let handlers: [fn(&Seen) -> Answer; 4] = [
        |_| answer(200).header("content-type", "text/html").body("<html>please log in</html>"),
        |_| answer(200).header("content-type", "application/json").body(r#"{"errors":[{"code":"DENIED"}]}"#),
        |_| index().body("<html>please log in</html>"),
        |_| answer(204),
    ];
    for handler in handlers {
        assert!(is_misbehaviour(get(tag(), handler).await));
    }
    assert!(is_misbehaviour(head(|_| answer(200).header("content-type", "text/html")).await));
}

/// C44: with and without an announced length.
#[tokio::test]
async fn c44_too_long() {
    let long = || vec![b' '; (4 << 20) + 1];
    let announced: fn(&Seen) -> Answer = |_| index().body(vec![b' '; (4 << 20) + 1]);
    assert!(is_misbehaviour(get(tag(), announced).await));
    let fake = Fake::new(move |_| index().piece(Piece::Bytes(long()))).await;
    let found = fake
        .upstream()
        .manifest(&repository(), &tag(), AcceptSet::current(), 5 * SECOND)
        .await
        .map(|received| received.value);
    assert!(is_misbehaviour(found));
    let longest: fn(&Seen) -> Answer = |_| {
        let mut text = TEXT.as_bytes().to_vec();
        text.resize(4 << 20, b' ');
        index().body(text)
    };
    assert_eq!(get(tag(), longest).await.unwrap().bytes.len(), 4 << 20);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_fetched_again() {
    let fake = Fake::new({
        let asked = std::sync::atomic::AtomicUsize::new(0);
        move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => index().header("content-length", TEXT.len()).piece(Piece::Bytes(b"{".to_vec())).piece(Piece::Break),
            _ => index().body(TEXT),
        }
    })
    .await;
    let found = fake
        .upstream()
        .manifest(&repository(), &tag(), AcceptSet::current(), 5 * SECOND)
        .await
        .map(|received| received.value)
        .unwrap();
    assert_eq!(found.bytes, TEXT);
}

#[tokio::test]
async fn a_registry_without_head_is_asked_with_get() {
    let found = head(|seen| match seen.method.as_str() {
        "HEAD" => answer(405),
        _ => index().body(TEXT),
    })
    .await
    .unwrap();
    assert_eq!((found.digest, found.size), (Some(Digest::of(TEXT.as_bytes())), Some(TEXT.len() as u64)));
}
