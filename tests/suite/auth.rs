//! Logging in upstream, and where credentials must never go.

use futures_util::future::join_all;

use crate::proxy::{Proxy, Setup, blob, manifest};
use crate::upstream::{
    Behaviour, FakeUpstream, Gate, OCI_MANIFEST, TokenField, TokenRules, TokenService, basic, noise,
};

const REPO: &str = "team/app";
const USER: &str = "robot";
const PASSWORD: &str = "open-sesame-4711";

fn with_password() -> TokenRules {
    TokenRules { credential: Some((USER, PASSWORD)), ..TokenRules::default() }
}

/// An upstream that needs tokens, which it hosts itself.
async fn with_tokens(rules: TokenRules) -> (FakeUpstream, TokenService) {
    let upstream = FakeUpstream::start().await;
    let tokens = TokenService::new(rules);
    upstream.require_tokens(&tokens, upstream.realm());
    upstream.host_tokens(&tokens);
    (upstream, tokens)
}

fn login(mut setup: Setup) -> Setup {
    setup.hub().text("username", USER).text("password", PASSWORD);
    setup
}

/// No request of this server carries a credential.
#[track_caller]
fn assert_no_credential(upstream: &FakeUpstream) {
    for asked in upstream.log() {
        assert_eq!(asked.header("authorization"), None, "{asked:?}");
        assert_eq!(asked.header("cookie"), None, "{asked:?}");
        assert!(!asked.path.contains(PASSWORD), "{asked:?}");
    }
}

#[tokio::test]
async fn c55_a_realm_on_another_host_gets_nothing() {
    let (upstream, elsewhere) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let tokens = TokenService::new(TokenRules::default());
    upstream.require_tokens(&tokens, elsewhere.realm());
    elsewhere.host_tokens(&tokens);
    upstream.image(REPO, "latest", 1, &[10]);
    let proxy = login(Setup::of(&upstream).fresh_tags()).start().await;
    let answer = proxy.get(&manifest(REPO, "latest")).await;
    answer.assert_status(503);
    assert_no_credential(&elsewhere);
    assert_no_credential(&upstream);
}

#[tokio::test]
async fn c55_a_realm_that_the_rule_allows() {
    let (upstream, elsewhere) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let tokens = TokenService::new(with_password());
    upstream.require_tokens(&tokens, elsewhere.realm());
    elsewhere.host_tokens(&tokens);
    let image = upstream.image(REPO, "latest", 1, &[300_000]);
    let mut setup = login(Setup::of(&upstream));
    setup.hub().texts("realms", &[&elsewhere.host()]);
    let proxy = setup.start().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    proxy.get(&blob(REPO, &image.layer().digest)).await.assert_body(&image.layer().bytes);
    assert!(elsewhere.count("*", "/token") >= 1);
    // The password went to the realm alone.
    for asked in upstream.log() {
        assert!(asked.header("authorization").is_none_or(|sent| sent.starts_with("Bearer ")), "{asked:?}");
    }
}

#[tokio::test]
async fn c55_a_realm_that_sends_us_elsewhere() {
    let (upstream, tokens) = with_tokens(with_password()).await;
    let thief = FakeUpstream::start().await;
    thief.host_tokens(&tokens);
    upstream.image(REPO, "latest", 1, &[10]);
    upstream.on("*", "/token", Behaviour::redirect(307, thief.realm()));
    let proxy = login(Setup::of(&upstream).fresh_tags()).start().await;
    let answer = proxy.get(&manifest(REPO, "latest")).await;
    assert!(answer.status >= 500, "{}", answer.status);
    assert_no_credential(&thief);
}

#[tokio::test]
async fn c56_answers_of_token_services() {
    for (field, expires_in_s) in [
        (TokenField::Token, None),
        (TokenField::AccessToken, None),
        (TokenField::AccessToken, Some(300)),
        (TokenField::Token, Some(100_000_000)),
    ] {
        let (upstream, tokens) = with_tokens(TokenRules { field, expires_in_s, ..TokenRules::default() }).await;
        let image = upstream.image(REPO, "latest", 1, &[300_000]);
        let proxy = Setup::of(&upstream).fresh_tags().start().await;
        for _ in 0..3 {
            proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
        }
        proxy.get(&blob(REPO, &image.layer().digest)).await.assert_body(&image.layer().bytes);
        assert_eq!(tokens.issued(), 1, "one token for all");
    }
}

