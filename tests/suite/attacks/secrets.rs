//! Who may make pull-through rules chooses where they point: neither secrets of the account nor its inner network are told thereby.

use serde_json::json;

use crate::edge::{api, assert_fault, guarded};
use crate::upstream::FakeUpstream;

const ARN: &str = "arn:aws:secretsmanager:local:000000000000:secret:ecr-pullthroughcache/hub-AbCdEf";

/// A secret is for the registries that its file names; without a name it is for none.
#[tokio::test]
async fn t06_s5_secrets_go_to_their_registries_only() {
    let (upstream, theirs) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let proxy = guarded(&upstream).await;
    let (client, folder) = (proxy.client(), proxy.data_path().join("secrets/ecr-pullthroughcache"));
    std::fs::create_dir_all(&folder).unwrap();
    let put = |registry: serde_json::Value| {
        let mut secret = json!({ "username": "company-hub-user", "accessToken": "dckr_pat_TOPSECRET" });
        if !registry.is_null() {
            secret["registry"] = registry;
        }
        std::fs::write(folder.join("hub.json"), secret.to_string()).unwrap();
    };
    let create = async |prefix: &str, host: &str| {
        let rule = json!({ "ecrRepositoryPrefix": prefix, "upstreamRegistryUrl": host, "credentialArn": ARN });
        api(&client, "root", "CreatePullThroughCacheRule", rule).await
    };
    let (mine, host) = ("registry-1.docker.io", theirs.host());
    // A file of an earlier version says for whom nothing; the answer says what to write.
    put(json!(null));
    let refused = create("hub", mine).await;
    assert_fault(&refused, "UnableToAccessSecretException");
    assert!(refused.text().contains(r#"\"registry\": \"registry-1.docker.io\""#), "{}", refused.text());
    for registry in [json!(mine), json!([mine, "ghcr.io"]), json!([])] {
        put(registry);
        let refused = create("theirs", &host).await;
        assert_fault(&refused, "UnableToAccessSecretException");
        assert!(refused.text().contains(&host), "{}", refused.text());
    }
    put(json!(mine));
    create("hub", mine).await.assert_status(200);
    // Nor by way of a rule that is there, whose secret is set or changed later.
    let bare = json!({ "ecrRepositoryPrefix": "theirs", "upstreamRegistryUrl": host });
    api(&client, "root", "CreatePullThroughCacheRule", bare).await.assert_status(200);
    let update = json!({ "ecrRepositoryPrefix": "theirs", "credentialArn": ARN });
    let refused = api(&client, "root", "UpdatePullThroughCacheRule", update.clone()).await;
    assert_fault(&refused, "UnableToAccessSecretException");
    put(json!(host));
    api(&client, "root", "UpdatePullThroughCacheRule", update).await.assert_status(200);
    put(json!(mine));
    let prefix = json!({ "ecrRepositoryPrefix": "theirs" });
    let validated = api(&client, "root", "ValidatePullThroughCacheRule", prefix).await.json();
    assert_eq!(validated["isValid"], json!(false));
    assert!(validated["failure"].as_str().unwrap().contains("its secret is not for"), "{validated}");
    assert!(!proxy.log().contains("TOPSECRET"));
}

/// Where something listens, and how it answers, is not told to whoever writes rules.
#[tokio::test]
async fn t06_validation_scans_no_network() {
    let upstream = FakeUpstream::start().await;
    let (plain, closed) = (FakeUpstream::start().await, FakeUpstream::start().await);
    closed.refuse();
    let proxy = guarded(&upstream).await;
    let client = proxy.client();
    let mut failures = Vec::new();
    for (prefix, host) in
        [("plain", plain.host()), ("closed", closed.host()), ("nowhere", "nowhere.invalid".to_owned())]
    {
        let rule = json!({ "ecrRepositoryPrefix": prefix, "upstreamRegistryUrl": host });
        api(&client, "root", "CreatePullThroughCacheRule", rule).await.assert_status(200);
        let validated =
            api(&client, "root", "ValidatePullThroughCacheRule", json!({ "ecrRepositoryPrefix": prefix })).await.json();
        assert_eq!(validated["isValid"], json!(false), "{validated}");
        failures.push(validated["failure"].as_str().unwrap().replace(&host, "HOST"));
    }
    assert!(failures.iter().all(|failure| *failure == failures[0]), "{failures:?}");
}
