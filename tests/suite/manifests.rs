//! Manifests and tags: exact bytes, freshness, negotiation.

use serde_json::json;

use crate::bound::until;
use crate::proxy::{HUB, Proxy, Setup, blob, manifest};
use crate::upstream::{
    Behaviour, DOCKER_LIST, DOCKER_MANIFEST, DOCKER_SCHEMA1, FakeUpstream, Gate, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST,
    noise,
};

const REPO: &str = "team/app";
const ORAS_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";

#[tokio::test]
async fn c13_no_digest_header() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[10]);
    upstream.on("*", "/v2/", Behaviour::usual().without("docker-content-digest").without("etag"));
    let proxy = Setup::of(&upstream).fresh_tags().start().await;
    for _ in 0..2 {
        for reference in ["latest", &image.manifest.digest] {
            let head = proxy.head(&manifest(REPO, reference)).await;
            head.assert_status(200);
            assert_eq!(head.header("docker-content-digest"), Some(image.manifest.digest.as_str()));
            let answer = proxy.get(&manifest(REPO, reference)).await;
            answer.assert_body(&image.manifest.bytes);
            assert_eq!(answer.header("docker-content-digest"), Some(image.manifest.digest.as_str()));
        }
    }
    proxy.get(&blob(REPO, &image.layer().digest)).await.assert_body(&image.layer().bytes);
}

#[tokio::test]
async fn c13_a_wrong_digest_header() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[10]);
    let other = upstream.image(REPO, "other", 2, &[10]);
    let proxy = Setup::of(&upstream).fresh_tags().start().await;
    upstream.on("GET", "/manifests/", Behaviour::usual().header("docker-content-digest", &other.manifest.digest));
    proxy.get(&manifest(REPO, "latest")).await.assert_status(502);
    upstream.forget_all();
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
}

#[tokio::test]
async fn c13_wrong_bytes_for_a_digest() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[10]);
    let proxy = Setup::of(&upstream).fresh_tags().start().await;
    upstream.on("GET", "/manifests/", Behaviour::usual().flip(20));
    proxy.get(&manifest(REPO, &image.manifest.digest)).await.assert_status(502);
    upstream.forget_all();
    proxy.get(&manifest(REPO, &image.manifest.digest)).await.assert_body(&image.manifest.bytes);
}

#[tokio::test]
async fn c31_the_tag_moves_between_head_and_get() {
    let upstream = FakeUpstream::start().await;
    let old = upstream.image(REPO, "latest", 1, &[10]);
    let proxy = Setup::of(&upstream).fresh_tags().start().await;
    let head = proxy.head(&manifest(REPO, "latest")).await;
    assert_eq!(head.header("docker-content-digest"), Some(old.manifest.digest.as_str()));
    let new = upstream.image(REPO, "latest", 2, &[10]);
    proxy.get(&manifest(REPO, &old.manifest.digest)).await.assert_body(&old.manifest.bytes);
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&new.manifest.bytes);
    proxy.get(&manifest(REPO, &old.manifest.digest)).await.assert_body(&old.manifest.bytes);
    let head = proxy.head(&manifest(REPO, "latest")).await;
    assert_eq!(head.header("docker-content-digest"), Some(new.manifest.digest.as_str()));
}

#[tokio::test]
async fn c31_head_and_get_agree_within_the_ttl() {
    let upstream = FakeUpstream::start().await;
    let old = upstream.image(REPO, "latest", 1, &[10]);
    let mut setup = Setup::of(&upstream);
    setup.hub().text("tag_ttl", "1h");
    let proxy = setup.start().await;
    let head = proxy.head(&manifest(REPO, "latest")).await;
    assert_eq!(head.header("docker-content-digest"), Some(old.manifest.digest.as_str()));
    upstream.image(REPO, "latest", 2, &[10]);
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&old.manifest.bytes);
}

#[tokio::test]
async fn c32_a_child_of_a_kept_index_is_fetched() {
    let upstream = FakeUpstream::start().await;
    let children = [upstream.untagged_image(REPO, 1, &[10]), upstream.untagged_image(REPO, 2, &[10])];
    let index = upstream.index(REPO, "latest", OCI_INDEX, &[&children[0], &children[1]]);
    let mut proxy = Proxy::of(&upstream).await;
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&index.bytes);
    proxy.get(&manifest(REPO, &children[0].manifest.digest)).await.assert_body(&children[0].manifest.bytes);
    proxy.restart().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&index.bytes);
    proxy.get(&manifest(REPO, &children[1].manifest.digest)).await.assert_body(&children[1].manifest.bytes);
    assert_eq!(upstream.count("GET", &children[0].manifest.digest), 1);
}

