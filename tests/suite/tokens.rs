//! What tokens are given for what, and what ends them.

use base64::Engine;
use serde_json::{Value, json};

use crate::bound::until_async;
use crate::client::Answer;
use crate::edge::{Issuer, SECRET, USERS, api, as_user, assert_fault, bearer, push, token};
use crate::proxy::{Proxy, Setup};
use crate::push::an_image;
use crate::upstream::FakeUpstream;

const PASSWORD: &str = "ann-and-nobody-else";

async fn with(upstream: &FakeUpstream, more: &str) -> Proxy {
    let mut setup = Setup::of(upstream);
    setup.more = format!("{USERS}{more}\n[auth]\nfailed_logins = 1000\n");
    setup.start().await
}

/// Whatever an answer of the token endpoint has.
fn given(answer: &Answer) -> Value {
    answer.assert_status(200);
    answer.json()
}

async fn form(proxy: &Proxy, fields: &[(&str, &str)]) -> Answer {
    let mut body = form_urlencoded::Serializer::new(String::from("service=x&client_id=docker&access_type=offline"));
    let body = body.extend_pairs(fields).finish();
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    proxy.client().send("POST", "/token", &headers, body.as_bytes()).await
}

async fn by_password(proxy: &Proxy, user: &str, password: &str) -> Answer {
    form(proxy, &[("grant_type", "password"), ("username", user), ("password", password)]).await
}

async fn refreshed(proxy: &Proxy, token: &str) -> Answer {
    form(proxy, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
}

async fn shown(proxy: &Proxy, to: &str, user: &str, password: &str) -> Answer {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    proxy.client().request("GET", to, &[("Authorization", &format!("Basic {pair}"))]).await
}

fn refresh_token(given: &Value) -> String {
    given["refresh_token"].as_str().expect("a refresh token").to_owned()
}

fn iam(proxy: &Proxy, arguments: &[&str], input: &str) {
    assert!(crate::enrolment::iam(proxy, arguments, input).status.success(), "{arguments:?}");
}

/// An ID token lives for minutes: whoever finds one has no month.
#[tokio::test]
async fn an_id_token_gives_nothing_that_outlives_it() {
    let (upstream, issuer) = (FakeUpstream::start().await, Issuer::start().await);
    let rule = format!(
        "\n[[oidc]]\nissuer = {:?}\naudience = \"registry\"\nrole = \"ci\"\npolicies = [\"FullAccess\"]\nclaims = [\"repository=team/*\"]\n",
        issuer.name()
    );
    let proxy = with(&upstream, &rule).await;
    let token = issuer.token(json!({}));
    let to = "/token?service=x&offline_token=true&scope=repository:team/app:pull";
    let answers = [shown(&proxy, to, "oidc", &token).await, by_password(&proxy, "oidc", &token).await];
    for given in answers.iter().map(given) {
        assert_eq!(given.get("refresh_token"), None, "{given}");
        assert!(given["expires_in"].as_u64().unwrap() <= 15 * 60, "{given}");
    }
    // What it gives does not give itself again, and neither gives the token of 12 hours.
    let ours = bearer(&answers[0]);
    for credential in [format!("Bearer {token}"), ours] {
        let headers = [("Authorization", credential.as_str())];
        assert_eq!(proxy.client().request("GET", to, &headers).await.status, 401);
        let target = ("x-amz-target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken");
        let headers = [headers[0], target, ("content-type", "application/x-amz-json-1.1")];
        let answer = proxy.client().send("POST", "/", &headers, b"{}").await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.json().get("authorizationData").is_none(), "{}", answer.text());
    }
    assert!(!proxy.log().contains(&token));
}

