//! A shared cache between clients and the registry, that does what RFC 9111 lets it do and no less.

use serde_json::json;

use super::impatient;
use crate::client::Answer;
use crate::edge::basic;
use crate::proxy::{HUB, Setup, blob, manifest};
use crate::push::{an_image, push_image};
use crate::upstream::FakeUpstream;

const REPO: &str = "team/app";

/// A cache that keeps what nobody forbids it to keep, for as long as it likes: as nginx and CDNs can be told to do.
#[derive(Debug, PartialEq, Eq)]
enum Kept {
    Never,
    /// It asks again before each use.
    AskingFirst,
    AsItLikes,
}

fn kept(answer: &Answer) -> Kept {
    let told = answer.header("cache-control").unwrap_or_default();
    let says = |word: &str| told.split(',').any(|one| one.trim() == word);
    match () {
        () if says("no-store") => Kept::Never,
        () if says("no-cache") => Kept::AskingFirst,
        () => Kept::AsItLikes,
    }
}

fn varies(answer: &Answer) -> Vec<String> {
    let told = answer.header("vary").unwrap_or_default();
    told.split(',').map(|name| name.trim().to_ascii_lowercase()).collect()
}

/// A stranger behind the cache gets nothing that was answered to somebody who has logged in.
#[tokio::test]
async fn d23_what_needs_a_login_is_kept_by_no_cache() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[1000]);
    let proxy = impatient(&upstream).await;
    let token = format!("/token?service={}&scope=repository:{HUB}/{REPO}:pull", proxy.client().host());
    let paths = [
        ("/v2/".to_owned(), 200),
        (manifest(REPO, "latest"), 200),
        (manifest(REPO, &image.manifest.digest), 200),
        (manifest(REPO, "gone"), 404),
        (blob(REPO, &image.layer().digest), 200),
        (format!("/v2/{HUB}/{REPO}/tags/list"), 200),
        (format!("/v2/{HUB}/{REPO}/referrers/{}", image.manifest.digest), 200),
        ("/v2/_catalog".to_owned(), 200),
        ("/nothing".to_owned(), 404),
        (token, 200),
    ];
    for (path, status) in &paths {
        let authorization = basic("root");
        for method in ["GET", "HEAD"] {
            let answer = proxy.client().request(method, path, &[("Authorization", &authorization)]).await;
            if method == "GET" {
                answer.assert_status(*status);
            }
            assert_eq!(kept(&answer), Kept::Never, "{method} {path}");
        }
        // Nor is it that somebody has to log in.
        assert_eq!(kept(&proxy.get(path).await), Kept::Never, "{path}");
    }
    let ranged = [("Authorization", basic("root")), ("Range", "bytes=0-9".to_owned())];
    let ranged: Vec<_> = ranged.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = proxy.client().request("GET", &blob(REPO, &image.layer().digest), &ranged).await;
    answer.assert_status(206);
    assert_eq!(kept(&answer), Kept::Never);
    assert_eq!(kept(&proxy.admin().get("/usage").await), Kept::Never);
}

/// Where everyone may read, a cache asks before each use, and knows by what answers differ: a tag moves, and is an index for some and an
/// image for others.
#[tokio::test]
async fn d23_a_cache_in_front_of_an_open_listener_asks_before_each_use() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[1000]);
    let proxy = Setup::of(&upstream).start().await;
    let own = an_image(1, &[10]).await;
    push_image(&proxy, "own/app", "latest", &own).await;
    let paths = [
        manifest(REPO, "latest"),
        manifest(REPO, &image.manifest.digest),
        blob(REPO, &image.layer().digest),
        format!("/v2/{HUB}/{REPO}/tags/list"),
        "/v2/own/app/manifests/latest".to_owned(),
        "/v2/_catalog".to_owned(),
    ];
    for path in &paths {
        let answer = proxy.get(path).await;
        answer.assert_status(200);
        assert_eq!(kept(&answer), Kept::AskingFirst, "{path}");
        let varies = varies(&answer);
        assert!(["accept", "host"].iter().all(|name| varies.iter().any(|one| one == name)), "{path}: {varies:?}");
        if let Some(tag) = answer.header("etag") {
            let again = proxy.client().request("GET", path, &[("If-None-Match", tag)]).await;
            again.assert_status(304);
            assert_eq!(kept(&again), Kept::AskingFirst, "{path}");
        }
    }
    // What is not there may be pushed in a moment.
    let missing = proxy.get("/v2/own/app/manifests/gone").await;
    missing.assert_status(404);
    assert_eq!(kept(&missing), Kept::Never);
    let body = json!({}).to_string();
    let called = proxy.client().send("POST", "/", &[("X-Amz-Target", "x")], body.as_bytes()).await;
    assert_eq!(kept(&called), Kept::Never);
}