#[tokio::test]
async fn c33_index_bytes_are_never_changed() {
    for media_type in [OCI_INDEX, DOCKER_LIST] {
        let upstream = FakeUpstream::start().await;
        let child = upstream.docker_image(REPO, "amd64", 1, &[10]);
        let index = upstream.index(REPO, "latest", media_type, &[&child]);
        let mut proxy = Proxy::of(&upstream).await;
        for _ in 0..2 {
            for reference in ["latest", &index.digest] {
                let answer = proxy.get(&manifest(REPO, reference)).await;
                answer.assert_body(&index.bytes);
                assert_eq!(answer.header("content-type"), Some(media_type));
                assert_eq!(answer.header("docker-content-digest"), Some(index.digest.as_str()));
            }
            let answer = proxy.get(&manifest(REPO, &child.manifest.digest)).await;
            answer.assert_body(&child.manifest.bytes);
            assert_eq!(answer.header("content-type"), Some(DOCKER_MANIFEST));
            proxy.restart().await;
        }
    }
}

#[tokio::test]
async fn c34_any_artifact_passes() {
    let upstream = FakeUpstream::start().await;
    let config = upstream.blob(REPO, r#"{"name":"chart","version":"1.0.0"}"#);
    let descriptor = |media_type: &str| json!({ "mediaType": media_type, "digest": config, "size": 34 });
    let helm = json!({
        "schemaVersion": 2, "config": descriptor("application/vnd.cncf.helm.config.v1+json"), "layers": [],
    });
    let oras = json!({ "mediaType": ORAS_ARTIFACT, "artifactType": "a/b", "blobs": [descriptor("a/b")] });
    let strange = json!({ "mediaType": "application/vnd.acme.thing.v7+json", "anything": ["at", "all"] });
    let mut proxy = Proxy::of(&upstream).await;
    for (tag, media_type, document) in [
        ("helm", OCI_MANIFEST, helm),
        ("oras", ORAS_ARTIFACT, oras),
        ("strange", "application/vnd.acme.thing.v7+json", strange),
    ] {
        let bytes = document.to_string();
        let digest = upstream.manifest(REPO, Some(tag), media_type, bytes.clone());
        for reference in [&digest, tag] {
            let answer = proxy.client().request("GET", &manifest(REPO, reference), &[("Accept", media_type)]).await;
            answer.assert_body(bytes.as_bytes());
            assert_eq!(answer.header("content-type"), Some(media_type));
        }
        proxy.restart().await;
        let answer = proxy.get(&manifest(REPO, &digest)).await;
        answer.assert_body(bytes.as_bytes());
        assert_eq!(answer.header("content-type"), Some(media_type));
    }
}

#[tokio::test]
async fn c35_what_a_client_accepts_is_part_of_the_key() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.docker_image(REPO, "amd64", 1, &[10]);
    let list = upstream.index(REPO, "latest", DOCKER_LIST, &[&image]);
    let oci = upstream.index(REPO, "latest", OCI_INDEX, &[&image]);
    let old = r#"{"schemaVersion":1,"name":"team/app","tag":"latest","fsLayers":[],"history":[]}"#;
    let schema1 = upstream.manifest(REPO, None, DOCKER_SCHEMA1, old);
    upstream.negotiate(REPO, "latest", &[&oci.digest, &list.digest, &image.manifest.digest, &schema1]);
    let proxy = Proxy::of(&upstream).await;
    let path = manifest(REPO, "latest");
    let all = format!("{OCI_INDEX}, {DOCKER_LIST}, {OCI_MANIFEST}, {DOCKER_MANIFEST}");
    for _ in 0..2 {
        for (accept, expected, media_type) in [
            (DOCKER_MANIFEST, &image.manifest.bytes[..], DOCKER_MANIFEST),
            (DOCKER_SCHEMA1, old.as_bytes(), DOCKER_SCHEMA1),
            (DOCKER_LIST, &list.bytes[..], DOCKER_LIST),
            (all.as_str(), &oci.bytes[..], OCI_INDEX),
        ] {
            let answer = proxy.client().request("GET", &path, &[("Accept", accept)]).await;
            answer.assert_body(expected);
            assert_eq!(answer.header("content-type"), Some(media_type));
            let head = proxy.client().request("HEAD", &path, &[("Accept", accept)]).await;
            assert_eq!(head.header("content-type"), Some(media_type));
        }
    }
    // Several Accept headers are one.
    let several: Vec<_> = all.split(", ").map(|one| ("Accept", one)).collect();
    proxy.client().request("GET", &path, &several).await.assert_body(&oci.bytes);
    assert!(upstream.count("GET", "/manifests/latest") <= 4);
}

