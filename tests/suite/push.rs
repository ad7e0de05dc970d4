//! Repositories of one's own: what is pushed is there, what does not hold leaves nothing, and what was acknowledged stays.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::bound::until_async;
use crate::client::Answer;
use crate::proxy::{HUB, Proxy, Setup};
use crate::upstream::{Behaviour, FakeUpstream, Image, OCI_INDEX, OCI_MANIFEST, noise, sha256, sha512};

const REPO: &str = "team/app";

/// A registry with repositories of its own and one upstream under its name.
async fn registry() -> (FakeUpstream, Proxy) {
    let upstream = FakeUpstream::start().await;
    let proxy = Proxy::of(&upstream).await;
    (upstream, proxy)
}

/// An image that lies nowhere but in the test.
pub async fn an_image(seed: u64, layer_sizes: &[usize]) -> Image {
    FakeUpstream::start().await.image("any", "any", seed, layer_sizes)
}

pub fn path(repository: &str, rest: &str) -> String {
    format!("/v2/{repository}/{rest}")
}

pub async fn begin(proxy: &Proxy, repository: &str) -> String {
    let answer = proxy.client().send("POST", &path(repository, "blobs/uploads/"), &[], b"").await;
    answer.assert_status(202);
    answer.header("location").expect("a Location").to_owned()
}

pub async fn push_blob(proxy: &Proxy, repository: &str, bytes: &[u8]) -> Answer {
    let location = begin(proxy, repository).await;
    proxy.client().send("PUT", &format!("{location}?digest={}", sha256(bytes)), &[], bytes).await
}

pub async fn push_manifest(proxy: &Proxy, repository: &str, reference: &str, media_type: &str, bytes: &[u8]) -> Answer {
    let path = path(repository, &format!("manifests/{reference}"));
    proxy.client().send("PUT", &path, &[("Content-Type", media_type)], bytes).await
}

pub async fn push_image(proxy: &Proxy, repository: &str, reference: &str, image: &Image) {
    for part in image.layers.iter().chain([&image.config]) {
        push_blob(proxy, repository, &part.bytes).await.assert_status(201);
    }
    push_manifest(proxy, repository, reference, image.media_type, &image.manifest.bytes).await.assert_status(201);
}

pub async fn assert_image(proxy: &Proxy, repository: &str, reference: &str, image: &Image) {
    let answer = proxy.get(&path(repository, &format!("manifests/{reference}"))).await;
    answer.assert_body(&image.manifest.bytes);
    assert_eq!(answer.header("docker-content-digest"), Some(image.manifest.digest.as_str()));
    assert_eq!(answer.header("content-type"), Some(image.media_type));
    for part in image.layers.iter().chain([&image.config]) {
        proxy.get(&path(repository, &format!("blobs/{}", part.digest))).await.assert_body(&part.bytes);
    }
}

pub async fn tags(proxy: &Proxy, repository: &str) -> Value {
    proxy.get(&path(repository, "tags/list")).await.json()["tags"].clone()
}

/// Files below the folder of what is pushed, and their bytes.
pub fn files(proxy: &Proxy, folder: &str) -> usize {
    fn count(folder: &std::path::Path) -> usize {
        let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
        entries.flatten().map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
    }
    count(&proxy.data_path().join("hosted").join(folder))
}

