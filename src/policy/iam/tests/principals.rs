//! Who is meant by the principals of a resource's policy.
//!
//! The registry is in account 111122223333; every asker brings an identity policy that allows everything, or none.

use super::*;

const ANN: &str = "arn:aws:iam::111122223333:user/dev/ann";
const ROOT: &str = "arn:aws:iam::111122223333:root";
const CI: &str = "session:arn:aws:iam::111122223333:role/infra/ci run1";
const FED: &str = "arn:aws:sts::111122223333:federated-user/guest";
const FAR_ANN: &str = "arn:aws:iam::222233334444:user/ann";
const FAR_CI: &str = "session:arn:aws:iam::222233334444:role/ci run1";
const FAR_ROOT: &str = "arn:aws:iam::222233334444:root";
const BUILD: &str = "service:codebuild.amazonaws.com";
const IDP: &str = "federated:accounts.example.com";

/// The principal that is allowed, the asker, the answer without an identity policy and with one that allows.
const ALLOWS: &[(&str, &str, &str, &str)] = &[
    (r#""*""#, "anonymous", "allowed", "allowed"),
    (r#""*""#, ANN, "allowed", "allowed"),
    (r#""*""#, BUILD, "allowed", "allowed"),
    (r#""*""#, FAR_ANN, "no identity", "allowed"),
    (r#"{"AWS": "*"}"#, "anonymous", "allowed", "allowed"),
    (r#"{"AWS": "*"}"#, CI, "allowed", "allowed"),
    (r#"{"AWS": "111122223333"}"#, "anonymous", "no resource", "no resource"),
    (r#"{"AWS": "arn:aws:iam::111122223333:user/dev/ann"}"#, ANN, "allowed", "allowed"),
    (r#"{"AWS": "arn:aws:iam::111122223333:user/dev/ann"}"#, "anonymous", "no resource", "no resource"),
    (r#"{"AWS": "arn:aws:iam::111122223333:user/ann"}"#, ANN, "no either", "allowed"),
    (r#"{"AWS": "arn:aws:iam::111122223333:user/dev/Ann"}"#, ANN, "no either", "allowed"),
    (r#"{"AWS": ["222233334444", "arn:aws:iam::111122223333:user/dev/ann"]}"#, ANN, "allowed", "allowed"),
    (r#"{"AWS": "111122223333"}"#, ANN, "no identity", "allowed"),
    (r#"{"AWS": "arn:aws:iam::111122223333:root"}"#, ANN, "no identity", "allowed"),
    (r#"{"AWS": "arn:aws:iam::111122223333:root"}"#, ROOT, "allowed", "allowed"),
    (r#"{"AWS": "222233334444"}"#, ROOT, "allowed", "allowed"),
    (r#"{"AWS": "arn:aws:iam::111122223333:role/infra/ci"}"#, CI, "allowed", "allowed"),
    (r#"{"AWS": "arn:aws:iam::111122223333:role/ci"}"#, CI, "no either", "allowed"),
    (r#"{"AWS": "arn:aws:sts::111122223333:assumed-role/ci/run1"}"#, CI, "allowed", "allowed"),
    (r#"{"AWS": "arn:aws:sts::111122223333:assumed-role/ci/run2"}"#, CI, "no either", "allowed"),
    (r#"{"AWS": "111122223333"}"#, CI, "no identity", "allowed"),
    (r#"{"AWS": "arn:aws:sts::111122223333:federated-user/guest"}"#, FED, "allowed", "allowed"),
    (r#"{"AWS": "arn:aws:iam::222233334444:user/ann"}"#, FAR_ANN, "no identity", "allowed"),
    (r#"{"AWS": "222233334444"}"#, FAR_ANN, "no identity", "allowed"),
    (r#"{"AWS": "arn:aws:iam::222233334444:root"}"#, FAR_ANN, "no identity", "allowed"),
    (r#"{"AWS": "arn:aws:iam::222233334444:root"}"#, FAR_CI, "no identity", "allowed"),
    (r#"{"AWS": "arn:aws:iam::222233334444:role/ci"}"#, FAR_CI, "no identity", "allowed"),
    (r#"{"AWS": "arn:aws:sts::222233334444:assumed-role/ci/run1"}"#, FAR_CI, "no identity", "allowed"),
    (r#"{"AWS": "333344445555"}"#, FAR_ANN, "no both", "no resource"),
    (r#"{"AWS": "222233334444"}"#, FAR_ROOT, "allowed", "allowed"),
    (r#"{"AWS": "333344445555"}"#, FAR_ROOT, "no resource", "no resource"),
    (r#"{"Service": "codebuild.amazonaws.com"}"#, BUILD, "allowed", "allowed"),
    (r#"{"Service": ["ecs.amazonaws.com", "codebuild.amazonaws.com"]}"#, BUILD, "allowed", "allowed"),
    (r#"{"Service": "ecs.amazonaws.com"}"#, BUILD, "no resource", "no resource"),
    (r#"{"Service": "codebuild.amazonaws.com"}"#, ANN, "no either", "allowed"),
    (r#"{"Federated": "accounts.example.com"}"#, IDP, "allowed", "allowed"),
    (r#"{"Federated": "other.example.com"}"#, IDP, "no resource", "no resource"),
    (r#"{"AWS": "222233334444", "Service": "codebuild.amazonaws.com"}"#, BUILD, "allowed", "allowed"),
];

#[test]
fn allows() {
    let all = document(Kind::Identity, r#"{"Effect": "Allow", "Action": "*", "Resource": "*"}"#);
    let with = [IdentityPolicy { name: "all", document: &all }];
    for (principal, who, without, then) in ALLOWS {
        let text = format!(r#"{{"Effect": "Allow", "Principal": {principal}, "Action": "ecr:BatchGetImage"}}"#);
        let repository = document(Kind::Repository, &text);
        for (identity, wanted) in [(&[][..], without), (&with[..], then)] {
            let policies = Policies { identity, repository: Some(&repository), ..Policies::default() };
            let found = ask(&policies, &asker(who), "ecr:BatchGetImage", REPOSITORY, &Context::new());
            assert_eq!(found, *wanted, "{principal} for {who} with {} identity policies", identity.len());
        }
    }
}

/// The member that is denied, the asker, whether it is denied.
const DENIES: &[(&str, &str, bool)] = &[
    (r#""Principal": "*""#, "anonymous", true),
    (r#""Principal": "*""#, BUILD, true),
    (r#""Principal": "*""#, ROOT, true),
    (r#""Principal": {"AWS": "111122223333"}"#, ANN, true),
    (r#""Principal": {"AWS": "111122223333"}"#, CI, true),
    (r#""Principal": {"AWS": "111122223333"}"#, ROOT, true),
    (r#""Principal": {"AWS": "222233334444"}"#, ANN, false),
    (r#""Principal": {"AWS": "arn:aws:iam::111122223333:role/infra/ci"}"#, CI, true),
    (r#""Principal": {"AWS": "arn:aws:iam::111122223333:role/infra/ci"}"#, ANN, false),
    (r#""NotPrincipal": {"AWS": ["arn:aws:iam::111122223333:user/dev/ann", "111122223333"]}"#, ANN, false),
    (r#""NotPrincipal": {"AWS": "arn:aws:iam::111122223333:user/dev/ann"}"#, ANN, true),
    (r#""NotPrincipal": {"AWS": "111122223333"}"#, ANN, true),
    (r#""NotPrincipal": {"AWS": "111122223333"}"#, ROOT, false),
    (r#""NotPrincipal": {"AWS": ["arn:aws:iam::111122223333:role/infra/ci", "111122223333"]}"#, CI, true),
    (
        r#""NotPrincipal": {"AWS": ["arn:aws:iam::111122223333:role/infra/ci", "arn:aws:iam::111122223333:root",
            "arn:aws:sts::111122223333:assumed-role/ci/run1"]}"#,
        CI,
        false,
    ),
    (r#""NotPrincipal": {"AWS": ["arn:aws:iam::111122223333:user/dev/ann", "111122223333"]}"#, "anonymous", true),
    (r#""NotPrincipal": {"Service": "codebuild.amazonaws.com"}"#, BUILD, false),
    (r#""NotPrincipal": {"Service": "codebuild.amazonaws.com"}"#, ANN, true),
    (r#""NotPrincipal": "*""#, ANN, false),
];

#[test]
fn denies() {
    for (member, who, denied) in DENIES {
        let text = format!(
            r#"{{"Effect": "Allow", "Principal": "*", "Action": "ecr:*"}}, {{"Effect": "Deny", {member}, "Action": "ecr:*"}}"#
        );
        let repository = document(Kind::Repository, &text);
        let policies = Policies { repository: Some(&repository), ..Policies::default() };
        let found = ask(&policies, &asker(who), "ecr:BatchGetImage", REPOSITORY, &Context::new());
        assert_eq!(found == "denied", *denied, "{member} for {who}");
    }
}

#[test]
fn who_has_a_boundary_is_not_spared_by_not_principal() {
    let all = document(Kind::Identity, r#"{"Effect": "Allow", "Action": "*", "Resource": "*"}"#);
    let text = format!(r#"{{"Effect": "Deny", "NotPrincipal": {{"AWS": ["{ANN}", "{ROOT}"]}}, "Action": "ecr:*"}}"#);
    let repository = document(Kind::Repository, &text);
    let identity = [IdentityPolicy { name: "all", document: &all }];
    for (boundary, wanted) in [(None, "allowed"), (Some(&all), "denied")] {
        let policies = Policies { identity: &identity, boundary, repository: Some(&repository), ..Policies::default() };
        assert_eq!(ask(&policies, &asker(ANN), "ecr:BatchGetImage", REPOSITORY, &Context::new()), wanted);
    }
}

/// The asker, a condition key, the value it has.
const FACTS: &[(&str, &str, Option<&str>)] = &[
    (ANN, "aws:PrincipalArn", Some("arn:aws:iam::111122223333:user/dev/ann")),
    (ANN, "aws:username", Some("ann")),
    (CI, "aws:PrincipalArn", Some("arn:aws:iam::111122223333:role/infra/ci")),
    (CI, "aws:username", None),
    (CI, "aws:PrincipalType", Some("AssumedRole")),
    (ROOT, "aws:PrincipalArn", Some("arn:aws:iam::111122223333:root")),
    (ROOT, "aws:PrincipalType", Some("Account")),
    (FED, "aws:PrincipalType", Some("FederatedUser")),
    ("anonymous", "aws:PrincipalType", Some("Anonymous")),
    ("anonymous", "aws:PrincipalAccount", None),
    (FAR_ANN, "aws:PrincipalAccount", Some("222233334444")),
    (BUILD, "aws:PrincipalIsAWSService", Some("true")),
    (CI, "aws:PrincipalIsAWSService", Some("false")),
    ("anonymous", "aws:PrincipalIsAWSService", None),
    (BUILD, "aws:PrincipalServiceName", Some("codebuild.amazonaws.com")),
];

#[test]
fn facts() {
    for (who, key, wanted) in FACTS {
        let principal = asker(who);
        let context = Context::new();
        let question = Question::new(&principal, "ecr:PutImage", REPOSITORY, OURS.parse().unwrap(), &context);
        let found = question.values(&key.to_lowercase());
        let found = found.as_slice().first().map(|value| value.text().into_owned());
        assert_eq!(found.as_deref(), *wanted, "{key} of {who}");
    }
}

#[test]
fn names() {
    assert_eq!(asker(CI).name(), "arn:aws:sts::111122223333:assumed-role/ci/run1");
    let bare = Principal::from_arn("arn:aws-cn:sts::111122223333:assumed-role/ci/run1").unwrap();
    assert_eq!(bare.role(), Some("arn:aws-cn:iam::111122223333:role/ci"));
    assert_eq!(bare.account().map(|account| account.to_string()).as_deref(), Some(OURS));
    for bad in [
        "",
        "ann",
        "arn:aws:iam::111122223333:role/ci",
        "arn:aws:iam::1:user/ann",
        "arn:aws:iam::111122223333:user/",
        "arn:aws:iam::111122223333:group/x",
        "arn:aws:iam:eu:111122223333:user/ann",
        "arn:aws:iam::111122223333:user/*",
        "arn:aws:sts::111122223333:assumed-role/ci",
        "arn:aws:sts::111122223333:assumed-role/ci/a/b",
        "arn:gcp:iam::111122223333:user/ann",
        "arn:aws:sts::111122223333:federated-user/",
    ] {
        assert!(Principal::from_arn(bad).is_err(), "{bad}");
    }
    for (role, session) in [
        ("arn:aws:iam::111122223333:user/ann", "s"),
        ("arn:aws:iam::111122223333:role/ci", ""),
        ("arn:aws:iam::111122223333:role/ci", "a/b"),
        ("arn:aws:iam::111122223333:role/ci", "*"),
    ] {
        assert!(Principal::session(role, session).is_err(), "{role} {session}");
    }
}
