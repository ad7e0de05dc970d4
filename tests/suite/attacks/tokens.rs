//! Tokens that are nearly right: of another key, for somebody else, too late, of another kind, for more than was granted.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use entrepot::auth::proof::{Access, BearerClaims, Keyring, Principal, TokenService, UnixTime};
use serde_json::{Value, json};

use super::{ACCOUNT, with_authorization};
use crate::bound::{until_async, within};
use crate::client::Answer;
use crate::edge::{api, assert_fault, bearer, guarded, push, token};
use crate::proxy::Proxy;
use crate::push::{an_image, path};
use crate::upstream::FakeUpstream;

const SCOPE: &str = "repository:team/app:pull";

/// Makes tokens as the registry does, with its own keys: what is wrong with them is only what a test makes wrong.
struct Forge {
    ring: Keyring,
    service: TokenService,
    /// The reader, as tokens name them.
    reader: Principal,
}

impl Forge {
    async fn of(proxy: &Proxy) -> Self {
        let ring = Keyring::parse(&std::fs::read_to_string(proxy.data_path().join("keys")).unwrap()).unwrap();
        let service = TokenService {
            issuer: format!("entrepot/{ACCOUNT}"),
            service: format!("entrepot/{ACCOUNT}/local"),
            leeway: Duration::from_secs(60),
        };
        let shown = bearer(&token(proxy, Some("reader"), &[SCOPE]).await);
        let claims: BearerClaims = service.verify(&ring, &shown["Bearer ".len()..], now()).unwrap();
        Self { ring, service, reader: claims.principal.unwrap() }
    }

    fn token(&self, ring: &Keyring, service: &TokenService, issued: UnixTime, lifetime_s: u64) -> String {
        let access = [Access::parse(SCOPE).unwrap()];
        service.issue(ring, Some(&self.reader), &access, issued, Duration::from_secs(lifetime_s)).unwrap()
    }
}

fn now() -> UnixTime {
    std::time::SystemTime::now().into()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

async fn with_an_image() -> (Proxy, FakeUpstream, String) {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    push(&proxy, "team/app", "latest", &an_image(1, &[10]).await).await;
    (proxy, upstream, path("team/app", "manifests/latest"))
}

#[tokio::test]
async fn forged_and_borrowed_bearer_tokens() {
    let (proxy, _upstream, of) = with_an_image().await;
    let forge = Forge::of(&proxy).await;
    let get = async |token: &str| with_authorization(&proxy, &format!("Bearer {token}"), "GET", &of).await;
    let (ring, here) = (&forge.ring, &forge.service);
    get(&forge.token(ring, here, now(), 300)).await.assert_status(200);
    // Clocks of replicas may differ by a minute, either way.
    get(&forge.token(ring, here, now().minus(seconds(290)), 300)).await.assert_status(200);
    get(&forge.token(ring, here, now().plus(seconds(30)), 300)).await.assert_status(200);
    let other_ring = Keyring::generate().unwrap();
    let other_account = TokenService { issuer: "entrepot/123456789012".into(), ..here.clone() };
    let other_audience = TokenService { service: format!("entrepot/{ACCOUNT}/elsewhere"), ..here.clone() };
    for (wrong, why) in [
        (forge.token(&other_ring, here, now(), 300), "another key"),
        (forge.token(ring, &other_account, now(), 300), "another account's"),
        (forge.token(ring, &other_audience, now(), 300), "for another registry"),
        (forge.token(ring, here, now().minus(seconds(305)), 300), "expired"),
        (forge.token(ring, here, now().plus(seconds(120)), 300), "not yet valid"),
    ] {
        get(&wrong).await.assert_error(401, "UNAUTHORIZED");
        assert!(!proxy.log().contains(&wrong), "{why}: the token is in the log");
    }
    // The header has no say in how it is verified: signed with what is public, or not at all.
    let good = forge.token(ring, here, now(), 300);
    let [head, claims, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
    let kid = header["kid"].as_str().unwrap();
    for (header, key) in [
        (json!({ "alg": "none", "typ": "JWT", "kid": kid }), None),
        (json!({ "alg": "None", "kid": kid }), None),
        (json!({ "alg": "HS512", "kid": kid }), Some("x")),
        (json!({ "alg": "RS256", "kid": kid }), Some("x")),
        (json!({ "alg": "ES256", "kid": kid }), Some("x")),
        (json!({ "alg": "HS256" }), Some("")),
        (json!({ "alg": "HS256", "kid": "" }), Some("")),
        (json!({ "alg": "HS256", "kid": "../keys" }), Some("")),
        (json!({ "alg": "HS256", "kid": kid }), Some(kid)),
        (json!({ "alg": "HS256", "kid": kid, "jwk": { "kty": "oct", "k": "eA" } }), Some("x")),
        (json!({ "alg": "HS256", "kid": kid, "jku": "http://127.0.0.1:1/keys" }), Some("x")),
    ] {
        let signed = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(header.to_string()));
        let made = match key {
            None => Vec::new(),
            Some(key) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), signed.as_bytes()).as_ref().to_vec()
            }
        };
        for signature in [URL_SAFE_NO_PAD.encode(made), signature.to_owned(), String::new()] {
            get(&format!("{signed}.{signature}")).await.assert_error(401, "UNAUTHORIZED");
        }
    }
    for cut in [1, 2, 10, signature.len(), signature.len() + 1] {
        get(&good[..good.len() - cut]).await.assert_error(401, "UNAUTHORIZED");
    }
    for wrong in [
        format!("{good}."),
        format!("{good}A"),
        format!("{good}.{signature}"),
        format!("{good}="),
        good.replace('.', ".."),
    ] {
        get(&wrong).await.assert_error(401, "UNAUTHORIZED");
    }
    get(&good).await.assert_status(200);
}