#[tokio::test]
async fn what_is_pushed_is_there_before_and_after_a_restart() {
    let (upstream, mut proxy) = registry().await;
    let image = an_image(1, &[100_000, 3 << 20]).await;
    push_image(&proxy, REPO, "latest", &image).await;
    assert_image(&proxy, REPO, "latest", &image).await;
    assert_image(&proxy, REPO, &image.manifest.digest, &image).await;
    proxy.kill().await;
    proxy.start().await;
    assert_image(&proxy, REPO, "latest", &image).await;
    assert_eq!(tags(&proxy, REPO).await, json!(["latest"]));
    assert_eq!(proxy.get("/v2/_catalog").await.json()["repositories"], json!([REPO]));
    assert_eq!(upstream.log().len(), 0, "nobody else is asked about what is ours");
    proxy.get(&path(REPO, "blobs/sha256:0")).await.assert_error(400, "DIGEST_INVALID");
    proxy.get(&path("team/other", "manifests/latest")).await.assert_error(404, "NAME_UNKNOWN");
    proxy.get(&path(REPO, "manifests/other")).await.assert_error(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn a_range_of_what_was_pushed() {
    let (_, proxy) = registry().await;
    let bytes = noise(3, 1 << 20);
    push_blob(&proxy, REPO, &bytes).await.assert_status(201);
    let blob = path(REPO, &format!("blobs/{}", sha256(&bytes)));
    proxy.client().get_range(&blob, "bytes=500000-").await.assert_bytes(206, &bytes[500_000..]);
    assert_eq!(proxy.head(&blob).await.header("content-length"), Some("1048576"));
}

/// C80: a digest or a size that does not hold is refused, and nothing of it stays.
#[tokio::test]
async fn c80_what_does_not_hold_leaves_nothing() {
    let (_, proxy) = registry().await;
    let (bytes, other) = (noise(1, 200_000), noise(2, 200_000));
    let location = begin(&proxy, REPO).await;
    let put = format!("{location}?digest={}", sha256(&bytes));
    proxy.client().send("PUT", &put, &[], &other).await.assert_error(400, "DIGEST_INVALID");
    proxy.client().send("PUT", &put, &[], &bytes).await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    let post = path(REPO, &format!("blobs/uploads/?digest={}", sha256(&bytes)));
    proxy.client().send("POST", &post, &[], &other).await.assert_error(400, "DIGEST_INVALID");
    for blob in [&bytes, &other] {
        proxy.get(&path(REPO, &format!("blobs/{}", sha256(blob)))).await.assert_error(404, "BLOB_UNKNOWN");
    }
    assert_eq!((files(&proxy, "staging"), files(&proxy, "blobs")), (0, 0));
    let manifest = path(REPO, &format!("manifests/{}", sha256(b"other")));
    proxy
        .client()
        .send("PUT", &manifest, &[("Content-Type", OCI_MANIFEST)], b"{}")
        .await
        .assert_error(400, "DIGEST_INVALID");
    // A descriptor that lies about the size of a blob that is there.
    push_blob(&proxy, REPO, &bytes).await.assert_status(201);
    let lie = json!({ "config": { "mediaType": "x", "digest": sha256(&bytes), "size": 1 } }).to_string();
    push_manifest(&proxy, REPO, "lie", OCI_MANIFEST, lie.as_bytes()).await.assert_error(400, "MANIFEST_INVALID");
    proxy.get(&path(REPO, "manifests/lie")).await.assert_error(404, "MANIFEST_UNKNOWN");
}

/// C81: chunks come in order; what is out of order is refused with the place to go on from, also after a restart.
#[tokio::test]
async fn c81_chunks_go_on_after_a_restart() {
    let (_, mut proxy) = registry().await;
    let bytes = noise(5, 300_000);
    let location = begin(&proxy, REPO).await;
    let chunk = |from: usize, to: usize| (format!("{from}-{}", to - 1), Bytes::copy_from_slice(&bytes[from..to]));
    let (range, part) = chunk(0, 100_000);
    let answer = proxy.client().send("PATCH", &location, &[("Content-Range", &range)], &part).await;
    answer.assert_status(202);
    assert_eq!(answer.header("range"), Some("0-99999"));
    for (from, to) in [(0, 100_000), (50_000, 150_000), (200_000, 300_000)] {
        let (range, part) = chunk(from, to);
        let refused = proxy.client().send("PATCH", &location, &[("Content-Range", &range)], &part).await;
        refused.assert_error(416, "BLOB_UPLOAD_INVALID");
        assert_eq!(refused.header("range"), Some("0-99999"));
        assert_eq!(refused.header("location"), Some(location.as_str()));
    }
    let wrong = [("Content-Range", "100000-100009")];
    proxy.client().send("PATCH", &location, &wrong, b"twelve bytes").await.assert_error(400, "BLOB_UPLOAD_INVALID");
    proxy.kill().await;
    proxy.start().await;
    let status = proxy.get(&location).await;
    status.assert_status(204);
    assert_eq!(status.header("range"), Some("0-99999"));
    let (range, part) = chunk(100_000, 200_000);
    proxy.client().send("PATCH", &location, &[("Content-Range", &range)], &part).await.assert_status(202);
    let (range, part) = chunk(200_000, 300_000);
    let put = format!("{location}?digest={}", sha256(&bytes));
    let answer = proxy.client().send("PUT", &put, &[("Content-Range", &range)], &part).await;
    answer.assert_status(201);
    proxy.get(answer.header("location").unwrap()).await.assert_body(&bytes);
    proxy.get(&location).await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(files(&proxy, "staging"), 0);
}

/// What came before a client left is there for it to go on from.
#[tokio::test]
async fn a_client_that_leaves_goes_on_later() {
    let (_, proxy) = registry().await;
    let bytes = noise(6, 2 << 20);
    let location = begin(&proxy, REPO).await;
    let length = bytes.len().to_string();
    let mut exchange = proxy.client().open("PATCH", &location, &[("Content-Length", &length)]).await;
    exchange.write(&bytes[..1 << 20]).await;
    let arrived = async || proxy.get(&location).await.header("range") == Some("0-1048575");
    until_async("the first half has come", arrived).await;
    // Meanwhile the upload is this client's.
    proxy.client().send("PATCH", &location, &[], b"x").await.assert_error(409, "BLOB_UPLOAD_INVALID");
    exchange.reset();
    let rest = &bytes[1 << 20..];
    let next = async || {
        let range = format!("{}-{}", 1 << 20, bytes.len() - 1);
        proxy.client().send("PATCH", &location, &[("Content-Range", &range)], rest).await.status == 202
    };
    until_async("the upload is free again", next).await;
    let put = format!("{location}?digest={}", sha256(&bytes));
    proxy.client().send("PUT", &put, &[], b"").await.assert_status(201);
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository_and_can_be_cancelled() {
    let (_, proxy) = registry().await;
    push_blob(&proxy, "team/other", b"other").await.assert_status(201);
    let location = begin(&proxy, REPO).await;
    proxy.client().send("PATCH", &location, &[], b"some").await.assert_status(202);
    let elsewhere = location.replace(REPO, "team/other");
    proxy.get(&elsewhere).await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    let put = format!("{elsewhere}?digest={}", sha256(b"some"));
    proxy.client().send("PUT", &put, &[], b"").await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    proxy.client().request("DELETE", &location, &[]).await.assert_status(204);
    proxy.get(&location).await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(files(&proxy, "staging"), 0);
}

#[tokio::test]
async fn sixteen_uploads_of_one_blob_are_one_file() {
    let (_, proxy) = registry().await;
    let bytes = noise(7, 1 << 20);
    let repositories: Vec<String> = (0..16).map(|n| format!("team/app{}", n % 4)).collect();
    let pushes = repositories.iter().map(|repository| push_blob(&proxy, repository, &bytes));
    for answer in futures_util::future::join_all(pushes).await {
        answer.assert_status(201);
    }
    assert_eq!((files(&proxy, "staging"), files(&proxy, "blobs")), (0, 1));
    for repository in &repositories {
        proxy.get(&path(repository, &format!("blobs/{}", sha256(&bytes)))).await.assert_body(&bytes);
    }
}

#[tokio::test]
async fn sha512_with_and_without_being_told_before() {
    let (_, proxy) = registry().await;
    for (seed, query) in [(1, ""), (2, "?digest-algorithm=sha512")] {
        let bytes = noise(seed, 100_000);
        let answer = proxy.client().send("POST", &path(REPO, &format!("blobs/uploads/{query}")), &[], b"").await;
        let location = answer.header("location").unwrap().to_owned();
        proxy.client().send("PATCH", &location, &[], &bytes).await.assert_status(202);
        let digest = sha512(&bytes);
        proxy.client().send("PUT", &format!("{location}?digest={digest}"), &[], b"").await.assert_status(201);
        proxy.get(&path(REPO, &format!("blobs/{digest}"))).await.assert_body(&bytes);
    }
}

/// C82: a mount is possible from a repository that has the blob, and falls back to an upload otherwise.
#[tokio::test]
async fn c82_mounts() {
    let (_, proxy) = registry().await;
    let bytes = noise(8, 100_000);
    let digest = sha256(&bytes);
    push_blob(&proxy, "team/base", &bytes).await.assert_status(201);
    push_blob(&proxy, "team/empty", b"something else").await.assert_status(201);
    let mount = |query: String| path(REPO, &format!("blobs/uploads/?mount={digest}{query}"));
    for from in ["&from=team/empty", "&from=team/absent"] {
        let answer = proxy.client().send("POST", &mount(from.to_owned()), &[], b"").await;
        answer.assert_status(202);
        assert!(answer.header("location").is_some_and(|location| location.contains("/blobs/uploads/")));
    }
    proxy.get(&path(REPO, &format!("blobs/{digest}"))).await.assert_error(404, "BLOB_UNKNOWN");
    let answer = proxy.client().send("POST", &mount("&from=team/base".to_owned()), &[], b"").await;
    answer.assert_status(201);
    assert_eq!(answer.header("location"), Some(format!("/v2/{REPO}/blobs/{digest}").as_str()));
    proxy.get(&path(REPO, &format!("blobs/{digest}"))).await.assert_body(&bytes);
    let elsewhere = format!("/v2/team/third/blobs/uploads/?mount={digest}");
    proxy.client().send("POST", &elsewhere, &[], b"").await.assert_status(201);
}

#[tokio::test]
async fn a_manifest_needs_what_it_refers_to() {
    let (_, proxy) = registry().await;
    let image = an_image(2, &[1000, 2000]).await;
    push_blob(&proxy, REPO, &image.config.bytes).await.assert_status(201);
    push_blob(&proxy, REPO, &image.layers[0].bytes).await.assert_status(201);
    // It is in the registry, but not in this repository.
    push_blob(&proxy, "team/other", &image.layers[1].bytes).await.assert_status(201);
    let refused = push_manifest(&proxy, REPO, "latest", image.media_type, &image.manifest.bytes).await;
    refused.assert_error(404, "MANIFEST_BLOB_UNKNOWN");
    assert!(refused.text().contains(&image.layers[1].digest));
    assert!(!refused.text().contains(&image.layers[0].digest));
    assert_eq!(tags(&proxy, REPO).await, json!([]));
    let index = json!({ "mediaType": OCI_INDEX, "manifests": [
        { "mediaType": image.media_type, "digest": image.manifest.digest, "size": image.manifest.bytes.len() }
    ] })
    .to_string();
    push_manifest(&proxy, REPO, "all", OCI_INDEX, index.as_bytes()).await.assert_error(404, "MANIFEST_BLOB_UNKNOWN");
    push_image(&proxy, REPO, "latest", &image).await;
    push_manifest(&proxy, REPO, "all", OCI_INDEX, index.as_bytes()).await.assert_status(201);
    assert_eq!(tags(&proxy, REPO).await, json!(["all", "latest"]));
}

#[tokio::test]
async fn references_need_not_be_there_where_the_operator_says_so() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.hosted.set("require_references", false);
    let proxy = setup.start().await;
    let image = an_image(3, &[1000]).await;
    push_manifest(&proxy, REPO, "latest", image.media_type, &image.manifest.bytes).await.assert_status(201);
}

#[tokio::test]
async fn manifests_that_are_none() {
    let (_, proxy) = registry().await;
    for (text, media_type) in [
        ("<html>", OCI_MANIFEST),
        ("{}", "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        (r#"{"mediaType":"application/vnd.oci.image.index.v1+json"}"#, OCI_MANIFEST),
        (r#"{"config":{"digest":"md5:d41d8cd98f00b204e9800998ecf8427e","size":0,"mediaType":"x"}}"#, OCI_MANIFEST),
    ] {
        push_manifest(&proxy, REPO, "x", media_type, text.as_bytes()).await.assert_error(400, "MANIFEST_INVALID");
    }
    let long = format!(r#"{{"annotations":{{"a":"{}"}}}}"#, "x".repeat(4 << 20));
    push_manifest(&proxy, REPO, "x", OCI_MANIFEST, long.as_bytes()).await.assert_error(413, "SIZE_INVALID");
    let just = format!(r#"{{"annotations":{{"a":"{}"}}}}"#, "x".repeat((4 << 20) - 30));
    push_manifest(&proxy, REPO, "x", OCI_MANIFEST, just.as_bytes()).await.assert_status(201);
    proxy.get(&path(REPO, "manifests/x")).await.assert_body(just.as_bytes());
    push_manifest(&proxy, REPO, ".bad", OCI_MANIFEST, b"{}").await.assert_error(400, "TAG_INVALID");
}

/// C85: several tags with one push by digest; a push by digest without a tag.
#[tokio::test]
async fn c85_several_tags_at_once() {
    let (_, proxy) = registry().await;
    let image = an_image(4, &[1000]).await;
    push_image(&proxy, REPO, &image.manifest.digest, &image).await;
    assert_eq!(tags(&proxy, REPO).await, json!([]));
    let query = format!("{}?tag=1.2.3&tag=1.2&tag=1", image.manifest.digest);
    let answer = push_manifest(&proxy, REPO, &query, image.media_type, &image.manifest.bytes).await;
    answer.assert_status(201);
    let told: Vec<&str> =
        answer.headers.iter().filter(|(name, _)| name == "oci-tag").map(|(_, value)| value.as_str()).collect();
    assert_eq!(told, ["1.2.3", "1.2", "1"]);
    assert_eq!(tags(&proxy, REPO).await, json!(["1", "1.2", "1.2.3"]));
    let page = proxy.get(&path(REPO, "tags/list?n=2")).await;
    assert_eq!(page.json()["tags"], json!(["1", "1.2"]));
    let next = page.header("link").unwrap().split(['<', '>']).nth(1).unwrap().to_owned();
    assert_eq!(proxy.get(&next).await.json()["tags"], json!(["1.2.3"]));
}

#[tokio::test]
async fn immutable_tags_stay_but_for_the_exceptions() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.hosted.text("tag_mutability", "immutable").texts("tag_mutability_except", &["latest", "dev-*"]);
    let proxy = setup.start().await;
    let (one, two) = (an_image(1, &[1000]).await, an_image(2, &[1000]).await);
    push_image(&proxy, REPO, "1.0", &one).await;
    push_image(&proxy, REPO, "latest", &one).await;
    push_image(&proxy, REPO, "dev-1", &one).await;
    // The same again changes nothing, and is no error.
    push_image(&proxy, REPO, "1.0", &one).await;
    for part in two.layers.iter().chain([&two.config]) {
        push_blob(&proxy, REPO, &part.bytes).await.assert_status(201);
    }
    let refused = push_manifest(&proxy, REPO, "1.0", two.media_type, &two.manifest.bytes).await;
    refused.assert_error(400, "TAG_INVALID");
    // Nothing of a refused push is left, not even the tags that could have been made.
    let query = format!("{}?tag=new&tag=1.0", two.manifest.digest);
    let refused = push_manifest(&proxy, REPO, &query, two.media_type, &two.manifest.bytes).await;
    refused.assert_error(400, "TAG_INVALID");
    proxy.get(&path(REPO, &format!("manifests/{}", two.manifest.digest))).await.assert_status(404);
    push_image(&proxy, REPO, "latest", &two).await;
    push_image(&proxy, REPO, "dev-1", &two).await;
    assert_image(&proxy, REPO, "1.0", &one).await;
    assert_eq!(tags(&proxy, REPO).await, json!(["1.0", "dev-1", "latest"]));
}

#[tokio::test]
async fn deletes() {
    let (_, proxy) = registry().await;
    let image = an_image(5, &[1000]).await;
    push_image(&proxy, REPO, "one", &image).await;
    push_image(&proxy, REPO, "two", &image).await;
    let client = proxy.client();
    let layer = path(REPO, &format!("blobs/{}", image.layer().digest));
    client.request("DELETE", &layer, &[]).await.assert_error(405, "UNSUPPORTED");
    client.request("DELETE", &path(REPO, "manifests/one"), &[]).await.assert_status(202);
    client.request("DELETE", &path(REPO, "manifests/one"), &[]).await.assert_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(tags(&proxy, REPO).await, json!(["two"]));
    let by_digest = path(REPO, &format!("manifests/{}", image.manifest.digest));
    proxy.get(&by_digest).await.assert_status(200);
    client.request("DELETE", &by_digest, &[]).await.assert_status(202);
    proxy.get(&by_digest).await.assert_error(404, "MANIFEST_UNKNOWN");
    proxy.get(&path(REPO, "manifests/two")).await.assert_error(404, "MANIFEST_UNKNOWN");
    client.request("DELETE", &layer, &[]).await.assert_status(202);
    proxy.get(&layer).await.assert_error(404, "BLOB_UNKNOWN");
    client.request("DELETE", &layer, &[]).await.assert_error(404, "BLOB_UNKNOWN");
}

fn referrer(subject: &Image, artifact_type: &str, note: &str) -> String {
    json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": artifact_type,
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2 },
        "layers": [], "annotations": { "note": note },
        "subject": { "mediaType": subject.media_type, "digest": subject.manifest.digest, "size": subject.manifest.bytes.len() },
    })
    .to_string()
}

/// C83: `OCI-Subject`, the filter, pages, and what an older client noted under the fallback tag.
#[tokio::test]
async fn c83_referrers() {
    let (_, proxy) = registry().await;
    let image = an_image(6, &[1000]).await;
    let referrers = path(REPO, &format!("referrers/{}", image.manifest.digest));
    // Before there is anything the list is empty, not unknown.
    assert_eq!(proxy.get(&referrers).await.json()["manifests"], json!([]));
    push_blob(&proxy, REPO, b"{}").await.assert_status(201);
    // The subject may come later.
    for (artifact_type, note) in [("sig", "1"), ("sig", "2"), ("sbom", "3")] {
        let text = referrer(&image, artifact_type, note);
        let answer = push_manifest(&proxy, REPO, &sha256(text.as_bytes()), OCI_MANIFEST, text.as_bytes()).await;
        answer.assert_status(201);
        assert_eq!(answer.header("oci-subject"), Some(image.manifest.digest.as_str()));
    }
    push_image(&proxy, REPO, "latest", &image).await;
    let all = proxy.get(&referrers).await;
    assert_eq!(all.header("content-type"), Some(OCI_INDEX));
    assert_eq!(all.json()["manifests"].as_array().unwrap().len(), 3);
    let signatures = proxy.get(&format!("{referrers}?artifactType=sig")).await;
    assert_eq!(signatures.header("oci-filters-applied"), Some("artifactType"));
    let shown = signatures.json()["manifests"].clone();
    assert_eq!(shown.as_array().unwrap().len(), 2);
    assert!(shown[0]["annotations"]["note"].is_string() && shown[0]["artifactType"] == "sig");

    // A client that knows no referrers keeps its own list.
    let (tag, noted) = (image.manifest.digest.replace(':', "-"), sha256(b"noted"));
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] });
    push_manifest(&proxy, REPO, &tag, OCI_INDEX, index.to_string().as_bytes()).await.assert_status(201);
    let text = referrer(&image, "old", "4");
    let mut entry = json!({ "mediaType": OCI_MANIFEST, "digest": sha256(text.as_bytes()), "size": text.len() });
    push_manifest(&proxy, REPO, &sha256(text.as_bytes()), OCI_MANIFEST, text.as_bytes()).await.assert_status(201);
    entry["artifactType"] = json!("old");
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry] });
    push_manifest(&proxy, REPO, &tag, OCI_INDEX, index.to_string().as_bytes()).await.assert_status(201);
    let mut path = format!("{referrers}?n=2");
    let mut seen = Vec::new();
    loop {
        let page = proxy.get(&path).await;
        let entries = page.json()["manifests"].as_array().unwrap().clone();
        assert!(entries.len() <= 2);
        seen.extend(entries.iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()));
        let Some(link) = page.header("link") else { break };
        path = link.split(['<', '>']).nth(1).unwrap().to_owned();
    }
    assert_eq!(seen.len(), 4, "{seen:?} without {noted}");
    assert!(seen.is_sorted());
}

