//! The fake upstream does what it says.

use super::*;
use crate::client::Client;

fn client(upstream: &FakeUpstream) -> Client {
    Client::new(upstream.0.address)
}

fn path(digest: &str) -> String {
    format!("/v2/team/app/blobs/{digest}")
}

async fn with_blob(len: usize) -> (FakeUpstream, bytes::Bytes, String) {
    let upstream = FakeUpstream::start().await;
    let bytes = noise(1, len);
    let digest = upstream.blob("team/app", bytes.clone());
    (upstream, bytes, path(&digest))
}

#[test]
fn noise_is_the_same_from_any_offset() {
    let whole = noise(7, 100);
    assert_eq!(noise_range(7, 13, 77), whole[13..77]);
    assert_ne!(noise(8, 100), whole);
}

#[test]
fn gzip_is_gzip() {
    // The trailer is the CRC of "123456789", the check value of this CRC, and the length.
    assert!(gzip(b"123456789").ends_with(&[0x26, 0x39, 0xf4, 0xcb, 9, 0, 0, 0]));
}

#[tokio::test]
async fn serves_blobs_and_ranges() {
    let (upstream, bytes, path) = with_blob(100_000).await;
    let client = client(&upstream);
    client.get(&path).await.assert_body(&bytes);
    for (range, expected, content_range) in [
        ("bytes=10-19", &bytes[10..20], "bytes 10-19/100000"),
        ("bytes=99990-", &bytes[99_990..], "bytes 99990-99999/100000"),
        ("bytes=-10", &bytes[99_990..], "bytes 99990-99999/100000"),
    ] {
        let answer = client.get_range(&path, range).await;
        answer.assert_bytes(206, expected);
        assert_eq!(answer.header("content-range"), Some(content_range));
    }
    client.get_range(&path, "bytes=100000-").await.assert_status(416);
    let other = [("Range", "bytes=0-9"), ("If-Range", "\"other\"")];
    client.request("GET", &path, &other).await.assert_body(&bytes);
    assert_eq!(client.head(&path).await.header("content-length"), Some("100000"));
    client.get("/v2/team/app/blobs/sha256:00").await.assert_status(404);
    assert_eq!(upstream.count("GET", "/blobs/"), 7);
    assert_eq!(upstream.asked("GET", "/blobs/")[1].range_start(), Some(10));
}

#[tokio::test]
async fn scripted_answers_end() {
    let (upstream, bytes, path) = with_blob(10).await;
    let client = client(&upstream);
    upstream.on("GET", "/blobs/", Behaviour::limited(7).times(2).skip(1));
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(client.get(&path).await.status);
    }
    assert_eq!(seen, [200, 429, 429, 200]);
    let id = upstream.on("*", "/blobs/", Behaviour::drop_connection());
    assert_eq!(client.get(&path).await.status, 0);
    upstream.forget(id);
    client.get(&path).await.assert_body(&bytes);
}

#[tokio::test]
async fn cuts_inside_the_framing() {
    let (upstream, bytes, path) = with_blob(100_000).await;
    for behaviour in [
        Behaviour::usual().cut_after(50_000),
        Behaviour::usual().chunked().cut_after(50_000),
        Behaviour::usual().shorten(50_000).declare_length(100_000),
    ] {
        upstream.on("GET", &path, behaviour.once());
        let answer = client(&upstream).get(&path).await;
        assert!(!answer.complete);
        assert_eq!(answer.body, bytes[..50_000]);
    }
}

#[tokio::test]
async fn lies_in_good_order() {
    let (upstream, bytes, path) = with_blob(1000).await;
    let client = client(&upstream);
    upstream.on("GET", &path, Behaviour::usual().flip(500).once());
    let answer = client.get(&path).await;
    assert!(answer.complete && answer.body[500] == bytes[500] ^ 1);
    for (behaviour, len) in [
        (Behaviour::usual().shorten(900), 900),
        (Behaviour::usual().shorten(900).chunked(), 900),
        (Behaviour::usual().append("more"), 1004),
        (Behaviour::usual().append("more").chunked(), 1004),
    ] {
        let chunked = behaviour.chunked;
        upstream.on("*", &path, behaviour.times(2));
        let answer = client.get(&path).await;
        assert!(answer.complete);
        assert_eq!(answer.body.len(), len);
        let length = client.head(&path).await.header("content-length").map(str::to_owned);
        assert_eq!(length, (!chunked).then(|| len.to_string()));
    }
}

#[tokio::test]
async fn stops_at_gates() {
    let (upstream, bytes, path) = with_blob(100_000).await;
    let (head, body) = (Gate::new(), Gate::new());
    upstream.on("GET", &path, Behaviour::usual().gate_head(&head).gate_at(50_000, &body));
    let mut exchange = client(&upstream).open("GET", &path, &[]).await;
    head.reached().await;
    head.open();
    assert_eq!(exchange.read(50_000).await, &bytes[..50_000]);
    body.reached().await;
    assert_eq!(upstream.bodies_now(), 1);
    body.open();
    exchange.rest().await.assert_body(&bytes);
    until("the body has ended", || upstream.bodies_now() == 0).await;
    assert_eq!(upstream.bodies_most(), 1);
}

#[tokio::test]
async fn refuses_and_comes_back() {
    let (upstream, bytes, path) = with_blob(10).await;
    let client = client(&upstream);
    let gate = Gate::new();
    upstream.on("GET", &path, Behaviour::usual().gate_at(5, &gate).once());
    let exchange = client.open("GET", &path, &[]).await;
    gate.reached().await;
    upstream.refuse();
    assert!(!exchange.rest().await.complete);
    until_async("connecting is refused", async || client.try_open("GET", &path, &[]).await.is_err()).await;
    upstream.accept().await;
    client.get(&path).await.assert_body(&bytes);
}

