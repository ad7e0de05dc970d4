//! What tokens are given for what, and what ends them.

use base64::Engine;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::edge::{Issuer, USERS, api, as_user, assert_fault, bearer};
use crate::proxy::{Proxy, Setup};
use crate::upstream::FakeUpstream;

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

async fn shown(proxy: &Proxy, to: &str, user: &str, password: &str) -> Answer {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    proxy.client().request("GET", to, &[("Authorization", &format!("Basic {pair}"))]).await
}

fn refresh_token(given: &Value) -> String {
    given["refresh_token"].as_str().expect("a refresh token").to_owned()
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