/// A token of one kind is not one of another, though all are sealed with the same key.
#[tokio::test]
async fn each_kind_of_token_has_one_use() {
    let (proxy, _upstream, of) = with_an_image().await;
    let client = proxy.client();
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let login = format!(
        "grant_type=password&service=x&client_id=docker&access_type=offline&scope={SCOPE}&username=reader&password=reader-{}",
        crate::edge::SECRET
    );
    let answer = client.send("POST", "/token", &form, login.as_bytes()).await;
    let (access, refresh) = (text(&answer, "token"), text(&answer, "refresh_token"));
    let data = api(&client, "reader", "GetAuthorizationToken", json!({})).await;
    let authorization = data.json()["authorizationData"][0]["authorizationToken"].as_str().unwrap().to_owned();
    let pair = String::from_utf8(STANDARD.decode(&authorization).unwrap()).unwrap();
    let password = pair.strip_prefix("AWS:").unwrap().to_owned();
    let get = async |shown: String| with_authorization(&proxy, &shown, "GET", &of).await;
    let basic = |user: &str, password: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    // Each where it belongs.
    get(format!("Bearer {access}")).await.assert_status(200);
    get(format!("Basic {authorization}")).await.assert_status(200);
    get(basic("<token>", &refresh)).await.assert_status(200);
    for wrong in [
        format!("Bearer {refresh}"),
        format!("Bearer {password}"),
        format!("Bearer {authorization}"),
        basic("AWS", &access),
        basic("AWS", &refresh),
        basic("<token>", &access),
        basic("<token>", &password),
        basic("reader", &password),
        basic("reader", &access),
        basic("oidc", &access),
        basic("oidc", &password),
        basic("", &password),
        basic("aws", &password),
        format!("Basic {password}"),
        format!("AWS {password}"),
    ] {
        get(wrong).await.assert_error(401, "UNAUTHORIZED");
    }
    for wrong in [&access, &password, &authorization] {
        let form_text =
            format!("grant_type=refresh_token&service=x&client_id=docker&scope={SCOPE}&refresh_token={wrong}");
        assert_eq!(client.send("POST", "/token", &form, form_text.as_bytes()).await.status, 401);
    }
    // None of them is a signature, so none of them opens the API.
    for shown in [
        format!("Bearer {access}"),
        format!("Basic {authorization}"),
        basic("reader", &format!("reader-{}", crate::edge::SECRET)),
    ] {
        let headers = [
            ("Authorization", shown.as_str()),
            ("x-amz-target", "AmazonEC2ContainerRegistry_V20150921.DescribeRegistry"),
        ];
        assert_fault(&client.send("POST", "/", &headers, b"{}").await, "MissingAuthenticationTokenException");
    }
    for secret in [&access, &refresh, &password] {
        assert!(!proxy.log().contains(secret.as_str()));
    }
}

