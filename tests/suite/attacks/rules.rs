//! Pull-through rules, made by somebody who has no other right.

use serde_json::json;

use crate::client::{Answer, Client};
use crate::edge::{USERS, api, as_user, assert_fault, basic, push};
use crate::proxy::{Proxy, Setup};
use crate::push::{an_image, path};
use crate::upstream::FakeUpstream;

const REPO: &str = "team/app";

async fn guarded(upstream: &FakeUpstream) -> Proxy {
    let mut setup = Setup::of(upstream);
    setup.more = format!("{USERS}\n[auth]\nurl = \"https://registry.acme.example\"\ndomain = \"ecr.acme.example\"\n");
    setup.start().await
}

async fn rule(client: &Client, prefix: &str, url: &str) -> Answer {
    let rule = json!({ "ecrRepositoryPrefix": prefix, "upstreamRegistryUrl": url });
    api(client, "root", "CreatePullThroughCacheRule", rule).await
}

/// A rule that was called like the host that clients come by took all that they asked for there.
#[tokio::test]
async fn a01_a_rule_is_no_host() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let image = an_image(1, &[1000]).await;
    push(&proxy, REPO, "latest", &image).await;
    for own in ["registry.acme.example", "ecr.acme.example", "team.ecr.acme.example"] {
        let answer = rule(&proxy.client(), own, "evil.example").await;
        assert_fault(&answer, "ValidationException");
        assert!(answer.text().contains("a host that this registry is reached by"), "{}", answer.text());
    }
    for host in ["evil.example", "localhost", "127.0.0.1"] {
        rule(&proxy.client(), host, host).await.assert_status(200);
        for came_by in [host.to_owned(), format!("{host}:5000"), host.to_uppercase()] {
            let client = proxy.client().as_host(&came_by);
            let headers = [("Authorization", basic("root"))];
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let pulled = client.request("GET", &path(REPO, "manifests/latest"), &headers).await;
            pulled.assert_body(&image.manifest.bytes);
        }
    }
    // By its path and its namespace it is the rule's as before, and is asked; nobody is there.
    let named = as_user(&proxy, "root", "GET", &path("evil.example/app", "manifests/latest")).await;
    assert!(named.status >= 500, "{}", named.status);
    let named = as_user(&proxy, "root", "GET", &(path("app", "manifests/latest") + "?ns=evil.example")).await;
    assert!(named.status >= 500, "{}", named.status);
}

/// A rule below another's prefix took the names of that one's repositories, and gave them another registry's images.
#[tokio::test]
async fn a12_a_rule_takes_no_other_rules_names() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let client = proxy.client();
    rule(&client, "hub", "good.example").await.assert_status(200);
    for below in ["hub/library", "hub/library/nginx", "hub/a/"] {
        let answer = rule(&client, below, "evil.example").await;
        assert_fault(&answer, "ValidationException");
        assert!(answer.text().contains("lies below the rule for 'hub'"), "{}", answer.text());
    }
    for beside in ["hubs", "hub-a/b", "a/hub"] {
        rule(&client, beside, "other.example").await.assert_status(200);
    }
    assert_fault(&rule(&client, "hub", "evil.example").await, "PullThroughCacheRuleAlreadyExistsException");
}
