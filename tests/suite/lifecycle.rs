//! Signals: the drain, and new configuration without a restart.

use rustix::process::Signal;

use crate::bound::{until, until_async};
use crate::proxy::{HUB, Proxy, Setup, blob, manifest};
use crate::upstream::{Behaviour, FakeUpstream, Gate, noise};

const REPO: &str = "team/app";
const LEN: usize = 1 << 20;

#[tokio::test]
async fn sigterm_lets_bodies_finish() {
    let upstream = FakeUpstream::start().await;
    let bytes = noise(1, LEN);
    let digest = upstream.blob(REPO, bytes.clone());
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(LEN as u64 / 2, &gate));
    let mut proxy = Proxy::of(&upstream).await;
    let mut exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    exchange.read(LEN / 4).await;
    proxy.signal(Signal::TERM);
    // Not ready any more, or gone already; a load balancer takes either as a no.
    until_async("it is not ready", async || match proxy.admin().try_open("GET", "/readyz", &[]).await {
        Ok(mut answer) => answer.head().await.status != 200,
        Err(_) => true,
    })
    .await;
    gate.open();
    exchange.rest().await.assert_body(&bytes);
    assert!(proxy.wait().await.success(), "{}", proxy.log());
    proxy.kept(&digest).await;
    assert!(proxy.staging().is_empty());
}

#[tokio::test]
async fn sigterm_ends_when_the_deadline_is_over() {
    let upstream = FakeUpstream::start().await;
    let bytes = noise(1, LEN);
    let digest = upstream.blob(REPO, bytes.clone());
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(LEN as u64 / 2, &gate).once());
    let mut setup = Setup::of(&upstream);
    setup.http.text("drain_timeout", "300ms");
    let mut proxy = setup.start().await;
    let mut exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    exchange.read(LEN / 4).await;
    gate.reached().await;
    assert!(proxy.terminate().await.success(), "{}", proxy.log());
    exchange.rest().await.assert_not_served();
    // What had come is gone on with.
    proxy.start().await;
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    assert!(upstream.asked("GET", &digest).last().unwrap().range_start() > Some(0), "{:?}", upstream.log());
}

#[tokio::test]
async fn sigterm_without_work_ends_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let upstream = FakeUpstream::start().await;
        let mut setup = Setup::of(&upstream);
        setup.http.text("drain_timeout", "1h");
        let mut proxy = setup.start().await;
        // An idle connection is not waited for.
        let idle = proxy.client().connect().await.unwrap();
        proxy.get("/v2/").await.assert_status(200);
        proxy.signal(signal);
        assert!(proxy.wait().await.success(), "{}", proxy.log());
        drop(idle);
    }
}

#[tokio::test]
async fn sighup_takes_new_settings() {
    let (one, two) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let image = one.image(REPO, "latest", 1, &[10]);
    let other = two.image(REPO, "latest", 2, &[10]);
    let mut setup = Setup::of(&one);
    setup.hub().text("tag_ttl", "1h");
    let mut proxy = setup.start().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    let added = format!("/v2/added/{REPO}/manifests/latest");
    proxy.get(&added).await.assert_status(404);

    proxy.setup.add("added", &two.url());
    proxy.setup.hub().text("tag_ttl", "0s").text("stale_while_revalidate", "0s");
    proxy.setup.cache.text("disk", "123MiB");
    proxy.reload().await;
    proxy.get(&added).await.assert_body(&other.manifest.bytes);
    let moved = one.image(REPO, "latest", 3, &[10]);
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&moved.manifest.bytes);
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.with("entrepot_cache_limit_bytes", &[("tier", "disk")]), f64::from(123 << 20));
    assert_eq!(metrics.with("entrepot_config_reloads_total", &[("result", "applied")]), 1.0);

    // What was pulled from an upstream that is taken out is a repository of the registry, and is served from what is kept.
    proxy.setup.upstreams.remove(1);
    two.clear_log();
    proxy.reload().await;
    proxy.get(&added).await.assert_body(&other.manifest.bytes);
    proxy.get("/v2/added/team/never-pulled/manifests/latest").await.assert_status(404);
    assert!(two.log().is_empty(), "it is not asked any more");
}