/// C65: a push to a pull-through name is refused, however the upstream is named.
#[tokio::test]
async fn c65_pushes_to_upstreams_are_refused() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.hub().set("default", true).texts("ns", &["hub.example"]).text("library", "library");
    let proxy = setup.start().await;
    for path in [
        &format!("/v2/{HUB}/team/app/blobs/uploads/"),
        "/v2/team/app/blobs/uploads/?ns=hub.example",
        "/v2/library/nginx/blobs/uploads/",
    ] {
        proxy.client().send("POST", path, &[], b"").await.assert_error(405, "UNSUPPORTED");
    }
    proxy
        .client()
        .send("POST", "/v2/team/app/blobs/uploads/?ns=other.example", &[], b"")
        .await
        .assert_error(404, "NAME_UNKNOWN");
    assert_eq!(upstream.log().len(), 0);
}

/// A repository of our own goes before the default upstream; other names still are the upstream's.
#[tokio::test]
async fn own_repositories_beside_a_default_upstream() {
    let upstream = FakeUpstream::start().await;
    let theirs = upstream.image("team/theirs", "latest", 1, &[1000]);
    let mut setup = Setup::of(&upstream);
    setup.hub().set("default", true);
    let proxy = setup.start().await;
    let ours = an_image(9, &[1000]).await;
    proxy.get(&path("team/ours", "manifests/latest")).await.assert_status(404);
    push_image(&proxy, "team/ours", "latest", &ours).await;
    assert_image(&proxy, "team/ours", "latest", &ours).await;
    proxy.get(&path("team/theirs", "manifests/latest")).await.assert_body(&theirs.manifest.bytes);
}

