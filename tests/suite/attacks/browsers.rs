//! Answers that a browser is led to.

use serde_json::json;

use crate::client::Answer;
use crate::edge::{api, basic, guarded, push};
use crate::push::{an_image, path};
use crate::upstream::FakeUpstream;

/// What anybody has pushed must not run in the registry's origin.
#[track_caller]
fn assert_no_page(answer: &Answer) {
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{}", answer.status);
    assert_eq!(answer.header("content-security-policy"), Some("sandbox; default-src 'none'"), "{}", answer.status);
}

#[tokio::test]
async fn t25_nothing_that_is_served_is_a_page() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let image = an_image(1, &[100_000]).await;
    push(&proxy, "team/app", "latest", &image).await;
    let root = basic("root");
    let of = |path: &str| {
        let (client, path, root) = (proxy.client(), path.to_owned(), root.clone());
        async move { client.request("GET", &path, &[("Authorization", &root)]).await }
    };
    for (path, status) in [
        ("/v2/", 200),
        ("/v2/_catalog", 200),
        (&path("team/app", "tags/list"), 200),
        (&path("team/app", "manifests/latest"), 200),
        (&path("team/app", "manifests/absent"), 404),
        (&path("team/app", &format!("blobs/{}", image.layer().digest)), 200),
        ("/elsewhere", 404),
        ("/token", 200),
    ] {
        let answer = of(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert_no_page(&answer);
    }
    let ranged = [("Authorization", root.as_str()), ("Range", "bytes=0-9,20-29")];
    let blob = path("team/app", &format!("blobs/{}", image.layer().digest));
    assert_no_page(&proxy.client().request("GET", &blob, &ranged).await);
    assert_no_page(&proxy.get("/v2/").await);
    assert_no_page(&api(&proxy.client(), "root", "DescribeRegistry", json!({})).await);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    assert_no_page(&proxy.client().send("POST", "/", &form, b"Action=GetCallerIdentity&Version=2011-06-15").await);
    for path in ["/metrics", "/livez", "/readyz", "/jobs", "/usage", "/elsewhere"] {
        assert_no_page(&proxy.admin().get(path).await);
    }
}

/// A page that has its own name lead here is of "this" site by its origin: no client of a registry has one, whatever address is bound.
#[tokio::test]
async fn g17_pages_come_by_no_name_that_may_be_led_here() {
    let upstream = FakeUpstream::start().await;
    let mut setup = crate::proxy::Setup::of(&upstream);
    setup.http.texts("hosts", &["registry.example"]);
    let open = setup.start().await;
    let closed = guarded(&upstream).await;
    for (proxy, right) in [(&open, 200), (&closed, 401)] {
        let ask = async |host: &str, headers: &[(&str, &str)]| {
            proxy.client().as_host(host).request("GET", "/v2/", headers).await.status
        };
        assert_eq!(ask("evil.example:5000", &[("Origin", "http://evil.example:5000")]).await, 403);
        assert_eq!(ask("evil.example:5000", &[("Origin", "http://other.example")]).await, 403);
        assert_eq!(ask("localhost:5000", &[("Origin", "http://localhost:5000")]).await, right);
    }
    let known = [("Origin", "https://registry.example")];
    assert_eq!(open.client().as_host("registry.example").request("GET", "/v2/", &known).await.status, 200);
    let port = [("Origin", "http://registry.example:8080")];
    assert_eq!(open.client().as_host("registry.example").request("GET", "/v2/", &port).await.status, 403);
    // What a page of another site shows is not fetched for it.
    for (site, status) in [("cross-site", 403), ("same-site", 403), ("none", 200), ("same-origin", 200)] {
        let headers = [("Sec-Fetch-Site", site)];
        assert_eq!(open.client().request("GET", "/v2/", &headers).await.status, status, "{site}");
    }
}

/// Somebody who opens the registry in a browser reads what it is; nothing in it is what they sent.
#[tokio::test]
async fn d4_a_browser_at_the_first_page() {
    let upstream = FakeUpstream::start().await;
    let browser = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let (guarded, open) = (guarded(&upstream).await, crate::proxy::Proxy::of(&upstream).await);
    for (proxy, logs_in) in [(&guarded, true), (&open, false)] {
        let page = proxy.client().request("GET", "/?script", &browser).await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/plain; charset=utf-8")));
        assert_no_page(&page);
        let (text, host) = (page.text(), proxy.url().strip_prefix("http://").unwrap().to_owned());
        assert!(text.contains(&format!("docker pull {host}/NAME:TAG")) && !text.contains("script"), "{text}");
        assert_eq!(text.contains(&format!("docker login {host}")), logs_in, "{text}");
        // Whatever else comes there is no browser.
        proxy.get("/").await.assert_error(404, "UNSUPPORTED");
    }
    let hostile = guarded.client().as_host("a\"<b>x");
    assert!(!hostile.request("GET", "/", &browser).await.text().contains("<b>"));
    guarded.client().request("GET", "/v2/", &browser).await.assert_error(401, "UNAUTHORIZED");
}