#[tokio::test]
async fn manifests_are_negotiated() {
    let upstream = FakeUpstream::start().await;
    let client = client(&upstream);
    let image = upstream.docker_image("team/app", "amd64", 1, &[10]);
    let list = upstream.index("team/app", "latest", DOCKER_LIST, &[&image]);
    upstream.negotiate("team/app", "latest", &[&list.digest, &image.manifest.digest]);
    for (accept, expected) in [(DOCKER_LIST, &list), (DOCKER_MANIFEST, &image.manifest)] {
        let answer = client.request("GET", "/v2/team/app/manifests/latest", &[("Accept", accept)]).await;
        answer.assert_body(&expected.bytes);
        assert_eq!(answer.header("content-type"), Some(accept));
        assert_eq!(answer.header("docker-content-digest"), Some(expected.digest.as_str()));
    }
    upstream.untag("team/app", "latest");
    client.get("/v2/team/app/manifests/latest").await.assert_status(404);
    client.get(&format!("/v2/team/app/manifests/{}", list.digest)).await.assert_body(&list.bytes);
}

#[tokio::test]
async fn lists_are_paged() {
    let upstream = FakeUpstream::start().await;
    let client = client(&upstream);
    let image = upstream.image("team/app", "a", 1, &[]);
    for tag in ["b", "c"] {
        upstream.tag("team/app", tag, &image.manifest.digest);
    }
    upstream.page_size(2, false);
    let first = client.get("/v2/team/app/tags/list").await;
    assert_eq!(first.json()["tags"], serde_json::json!(["a", "b"]));
    assert_eq!(first.header("link"), Some("</v2/team/app/tags/list?last=b&n=2>; rel=\"next\""));
    let second = client.get("/v2/team/app/tags/list?last=b&n=2").await;
    assert_eq!(second.json()["tags"], serde_json::json!(["c"]));
    assert_eq!(second.header("link"), None);
}

#[tokio::test]
async fn referrers_by_api_and_by_tag() {
    let upstream = FakeUpstream::start().await;
    let client = client(&upstream);
    let image = upstream.image("team/app", "a", 1, &[]);
    let signature = upstream.artifact("team/app", "application/sig", &image.manifest, OCI_MANIFEST);
    upstream.artifact("team/app", "application/sbom", &image.manifest, OCI_MANIFEST);
    let path = format!("/v2/team/app/referrers/{}", image.manifest.digest);
    assert_eq!(client.get(&path).await.json()["manifests"].as_array().map(Vec::len), Some(2));
    let filtered = client.get(&format!("{path}?artifactType=application/sig")).await;
    assert_eq!(filtered.json()["manifests"][0]["digest"], signature.digest.as_str());
    assert_eq!(filtered.header("oci-filters-applied"), Some("artifactType"));
    upstream.referrers_api(false);
    client.get(&path).await.assert_status(404);
    upstream.fallback_tag("team/app", &image.manifest.digest);
    let tag = image.manifest.digest.replace(':', "-");
    let index = client.get(&format!("/v2/team/app/manifests/{tag}")).await;
    assert_eq!(index.json()["manifests"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn tokens_are_needed() {
    let (upstream, bytes, path) = with_blob(10).await;
    let service = TokenService::new(TokenRules { credential: Some(("me", "secret")), ..TokenRules::default() });
    upstream.require_tokens(&service, upstream.realm());
    upstream.host_tokens(&service);
    let client = client(&upstream);
    let refused = client.get(&path).await;
    refused.assert_status(401);
    assert!(refused.header("www-authenticate").is_some_and(|text| text.contains("repository:team/app:pull")));
    let realm = "/token?service=fake%20registry&scope=repository%3Ateam%2Fapp%3Apull";
    client.get(realm).await.assert_status(401);
    let issued = client.request("GET", realm, &[("Authorization", &basic("me", "secret"))]).await;
    let token = format!("Bearer {}", issued.json()["token"].as_str().unwrap());
    client.request("GET", &path, &[("Authorization", &token)]).await.assert_body(&bytes);
    client.request("GET", "/v2/other/blobs/sha256:00", &[("Authorization", &token)]).await.assert_status(401);
    service.expire_all();
    client.request("GET", &path, &[("Authorization", &token)]).await.assert_status(401);
    assert_eq!(service.issued(), 1);
}

#[tokio::test]
async fn signed_urls_expire_and_refuse_authorization() {
    let (upstream, bytes, path) = with_blob(10).await;
    let store = FakeUpstream::start().await;
    upstream.on("GET", &path, Behaviour::presign(&store));
    let moved = client(&upstream).get(&path).await;
    moved.assert_status(307);
    let location = moved.header("location").unwrap().strip_prefix(&store.url()).unwrap().to_owned();
    let client = client(&store);
    client.get(&location).await.assert_body(&bytes);
    client.request("GET", &location, &[("Authorization", "Bearer x")]).await.assert_status(400);
    store.expire_signatures();
    client.get(&location).await.assert_status(403);
}

#[tokio::test]
async fn encodes_where_it_is_told() {
    let (upstream, bytes, path) = with_blob(10).await;
    let client = client(&upstream);
    upstream.on("GET", &path, Behaviour::usual().gzip_if_accepted());
    client.get(&path).await.assert_body(&bytes);
    let answer = client.request("GET", &path, &[("Accept-Encoding", "zstd, gzip")]).await;
    answer.assert_body(&gzip(&bytes));
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
}