#[tokio::test]
async fn a_listener_that_does_not_allow_pushing() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.read_only();
    let proxy = setup.start().await;
    let refused = proxy.client().send("POST", &path(REPO, "blobs/uploads/"), &[], b"").await;
    refused.assert_error(403, "DENIED");
    assert!(refused.text().contains("push = true"), "{}", refused.text());
    proxy.client().request("DELETE", &path(REPO, "manifests/x"), &[]).await.assert_error(403, "DENIED");
    proxy.get("/v2/").await.assert_status(200);
}

#[tokio::test]
async fn repositories_are_not_made_where_the_operator_says_so() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.hosted.set("create_on_push", false);
    let proxy = setup.start().await;
    let refused = proxy.client().send("POST", &path(REPO, "blobs/uploads/"), &[], b"").await;
    refused.assert_error(404, "NAME_UNKNOWN");
    assert!(refused.text().contains("create_on_push"));
}

/// A setup in which nothing is kept for sentiment: what nobody needs goes within a second or two.
fn forgetful(upstream: &FakeUpstream) -> Setup {
    let mut setup = Setup::of(upstream);
    setup.hosted.text("grace", "1s").text("reclaim_every", "200ms").text("upload_ttl", "2s");
    setup
}

/// C75 and C76: what a manifest needs stays, children of an index and referrers included; what nobody needs goes.
#[tokio::test]
async fn c75_c76_only_what_nobody_needs_goes() {
    let upstream = FakeUpstream::start().await;
    let proxy = forgetful(&upstream).start().await;
    let (kept, gone) = (an_image(1, &[100_000]).await, an_image(2, &[100_000]).await);
    push_image(&proxy, REPO, &kept.manifest.digest, &kept).await;
    let index = json!({ "mediaType": OCI_INDEX, "manifests": [
        { "mediaType": kept.media_type, "digest": kept.manifest.digest, "size": kept.manifest.bytes.len() }
    ] })
    .to_string();
    push_manifest(&proxy, REPO, "all", OCI_INDEX, index.as_bytes()).await.assert_status(201);
    push_blob(&proxy, REPO, b"{}").await.assert_status(201);
    let signature = referrer(&kept, "sig", "1");
    push_manifest(&proxy, REPO, &sha256(signature.as_bytes()), OCI_MANIFEST, signature.as_bytes())
        .await
        .assert_status(201);
    push_image(&proxy, REPO, "gone", &gone).await;
    push_image(&proxy, "team/shares", "gone", &gone).await;
    let abandoned = begin(&proxy, REPO).await;
    proxy.client().send("PATCH", &abandoned, &[], b"some").await.assert_status(202);
    let before = files(&proxy, "blobs");
    // Two repositories have it: one alone does not take it away.
    let manifest = format!("manifests/{}", gone.manifest.digest);
    proxy.client().request("DELETE", &path(REPO, &manifest), &[]).await.assert_status(202);
    // HEAD would say that somebody is about to need it.
    until_async("the repository has lost the layer", async || {
        proxy.get(&path(REPO, &format!("blobs/{}", gone.layer().digest))).await.status == 404
    })
    .await;
    assert_image(&proxy, "team/shares", "gone", &gone).await;
    proxy.client().request("DELETE", &path("team/shares", &manifest), &[]).await.assert_status(202);
    until_async("the files are gone", async || files(&proxy, "blobs") == before - 2).await;
    until_async("the upload has expired", async || files(&proxy, "staging") == 0).await;
    proxy.get(&abandoned).await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    assert_image(&proxy, REPO, &kept.manifest.digest, &kept).await;
    proxy.get(&path(REPO, "manifests/all")).await.assert_body(index.as_bytes());
    proxy
        .get(&path(REPO, &format!("manifests/{}", sha256(signature.as_bytes()))))
        .await
        .assert_body(signature.as_bytes());
    let metrics = proxy.metrics().await;
    assert!(metrics.sum("entrepot_reclaimed_blobs_total") >= 2.0);
    // What was removed can be pushed again.
    push_image(&proxy, REPO, "again", &gone).await;
    assert_image(&proxy, REPO, "again", &gone).await;
}