/// Nor does the token of 12 hours.
#[tokio::test]
async fn an_authorization_token_gives_nothing_that_outlives_it() {
    let upstream = FakeUpstream::start().await;
    let proxy = with(&upstream, "").await;
    let answer = api(&proxy.client(), "reader", "GetAuthorizationToken", json!({})).await;
    let token = answer.json()["authorizationData"][0]["authorizationToken"].as_str().unwrap().to_owned();
    let headers = [("Authorization", format!("Basic {token}"))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let to = "/token?service=x&offline_token=true&scope=repository:team/app:pull";
    let answer = proxy.client().request("GET", to, &headers).await;
    assert_eq!(given(&answer).get("refresh_token"), None);
    // A password does: it is good until somebody takes it back.
    refresh_token(&given(&as_user(&proxy, "reader", "GET", to).await));
    assert_fault(&api(&proxy.client(), "nobody", "GetAuthorizationToken", json!({})).await, "AccessDeniedException");
}

/// A refresh token gives another one, again and again, until what it was given for is revoked.
#[tokio::test]
async fn a_refresh_token_ends_when_it_is_revoked() {
    let upstream = FakeUpstream::start().await;
    let proxy = with(&upstream, "").await;
    iam(&proxy, &["create-user", "ann", "--policy", "PullOnly"], "");
    iam(&proxy, &["set-password", "ann"], PASSWORD);
    let first = refresh_token(&given(&by_password(&proxy, "ann", PASSWORD).await));
    let second = refresh_token(&given(&refreshed(&proxy, &first).await));
    let bearer = bearer(&refreshed(&proxy, &second).await);
    iam(&proxy, &["revoke", "ann"], "");
    until_async("the tokens are revoked", async || refreshed(&proxy, &second).await.status == 401).await;
    assert_eq!(refreshed(&proxy, &first).await.status, 401);
    assert_eq!(shown(&proxy, "/token?service=x", "<token>", &second).await.status, 401);
    until_async("bearer tokens, too", async || {
        proxy.client().request("GET", "/v2/", &[("Authorization", &bearer)]).await.status == 401
    })
    .await;
    // Who still has the password gets new ones.
    let third = refresh_token(&given(&by_password(&proxy, "ann", PASSWORD).await));
    given(&refreshed(&proxy, &third).await);
    assert_eq!(refreshed(&proxy, &second).await.status, 401);
    assert!(!proxy.log().contains(SECRET) && !proxy.log().contains(&third));
}

/// A user who comes after another of the same name is somebody else.
#[tokio::test]
async fn a_refresh_token_ends_with_its_user() {
    let upstream = FakeUpstream::start().await;
    let proxy = with(&upstream, "").await;
    let make = |password: &str| {
        iam(&proxy, &["create-user", "ann", "--policy", "PullOnly"], "");
        iam(&proxy, &["set-password", "ann"], password);
    };
    make(PASSWORD);
    let token = refresh_token(&given(&by_password(&proxy, "ann", PASSWORD).await));
    iam(&proxy, &["delete-user", "ann"], "");
    until_async("the user is gone", async || refreshed(&proxy, &token).await.status == 401).await;
    make("another-ann");
    until_async("the other user is there", async || by_password(&proxy, "ann", "another-ann").await.status == 200)
        .await;
    refreshed(&proxy, &token).await.assert_status(401);
    by_password(&proxy, "ann", PASSWORD).await.assert_status(401);
}

/// A token names the repository, not the path: a namespace beside the path is another repository.
#[tokio::test]
async fn t23_a_token_is_for_a_repository_of_one_upstream() {
    let (upstream, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let image = other.image("team/app", "latest", 1, &[100]);
    let mut setup = Setup::of(&upstream);
    setup.add("other", &other.url()).texts("ns", &["other.test:5000"]);
    setup.more = USERS.to_owned();
    let proxy = setup.start().await;
    let as_bearer = async |token: &str, to: &str| {
        proxy.client().request("GET", to, &[("Authorization", token), ("Accept", "*/*")]).await
    };
    let by_namespace = "/v2/team/app/manifests/latest?ns=other.test:5000";
    let by_prefix = "/v2/other/team/app/manifests/latest";
    let of_own = bearer(&token(&proxy, Some("root"), &["repository:team/app:pull"]).await);
    for to in [by_namespace, by_prefix] {
        let refused = as_bearer(&of_own, to).await;
        refused.assert_error(401, "UNAUTHORIZED");
        let challenge = refused.header("www-authenticate").unwrap();
        assert!(challenge.contains("scope=\"repository:other/team/app:pull\""), "{challenge}");
        assert!(challenge.contains("insufficient_scope"), "{challenge}");
    }
    assert_eq!(other.count("*", "/v2/team"), 0);
    // What the challenge says is what helps, whichever way the repository is named.
    let of_other = bearer(&token(&proxy, Some("root"), &["repository:other/team/app:pull"]).await);
    for to in [by_namespace, by_prefix] {
        as_bearer(&of_other, to).await.assert_body(&image.manifest.bytes);
    }
    as_bearer(&of_other, "/v2/team/app/manifests/latest").await.assert_error(401, "UNAUTHORIZED");
}

/// A path that may be the default upstream's is asked for in one scope, before its first push and after.
#[tokio::test]
async fn t23_a_token_from_before_the_first_push_holds_after_it() {
    let upstream = FakeUpstream::start().await;
    let theirs = upstream.image("team/app", "latest", 1, &[100]);
    let ours = an_image(2, &[100]).await;
    let mut setup = Setup::of(&upstream);
    setup.hub().set("default", true);
    setup.more = USERS.to_owned();
    let proxy = setup.start().await;
    let shown = bearer(&token(&proxy, Some("root"), &["repository:team/app:pull,push"]).await);
    let pull = async || {
        let headers = [("Authorization", shown.as_str()), ("Accept", "*/*")];
        proxy.client().request("GET", "/v2/team/app/manifests/latest", &headers).await
    };
    pull().await.assert_body(&theirs.manifest.bytes);
    push(&proxy, "team/app", "latest", &ours).await;
    pull().await.assert_body(&ours.manifest.bytes);
}
