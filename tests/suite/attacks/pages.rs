//! Web pages that a developer has open, against listeners that only this machine reaches.

use crate::proxy::{Proxy, Setup, manifest};
use crate::push::path;
use crate::upstream::FakeUpstream;

const REPO: &str = "team/app";

async fn open(upstream: &FakeUpstream, hosts: &[&str]) -> Proxy {
    let mut setup = Setup::of(upstream);
    setup.http.texts("hosts", hosts);
    setup.start().await
}

/// A page's request tells its site, which is another one.
#[tokio::test]
async fn t30_requests_of_other_sites_pages_are_refused() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[100]);
    let proxy = open(&upstream, &[]).await;
    let (client, begin) = (proxy.client(), path(REPO, "blobs/uploads/"));
    let own = proxy.url();
    for origin in ["http://evil.example", "null", "https://evil.example", "http://localhost:1", ""] {
        for (method, to) in [("POST", &begin), ("GET", &manifest(REPO, "latest")), ("OPTIONS", &begin)] {
            client.request(method, to, &[("Origin", origin)]).await.assert_error(403, "DENIED");
        }
    }
    // Two are as wrong as the worse of them.
    let two = [("Origin", own.as_str()), ("Origin", "http://evil.example")];
    client.request("POST", &begin, &two).await.assert_error(403, "DENIED");
    assert!(upstream.log().is_empty());
    // A page of its own, and programs, which tell none.
    client.send("POST", &begin, &[("Origin", &own)], b"").await.assert_status(202);
    client.send("POST", &begin, &[], b"").await.assert_status(202);
    client.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
}

/// A page whose name leads to this machine tells its own site, by a name that is not ours.
#[tokio::test]
async fn t30_names_that_were_led_here_are_refused() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[100]);
    let proxy = open(&upstream, &["registry.example.org"]).await;
    let begin = path(REPO, "blobs/uploads/");
    for host in ["evil.example:5000", "localhost.evil.example", "127.0.0.1.nip.io:5000"] {
        let client = proxy.client().as_host(host);
        let origin = format!("http://{host}");
        client.send("POST", &begin, &[("Origin", &origin)], b"").await.assert_error(403, "DENIED");
        client.send("POST", &begin, &[], b"").await.assert_error(403, "DENIED");
        let refused = client.get(&manifest(REPO, "latest")).await;
        refused.assert_error(403, "DENIED");
        assert!(refused.text().contains("http.hosts"), "{}", refused.text());
    }
    for host in ["localhost:5000", "[::1]:5000", "machine", "registry.example.org", crate::proxy::HUB] {
        let client = proxy.client().as_host(host);
        // Under an upstream's host there are its names only, and nothing is pushed to them.
        let is_upstreams = host == crate::proxy::HUB;
        let expected = if is_upstreams { 405 } else { 202 };
        client.send("POST", &begin, &[], b"").await.assert_status(expected);
        let to = if is_upstreams { path(REPO, "manifests/latest") } else { manifest(REPO, "latest") };
        client.get(&to).await.assert_body(&image.manifest.bytes);
    }
}

/// Nor does a page start jobs, or find out by what the operators' listener tells.
#[tokio::test]
async fn t30_pages_start_no_jobs() {
    let upstream = FakeUpstream::start().await;
    let proxy = open(&upstream, &[]).await;
    let admin = proxy.admin();
    for (client, origin) in [
        (admin.clone(), Some("http://evil.example")),
        (admin.clone(), Some("null")),
        (admin.as_host("evil.example:5001"), Some("http://evil.example:5001")),
        (admin.as_host("evil.example:5001"), None),
    ] {
        let headers: Vec<_> = origin.map(|origin| ("Origin", origin)).into_iter().collect();
        client.send("POST", "/jobs/gc", &headers, b"").await.assert_status(403);
    }
    // Nor does it read: who pulls what stands there.
    for path in ["/metrics", "/jobs", "/jobs/gc", "/usage?by=principal"] {
        admin.request("GET", path, &[("Origin", "http://evil.example")]).await.assert_status(403);
        admin.as_host("evil.example:5001").request("GET", path, &[]).await.assert_status(403);
    }
    for path in ["/livez", "/readyz", "/startupz"] {
        admin.as_host("node.example:5001").request("GET", path, &[]).await.assert_status(200);
    }
    let own = format!("http://{}", admin.host());
    let started = admin.send("POST", "/jobs/gc", &[("Origin", &own)], b"").await.status;
    assert!(matches!(started, 200 | 202 | 409), "{started}");
    let started = admin.send("POST", "/jobs/gc", &[], b"").await.status;
    assert!(matches!(started, 200 | 202 | 409), "{started}");
}