/// C74: pushes, mounts, deletes and removing at the same time: what was acknowledged is there.
#[tokio::test]
async fn c74_pushing_while_removing() {
    let upstream = FakeUpstream::start().await;
    let mut setup = forgetful(&upstream);
    // Every round finds something, and has no patience at all.
    setup.hosted.text("grace", "300ms").text("reclaim_every", "1ms");
    let proxy = setup.start().await;
    let images: Vec<Image> = {
        let source = FakeUpstream::start().await;
        (0..3).map(|seed| source.image("any", "any", seed, &[20_000, 5])).collect()
    };
    let worker = |worker: u64| {
        let (proxy, images) = (&proxy, &images);
        async move {
            for round in 0..25u64 {
                let image = &images[((worker + round) % 3) as usize];
                let (repository, tag) = (format!("team/app{}", (worker + round) % 2), format!("w{worker}"));
                // A push may have to be done again when what it counted on was forgotten; it may never be half there.
                let mut pushed = false;
                for _ in 0..20 {
                    for part in image.layers.iter().chain([&image.config]) {
                        push_blob(proxy, &repository, &part.bytes).await.assert_status(201);
                    }
                    let answer = push_manifest(proxy, &repository, &tag, image.media_type, &image.manifest.bytes).await;
                    if answer.status == 201 {
                        pushed = true;
                        break;
                    }
                    answer.assert_error(404, "MANIFEST_BLOB_UNKNOWN");
                }
                assert!(pushed, "twenty times in vain");
                assert_image(proxy, &repository, &tag, image).await;
                if round % 3 == worker % 3 {
                    let path = path(&repository, &format!("manifests/{tag}"));
                    proxy.client().request("DELETE", &path, &[]).await.assert_status(202);
                }
                tokio::time::sleep(Duration::from_millis(fastrand::u64(0..40))).await;
            }
        }
    };
    futures_util::future::join_all((0..4).map(worker)).await;
}

