//! Wrong credentials in great number: whoever sends them keeps nobody else out.

use base64::Engine;

use super::with_authorization;
use crate::edge::{SECRET, USERS, api, basic, bearer, token};
use crate::proxy::{Proxy, Setup};
use crate::upstream::FakeUpstream;

/// Three wrong passwords for a user are borne.
async fn strict(upstream: &FakeUpstream) -> Proxy {
    let mut setup = Setup::of(upstream);
    setup.more = format!("{USERS}\n[auth]\nfailed_logins = 3\n");
    setup.start().await
}

fn wrong_password(user: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:a guess")))
}

/// Tokens cannot be guessed: wrong ones, in whichever place, are refused as such and cost others nothing.
#[tokio::test]
async fn t13_s3_wrong_tokens_lock_nobody_out() {
    let upstream = FakeUpstream::start().await;
    let proxy = strict(&upstream).await;
    let good = bearer(&token(&proxy, Some("reader"), &[]).await);
    let of = |user: &str, password: &str| {
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
    };
    let wrong = [
        "Bearer x.y.z".to_owned(),
        format!("{}x", good.get(..good.len() - 4).unwrap()),
        of("AWS", "not-a-token"),
        of("<token>", "not-a-token"),
        of("oidc", "a.b.c"),
    ];
    for wrong in wrong.iter().cycle().take(50) {
        with_authorization(&proxy, wrong, "GET", "/v2/").await.assert_error(401, "UNAUTHORIZED");
        with_authorization(&proxy, &good, "GET", "/v2/").await.assert_status(200);
    }
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    for _ in 0..10 {
        let body = b"grant_type=refresh_token&service=x&client_id=x&refresh_token=nonsense";
        proxy.client().send("POST", "/token", &form, body).await.assert_status(401);
    }
    // Others, and whoever sent them, log in from the same address as before.
    token(&proxy, Some("reader"), &[]).await.assert_status(200);
    with_authorization(&proxy, &basic("root"), "GET", "/v2/").await.assert_status(200);
    api(&proxy.client(), "root", "DescribeRegistry", serde_json::json!({})).await.assert_status(200);
}

/// Who guesses one user's password is told to wait with this user; its tokens and everybody else come in from the same address.
#[tokio::test]
async fn t13_guesses_are_counted_for_the_user_that_they_are_of() {
    let upstream = FakeUpstream::start().await;
    let proxy = strict(&upstream).await;
    let good = bearer(&token(&proxy, Some("reader"), &[]).await);
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(with_authorization(&proxy, &wrong_password("reader"), "GET", "/v2/").await.status);
    }
    assert_eq!(seen, [401, 401, 401, 429, 429]);
    let refused = with_authorization(&proxy, &basic("reader"), "GET", "/v2/").await;
    refused.assert_error(429, "TOOMANYREQUESTS");
    assert!(refused.header("retry-after").is_some() && refused.text().contains("this user"), "{}", refused.text());
    with_authorization(&proxy, &good, "GET", "/v2/").await.assert_status(200);
    for user in ["root", "nobody"] {
        with_authorization(&proxy, &basic(user), "GET", "/v2/").await.assert_status(200);
    }
    // A name that nobody has is refused in the same way: it is not told who is there.
    for expected in [401, 401, 401, 429] {
        let answer = with_authorization(&proxy, &wrong_password("who"), "GET", "/v2/").await;
        assert_eq!(answer.status, expected);
    }
}

/// A password that was right a moment ago is remembered, and must not be found out by guessing faster than once in a while.
#[tokio::test]
async fn t13_what_is_remembered_is_no_oracle() {
    let upstream = FakeUpstream::start().await;
    let proxy = strict(&upstream).await;
    with_authorization(&proxy, &basic("root"), "GET", "/v2/").await.assert_status(200);
    for _ in 0..3 {
        with_authorization(&proxy, &wrong_password("root"), "GET", "/v2/").await.assert_status(401);
    }
    with_authorization(&proxy, &basic("root"), "GET", "/v2/").await.assert_error(429, "TOOMANYREQUESTS");
    assert!(!proxy.log().contains(SECRET));
}
