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