#[tokio::test]
async fn c36_head_and_get_do_not_poison_each_other() {
    for head_first in [true, false] {
        let upstream = FakeUpstream::start().await;
        let image = upstream.image(REPO, "latest", 1, &[300_000]);
        let proxy = Proxy::of(&upstream).await;
        for (path, bytes) in [
            (manifest(REPO, "latest"), &image.manifest.bytes),
            (manifest(REPO, &image.manifest.digest), &image.manifest.bytes),
            (blob(REPO, &image.layer().digest), &image.layer().bytes),
            (blob(REPO, &image.config.digest), &image.config.bytes),
        ] {
            for turn in 0..4 {
                if (turn % 2 == 0) == head_first {
                    let head = proxy.head(&path).await;
                    head.assert_status(200);
                    assert_eq!(head.header("content-length"), Some(bytes.len().to_string().as_str()), "{path}");
                } else {
                    proxy.get(&path).await.assert_body(bytes);
                }
            }
        }
    }
}

#[tokio::test]
async fn c36_head_has_the_headers_of_get() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[300_000]);
    let proxy = Proxy::of(&upstream).await;
    for path in [
        manifest(REPO, "latest"),
        manifest(REPO, &image.manifest.digest),
        blob(REPO, &image.layer().digest),
        blob(REPO, &image.config.digest),
    ] {
        proxy.get(&path).await.assert_status(200);
        let comparable = |headers: &[(String, String)]| {
            let mut kept: Vec<_> =
                headers.iter().filter(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id")).cloned().collect();
            kept.sort();
            kept
        };
        let (get, head) = (proxy.get(&path).await, proxy.head(&path).await);
        assert_eq!(comparable(&get.headers), comparable(&head.headers), "{path}");
    }
}

#[tokio::test]
async fn c37_head_of_a_cold_blob_asks_upstream() {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.blob(REPO, noise(1, 5000));
    let proxy = Proxy::of(&upstream).await;
    let head = proxy.head(&blob(REPO, &digest)).await;
    head.assert_status(200);
    assert_eq!(head.header("content-length"), Some("5000"));
    assert_eq!(head.header("docker-content-digest"), Some(digest.as_str()));
    assert_eq!(upstream.count("HEAD", &digest), 1);
    assert_eq!(upstream.count("GET", &digest), 0, "a HEAD downloads nothing");
    let absent = crate::upstream::sha256(b"absent");
    proxy.head(&blob(REPO, &absent)).await.assert_status(404);
    proxy.get(&blob(REPO, &absent)).await.assert_error(404, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn c38_a_proxy_of_a_proxy() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[300_000]);
    let inner = Setup::of(&upstream).fresh_tags().start().await;
    let mut setup = Setup::new();
    setup.add("outer", &inner.url());
    let outer = setup.start().await;
    let path = |kind: &str, reference: &str| format!("/v2/outer/{HUB}/{REPO}/{kind}/{reference}");
    for _ in 0..2 {
        let answer = outer.get(&path("manifests", "latest")).await;
        answer.assert_body(&image.manifest.bytes);
        assert_eq!(answer.header("content-type"), Some(OCI_MANIFEST));
        outer.get(&path("blobs", &image.layer().digest)).await.assert_body(&image.layer().bytes);
    }
    let tags = outer.get(&format!("/v2/outer/{HUB}/{REPO}/tags/list")).await;
    assert_eq!(tags.json()["tags"], json!(["latest"]));
    let absent = crate::upstream::sha256(b"absent");
    outer.get(&path("blobs", &absent)).await.assert_error(404, "BLOB_UNKNOWN");
    outer.get(&path("manifests", "absent")).await.assert_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(upstream.count("GET", &image.layer().digest), 1);
}