fn text(answer: &Answer, name: &str) -> String {
    answer.assert_status(200);
    answer.json()[name].as_str().unwrap().to_owned()
}

/// What is asked for beyond what is allowed is left out, and a token does what it says and no more.
#[tokio::test]
async fn scopes_do_not_grow() {
    let (proxy, _upstream, of) = with_an_image().await;
    let image = an_image(2, &[20]).await;
    push(&proxy, "team/other", "latest", &image).await;
    let access = |answer: &Answer| {
        let payload = bearer(answer).split('.').nth(1).unwrap().to_owned();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
        claims["access"].clone()
    };
    for scopes in [
        &["repository:*:pull"][..],
        &["repository:**:*"],
        &["repository:team/*:pull"],
        &["repository:team/app/*:pull,push"],
        &["repository:.*:pull"],
        &["repository::pull"],
        &["registry:*:*"],
        &["registry:team/app:*"],
        &["*:*:*"],
        &["repository(plugin):*:*"],
        &["repository:team/app:push"],
        &["repository:team/app:delete,push"],
        &["repository:team/app:PULL"],
    ] {
        let answer = token(&proxy, Some("reader"), scopes).await;
        let access = access(&answer);
        assert_eq!(access, json!([]), "{scopes:?}");
        assert_eq!(with_authorization(&proxy, &bearer(&answer), "GET", &of).await.status, 401, "{scopes:?}");
    }
    // A class changes no right: it neither takes nor gives.
    let classed = token(&proxy, Some("reader"), &["repository(plugin):team/app:pull,push,delete"]).await;
    assert_eq!(access(&classed)[0]["actions"], json!(["pull"]));
    // Root may do anything, and a token of root's what it was asked for.
    let narrow = bearer(&token(&proxy, Some("root"), &[SCOPE]).await);
    with_authorization(&proxy, &narrow, "GET", &of).await.assert_status(200);
    for (method, tried) in [
        ("DELETE", of.clone()),
        ("PUT", path("team/app", "manifests/new")),
        ("POST", path("team/app", "blobs/uploads/")),
        ("POST", path("team/other", &format!("blobs/uploads/?mount={}&from=team/app", image.layer().digest))),
        ("GET", path("team/other", "manifests/latest")),
        ("GET", "/v2/_catalog".to_owned()),
    ] {
        let headers = [("Authorization", narrow.as_str()), ("Content-Type", image.media_type)];
        let answer = proxy.client().send(method, &tried, &headers, &image.manifest.bytes).await;
        answer.assert_error(401, "UNAUTHORIZED");
        assert!(answer.header("www-authenticate").unwrap().contains("insufficient_scope"), "{method} {tried}");
    }
    // Pushing with a mount takes the right to read there, which this token does not have.
    let pusher = bearer(&token(&proxy, Some("root"), &["repository:team/third:pull,push"]).await);
    let mount = path("team/third", &format!("blobs/uploads/?mount={}&from=team/other", image.layer().digest));
    proxy.client().send("POST", &mount, &[("Authorization", &pusher)], b"").await.assert_status(202);
    let both = ["repository:team/third:pull,push", "repository:team/other:pull"];
    let mounter = bearer(&token(&proxy, Some("root"), &both).await);
    proxy.client().send("POST", &mount, &[("Authorization", &mounter)], b"").await.assert_status(201);
}

