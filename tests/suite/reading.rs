//! The reading half of the distribution specification, seen from a client.

use serde_json::json;

use crate::proxy::{HUB, Proxy, Setup, blob, manifest};
use crate::upstream::{Behaviour, FakeUpstream, Image, OCI_INDEX, OCI_MANIFEST, Part, noise, sha256};

const REPO: &str = "team/app";

async fn with_image() -> (FakeUpstream, Image, Proxy) {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[300_000]);
    let proxy = Proxy::of(&upstream).await;
    (upstream, image, proxy)
}

#[tokio::test]
async fn ping() {
    let (upstream, _, proxy) = with_image().await;
    for path in ["/v2/", "/v2"] {
        for method in ["GET", "HEAD"] {
            let answer = proxy.client().request(method, path, &[]).await;
            answer.assert_status(200);
            assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"));
            assert!(answer.header("x-request-id").is_some());
        }
    }
    assert_eq!(upstream.connections(), 0, "the ping asks nobody");
}

#[tokio::test]
async fn headers_of_a_blob() {
    let (_, image, proxy) = with_image().await;
    for part in [image.layer(), &image.config] {
        for _ in 0..2 {
            let answer = proxy.get(&blob(REPO, &part.digest)).await;
            answer.assert_body(&part.bytes);
            for (name, value) in [
                ("content-type", "application/octet-stream"),
                ("docker-content-digest", &part.digest),
                ("etag", &format!("\"{}\"", part.digest)),
                ("accept-ranges", "bytes"),
                ("content-length", &part.bytes.len().to_string()),
                ("oci-namespace", HUB),
                ("docker-distribution-api-version", "registry/2.0"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{name}");
            }
            assert!(answer.header("x-request-id").is_some());
            assert_eq!(answer.header("content-encoding"), None);
        }
    }
}

#[tokio::test]
async fn headers_of_a_manifest() {
    let (_, image, proxy) = with_image().await;
    for reference in ["latest", &image.manifest.digest] {
        for _ in 0..2 {
            let answer = proxy.get(&manifest(REPO, reference)).await;
            answer.assert_body(&image.manifest.bytes);
            for (name, value) in [
                ("content-type", OCI_MANIFEST),
                ("docker-content-digest", &image.manifest.digest),
                ("etag", &format!("\"{}\"", image.manifest.digest)),
                ("content-length", &image.manifest.bytes.len().to_string()),
                ("oci-namespace", HUB),
                ("docker-distribution-api-version", "registry/2.0"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn every_header_is_there_once() {
    let (_, image, proxy) = with_image().await;
    for path in
        ["/v2/".to_owned(), manifest(REPO, "latest"), blob(REPO, &image.config.digest), manifest(REPO, "absent")]
    {
        let answer = proxy.get(&path).await;
        let mut names: Vec<_> = answer.headers.iter().map(|(name, _)| name).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "{:?}", answer.headers);
    }
}

#[tokio::test]
async fn errors_have_a_body_and_a_request_id() {
    let (_, _, proxy) = with_image().await;
    let absent = sha256(b"absent");
    for (path, status, code) in [
        (blob(REPO, &absent), 404, "BLOB_UNKNOWN"),
        (manifest(REPO, &absent), 404, "MANIFEST_UNKNOWN"),
        (manifest(REPO, "absent"), 404, "MANIFEST_UNKNOWN"),
        (blob(REPO, "sha256:123"), 400, "DIGEST_INVALID"),
        (format!("/v2/{HUB}/absent/app/tags/list"), 404, "NAME_UNKNOWN"),
        ("/v2/nobody/app/manifests/latest".to_owned(), 404, "NAME_UNKNOWN"),
    ] {
        let first = proxy.get(&path).await;
        first.assert_error(status, code);
        let second = proxy.get(&path).await;
        assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
        let head = proxy.head(&path).await;
        head.assert_status(status);
        assert!(head.header("x-request-id").is_some());
    }
    for path in ["/", "/v1/", "/v2/x", "/v2//", "/v2/../../etc/passwd", "/v2/a/b/c"] {
        let answer = proxy.get(path).await;
        assert!(matches!(answer.status, 200 | 301 | 302 | 307 | 400 | 404), "{path}: {}", answer.status);
    }
}

/// As an upload's name looks.
const UPLOAD: &str = "00000000-0000-4000-8000-000000000000";

#[tokio::test]
async fn writing_is_unsupported() {
    let (upstream, image, proxy) = with_image().await;
    for (method, path) in [
        ("POST", format!("/v2/{HUB}/{REPO}/blobs/uploads/")),
        ("POST", format!("/v2/{HUB}/{REPO}/blobs/uploads/?mount={}&from=x", image.config.digest)),
        ("PATCH", format!("/v2/{HUB}/{REPO}/blobs/uploads/{UPLOAD}")),
        ("PUT", format!("/v2/{HUB}/{REPO}/blobs/uploads/{UPLOAD}?digest={}", image.config.digest)),
        ("PUT", manifest(REPO, "latest")),
        ("DELETE", manifest(REPO, &image.manifest.digest)),
        ("DELETE", blob(REPO, &image.config.digest)),
    ] {
        let answer = proxy.client().request(method, &path, &[("Content-Length", "0")]).await;
        answer.assert_error(405, "UNSUPPORTED");
    }
    assert_eq!(upstream.log().len(), 0);
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
}

#[tokio::test]
async fn the_catalog_lists_what_is_kept() {
    let (upstream, _, mut proxy) = with_image().await;
    assert_eq!(proxy.get("/v2/_catalog").await.json()["repositories"], json!([]));
    for repository in ["b/app", "a/app"] {
        upstream.image(repository, "latest", 1, &[10]);
        proxy.get(&manifest(repository, "latest")).await.assert_status(200);
    }
    proxy.get(&manifest(REPO, "latest")).await.assert_status(200);
    proxy.get(&manifest("absent/app", "latest")).await.assert_status(404);
    let expected = json!([format!("{HUB}/a/app"), format!("{HUB}/b/app"), format!("{HUB}/{REPO}")]);
    for _ in 0..2 {
        assert_eq!(proxy.get("/v2/_catalog").await.json()["repositories"], expected);
        let page = proxy.get("/v2/_catalog?n=2").await;
        assert_eq!(page.json()["repositories"].as_array().map(Vec::len), Some(2));
        assert!(page.header("link").is_some_and(|link| link.contains("rel=\"next\"")));
        let rest = proxy.get(&format!("/v2/_catalog?n=2&last={HUB}/b/app")).await;
        assert_eq!(rest.json()["repositories"], json!([format!("{HUB}/{REPO}")]));
        assert_eq!(rest.header("link"), None);
        proxy.restart().await;
    }
}

/// An image with two referrers of one type and one of another.
fn referrers(upstream: &FakeUpstream, image: &Image) -> [Part; 3] {
    let subject = &image.manifest;
    [
        upstream.artifact(REPO, "application/vnd.sig", subject, OCI_MANIFEST),
        upstream.artifact(REPO, "application/vnd.sbom.spdx", subject, OCI_MANIFEST),
        upstream.artifact(REPO, "application/vnd.sbom.cyclonedx", subject, OCI_MANIFEST),
    ]
}

#[tokio::test]
async fn c83_referrers_by_api_and_by_tag() {
    for (api, filters) in [(true, true), (true, false), (false, false)] {
        let (upstream, image, proxy) = with_image().await;
        let [signature, ..] = referrers(&upstream, &image);
        upstream.referrers_api(api);
        upstream.filter_referrers(filters);
        if api {
            upstream.page_size(1, true);
        } else {
            upstream.fallback_tag(REPO, &image.manifest.digest);
        }
        let path = format!("/v2/{HUB}/{REPO}/referrers/{}", image.manifest.digest);
        let all = proxy.get(&path).await;
        all.assert_status(200);
        assert_eq!(all.header("content-type"), Some(OCI_INDEX));
        let index = all.json();
        assert_eq!((index["schemaVersion"].as_u64(), index["mediaType"].as_str()), (Some(2), Some(OCI_INDEX)));
        assert_eq!(index["manifests"].as_array().map(Vec::len), Some(3), "every page: {index}");
        let filtered = proxy.get(&format!("{path}?artifactType=application/vnd.sig")).await;
        filtered.assert_status(200);
        assert_eq!(filtered.header("oci-filters-applied"), Some("artifactType"));
        let index = filtered.json();
        assert_eq!(index["manifests"].as_array().map(Vec::len), Some(1));
        assert_eq!(index["manifests"][0]["digest"], signature.digest.as_str());
        assert_eq!(index["manifests"][0]["annotations"]["made.for"], "the suite");
        let encoded = proxy.get(&format!("{path}?artifactType=application%2Fvnd.sig")).await;
        assert_eq!(encoded.json()["manifests"].as_array().map(Vec::len), Some(1));
        let none = proxy.get(&format!("{path}?artifactType=application/none")).await;
        none.assert_status(200);
        assert_eq!(none.json()["manifests"], json!([]));
        proxy.get(&manifest(REPO, &signature.digest)).await.assert_body(&signature.bytes);
    }
}

/// C84: a signature that is not there yet may be on its way.
#[tokio::test]
async fn c84_a_missing_signature_is_not_missing_for_long() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image("app", "1", 1, &[100]);
    let mut setup = Setup::of(&upstream);
    setup.hub().text("tag_ttl", "1d").text("stale_while_revalidate", "0s").text("negative_ttl", "0s");
    let proxy = setup.start().await;
    let path = format!("/v2/{HUB}/app/referrers/{}", image.manifest.digest);
    let count = async || proxy.get(&path).await.json()["manifests"].as_array().expect("a list").len();
    assert_eq!(count().await, 0);
    upstream.artifact("app", "application/x-signature", &image.manifest, OCI_MANIFEST);
    assert_eq!(count().await, 1);
    // What is there is believed for the whole time.
    upstream.artifact("app", "application/x-sbom", &image.manifest, OCI_MANIFEST);
    assert_eq!(count().await, 1);
}

#[tokio::test]
async fn no_referrers_is_an_empty_index() {
    for api in [true, false] {
        let (upstream, image, proxy) = with_image().await;
        upstream.referrers_api(api);
        for digest in [&image.manifest.digest, &sha256(b"absent")] {
            let answer = proxy.get(&format!("/v2/{HUB}/{REPO}/referrers/{digest}")).await;
            answer.assert_status(200);
            assert_eq!(answer.header("content-type"), Some(OCI_INDEX));
            assert_eq!(answer.json()["manifests"], json!([]));
        }
        proxy.get(&format!("/v2/{HUB}/{REPO}/referrers/sha256:12")).await.assert_status(400);
    }
}

#[tokio::test]
async fn referrers_are_kept_when_upstream_is_gone() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[10]);
    referrers(&upstream, &image);
    let mut proxy = Setup::of(&upstream).impatient().fresh_tags().start().await;
    let path = format!("/v2/{HUB}/{REPO}/referrers/{}", image.manifest.digest);
    let before = proxy.get(&path).await;
    before.assert_status(200);
    upstream.refuse();
    for _ in 0..2 {
        let after = proxy.get(&path).await;
        after.assert_status(200);
        assert_eq!(after.json(), before.json());
        proxy.restart().await;
    }
}

#[tokio::test]
async fn one_connection_for_many_requests() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (_, image, proxy) = with_image().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_status(200);
    let mut stream = proxy.client().connect().await.unwrap();
    let mut seen = 0;
    for close in [false, false, true] {
        let connection = if close { "Connection: close\r\n" } else { "" };
        let request = format!("GET {} HTTP/1.1\r\nHost: x\r\n{connection}\r\n", manifest(REPO, "latest"));
        stream.write_all(request.as_bytes()).await.unwrap();
        seen += 1;
    }
    let mut answers = Vec::new();
    crate::bound::within("pipelined answers", stream.read_to_end(&mut answers)).await.unwrap();
    let body = &image.manifest.bytes[..];
    let found = answers.windows(body.len()).filter(|window| *window == body).count();
    assert_eq!(found, seen);
}

#[tokio::test]
async fn a_client_of_http_2() {
    let (_, image, proxy) = with_image().await;
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    for (path, bytes) in
        [(manifest(REPO, "latest"), &image.manifest.bytes), (blob(REPO, &image.layer().digest), &image.layer().bytes)]
    {
        let answer = client.get(format!("{}{path}", proxy.url())).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
        assert_eq!(answer.bytes().await.unwrap(), *bytes);
    }
}

#[tokio::test]
async fn a_wrong_byte_aborts_http_2_as_well() {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.blob(REPO, noise(1, 300_000));
    upstream.on("GET", &digest, Behaviour::usual().flip(299_999));
    let proxy = Proxy::of(&upstream).await;
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let url = format!("{}{}", proxy.url(), blob(REPO, &digest));
    let answer = client.get(url).send().await.unwrap();
    assert!(answer.status().as_u16() >= 400 || answer.bytes().await.is_err());
}
