//! What refusals and lists tell of what their reader may not see.

use serde_json::json;

use crate::iam::{self, Key, allow, ecr, guarded, root, user};

const SID: &str = "OnlyTheBoardBeforeTheMerger";

/// The text of a refusal of the data plane without the name in it.
async fn refusal(proxy: &crate::proxy::Proxy, shown: Option<&str>, name: &str) -> (u16, String) {
    let headers: Vec<_> = shown.iter().map(|shown| ("Authorization", *shown)).collect();
    let answer = proxy.client().request("GET", &format!("/v2/{name}/tags/list"), &headers).await;
    let error = &answer.json()["errors"][0];
    (answer.status, format!("{} {}", error["code"], error["message"]).replace(name, "NAME"))
}

/// Where somebody has no right, a repository with policies, one without and none at all are refused in the same words, on both planes.
#[tokio::test]
async fn g22_refusals_tell_strangers_nothing_of_repositories() {
    let (proxy, _upstream) = guarded().await;
    let names = ["board/merger", "board/open", "board/given", "board/nothere"];
    for name in &names[..3] {
        let named = json!({ "repositoryName": name }).to_string();
        ecr(&proxy, &root(), "CreateRepository", &named).await.assert_status(200);
    }
    let deny = json!({ "Sid": SID, "Effect": "Deny", "Principal": "*", "Action": "ecr:*",
        "Condition": { "StringNotLike": { "aws:PrincipalArn": "*:user/root" } } });
    let give = json!({ "Sid": SID, "Effect": "Allow", "Principal": { "AWS": "000000000000" }, "Action": "ecr:*" });
    for (name, statement) in [("board/merger", deny), ("board/given", give)] {
        let text = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
        let set = json!({ "repositoryName": name, "policyText": text }).to_string();
        ecr(&proxy, &root(), "SetRepositoryPolicy", &set).await.assert_status(200);
    }
    let nobody = user(&proxy, "stranger", Some(&allow(r#""ecr:GetAuthorizationToken""#, r#""*""#))).await;
    let other = Key::of("AKIANOBONOBONOBONOBO");
    let foreign = user_of_another_account();
    let token = ecr(&proxy, &nobody, "GetAuthorizationToken", "{}").await.json();
    let shown = format!("Basic {}", token["authorizationData"][0]["authorizationToken"].as_str().unwrap());
    for shown in [None, Some(shown.as_str())] {
        let mut told = Vec::new();
        for name in names {
            told.push(refusal(&proxy, shown, name).await);
        }
        assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
        assert!(!told[0].1.contains(SID));
    }
    for key in [&nobody, &other, &foreign] {
        let mut told = Vec::new();
        for name in names {
            let asked = json!({ "repositoryName": name, "registryId": "000000000000" }).to_string();
            let answer = ecr(&proxy, key, "DescribeImages", &asked).await;
            told.push((answer.status, answer.text().replace(name, "NAME")));
        }
        assert_eq!(told[0].0, 400);
        assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
        assert!(!told[0].1.contains(SID));
    }
    // Who has the right in their own account learns that a policy keeps them out, and not which; who may read the policy learns which.
    let puller = user(&proxy, "puller", Some(&allow(r#""ecr:DescribeImages""#, r#""*""#))).await;
    let asked = r#"{"repositoryName":"board/merger"}"#;
    let told = ecr(&proxy, &puller, "DescribeImages", asked).await.text();
    assert!(told.contains("denied by the policy of what it is about") && !told.contains(SID), "{told}");
    let narrower = json!({ "Version": "2012-10-17", "Statement": [{ "Sid": SID, "Effect": "Deny", "Principal": "*", "Action": "ecr:DescribeImages" }] });
    let set = json!({ "repositoryName": "board/merger", "policyText": narrower.to_string() }).to_string();
    ecr(&proxy, &root(), "SetRepositoryPolicy", &set).await.assert_status(200);
    let told = ecr(&proxy, &Key::of("AKIAFULLFULLFULLFULL"), "DescribeImages", asked).await.text();
    assert!(told.contains(SID), "{told}");
}

/// Who may simulate somebody's rights learns no more of the policies of repositories and of the registry than a refusal would tell that one,
/// unless they may read these policies themselves.
#[tokio::test]
async fn g22_simulations_tell_no_statements_to_those_who_may_not_read_them() {
    let (proxy, _upstream) = guarded().await;
    for name in ["board/merger", "board/given", "board/open"] {
        let named = json!({ "repositoryName": name }).to_string();
        ecr(&proxy, &root(), "CreateRepository", &named).await.assert_status(200);
    }
    let deny =
        json!({ "Sid": SID, "Effect": "Deny", "Principal": "*", "Action": ["ecr:ListImages", "ecr:DescribeImages"] });
    let give = json!({ "Sid": SID, "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::000000000000:user/puller" },
        "Action": "ecr:PutImage" });
    for (name, statement) in [("board/merger", deny), ("board/given", give)] {
        let text = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
        let set = json!({ "repositoryName": name, "policyText": text }).to_string();
        ecr(&proxy, &root(), "SetRepositoryPolicy", &set).await.assert_status(200);
    }
    let registry =
        json!({ "Sid": SID, "Effect": "Deny", "Principal": "*", "Action": "ecr:DescribeRegistry", "Resource": "*" });
    let text = json!({ "Version": "2012-10-17", "Statement": [registry] }).to_string();
    let put = json!({ "policyText": text }).to_string();
    ecr(&proxy, &root(), "PutRegistryPolicy", &put).await.assert_status(200);
    user(&proxy, "puller", Some(&allow(r#"["ecr:DescribeImages","ecr:DescribeRegistry"]"#, r#""*""#))).await;
    let asker = user(&proxy, "asker", Some(&allow(r#""iam:SimulatePrincipalPolicy""#, r#""*""#))).await;
    let reads = r#"["iam:SimulatePrincipalPolicy","ecr:GetRepositoryPolicy","ecr:GetRegistryPolicy"]"#;
    let reader = user(&proxy, "reader", Some(&allow(reads, r#""*""#))).await;
    let ask = async |key: &Key, action: &str, resource: &str| {
        let asked = format!(
            "SimulatePrincipalPolicy&PolicySourceArn=arn:aws:iam::000000000000:user/puller&ActionNames.member.1={action}&ResourceArns.member.1={resource}"
        );
        let answer = iam::iam(&proxy, key, &asked).await;
        answer.assert_status(200);
        let text = answer.text();
        (iam::element(&text, "EvalDecision"), text.contains("resource-policy") || text.contains(SID))
    };
    let of = |name: &str| format!("arn:aws:ecr:local:000000000000:repository/board/{name}");
    for (action, resource, by_asker, by_reader) in [
        // Whoever may in their own account learns that a policy keeps them out; whoever may not learns nothing.
        ("ecr:DescribeImages", of("merger"), "explicitDeny", ("explicitDeny", true)),
        ("ecr:ListImages", of("merger"), "implicitDeny", ("explicitDeny", true)),
        ("ecr:ListImages", of("open"), "implicitDeny", ("implicitDeny", false)),
        ("ecr:ListImages", of("none"), "implicitDeny", ("implicitDeny", false)),
        ("ecr:PutImage", of("given"), "allowed", ("allowed", true)),
        ("ecr:DescribeRegistry", "*".to_owned(), "explicitDeny", ("explicitDeny", true)),
    ] {
        let (decision, is_told) = ask(&asker, action, &resource).await;
        assert_eq!((decision.as_str(), is_told), (by_asker, false), "{action} {resource}");
        let (decision, is_told) = ask(&reader, action, &resource).await;
        assert_eq!((decision.as_str(), is_told), by_reader, "{action} {resource}");
    }
}

fn user_of_another_account() -> Key {
    iam::Key::of("AKIAFOREFOREFOREFORE")
}