#[tokio::test]
async fn sighup_refuses_a_bad_file_whole() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[10]);
    let mut setup = Setup::of(&upstream);
    setup.hub().text("tag_ttl", "0s");
    let mut proxy = setup.start().await;
    let good = proxy.setup.clone();
    for more in ["[cache", "\n[chache]\nsize = 1\n", "\n[[upstream]]\nname = \"x\"\nurl = [\"ftp://x\"]\n"] {
        proxy.setup.cache.text("disk", "77MiB");
        proxy.setup.more = more.to_owned();
        proxy.reload().await;
        let metrics = proxy.metrics().await;
        assert_eq!(metrics.with("entrepot_config_reloads_total", &[("result", "applied")]), 0.0, "{more}");
        assert_ne!(metrics.with("entrepot_cache_limit_bytes", &[("tier", "disk")]), f64::from(77 << 20));
        proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    }
    proxy.setup = good;
    proxy.setup.cache.text("disk", "78MiB");
    proxy.reload().await;
    assert_eq!(
        proxy.metrics().await.with("entrepot_cache_limit_bytes", &[("tier", "disk")]),
        f64::from(78 << 20),
        "a good file is taken after bad ones"
    );
}

#[tokio::test]
async fn a_changed_file_is_read_without_a_signal() {
    let (one, two) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let image = two.image(REPO, "latest", 1, &[10]);
    let mut proxy = Proxy::of(&one).await;
    let added = format!("/v2/added/{REPO}/manifests/latest");
    proxy.setup.add("added", &two.url());
    proxy.write_config();
    until_async("the new upstream is there", async || proxy.get(&added).await.body == image.manifest.bytes).await;
}

#[tokio::test]
async fn a_reload_disturbs_nobody() {
    let upstream = FakeUpstream::start().await;
    let bytes = noise(1, LEN);
    let digest = upstream.blob(REPO, bytes.clone());
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(LEN as u64 / 2, &gate));
    let mut proxy = Proxy::of(&upstream).await;
    let mut exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    exchange.read(LEN / 4).await;
    proxy.setup.hub().text("tag_ttl", "5s").set("max_fetches", 3);
    proxy.reload().await;
    let joined = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    gate.open();
    exchange.rest().await.assert_body(&bytes);
    joined.rest().await.assert_body(&bytes);
    assert_eq!(upstream.count("GET", &digest), 1);
}

#[tokio::test]
async fn a_bad_file_is_refused_at_the_start() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.hub().text("tag_ttl", "soon").set("nonsense", 1);
    setup.cache.text("disk", "50 bananas");
    let mut proxy = setup.prepare();
    proxy.spawn();
    assert!(!proxy.wait().await.success());
    let log = proxy.log();
    for problem in ["tag_ttl", "nonsense", "disk"] {
        assert!(log.contains(problem), "every problem is told at once: {log}");
    }
    assert!(!proxy.data_path().exists(), "nothing was touched");
}

#[tokio::test]
async fn health_does_not_hang_on_an_upstream() {
    let upstream = FakeUpstream::start().await;
    upstream.on("*", "/v2/", Behaviour::hang());
    let proxy = Proxy::of(&upstream).await;
    let hanging = proxy.client().open("GET", &manifest(REPO, "latest"), &[]).await;
    until("upstream is asked", || upstream.count("*", "/v2/") > 0).await;
    for path in ["/livez", "/readyz", "/metrics"] {
        proxy.admin().get(path).await.assert_status(200);
    }
    proxy.admin().get("/absent").await.assert_status(404);
    drop(hanging);
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("entrepot_build_info"), 1.0);
    assert!(metrics.with("entrepot_upstream_available", &[("upstream", HUB)]) <= 1.0);
}