#[tokio::test]
async fn c56_a_token_that_is_over_when_it_comes() {
    let (upstream, tokens) = with_tokens(TokenRules { expires_in_s: Some(0), ..TokenRules::default() }).await;
    let image = upstream.image(REPO, "latest", 1, &[300_000]);
    let proxy = Setup::of(&upstream).fresh_tags().start().await;
    for _ in 0..3 {
        proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    }
    assert!(tokens.issued() < 10);
}

#[tokio::test]
async fn c56_one_login_for_many() {
    let (upstream, tokens) = with_tokens(with_password()).await;
    let gate = Gate::new();
    upstream.on("*", "/token", Behaviour::usual().gate_head(&gate));
    let blobs: Vec<_> = (0..20).map(|seed| upstream.blob(REPO, noise(seed, 1000))).collect();
    let proxy = login(Setup::of(&upstream)).start().await;
    let fetch = async |digest: &String| proxy.get(&blob(REPO, digest)).await.assert_status(200);
    let open = async {
        gate.reached().await;
        crate::bound::until_async("everyone waits for the token", async || {
            proxy.metrics().await.sum("entrepot_http_requests_in_flight") >= 20.0
        })
        .await;
        gate.open();
    };
    tokio::join!(join_all(blobs.iter().map(fetch)), open);
    assert_eq!(tokens.issued(), 1);
}

#[tokio::test]
async fn c56_a_token_for_each_repository() {
    let (upstream, tokens) = with_tokens(TokenRules::default()).await;
    let proxy = Proxy::of(&upstream).await;
    for repository in ["one/app", "two/app", "one/app"] {
        let digest = upstream.blob(repository, repository);
        proxy.get(&blob(repository, &digest)).await.assert_body(repository.as_bytes());
    }
    assert_eq!(tokens.issued(), 2);
}

#[tokio::test]
async fn c57_an_expired_token_is_renewed() {
    for expired_status in [401, 403, 400] {
        let (upstream, tokens) = with_tokens(TokenRules { expired_status, ..with_password() }).await;
        let image = upstream.image(REPO, "latest", 1, &[300_000]);
        let proxy = login(Setup::of(&upstream).fresh_tags()).start().await;
        proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
        tokens.expire_all();
        let answer = proxy.get(&manifest(REPO, "latest")).await;
        answer.assert_body(&image.manifest.bytes);
        assert_eq!(answer.header("warning"), None, "expired with {expired_status}");
        tokens.expire_all();
        proxy.get(&blob(REPO, &image.layer().digest)).await.assert_body(&image.layer().bytes);
        assert_eq!(tokens.issued(), 3);
    }
}

#[tokio::test]
async fn c57_a_token_that_expires_within_a_fill() {
    let (upstream, tokens) = with_tokens(with_password()).await;
    let bytes = noise(1, 1 << 20);
    let digest = upstream.blob(REPO, bytes.clone());
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(400_000, &gate).cut_after(500_000).once());
    let proxy = login(Setup::of(&upstream)).start().await;
    let exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    gate.reached().await;
    tokens.expire_all();
    gate.open();
    exchange.rest().await.assert_body(&bytes);
    assert_eq!(tokens.issued(), 2);
}

#[tokio::test]
async fn c57_a_real_403_is_told() {
    let (upstream, tokens) = with_tokens(with_password()).await;
    upstream.image(REPO, "latest", 1, &[10]);
    upstream.on("*", "/manifests/", Behaviour::status(403));
    let proxy = login(Setup::of(&upstream).fresh_tags()).start().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_error(403, "DENIED");
    assert!(tokens.issued() <= 2, "a refusal is not a reason to log in again and again");
}

#[tokio::test]
async fn c58_a_redirect_does_not_get_the_credential() {
    for rules in [None, Some(with_password())] {
        let (upstream, store) = (FakeUpstream::start().await, FakeUpstream::start().await);
        match rules {
            Some(rules) => {
                let tokens = TokenService::new(rules);
                upstream.require_tokens(&tokens, upstream.realm());
                upstream.host_tokens(&tokens);
            }
            None => upstream.require_basic(USER, PASSWORD),
        }
        let bytes = noise(1, 300_000);
        let digest = upstream.blob(REPO, bytes.clone());
        upstream.on("*", "/blobs/", Behaviour::presign(&store));
        let proxy = login(Setup::of(&upstream)).start().await;
        let head = proxy.head(&blob(REPO, &digest)).await;
        head.assert_status(200);
        assert_eq!(head.header("content-length"), Some("300000"));
        proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
        assert!(store.count("GET", "/signed/") >= 1);
        assert_no_credential(&store);
    }
}

