//! What an upstream makes the process remember: it decides how long its lists, its manifests and its errors are, and bytes are what
//! counts.

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bound::until_async;
use crate::proxy::{HUB, Proxy, Setup, manifest};
use crate::upstream::{Behaviour, FakeUpstream, Gate, OCI_INDEX, OCI_MANIFEST, sha256};

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
    let beside =
        ["tokens", "helpers", "distrusted", "last_manifests", "last_facts"].iter().map(|map| limit(map)).sum::<f64>();
    assert!((metrics.sum("entrepot_remembered_limit_bytes") - beside - 8.0 * MIB as f64).abs() < 1.0);
}

/// 2-D8: what has begun to come is in memory, too. Ten lists under way held 2 GiB.
#[tokio::test]
async fn d8_documents_under_way_have_a_limit() {
    let gate = Gate::new();
    let mut setup = Setup::new();
    setup.cache.text("memory", "0B");
    let mut upstreams = Vec::new();
    for n in 0..4 {
        let upstream = FakeUpstream::start().await;
        let pad = "x".repeat(12 << 20);
        let list = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[],"pad":"{pad}"}}"#);
        upstream.on("GET", "referrers/", Behaviour::answer(200, OCI_INDEX, list).gate_at(11 << 20, &gate));
        setup
            .add(&format!("hub{n}.test"), &upstream.url())
            .text("header_timeout", "300s")
            .text("stall_timeout", "300s");
        upstreams.push(upstream);
    }
    let proxy = setup.start().await;
    let (before, client, ended) = (proxy.resident_bytes(), proxy.client(), AtomicUsize::new(0));
    let ask = async |n: usize| {
        let path = format!("/v2/hub{}.test/team/app{n}/referrers/{}", n % 4, sha256(b"subject"));
        let answer = client.get(&path).await;
        ended.fetch_add(1, Ordering::SeqCst);
        answer
    };
    // Of 12 two find room at the most: the first, and one beside it.
    let answers = futures_util::future::join_all((0..12).map(ask));
    let watch = async {
        until_async("who finds no room is told", async || ended.load(Ordering::SeqCst) >= 10).await;
        let metrics = proxy.metrics().await;
        let of = |name| metrics.with(name, &[("what", "documents")]);
        let (held, limit) = (of("entrepot_receiving_bytes"), of("entrepot_receiving_limit_bytes"));
        assert!(held > 0.0 && held <= limit, "{held} of {limit}");
        let grown = proxy.resident_bytes().saturating_sub(before);
        assert!(grown < 110 * MIB, "{} MiB", grown / MIB);
        gate.open();
    };
    let (answers, ()) = tokio::join!(answers, watch);
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(!served.is_empty() && refused.len() >= 10);
    for answer in refused {
        answer.assert_status(503);
        assert!(answer.header("retry-after").is_some());
    }
    // Nothing is left over, and the next one is served.
    ask(20).await.assert_status(200);
    assert_eq!(proxy.metrics().await.with("entrepot_receiving_bytes", &[("what", "documents")]), 0.0);
}

/// A tree of values takes eighty times the bytes of its text: 8 MB would be 600.
#[tokio::test]
async fn d8_documents_are_not_built() {
    let upstream = FakeUpstream::start().await;
    let proxy = remembering(&upstream, 64).await;
    let client = proxy.client();
    client.get("/v2/").await.assert_status(200);
    let before = proxy.most_resident_bytes();
    let many = |text: &str, bytes: usize| vec![text; bytes / (text.len() + 1)].join(",");
    let list =
        format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{}]}}"#, many(r#"{"a":0}"#, 6 << 20));
    upstream.on("GET", "referrers/", Behaviour::answer(200, OCI_INDEX, list.clone()));
    let path = format!("/v2/{HUB}/team/app/referrers/{}", sha256(b"subject"));
    client.get(&path).await.assert_bytes(200, list.as_bytes());
    client.get(&format!("{path}?artifactType=a/b")).await.assert_status(200);
    let tags = format!(r#"{{"tags":["a",[{}],"b"]}}"#, many("[]", 6 << 20));
    upstream.on("GET", "tags/list", Behaviour::answer(200, "application/json", tags));
    let answer = client.get(&format!("/v2/{HUB}/team/app/tags/list")).await;
    assert_eq!(answer.json()["tags"], serde_json::json!(["a", "b"]));
    let image = format!(r#"{{"schemaVersion":2,"layers":[],"annotations":{{"a":[{}]}}}}"#, many(r#"{"a":0}"#, 3 << 20));
    let digest = upstream.manifest("team/app", None, OCI_MANIFEST, image.clone());
    client.get(&manifest("team/app", &digest)).await.assert_bytes(200, image.as_bytes());
    let grown = proxy.most_resident_bytes() - before;
    assert!(grown < 160 * MIB, "{} MiB", grown / MIB);
}