#[tokio::test]
async fn token_requests_have_bounds() {
    let (proxy, _upstream, _) = with_an_image().await;
    let many = |count: usize| (0..count).map(|n| format!("repository:team/r{n}:pull")).collect::<Vec<_>>();
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let post = async |scopes: &str| {
        let text = format!(
            "grant_type=password&service=x&client_id=x&username=reader&password=reader-{}&scope={scopes}",
            crate::edge::SECRET
        );
        within("an answer", proxy.client().send("POST", "/token", &form, text.as_bytes())).await
    };
    post(&many(64).join("+")).await.assert_status(200);
    for count in [65, 1000, 10_000] {
        assert_eq!(post(&many(count).join("+")).await.status, 400, "{count}");
        assert_eq!(post(&many(count).join("&scope=")).await.status, 400, "{count}");
    }
    let scopes = many(65);
    let query: Vec<_> = scopes.iter().map(String::as_str).collect();
    assert_eq!(token(&proxy, Some("reader"), &query).await.status, 400);
    // One that is huge is none, and the rest is answered.
    let huge = format!("repository:{}:pull", "a".repeat(20_000));
    let answer = post(&format!("{huge}+{SCOPE}")).await;
    answer.assert_status(200);
    assert!(answer.text().len() < 4096);
    assert_eq!(post(&"a".repeat(1 << 20)).await.status, 400);
    for (name, value) in [("account", "a".repeat(5000)), ("client_id", "%00".to_owned()), ("service", "%0a".to_owned())]
    {
        let answer = proxy.get(&format!("/token?service=x&{name}={value}")).await;
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
    }
    for twice in ["service=x&service=y", "service=x&offline_token=true&offline_token=false"] {
        assert_eq!(proxy.get(&format!("/token?{twice}")).await.status, 400, "{twice}");
    }
    assert_eq!(token(&proxy, Some("reader"), &[SCOPE]).await.status, 200);
}

/// All that a user was given ends, wherever it is shown; what they are given afterwards is good.
#[tokio::test]
async fn what_is_revoked_is_over() {
    let (proxy, _upstream, of) = with_an_image().await;
    let client = proxy.client();
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let login = format!(
        "grant_type=password&service=x&client_id=docker&access_type=offline&scope={SCOPE}&username=reader&password=reader-{}",
        crate::edge::SECRET
    );
    let all = async || {
        let answer = client.send("POST", "/token", &form, login.as_bytes()).await;
        let data = api(&client, "reader", "GetAuthorizationToken", json!({})).await;
        let password = data.json()["authorizationData"][0]["authorizationToken"].as_str().unwrap().to_owned();
        let refresh = STANDARD.encode(format!("<token>:{}", text(&answer, "refresh_token")));
        [format!("Bearer {}", text(&answer, "token")), format!("Basic {password}"), format!("Basic {refresh}")]
    };
    let before = all().await;
    let others = bearer(&token(&proxy, Some("root"), &[SCOPE]).await);
    for shown in before.iter().chain([&others]) {
        with_authorization(&proxy, shown, "GET", &of).await.assert_status(200);
    }
    let mut revoke = tokio::process::Command::new(env!("CARGO_BIN_EXE_entrepot"));
    revoke.args(["iam", "revoke", "reader", "--config"]).arg(proxy.config_path());
    let output = within("iam revoke", revoke.output()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    // What was right a moment ago is remembered for a moment.
    for shown in &before {
        until_async("the token is over", async || with_authorization(&proxy, shown, "GET", &of).await.status == 401)
            .await;
    }
    for _ in 0..3 {
        for shown in &before {
            with_authorization(&proxy, shown, "GET", &of).await.assert_error(401, "UNAUTHORIZED");
        }
    }
    with_authorization(&proxy, &others, "GET", &of).await.assert_status(200);
    for shown in all().await {
        with_authorization(&proxy, &shown, "GET", &of).await.assert_status(200);
    }
}