#[tokio::test]
async fn c58_an_endless_redirect_ends() {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.blob(REPO, "x");
    let path = format!("/v2/{REPO}/blobs/{digest}");
    upstream.on("*", "/blobs/", Behaviour::redirect(307, path));
    let mut setup = Setup::of(&upstream);
    setup.cache.set("fill_attempts", 1);
    let proxy = setup.start().await;
    proxy.get(&blob(REPO, &digest)).await.assert_status(502);
    assert!(upstream.log().len() < 100);
}

#[tokio::test]
async fn c59_a_signed_url_is_used_once() {
    let (upstream, store) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let bytes = noise(1, 1 << 20);
    let digest = upstream.blob(REPO, bytes.clone());
    upstream.on("GET", "/blobs/", Behaviour::presign(&store));
    let gate = Gate::new();
    store.on("GET", "/signed/", Behaviour::usual().gate_at(400_000, &gate).cut_after(500_000).once());
    let proxy = Proxy::of(&upstream).await;
    let exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    gate.reached().await;
    store.expire_signatures();
    gate.open();
    exchange.rest().await.assert_body(&bytes);
    // The rest came from a URL that was signed anew.
    let signed: Vec<_> = store.asked("GET", "/signed/").iter().map(|asked| asked.path.clone()).collect();
    assert_eq!(signed.len(), 2, "{signed:?}");
    assert_ne!(signed[0], signed[1]);
    assert_eq!(store.asked("GET", "/signed/")[1].range_start(), Some(500_000));
}

#[tokio::test]
async fn c60_a_manifest_on_another_host() {
    let (upstream, elsewhere) = (FakeUpstream::start().await, FakeUpstream::start().await);
    upstream.require_basic(USER, PASSWORD);
    let image = upstream.image(REPO, "latest", 1, &[10]);
    // A plain file store: neither a digest header nor a registry's paths.
    elsewhere.file("/files/manifest.json", OCI_MANIFEST, image.manifest.bytes.clone());
    upstream.on("*", "/manifests/", Behaviour::redirect(307, format!("{}/files/manifest.json", elsewhere.url())));
    let proxy = login(Setup::of(&upstream).fresh_tags()).start().await;
    for reference in ["latest", &image.manifest.digest] {
        for _ in 0..2 {
            let answer = proxy.get(&manifest(REPO, reference)).await;
            answer.assert_body(&image.manifest.bytes);
            assert_eq!(answer.header("docker-content-digest"), Some(image.manifest.digest.as_str()));
            proxy.head(&manifest(REPO, reference)).await.assert_status(200);
        }
    }
    assert_no_credential(&elsewhere);
}

#[tokio::test]
async fn c61_what_a_client_sends_stays_here() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[300_000]);
    let mut setup = Setup::of(&upstream).fresh_tags();
    setup.log.text("level", "debug");
    let proxy = setup.start().await;
    let theirs = basic("someone", "correct-horse-battery");
    let headers =
        [("Authorization", theirs.as_str()), ("Cookie", "session=secret-cookie"), ("X-Registry-Auth", "secret-header")];
    for path in ["/v2/".to_owned(), manifest(REPO, "latest"), blob(REPO, &image.layer().digest)] {
        proxy.client().request("GET", &path, &headers).await.assert_status(200);
        proxy.client().request("HEAD", &path, &[("Authorization", "Bearer a-hub-token")]).await.assert_status(200);
    }
    assert!(!upstream.log().is_empty());
    for asked in upstream.log() {
        for (name, value) in &asked.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            assert!(!value.contains("secret") && !value.contains("a-hub-token"), "{name}: {value}");
        }
    }
    assert_no_credential(&upstream);
    let log = proxy.log();
    for secret in ["correct-horse", &theirs["Basic ".len()..], "secret-cookie", "secret-header", "a-hub-token"] {
        assert!(!log.contains(secret), "the log tells {secret}");
    }
}

