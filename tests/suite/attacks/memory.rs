//! What an upstream makes the process remember: it decides how long its lists, its manifests and its errors are, and bytes are what
//! counts.

use std::fmt::Write;

use crate::bound::until_async;
use crate::proxy::{HUB, Proxy, Setup, manifest};
use crate::upstream::{Behaviour, FakeUpstream, OCI_INDEX, OCI_MANIFEST, sha256};

const MIB: u64 = 1 << 20;

/// With so many MiB for all that is remembered, and none for objects.
async fn remembering(upstream: &FakeUpstream, mib: u64) -> Proxy {
    let mut setup = Setup::of(upstream);
    setup.cache.text("memory", "0B").text("remembered", format!("{mib}MiB"));
    setup.start().await
}

/// A list of tags of some 1.6 MB.
fn tags(count: usize) -> String {
    let mut text = String::from(r#"{"name":"a","tags":["first""#);
    for n in 0..count {
        let _ = write!(text, r#","v1.{n:0>10}""#);
    }
    text + "]}"
}

/// An index of `count` manifests that are nowhere.
fn index(seed: usize, count: usize) -> String {
    let mut text = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":["#);
    for n in 0..count {
        let digest = format!("{seed:032x}{n:032x}");
        let separator = if n == 0 { "" } else { "," };
        let _ = write!(text, r#"{separator}{{"mediaType":"{OCI_MANIFEST}","digest":"sha256:{digest}","size":1}}"#);
    }
    text + "]}"
}

/// T15: 40 lists of referrers of 15 MB took 690 MiB where `cache.memory` was 64 MiB, and manifests with long media types 400.
#[tokio::test]
async fn t15_what_upstreams_said_is_weighed() {
    let upstream = FakeUpstream::start().await;
    let proxy = remembering(&upstream, 8).await;
    proxy.get("/v2/").await.assert_status(200);
    let (before, client) = (proxy.resident_bytes(), proxy.client());
    upstream.on("GET", "tags/list", Behaviour::answer(200, "application/json", tags(100_000)));
    for n in 0..12 {
        let page = client.get(&format!("/v2/{HUB}/team/tags{n}/tags/list?n=2")).await;
        assert_eq!(page.json()["tags"], serde_json::json!(["first", "v1.0000000000"]));
    }
    for n in 0..6 {
        let referrers = index(n, 12_000);
        upstream.on("GET", format!("team/lists{n}/referrers/"), Behaviour::answer(200, OCI_INDEX, referrers.clone()));
        let path = format!("/v2/{HUB}/team/lists{n}/referrers/{}", sha256(b"subject"));
        client.get(&path).await.assert_bytes(200, referrers.as_bytes());
    }
    for n in 0..20 {
        let digest = upstream.manifest("team/app", None, OCI_INDEX, index(100 + n, 1_000));
        client.get(&manifest("team/app", &digest)).await.assert_status(200);
    }
    until_async("memory is given back", async || proxy.resident_bytes() < before + 40 * MIB).await;
    let metrics = proxy.metrics().await;
    let limit = |map| metrics.with("entrepot_remembered_limit_bytes", &[("map", map)]);
    let held = |map| metrics.with("entrepot_remembered_bytes", &[("map", map)]);
    for map in ["lists", "links"] {
        assert!(held(map) > limit(map) / 3.0 && held(map) <= limit(map), "{map}: {} of {}", held(map), limit(map));
    }
    let beside = ["tokens", "helpers", "distrusted"].iter().map(|map| limit(map)).sum::<f64>();
    assert!((metrics.sum("entrepot_remembered_limit_bytes") - beside - 8.0 * MIB as f64).abs() < 1.0);
}
