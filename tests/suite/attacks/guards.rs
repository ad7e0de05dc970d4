//! Guards that would guard nothing: conditions on keys that no request has are refused where somebody writes them, and told where they are.

use serde_json::json;
use sqlx::Connection as _;

use crate::iam::{self, assert_fault, ecr, encoded, root, user};
use crate::operators::run;
use crate::proxy::{Proxy, Setup};
use crate::upstream::FakeUpstream;

/// A Deny with one condition.
fn deny(operator: &str, key: &str, value: &str) -> String {
    json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "ecr:*", "Resource": "*" },
        { "Sid": "guard", "Effect": "Deny", "Action": "ecr:*", "Resource": "*", "Condition": { operator: { key: value } } }
    ] })
    .to_string()
}

/// The same as a policy of a resource.
fn of_resource(policy: &str) -> String {
    let mut policy: serde_json::Value = serde_json::from_str(policy).unwrap();
    for statement in policy["Statement"].as_array_mut().unwrap() {
        statement["Principal"] = json!("*");
    }
    policy.to_string()
}

#[tokio::test]
async fn g05_a_guard_that_guards_nothing_is_refused_by_every_api() {
    let (proxy, _upstream) = iam::guarded().await;
    ecr(&proxy, &root(), "CreateRepository", r#"{"repositoryName":"team/app"}"#).await.assert_status(200);
    user(&proxy, "alice", None).await;
    for (policy, said) in [
        (deny("NotIpAddress", "aws:SourceIP2", "192.0.2.0/24"), ["aws:SourceIP2", "guard", "aws:SourceIp"]),
        (deny("StringLike", "entrepot:Foo", "x"), ["entrepot:Foo", "guard", "entrepot:ImageTag"]),
        (deny("StringEquals", "aws:SourceVpc", "vpc-1"), ["aws:SourceVpc", "guard", "would never deny"]),
    ] {
        let own = format!("PutUserPolicy&UserName=alice&PolicyName=own&PolicyDocument={}", encoded(&policy));
        let answer = iam::iam(&proxy, &root(), &own).await;
        assert_fault(&answer, 400, "MalformedPolicyDocument");
        let of_resource = of_resource(&policy);
        let set = json!({ "repositoryName": "team/app", "policyText": of_resource }).to_string();
        let put = json!({ "policyText": of_resource }).to_string();
        let template =
            json!({ "prefix": "a", "appliedFor": ["CREATE_ON_PUSH"], "repositoryPolicy": of_resource }).to_string();
        let mut texts = vec![answer.text()];
        for (operation, input) in [
            ("SetRepositoryPolicy", &set),
            ("PutRegistryPolicy", &put),
            ("CreateRepositoryCreationTemplate", &template),
        ] {
            let answer = ecr(&proxy, &root(), operation, input).await;
            assert_eq!(answer.status, 400, "{operation} {}", answer.text());
            assert!(answer.text().contains("InvalidParameterException"), "{}", answer.text());
            texts.push(answer.text());
        }
        for text in texts {
            assert!(said.iter().all(|word| text.contains(word)), "{said:?} in {text}");
        }
    }
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Condition":{"StringNotEquals":{"sts:ExternalId":"x"}}}]}"#;
    let role = format!("CreateRole&RoleName=r&AssumeRolePolicyDocument={}", encoded(trust));
    assert_fault(&iam::iam(&proxy, &root(), &role).await, 400, "MalformedPolicyDocument");
    // What keeps everybody out is what it says.
    let closed = of_resource(&deny("StringNotEquals", "aws:SourceVpce", "vpce-1"));
    let set = json!({ "repositoryName": "team/app", "policyText": closed, "force": true }).to_string();
    ecr(&proxy, &root(), "SetRepositoryPolicy", &set).await.assert_status(200);
    ecr(&proxy, &root(), "ListImages", r#"{"repositoryName":"team/app"}"#).await.assert_status(400);
}

async fn command(proxy: &Proxy, arguments: &[&str]) -> (bool, String) {
    let config = proxy.config_path();
    let folder = proxy.data_path().parent().unwrap().to_owned();
    let output = run(&[arguments, &["--config", config.to_str().unwrap()]].concat(), &folder, &[]).await;
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// A policy that an earlier version took goes on as it is, and an operator is told of it.
#[tokio::test]
async fn g05_a_guard_that_is_there_goes_on_and_is_told() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (file, log) = (folder.path().join("own.json"), folder.path().join("audit"));
    std::fs::write(&file, deny("IpAddress", "aws:SourceIp", "192.0.2.0/24")).unwrap();
    let mut setup = Setup::of(&upstream);
    setup.log.text("audit", log.to_str().unwrap());
    setup.more = format!(
        "{}\n[[user]]\nname = \"cici\"\naccess_key_id = \"AKIACICICICICICICICI\"\nsecret_access_key = \"a-secret-that-nobody-may-see\"\npolicies = [{file:?}]\n",
        iam::USERS
    );
    let mut proxy = setup.start().await;
    ecr(&proxy, &root(), "CreateRepository", r#"{"repositoryName":"team/app"}"#).await.assert_status(200);
    user(&proxy, "alice", Some(&iam::allow(r#""ecr:*""#, r#""*""#))).await;
    let (good, text) = command(&proxy, &["policy", "check"]).await;
    assert!(good && text.contains("every stored policy says what it seems to"), "{text}");
    // The command does as the API does.
    let bad = folder.path().join("bad.json");
    std::fs::write(&bad, deny("IpAddress", "aws:SourceIP2", "192.0.2.0/24")).unwrap();
    let (good, text) = command(&proxy, &["iam", "put-policy", "alice", bad.to_str().unwrap()]).await;
    assert!(!good && text.contains("aws:SourceIP2"), "{text}");
    // Now all that is there has such a guard.
    proxy.terminate().await;
    let guard = deny("IpAddress", "aws:SourceIP2", "192.0.2.0/24");
    std::fs::write(&file, &guard).unwrap();
    let (good, text) = command(&proxy, &["config", "check"]).await;
    assert!(!good && text.contains("aws:SourceIP2") && text.contains("own.json"), "{text}");
    // New in the file it is refused at the start.
    proxy.spawn();
    assert!(!proxy.wait().await.success());
    let said = proxy.log();
    assert!(said.contains("is refused") && said.contains("aws:SourceIP2") && said.contains("cici"), "{said}");
    let database = format!("sqlite:{}", proxy.data_path().join("entrepot.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&database).await.unwrap();
    for (statement, text) in [
        ("UPDATE principal_policy SET document = $1 WHERE document <> ''", guard.clone()),
        ("UPDATE repository SET policy = $1", of_resource(&guard)),
    ] {
        sqlx::query(statement).bind(text).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    proxy.start().await;
    crate::bound::until("the log tells of all three", || {
        let log = proxy.log();
        ["user alice of 000000000000", "user cici of 000000000000", "repository team/app of 000000000000"]
            .iter()
            .all(|of| log.lines().any(|line| line.contains("does not say what it seems to") && line.contains(of)))
    })
    .await;
    let key = iam::Key::of("AKIACICICICICICICICI");
    ecr(&proxy, &key, "ListImages", r#"{"repositoryName":"team/app"}"#).await.assert_status(200);
    let (good, text) = command(&proxy, &["policy", "check"]).await;
    assert!(!good && text.contains("3 to mend") && text.contains("aws:SourceIp"), "{text}");
}