#[tokio::test]
async fn c61_our_own_credential_is_not_logged() {
    let (upstream, _tokens) = with_tokens(with_password()).await;
    let image = upstream.image(REPO, "latest", 1, &[10]);
    let mut setup = login(Setup::of(&upstream).fresh_tags());
    setup.log.text("level", "trace");
    let proxy = setup.start().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    upstream.on("*", "/token", Behaviour::status(401));
    proxy.get(&blob("other/app", &image.layer().digest)).await.assert_error(401, "UNAUTHORIZED");
    let log = proxy.log();
    let header = basic(USER, PASSWORD);
    for secret in [PASSWORD, &header["Basic ".len()..], "token-1-"] {
        assert!(!log.contains(secret), "the log tells {secret}");
    }
}

#[tokio::test]
async fn basic_credentials() {
    let upstream = FakeUpstream::start().await;
    upstream.require_basic(USER, PASSWORD);
    let image = upstream.image(REPO, "latest", 1, &[300_000]);
    let proxy = login(Setup::of(&upstream)).start().await;
    proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    proxy.get(&blob(REPO, &image.layer().digest)).await.assert_body(&image.layer().bytes);
    let wrong = {
        let mut setup = Setup::of(&upstream).fresh_tags();
        setup.hub().text("username", USER).text("password", "wrong");
        setup.start().await
    };
    wrong.get(&manifest(REPO, "latest")).await.assert_error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn c58_redirects_of_every_kind() {
    for status in [301, 302, 303, 307, 308] {
        let (upstream, store) = (FakeUpstream::start().await, FakeUpstream::start().await);
        let bytes = noise(1, 300_000);
        let [near, far] =
            [noise(1, 300_000), noise(2, 300_000)].map(|bytes| (upstream.blob(REPO, bytes.clone()), bytes));
        upstream.file("/elsewhere/blob", "application/octet-stream", bytes.clone());
        store.file("/far/blob", "application/octet-stream", far.1.clone());
        upstream.on("*", &near.0, Behaviour::redirect(status, "/elsewhere/blob?x=1&y=%20"));
        upstream.on("*", &far.0, Behaviour::redirect(status, format!("{}/far/blob", store.url())));
        let proxy = Proxy::of(&upstream).await;
        for (digest, bytes) in [&near, &far] {
            proxy.get(&blob(REPO, digest)).await.assert_body(bytes);
        }
        assert_eq!(upstream.asked("GET", "/elsewhere/")[0].path, "/elsewhere/blob?x=1&y=%20");
    }
}

#[tokio::test]
async fn c58_redirects_that_must_not_be_followed() {
    for location in ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x", "http://", "", "http://user:pass@x y/"] {
        let upstream = FakeUpstream::start().await;
        let digest = upstream.blob(REPO, "x");
        upstream.on("*", "/blobs/", Behaviour::redirect(307, location));
        let mut setup = Setup::of(&upstream);
        setup.cache.set("fill_attempts", 1);
        let proxy = setup.start().await;
        let answer = proxy.get(&blob(REPO, &digest)).await;
        assert_eq!(answer.status, 502, "{location:?}");
    }
}

#[tokio::test]
async fn c43_a_link_to_another_host_is_not_followed() {
    let (upstream, thief) = (FakeUpstream::start().await, FakeUpstream::start().await);
    upstream.require_basic(USER, PASSWORD);
    upstream.image(REPO, "latest", 1, &[10]);
    let link = format!("<{}/v2/{REPO}/tags/list?last=latest>; rel=\"next\"", thief.url());
    upstream.on("GET", "/tags/list", Behaviour::usual().header("link", link));
    let proxy = login(Setup::of(&upstream)).start().await;
    let answer = proxy.get(&format!("/v2/{}/{REPO}/tags/list", crate::proxy::HUB)).await;
    assert!(matches!(answer.status, 200 | 502), "{}", answer.status);
    assert_no_credential(&thief);
}

#[tokio::test]
async fn c43_an_endless_list_ends() {
    let upstream = FakeUpstream::start().await;
    upstream.image(REPO, "latest", 1, &[10]);
    let link = format!("</v2/{REPO}/tags/list?again>; rel=\"next\"");
    upstream.on("GET", "/tags/list", Behaviour::usual().header("link", link));
    let proxy = Proxy::of(&upstream).await;
    let answer = proxy.get(&format!("/v2/{}/{REPO}/tags/list", crate::proxy::HUB)).await;
    assert!(matches!(answer.status, 200 | 502), "{}", answer.status);
}