#[tokio::test]
async fn c38_a_broken_fill_does_not_come_through_two_proxies() {
    let upstream = FakeUpstream::start().await;
    let bytes = noise(1, 300_000);
    let digest = upstream.blob(REPO, bytes.clone());
    let inner = Setup::of(&upstream).fresh_tags().start().await;
    let mut setup = Setup::new();
    setup.add("outer", &inner.url()).text("negative_ttl", "0s");
    setup.cache.set("fill_attempts", 2);
    let outer = setup.start().await;
    let path = format!("/v2/outer/{HUB}/{REPO}/blobs/{digest}");
    upstream.on("GET", &digest, Behaviour::usual().flip(299_999));
    outer.get(&path).await.assert_not_served();
    upstream.forget_all();
    outer.get(&path).await.assert_body(&bytes);
}

#[tokio::test]
async fn c39_the_upstream_deletes_a_tag() {
    for (policy, status) in [("tell", 404), ("keep", 200)] {
        let upstream = FakeUpstream::start().await;
        let image = upstream.image(REPO, "latest", 1, &[10]);
        let mut setup = Setup::of(&upstream).fresh_tags();
        setup.hub().text("on_not_found", policy);
        let proxy = setup.start().await;
        proxy.get(&manifest(REPO, "latest")).await.assert_status(200);
        upstream.untag(REPO, "latest");
        for method in ["GET", "HEAD"] {
            let answer = proxy.client().request(method, &manifest(REPO, "latest"), &[]).await;
            answer.assert_status(status);
            assert_eq!(answer.header("warning").is_some(), policy == "keep");
        }
        if policy == "tell" {
            proxy.get(&manifest(REPO, "latest")).await.assert_error(404, "MANIFEST_UNKNOWN");
            // Another tag of the same image brings it back, and so does this one.
            upstream.tag(REPO, "latest", &image.manifest.digest);
            proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
        }
    }
}

#[tokio::test]
async fn c41_a_thousand_pulls_within_the_ttl() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[10]);
    let mut setup = Setup::of(&upstream);
    setup.hub().text("tag_ttl", "1h");
    let proxy = setup.start().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    assert_eq!(upstream.count("GET", "/manifests/"), 1);
    let first = upstream.log().len();
    for _ in 0..500 {
        proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
        proxy.head(&manifest(REPO, "latest")).await.assert_status(200);
    }
    assert_eq!(upstream.log().len(), first);
}

#[tokio::test]
async fn c41_past_the_ttl_one_head() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[10]);
    let proxy = Setup::of(&upstream).fresh_tags().start().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    upstream.clear_log();
    for count in 1..=5 {
        proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
        assert_eq!((upstream.count("HEAD", "/manifests/"), upstream.count("GET", "/manifests/")), (count, 0));
    }
}

#[tokio::test]
async fn c41_the_old_answer_goes_out_while_upstream_is_asked() {
    let upstream = FakeUpstream::start().await;
    let old = upstream.image(REPO, "latest", 1, &[10]);
    let mut setup = Setup::of(&upstream);
    setup.hub().text("tag_ttl", "0s").text("stale_while_revalidate", "1h");
    let proxy = setup.start().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&old.manifest.bytes);
    let new = upstream.image(REPO, "latest", 2, &[10]);
    let gate = Gate::new();
    upstream.on("HEAD", "/manifests/latest", Behaviour::usual().gate_head(&gate));
    let answer = proxy.get(&manifest(REPO, "latest")).await;
    answer.assert_body(&old.manifest.bytes);
    gate.reached().await;
    gate.open();
    crate::bound::until_async("the new image is seen", async || {
        proxy.get(&manifest(REPO, "latest")).await.body == new.manifest.bytes
    })
    .await;
}

#[tokio::test]
async fn c42_pulling_by_digest_is_use() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.cache.text("disk", "4MiB");
    let proxy = setup.start().await;
    let bytes = noise(1, 400_000);
    let used = upstream.blob(REPO, bytes.clone());
    for seed in 0..30 {
        proxy.get(&blob(REPO, &used)).await.assert_body(&bytes);
        let other = upstream.blob(REPO, noise(100 + seed, 400_000));
        proxy.get(&blob(REPO, &other)).await.assert_status(200);
        proxy.kept(&other).await;
    }
    assert_eq!(upstream.count("GET", &used), 1);
    assert!(proxy.metrics().await.with("entrepot_cache_evictions_total", &[("tier", "disk")]) > 0.0);
}

