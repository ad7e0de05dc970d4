//! Policies that keep everybody out: there is a way back.

use serde_json::{Value, json};

use crate::iam::{self, allow, ecr, root, user};
use crate::operators::run;
use crate::proxy::Setup;
use crate::upstream::FakeUpstream;

const NAMED: &str = r#"{"repositoryName":"shared/app"}"#;

fn policy(condition: &Value, force: bool) -> String {
    let mut statement = json!({ "Effect": "Deny", "Principal": "*", "Action": "ecr:*" });
    if !condition.is_null() {
        statement["Condition"] = condition.clone();
    }
    let text = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
    json!({ "repositoryName": "shared/app", "policyText": text, "force": force }).to_string()
}

#[tokio::test]
async fn g26_a_repository_policy_locks_nobody_out_for_good() {
    let (upstream, folder) = (FakeUpstream::start().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("audit");
    let mut setup = Setup::of(&upstream);
    setup.log.text("audit", file.to_str().unwrap());
    setup.more = iam::USERS.to_owned();
    let proxy = setup.start().await;
    let full = iam::Key::of("AKIAFULLFULLFULLFULL");
    ecr(&proxy, &root(), "CreateRepository", NAMED).await.assert_status(200);
    let locker = user(&proxy, "locker", Some(&allow(r#""ecr:SetRepositoryPolicy""#, r#""*""#))).await;
    // Whoever locks themselves out is asked whether they mean it, whatever the conditions say that hold for them now.
    let now = json!({ "DateGreaterThan": { "aws:CurrentTime": "2020-01-01T00:00:00Z" } });
    let here = json!({ "IpAddress": { "aws:SourceIp": "127.0.0.0/8" } });
    let mine = json!({ "StringLike": { "aws:PrincipalArn": "*:user/locker" } });
    for condition in [&Value::Null, &now, &here, &mine] {
        let answer = ecr(&proxy, &locker, "SetRepositoryPolicy", &policy(condition, false)).await;
        assert_eq!(answer.status, 400, "{condition}: {}", answer.text());
    }
    let elsewhere = json!({ "IpAddress": { "aws:SourceIp": "192.0.2.0/24" } });
    for condition in [&elsewhere, &now] {
        ecr(&proxy, &locker, "SetRepositoryPolicy", &policy(condition, true)).await.assert_status(200);
    }
    // It binds everybody, and administrators but for mending it.
    for key in [&locker, &full] {
        for operation in ["GetRepositoryPolicy", "DeleteRepositoryPolicy", "DeleteRepository", "ListImages"] {
            ecr(&proxy, key, operation, NAMED).await.assert_status(400);
        }
    }
    for operation in ["DeleteRepository", "ListImages"] {
        ecr(&proxy, &root(), operation, NAMED).await.assert_status(400);
    }
    let foreign = iam::Key::of("AKIAFOREFOREFOREFORE");
    let theirs = r#"{"repositoryName":"shared/app","registryId":"000000000000"}"#;
    ecr(&proxy, &foreign, "DeleteRepositoryPolicy", theirs).await.assert_status(400);
    ecr(&proxy, &root(), "GetRepositoryPolicy", NAMED).await.assert_status(200);
    ecr(&proxy, &root(), "DeleteRepositoryPolicy", NAMED).await.assert_status(200);
    ecr(&proxy, &root(), "ListImages", NAMED).await.assert_status(200);
    // An operator asks nobody, and it is written down.
    ecr(&proxy, &locker, "SetRepositoryPolicy", &policy(&now, true)).await.assert_status(200);
    let config = proxy.config_path();
    let command = async |name: &str| {
        run(&["policy", "delete-repository", name, "--config", config.to_str().unwrap()], folder.path(), &[]).await
    };
    let removed = command("shared/app").await;
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    assert!(String::from_utf8_lossy(&removed.stdout).contains("DateGreaterThan"));
    for name in ["shared/app", "shared/none"] {
        assert_eq!(command(name).await.status.code(), Some(1));
    }
    crate::bound::until_async("the service sees it", async || {
        ecr(&proxy, &root(), "ListImages", NAMED).await.status == 200
    })
    .await;
    let text = std::fs::read_to_string(&file).unwrap();
    let commands: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let commands: Vec<_> = commands.iter().filter(|line: &&Value| line["means"] == "command").collect();
    assert_eq!(commands.len(), 3);
    assert_eq!(commands[0]["action"], "ecr:DeleteRepositoryPolicy");
    assert_eq!(commands[0]["resource"], "arn:aws:ecr:local:000000000000:repository/shared/app");
    assert_eq!((commands[0].get("fault"), &commands[1]["fault"]), (None, &json!("NoPolicy")));
}
