//! Redirects: where they may lead, and what must not go along.

use super::fake::{Fake, answer, upstream};
use super::{SECOND, digest, repository};
use crate::config::{Credential, Secret};
use crate::oci::{AcceptSet, Reference};
use crate::upstream::{Error, ErrorKind};

const MANIFEST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

async fn read(fake: &Fake, with_password: bool) -> Result<Vec<u8>, Error> {
    let mut settings = fake.settings();
    if with_password {
        settings.credential = Credential::Basic { username: "u".to_owned(), password: Secret::new("p") };
    }
    let mut stream = upstream(settings).source(repository(), digest()).open(3, None).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// C58, C59: storage gets the range but not the credential, and is asked anew for by way of the registry.
#[tokio::test]
async fn c58_c59_storage_on_another_host() {
    let storage = Fake::new(|seen| match seen.header("authorization") {
        "" => answer(206).header("content-range", "bytes 3-4/5").body("45"),
        _ => answer(400),
    })
    .await;
    let target = format!("{}/bucket/x?signature=abc", storage.url);
    let fake = Fake::new(move |seen| match (seen.path.as_str(), seen.header("authorization")) {
        (_, "") => answer(401).header("www-authenticate", "Basic realm=x"),
        ("/same-host", _) => answer(307).header("location", &target),
        _ => answer(302).header("location", "/same-host").body("moved"),
    })
    .await;
    for _ in 0..2 {
        assert_eq!(read(&fake, true).await.unwrap(), b"45");
    }
    assert_eq!((fake.count("/same-host"), storage.seen().len()), (2, 2));
    assert!(
        fake.seen()
            .iter()
            .filter(|seen| seen.path == "/same-host")
            .all(|seen| !seen.header("authorization").is_empty())
    );
    for seen in storage.seen() {
        assert_eq!((seen.header("range"), seen.query.as_str()), ("bytes=3-", "signature=abc"));
        assert_eq!((seen.header("authorization"), seen.header("referer"), seen.header("cookie")), ("", "", ""));
    }
}

/// C60
#[tokio::test]
async fn c60_manifests_on_another_host() {
    let storage = Fake::new(|_| answer(200).header("content-type", "binary/octet-stream").body(MANIFEST)).await;
    let target = storage.url.clone();
    let fake = Fake::new(move |seen| answer(307).header("location", format!("{target}{}", seen.path))).await;
    let tag = Reference::Tag("latest".parse().unwrap());
    let found = fake
        .upstream()
        .manifest(&repository(), &tag, AcceptSet::current(), 5 * SECOND)
        .await
        .map(|received| received.value)
        .unwrap();
    assert_eq!(found.media_type.as_str(), "application/vnd.oci.image.index.v1+json");
    assert!(storage.seen()[0].header("accept").contains("application/vnd.oci.image.index.v1+json"));
}

#[tokio::test]
async fn too_many_nowhere_and_other_schemes() {
    for location in ["/again", "", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://"] {
        let fake = Fake::new(move |_| answer(302).header("location", location)).await;
        let error = read(&fake, false).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Misbehaved { .. }), "{location}: {error}");
        assert!(fake.seen().len() <= 6);
    }
    let nowhere = Fake::new(|_| answer(302)).await;
    assert!(matches!(read(&nowhere, false).await.unwrap_err().kind, ErrorKind::Misbehaved { .. }));
}

/// A challenge from where a redirect led is not answered, and a refusal there is not a refusal of ours. The realm would be
/// allowed: it has the registry's host, on another port.
#[tokio::test]
async fn a_challenge_from_elsewhere_is_not_answered() {
    for (status, logged_in) in [(401, false), (401, true), (403, true), (400, true)] {
        let evil = Fake::new(move |seen| {
            let realm = format!("Bearer realm=\"http://{}/token\"", seen.header("host"));
            answer(status).header("www-authenticate", realm)
        })
        .await;
        let target = format!("{}/x", evil.url);
        let fake = Fake::new(move |seen| match seen.header("authorization") {
            "" if logged_in => answer(401).header("www-authenticate", "Basic realm=x"),
            _ => answer(302).header("location", &target),
        })
        .await;
        let error = read(&fake, true).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Misbehaved { .. }), "{error}");
        assert_eq!((evil.seen().len(), evil.count("/token")), (1, 0));
    }
}

/// Storage whose signed URLs are for GET refuses HEAD.
#[tokio::test]
async fn the_size_of_a_blob_whose_storage_refuses_head() {
    let storage = Fake::new(|seen| match seen.method.as_str() {
        "HEAD" => answer(403),
        _ => answer(206).header("content-range", "bytes 0-0/500").body("x"),
    })
    .await;
    let target = format!("{}/x", storage.url);
    let fake = Fake::new(move |_| answer(307).header("location", &target)).await;
    assert_eq!(fake.upstream().blob_head(&repository(), &digest()).await.unwrap(), Some(500));
}