#[tokio::test]
async fn c43_tag_lists_are_paged() {
    for absolute in [false, true] {
        let upstream = FakeUpstream::start().await;
        let image = upstream.image(REPO, "v00", 1, &[10]);
        let names: Vec<_> = (0..25).map(|at| format!("v{at:02}")).collect();
        for name in &names {
            upstream.tag(REPO, name, &image.manifest.digest);
        }
        upstream.page_size(10, absolute);
        let proxy = Proxy::of(&upstream).await;
        let list = format!("/v2/{HUB}/{REPO}/tags/list");
        let all = proxy.get(&list).await;
        all.assert_status(200);
        assert_eq!(all.json()["name"], format!("{HUB}/{REPO}"));
        assert_eq!(all.json()["tags"], json!(names), "every page of upstream's");
        assert_eq!(all.header("link"), None);
        // Page by page, as the Link header leads.
        let mut seen = Vec::new();
        let mut next = format!("{list}?n=7");
        loop {
            let page = proxy.get(&next).await;
            page.assert_status(200);
            let tags: Vec<String> = serde_json::from_value(page.json()["tags"].clone()).unwrap();
            assert!(tags.len() <= 7);
            seen.extend(tags);
            let Some(link) = page.header("link") else { break };
            assert!(link.ends_with("rel=\"next\""), "{link}");
            let target = link[1..link.find('>').unwrap()].to_owned();
            next = target.strip_prefix(&proxy.url()).unwrap_or(&target).to_owned();
        }
        assert_eq!(seen, names);
        let last = proxy.get(&format!("{list}?n=3&last=v10")).await;
        assert_eq!(last.json()["tags"], json!(["v11", "v12", "v13"]));
        let none = proxy.get(&format!("{list}?n=0")).await;
        assert_eq!(none.json()["tags"], json!([]));
        assert_eq!(none.header("link"), None);
        let end = proxy.get(&format!("{list}?n=10&last=v20")).await;
        assert_eq!(end.json()["tags"], json!(["v21", "v22", "v23", "v24"]));
        assert_eq!(end.header("link"), None);
        proxy.get(&format!("/v2/{HUB}/absent/tags/list")).await.assert_error(404, "NAME_UNKNOWN");
    }
}

#[tokio::test]
async fn c44_manifests_have_a_size_limit() {
    let upstream = FakeUpstream::start().await;
    let document = |len: usize| {
        let text = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": { "pad": "" } });
        let text = text.to_string();
        text.replacen("\"pad\":\"\"", &format!("\"pad\":\"{}\"", "x".repeat(len - text.len())), 1)
    };
    let (fits, over) = (document(4 << 20), document((4 << 20) + 1));
    assert_eq!((fits.len(), over.len()), (4 << 20, (4 << 20) + 1));
    upstream.manifest(REPO, Some("fits"), OCI_INDEX, fits.clone());
    let digest = upstream.manifest(REPO, Some("over"), OCI_INDEX, over);
    let proxy = Proxy::of(&upstream).await;
    proxy.get(&manifest(REPO, "fits")).await.assert_body(fits.as_bytes());
    for chunked in [false, true] {
        if chunked {
            upstream.on("*", "/manifests/", Behaviour::usual().chunked());
        }
        for reference in ["over", &digest] {
            proxy.get(&manifest(REPO, reference)).await.assert_status(502);
        }
    }
    assert!(!proxy.is_kept(&digest));
}

#[tokio::test]
async fn c45_other_digest_algorithms() {
    let upstream = FakeUpstream::start().await;
    let bytes = noise(1, 300_000);
    let digest = upstream.blob_sha512(REPO, bytes.clone());
    let wrong = upstream.blob_sha512(REPO, noise(2, 300_000));
    upstream.on("GET", &wrong, Behaviour::usual().flip(7));
    let proxy = Proxy::of(&upstream).await;
    for _ in 0..2 {
        let answer = proxy.get(&blob(REPO, &digest)).await;
        answer.assert_body(&bytes);
        assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
    }
    assert_eq!(upstream.count("GET", &digest), 1);
    proxy.get(&blob(REPO, &wrong)).await.assert_not_served();
    let before = upstream.log().len();
    for unknown in ["md5:d41d8cd98f00b204e9800998ecf8427e", "blake3:00", "sha256:zz", "sha256:"] {
        for path in [blob(REPO, unknown), manifest(REPO, unknown)] {
            let answer = proxy.get(&path).await;
            assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
            assert!(answer.json()["errors"][0]["code"].is_string());
        }
    }
    proxy.get(&blob(REPO, "md5:d41d8cd98f00b204e9800998ecf8427e")).await.assert_error(400, "DIGEST_INVALID");
    assert_eq!(upstream.log().len(), before, "upstream is not asked for what nothing can verify");
}