/// What was acknowledged survives SIGKILL at any moment, and what was not leaves nothing that cannot be pushed again.
#[tokio::test]
async fn killed_while_pushing() {
    let upstream = FakeUpstream::start().await;
    let mut proxy = Setup::of(&upstream).start().await;
    let source = FakeUpstream::start().await;
    let mut acknowledged = Vec::new();
    for round in 0..25u64 {
        let image = source.image("any", "any", round, &[300_000]);
        let tag = format!("t{round}");
        let done = std::cell::Cell::new(false);
        let push = async {
            let client = proxy.client();
            for part in image.layers.iter().chain([&image.config]) {
                let post = path(REPO, &format!("blobs/uploads/?digest={}", part.digest));
                let headers = [("Content-Length", part.bytes.len().to_string())];
                let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let Ok(mut exchange) = client.try_open("POST", &post, &headers).await else { return };
                exchange.write(&part.bytes).await;
                if exchange.try_status().await != Some(201) {
                    return;
                }
            }
            let put = path(REPO, &format!("manifests/{tag}"));
            let length = image.manifest.bytes.len().to_string();
            let headers = [("Content-Length", length.as_str()), ("Content-Type", image.media_type)];
            let Ok(mut exchange) = client.try_open("PUT", &put, &headers).await else { return };
            exchange.write(&image.manifest.bytes).await;
            done.set(exchange.try_status().await == Some(201));
        };
        let moment = tokio::time::sleep(Duration::from_micros(fastrand::u64(0..60_000)));
        tokio::select! {
            () = push => {}
            () = moment => {}
        }
        proxy.kill().await;
        proxy.start().await;
        if done.get() {
            acknowledged.push((tag, image));
        }
    }
    for (tag, image) in &acknowledged {
        assert_image(&proxy, REPO, tag, image).await;
    }
    let image = source.image("any", "any", 1000, &[300_000]);
    push_image(&proxy, REPO, "last", &image).await;
    assert_image(&proxy, REPO, "last", &image).await;
}

