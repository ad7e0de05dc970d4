//! One who comes as many, by names that it may choose, and credentials that it may exchange.

use std::time::{Duration, SystemTime};

use base64::Engine;
use entrepot::auth::UnixTime;
use entrepot::auth::proof::{Keyring, Principal, TokenService, issue_authorization_token};
use serde_json::json;

use super::ACCOUNT;
use crate::iam::{Key, assert_fault, done, ecr, encoded, guarded, iam, user};
use crate::proxy::Proxy;
use crate::push::path;

/// AWS's way to end sessions: what was given before is denied everything.
const ENDED: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"},
    {"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"#;

struct Old {
    ring: Keyring,
    service: TokenService,
    principal: Principal,
}

async fn old(proxy: &Proxy) -> Old {
    let ring = Keyring::parse(&std::fs::read_to_string(proxy.data_path().join("keys")).unwrap()).unwrap();
    let service = TokenService {
        issuer: format!("entrepot/{ACCOUNT}"),
        service: format!("entrepot/{ACCOUNT}/local"),
        leeway: Duration::from_secs(60),
    };
    let ended = UnixTime::from(SystemTime::now()).minus(Duration::from_secs(600));
    let policy = encoded(&format!("{ENDED}\"{}\"}}}}}}]}}", iso(ended)));
    user(proxy, "ann", Some(&policy)).await;
    let password = "a-robots-secret";
    done(proxy, &format!("CreateLoginProfile&UserName=ann&Password={password}")).await;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("ann:{password}"));
    let token = "/token?service=x&scope=registry:catalog:*";
    let token = proxy.client().request("GET", token, &[("Authorization", &format!("Basic {basic}"))]).await.json();
    let claims = service.verify(&ring, token["token"].as_str().unwrap(), SystemTime::now().into()).unwrap();
    Old { ring, service, principal: claims.principal.unwrap() }
}

fn iso(at: UnixTime) -> String {
    let basic = at.basic();
    let part = |from: usize, to: usize| basic.get(from..to).unwrap();
    format!("{}-{}-{}T{}:{}:{}Z", part(0, 4), part(4, 6), part(6, 8), part(9, 11), part(11, 13), part(13, 15))
}

/// A token that is exchanged for another keeps its time, however often.
#[tokio::test]
async fn a05_old_tokens_stay_old() {
    let (proxy, _upstream) = guarded().await;
    let Old { ring, service, principal } = old(&proxy).await;
    ecr(&proxy, &crate::iam::root(), "CreateRepository", r#"{"repositoryName":"team/app"}"#).await.assert_status(200);
    let (now, month) = (UnixTime::from(SystemTime::now()), Duration::from_secs(30 * 24 * 3600));
    let client = proxy.client();
    let list = async |token: &str| {
        let shown = format!("Bearer {token}");
        client.request("GET", &path("team/app", "tags/list"), &[("Authorization", &shown)]).await.status
    };
    let exchange = async |refresh: &str| {
        let form = format!(
            "grant_type=refresh_token&service=x&client_id=x&access_type=offline&scope=repository:team/app:pull&refresh_token={refresh}"
        );
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = client.send("POST", "/token", &headers, form.as_bytes()).await;
        answer.assert_status(200);
        let text = |key: &str| answer.json()[key].as_str().unwrap_or_default().to_owned();
        (text("access_token"), text("refresh_token"))
    };
    for (age, is_listed) in [(0, true), (3600, false)] {
        let given = now.minus(Duration::from_secs(age));
        let refresh = service.issue_refresh_token(&ring, &principal, given, month).unwrap();
        let (bearer, refresh) = exchange(&refresh).await;
        assert_eq!(list(&bearer).await == 200, is_listed, "the bearer token of one of {age} s ago");
        let (bearer, _) = exchange(&refresh).await;
        assert_eq!(list(&bearer).await == 200, is_listed, "that of the refresh token that was got for it");
        let (password, _) = issue_authorization_token(&ring, &principal, given, month).unwrap();
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("AWS:{password}"));
        let catalog = "/token?service=x&scope=registry:catalog:*";
        let token = client.request("GET", catalog, &[("Authorization", &format!("Basic {basic}"))]).await.json();
        let shown = format!("Bearer {}", token["token"].as_str().unwrap());
        let seen = client.request("GET", "/v2/_catalog", &[("Authorization", &shown)]).await.json();
        let expected = if is_listed { json!(["team/app"]) } else { json!(null) };
        let seen = seen["repositories"].as_array().filter(|names| !names.is_empty()).map(|names| json!(names));
        assert_eq!(seen.unwrap_or_default(), expected, "the catalog by an authorization token of {age} s ago");
    }
}

/// Conditions do not tell capitals apart: a key that a policy guards is not changed by another spelling of it.
#[tokio::test]
async fn a10_capitals_are_no_way_round_a_guarded_tag() {
    let (proxy, _upstream) = guarded().await;
    done(&proxy, "CreateUser&UserName=mallory&Tags.member.1.Key=team&Tags.member.1.Value=blue").await;
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["iam:TagUser","iam:UntagUser","iam:ListUserTags"],"Resource":"*"},
        {"Effect":"Deny","Action":["iam:TagUser","iam:UntagUser"],"Resource":"*",
         "Condition":{"ForAnyValue:StringEquals":{"aws:TagKeys":["team"]}}}]}"#;
    done(&proxy, &format!("PutUserPolicy&UserName=mallory&PolicyName=own&PolicyDocument={}", encoded(policy))).await;
    let key = Key::told(&done(&proxy, "CreateAccessKey&UserName=mallory").await);
    let tag = |key: &str| format!("TagUser&UserName=mallory&Tags.member.1.Key={key}&Tags.member.1.Value=red");
    let untag = |key: &str| format!("UntagUser&UserName=mallory&TagKeys.member.1={key}");
    for action in [tag("team"), untag("team")] {
        assert_fault(&iam(&proxy, &key, &action).await, 403, "AccessDenied");
    }
    for action in [tag("TEAM"), tag("Team"), untag("TEAM"), untag("tEam")] {
        assert_fault(&iam(&proxy, &key, &action).await, 400, "InvalidInput");
    }
    let tags = iam(&proxy, &key, "ListUserTags&UserName=mallory").await.text();
    assert!(tags.contains("<Key>team</Key><Value>blue</Value>"), "{tags}");
}