#[tokio::test]
async fn c45_a_sha512_manifest() {
    let upstream = FakeUpstream::start().await;
    let bytes = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [], "config":
        { "mediaType": OCI_CONFIG, "digest": upstream.blob(REPO, "{}"), "size": 2 } })
    .to_string();
    let digest = crate::upstream::sha512(bytes.as_bytes());
    let tag = upstream.manifest(REPO, None, OCI_MANIFEST, bytes.clone());
    upstream.tag(REPO, &digest, &tag);
    upstream.on("*", &digest, Behaviour::usual().header("docker-content-digest", &digest));
    let proxy = Proxy::of(&upstream).await;
    for _ in 0..2 {
        let answer = proxy.get(&manifest(REPO, &digest)).await;
        answer.assert_body(bytes.as_bytes());
        assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
    }
}

#[tokio::test]
async fn c01_many_askers_of_a_tag_one_question() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[10]);
    let gate = Gate::new();
    upstream.on("*", "/manifests/", Behaviour::usual().gate_head(&gate));
    let proxy = Setup::of(&upstream).fresh_tags().start().await;
    for round in ["cold", "past its time"] {
        upstream.clear_log();
        gate.close();
        let mut clients = Vec::new();
        for _ in 0..30 {
            clients.push(proxy.client().open("GET", &manifest(REPO, "latest"), &[]).await);
        }
        crate::bound::until_async("everyone waits", async || {
            proxy.metrics().await.sum("entrepot_http_requests_in_flight") >= 30.0
        })
        .await;
        until("upstream is asked", || !upstream.log().is_empty()).await;
        gate.open();
        for client in clients {
            client.rest().await.assert_body(&image.manifest.bytes);
        }
        assert_eq!(upstream.count("*", "/manifests/"), 1, "{round}");
    }
}

#[tokio::test]
async fn an_upstream_without_head() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[300_000]);
    upstream.on("HEAD", "/v2/", Behaviour::status(405));
    let proxy = Setup::of(&upstream).fresh_tags().start().await;
    for _ in 0..2 {
        let answer = proxy.get(&manifest(REPO, "latest")).await;
        answer.assert_body(&image.manifest.bytes);
        assert_eq!(answer.header("warning"), None);
        proxy.head(&manifest(REPO, "latest")).await.assert_status(200);
    }
    proxy.get(&blob(REPO, &image.layer().digest)).await.assert_body(&image.layer().bytes);
    let new = upstream.image(REPO, "latest", 2, &[10]);
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&new.manifest.bytes);
}

#[tokio::test]
async fn content_types_that_are_not_quite_right() {
    for (sent, expected) in [
        ("application/vnd.oci.image.manifest.v1+json; charset=utf-8", OCI_MANIFEST),
        // Plain file servers; the document says what it is.
        ("application/json", OCI_MANIFEST),
        ("application/octet-stream", OCI_MANIFEST),
    ] {
        let upstream = FakeUpstream::start().await;
        let image = upstream.image(REPO, "latest", 1, &[10]);
        upstream.on("*", "/manifests/", Behaviour::usual().header("content-type", sent));
        let proxy = Setup::of(&upstream).fresh_tags().start().await;
        for _ in 0..2 {
            for reference in ["latest", &image.manifest.digest] {
                let answer = proxy.get(&manifest(REPO, reference)).await;
                answer.assert_body(&image.manifest.bytes);
                assert_eq!(answer.header("content-type"), Some(expected), "{sent}");
                let head = proxy.head(&manifest(REPO, reference)).await;
                assert_eq!(head.header("content-type"), Some(expected), "{sent}");
            }
        }
    }
}

#[tokio::test]
async fn c14_an_encoded_manifest() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[10]);
    let proxy = Setup::of(&upstream).fresh_tags().start().await;
    let id = upstream.on("GET", "/manifests/", Behaviour::usual().gzip_if_accepted());
    let gzip = [("Accept-Encoding", "gzip")];
    proxy.client().request("GET", &manifest(REPO, "latest"), &gzip).await.assert_body(&image.manifest.bytes);
    upstream.forget(id);
    let other = upstream.image(REPO, "other", 2, &[10]);
    upstream.on("GET", "/manifests/", Behaviour::usual().gzip_always());
    let answer = proxy.client().request("GET", &manifest(REPO, "other"), &gzip).await;
    assert!(answer.status == 502 || answer.body == other.manifest.bytes, "{}", answer.status);
}