pub fn run(proxy: &Proxy, arguments: &[&str]) -> (bool, Value, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_entrepot"))
        .args(arguments)
        .args(["--output", "json", "--config"])
        .arg(proxy.config_path())
        .current_dir(proxy.data_path().parent().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap_or_default(), said)
}

fn file_of(proxy: &Proxy, folder: &str, digest: &str) -> std::path::PathBuf {
    let hex = digest.strip_prefix("sha256:").unwrap();
    proxy.data_path().join(folder).join("sha256").join(&hex[..2]).join(hex)
}

/// C70, and bits that turn: what is damaged is found, set aside, not served, and healed by pushing it again.
#[tokio::test]
async fn c70_scrub_finds_what_the_disk_has_changed() {
    let upstream = FakeUpstream::start().await;
    let theirs = upstream.image("team/theirs", "latest", 5, &[400_000]);
    let mut setup = Setup::of(&upstream);
    setup.hosted.text("grace", "1s");
    let mut proxy = setup.start().await;
    let image = an_image(1, &[400_000, 5000, 6000]).await;
    push_image(&proxy, REPO, "latest", &image).await;
    proxy.get(&crate::proxy::blob("team/theirs", &theirs.layer().digest)).await.assert_body(&theirs.layer().bytes);
    proxy.kept(&theirs.layer().digest).await;
    assert!(run(&proxy, &["scrub"]).0);
    let flip = |file: &std::path::Path| {
        let mut bytes = std::fs::read(file).unwrap();
        bytes[1234] ^= 1;
        std::fs::write(file, bytes).unwrap();
    };
    flip(&file_of(&proxy, "hosted/blobs", &image.layers[0].digest));
    flip(&file_of(&proxy, "blobs", &theirs.layer().digest));
    std::fs::remove_file(file_of(&proxy, "hosted/blobs", &image.layers[1].digest)).unwrap();
    let orphan = file_of(&proxy, "hosted/blobs", &sha256(b"nobody knows me"));
    std::fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    std::fs::write(&orphan, b"nobody knows me").unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    // Once by the process that serves, once more when it does not.
    let (good, found, said) = run(&proxy, &["scrub"]);
    assert!(!good && said.contains("2 pushed blobs"), "{said}");
    assert_eq!((&found["pushed"]["damaged"], &found["pushed"]["missing"]), (&json!(1), &json!(1)));
    assert_eq!((&found["pushed"]["orphans_removed"], &found["cached"]["damaged"]), (&json!(1), &json!(1)));
    assert!(!orphan.exists());
    assert_eq!(files(&proxy, "quarantine"), 1);
    proxy.terminate().await;
    let (good, found, said) = run(&proxy, &["scrub"]);
    assert!(good && found["pushed"]["damaged"] == 0, "what is known to be lost is not told twice: {said}");
    proxy.start().await;
    for part in &image.layers[..2] {
        proxy.get(&path(REPO, &format!("blobs/{}", part.digest))).await.assert_error(404, "BLOB_UNKNOWN");
    }
    push_image(&proxy, REPO, "latest", &image).await;
    assert_image(&proxy, REPO, "latest", &image).await;
    proxy.get(&crate::proxy::blob("team/theirs", &theirs.layer().digest)).await.assert_body(&theirs.layer().bytes);
    assert_eq!(upstream.count("GET", &theirs.layer().digest), 2);
}

#[tokio::test]
async fn gc_by_hand() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.hosted.text("grace", "100ms");
    let mut proxy = setup.start().await;
    let bytes = noise(1, 100_000);
    push_blob(&proxy, REPO, &bytes).await.assert_status(201);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (good, found, said) = run(&proxy, &["gc", "--dry-run"]);
    assert!(good && found["blobs"] == 1 && found["bytes"] == 100_000, "{found} {said}");
    assert_eq!(files(&proxy, "blobs"), 1);
    // The first round condemns, the second removes; one by the service and one without it.
    assert!(run(&proxy, &["gc"]).0);
    tokio::time::sleep(Duration::from_millis(200)).await;
    proxy.terminate().await;
    let (good, found, said) = run(&proxy, &["gc"]);
    assert!(good && found["blobs"] == 1, "{found} {said}");
    assert_eq!(files(&proxy, "blobs"), 0);
    assert_eq!(run(&proxy, &["gc", "--dry-run"]).1["blobs"], 0);
}

