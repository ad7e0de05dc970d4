//! Upstreams that send us where we should not go: into the inner network, by redirects, by names, by rules.

use serde_json::json;

use crate::bound::until;
use crate::edge::{USERS, api};
use crate::proxy::{HUB, Proxy, Setup, blob, manifest};
use crate::upstream::{Behaviour, FakeUpstream, noise};

const REPO: &str = "team/app";
const SECRET: &str =
    "the answer of an internal server, which is longer than eighty bytes so that a range of it is filled";

/// An upstream beyond a proxy, which is therefore taken for a public one: the fake plays both.
async fn public_upstream(upstream: &FakeUpstream, keys: &[(&str, &str)]) -> Proxy {
    let mut setup = Setup::new();
    let hub = setup.add(HUB, "http://registry.example").text("proxy", upstream.url());
    for (key, value) in keys {
        hub.set(key, value);
    }
    setup.start().await
}

/// Every form of an address that is not public is refused before anything is connected.
#[tokio::test]
async fn t16_redirects_into_the_inner_network() {
    let (upstream, internal) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let image = upstream.image(REPO, "latest", 1, &[1000]);
    let port = internal.host().rsplit_once(':').unwrap().1.to_owned();
    let proxy = public_upstream(&upstream, &[]).await;
    let mapped: std::net::Ipv4Addr = internal.host().rsplit_once(':').unwrap().0.parse().unwrap();
    let digest = &image.layer().digest;
    for location in [
        internal.url(),
        format!("http://[{}]:{port}", mapped.to_ipv6_mapped()),
        format!("http://{}:{port}", u32::from(mapped)),
        "http://169.254.169.254".to_owned(),
        "http://10.1.2.3".to_owned(),
        "http://192.168.1.1".to_owned(),
        "http://100.64.0.1".to_owned(),
        "http://[fd00::1]".to_owned(),
        "http://[fe80::1]".to_owned(),
        format!("http://0.0.0.0:{port}"),
        format!("http://[::]:{port}"),
        "http://224.0.0.1".to_owned(),
    ] {
        let script = upstream.on("*", digest, Behaviour::redirect(307, format!("{location}/latest/meta-data")));
        let answer = proxy.get(&blob(REPO, digest)).await;
        answer.assert_status(502);
        assert!(answer.text().contains("is not a public address"), "{location}: {}", answer.text());
        upstream.forget(script);
    }
    assert_eq!(internal.connections(), 0);
    assert_eq!(upstream.count("*", "/latest/meta-data"), 0, "the proxy was asked for one of them");
    proxy.get(&blob(REPO, digest)).await.assert_body(&image.layer().bytes);
}

/// What an operator allows is that and no more, and from loopback to loopback is no step into another network.
#[tokio::test]
async fn t16_redirects_that_are_allowed() {
    let (upstream, storage) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let image = upstream.image(REPO, "latest", 1, &[1000]);
    upstream.on("GET", &image.layer().digest, Behaviour::presign(&storage));
    let path = blob(REPO, &image.layer().digest);
    let refusing = public_upstream(&upstream, &[("private_redirects", "[\"10.0.0.0/8\"]")]).await;
    refusing.get(&path).await.assert_status(502);
    Proxy::of(&upstream).await.get(&path).await.assert_body(&image.layer().bytes);
}

/// A registry on loopback is not one in the network behind us.
#[tokio::test]
async fn t16_another_kind_of_address_is_another_network() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[1000]);
    upstream.on("*", "/manifests/", Behaviour::redirect(302, "http://169.254.169.254/latest/meta-data"));
    let proxy = Proxy::of(&upstream).await;
    let answer = proxy.get(&manifest(REPO, &image.manifest.digest)).await;
    answer.assert_status(502);
    assert!(answer.text().contains("link-local"), "{}", answer.text());
}

/// Ranges cannot be verified, so where a redirect led only the blob's own length makes a 200 the blob.
#[tokio::test]
async fn t16_a_redirected_range_is_of_the_blob_or_nothing() {
    let upstream = FakeUpstream::start().await;
    let endless = upstream.boundless_blob(REPO, 9, 1 << 40);
    let elsewhere = FakeUpstream::start().await;
    elsewhere.on("*", "/latest/meta-data", Behaviour::answer(200, "application/octet-stream", SECRET));
    let mut setup = Setup::of(&upstream);
    setup.cache.text("disk", "64MiB");
    let proxy = setup.start().await;
    upstream.on(
        "GET",
        &endless,
        Behaviour::redirect(307, format!("{}/latest/meta-data", elsewhere.url())).if_ranged(true),
    );
    let range = format!("bytes={}-{}", 1u64 << 30, (1u64 << 30) + 79);
    let answer = proxy.client().get_range(&blob(REPO, &endless), &range).await;
    answer.assert_status(502);
    assert!(!answer.text().contains("internal server"), "{}", answer.text());
    let start = proxy.client().get_range(&blob(REPO, &endless), "bytes=0-79").await;
    assert!(!start.text().contains("internal server"));
}

/// Whoever may make rules can neither reach the inner network by them nor learn what is there.
#[tokio::test]
async fn t06_rules_are_no_port_scanner() {
    let (upstream, internal) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let mut setup = Setup::of(&upstream);
    setup.more = USERS.to_owned();
    let proxy = setup.start().await;
    let closed = format!("{}:9", internal.host().rsplit_once(':').unwrap().0);
    let port = internal.host().rsplit_once(':').unwrap().1.to_owned();
    let mut failures = Vec::new();
    for host in &[internal.host(), closed, format!("localhost:{port}"), "169.254.169.254".to_owned()] {
        let prefix = json!({ "ecrRepositoryPrefix": "scan" });
        let mut rule = prefix.clone();
        rule["upstreamRegistryUrl"] = json!(host);
        api(&proxy.client(), "root", "CreatePullThroughCacheRule", rule).await.assert_status(200);
        let validated = api(&proxy.client(), "root", "ValidatePullThroughCacheRule", prefix.clone()).await.json();
        assert_eq!(validated["isValid"], json!(false));
        let failure = validated["failure"].as_str().unwrap().to_owned();
        failures.push(failure.replace(host, "HOST"));
        api(&proxy.client(), "root", "DeletePullThroughCacheRule", prefix).await.assert_status(200);
    }
    assert!(failures.iter().all(|failure| *failure == failures[0]), "they differ: {failures:#?}");
    assert_eq!(internal.connections(), 0);
    until("the operator is told why", || proxy.log().contains("is not a public address")).await;
}

/// A blob's own redirect still works where everything is where it should be.
#[tokio::test]
async fn t16_storage_beside_the_registry() {
    let (upstream, storage) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let bytes = noise(5, 300_000);
    let digest = upstream.blob(REPO, bytes.clone());
    upstream.on("GET", &digest, Behaviour::presign(&storage));
    let proxy = Proxy::of(&upstream).await;
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    assert_eq!(storage.connections(), 1);
}