/// C40: that a name was unknown is forgotten at once when somebody pushes to it.
#[tokio::test]
async fn c40_a_push_ends_what_was_remembered_as_unknown() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.hub().set("default", true).text("negative_ttl", "1h");
    let proxy = setup.start().await;
    let image = an_image(1, &[1000]).await;
    for reference in ["latest", image.manifest.digest.as_str()] {
        proxy.get(&path(REPO, &format!("manifests/{reference}"))).await.assert_status(404);
    }
    proxy.get(&path(REPO, &format!("blobs/{}", image.layer().digest))).await.assert_status(404);
    push_image(&proxy, REPO, "latest", &image).await;
    assert_image(&proxy, REPO, "latest", &image).await;
    proxy.get(&path(REPO, "manifests/next")).await.assert_error(404, "MANIFEST_UNKNOWN");
    push_image(&proxy, REPO, "next", &image).await;
    assert_image(&proxy, REPO, "next", &image).await;
}

/// C62 and C69: a blob is served in the repositories that have it, in no other, and stays with one when another loses it.
#[tokio::test]
async fn c62_c69_blobs_of_own_repositories() {
    let upstream = FakeUpstream::start().await;
    let proxy = forgetful(&upstream).start().await;
    let image = an_image(1, &[100_000]).await;
    push_image(&proxy, "team/one", "latest", &image).await;
    push_blob(&proxy, "team/three", b"to be there").await.assert_status(201);
    let layer = format!("blobs/{}", image.layer().digest);
    proxy.get(&path("team/three", &layer)).await.assert_error(404, "BLOB_UNKNOWN");
    proxy.head(&path("team/three", &layer)).await.assert_status(404);
    proxy.get(&path("team/three", &format!("manifests/{}", image.manifest.digest))).await.assert_status(404);
    push_image(&proxy, "team/two", "latest", &image).await;
    let manifest = path("team/one", &format!("manifests/{}", image.manifest.digest));
    proxy.client().request("DELETE", &manifest, &[]).await.assert_status(202);
    until_async("one has lost it", async || proxy.get(&path("team/one", &layer)).await.status == 404).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_image(&proxy, "team/two", "latest", &image).await;
}

/// C68: where an upload goes on is said without a host, so that no proxy in front of us can make it wrong.
#[tokio::test]
async fn c68_locations_have_no_host() {
    let (_, proxy) = registry().await;
    let headers =
        [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "registry.example"), ("X-Forwarded-Prefix", "/deep")];
    let answer = proxy.client().send("POST", &path(REPO, "blobs/uploads/"), &headers, b"").await;
    let location = answer.header("location").unwrap().to_owned();
    assert!(location.starts_with(&format!("/v2/{REPO}/blobs/uploads/")), "{location}");
    let put = format!("{location}?digest={}", sha256(b"x"));
    let answer = proxy.client().send("PUT", &put, &headers, b"x").await;
    assert_eq!(answer.header("location"), Some(format!("/v2/{REPO}/blobs/{}", sha256(b"x")).as_str()));
}

/// With so little grace a blob may be forgotten before its push has ended, which is told.
pub fn may_be_forgotten(answer: &Answer) {
    if answer.status != 201 {
        answer.assert_error(503, "UNAVAILABLE");
        assert!(answer.text().contains("hosted.grace"), "{}", answer.text());
    }
}

/// SIGKILL at any moment of removing: what is needed stays, what is not goes later, and can be pushed again.
#[tokio::test]
async fn c74_killed_while_removing() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.hosted.text("grace", "10ms").text("reclaim_every", "1ms");
    let mut proxy = setup.start().await;
    let source = FakeUpstream::start().await;
    let kept = source.image("any", "any", 1, &[50_000]);
    let stays = async |proxy: &Proxy| {
        for _ in 0..50 {
            for part in kept.layers.iter().chain([&kept.config]) {
                may_be_forgotten(&push_blob(proxy, REPO, &part.bytes).await);
            }
            if push_manifest(proxy, REPO, "kept", kept.media_type, &kept.manifest.bytes).await.status == 201 {
                return;
            }
        }
        panic!("a push in vain, fifty times");
    };
    stays(&proxy).await;
    for round in 0..20u64 {
        for n in 0..5 {
            may_be_forgotten(&push_blob(&proxy, REPO, &noise(round * 10 + n, 20_000)).await);
        }
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..30_000))).await;
        proxy.kill().await;
        proxy.start().await;
        assert_image(&proxy, REPO, "kept", &kept).await;
    }
    until_async("only what is needed is left", async || files(&proxy, "blobs") == 2).await;
}

/// Clients look before they push. A default upstream that refuses what it does not know, or is away, does not keep anyone from
/// pushing a new name; who may not push is told what upstream said.
#[tokio::test]
async fn a_default_upstream_does_not_hinder_the_first_push() {
    for (behaviour, told) in
        [(Behaviour::status(401), 401), (Behaviour::status(403), 403), (Behaviour::status(500), 502)]
    {
        let upstream = FakeUpstream::start().await;
        for method in ["GET", "HEAD"] {
            upstream.on(method, "team", behaviour.clone());
        }
        let image = an_image(1, &[1000]).await;
        let (manifest, layer) =
            (path(REPO, "manifests/latest"), path(REPO, &format!("blobs/{}", image.layer().digest)));
        for may_push in [false, true] {
            let mut setup = Setup::of(&upstream).impatient();
            setup.hub().set("default", true);
            if !may_push {
                setup.read_only();
            }
            let proxy = setup.start().await;
            let expected = if may_push { 404 } else { told };
            for path in [&manifest, &layer, &path(REPO, "tags/list")] {
                proxy.get(path).await.assert_status(expected);
            }
            proxy.head(&manifest).await.assert_status(expected);
            if may_push {
                assert!(proxy.get(&manifest).await.text().contains("upstream"), "it says what upstream said");
                push_image(&proxy, REPO, "latest", &image).await;
                assert_image(&proxy, REPO, "latest", &image).await;
            }
        }
    }
}
