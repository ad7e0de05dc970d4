//! How documents combine: sides, limits, denials.

use super::*;
use crate::iam::ManagedPolicy;

/// Statements by a short name, each with a marker for the principal where the document needs one.
const STATEMENTS: &[(&str, &str)] = &[
    ("all", r#""Effect": "Allow", "Action": "*""#),
    ("pull", r#""Effect": "Allow", "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]"#),
    ("push", r#""Effect": "Allow", "Action": ["ecr:PutImage", "ecr:*LayerUpload", "ecr:UploadLayerPart"]"#),
    ("token", r#""Effect": "Allow", "Action": "ecr:GetAuthorizationToken""#),
    ("create", r#""Effect": "Allow", "Action": ["ecr:CreateRepository", "ecr:ReplicateImage"]"#),
    ("!all", r#""Effect": "Deny", "Action": "*""#),
    ("!push", r#""Effect": "Deny", "Action": "ecr:PutImage""#),
    ("!token", r#""Effect": "Deny", "Action": "ecr:GetAuthorizationToken""#),
    ("!http", r#""Effect": "Deny", "Action": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}"#),
    ("!outside", r#""Effect": "Deny", "Action": "*", "Condition": {"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}"#),
    ("!prod", r#""Effect": "Deny", "NotAction": "ecr:BatchGetImage", "Resource": "arn:aws:ecr:*:*:repository/prod/*""#),
    ("mine", r#""Effect": "Allow", "Action": "*", "Condition": {"StringEquals": {"aws:ResourceTag/owner": "ann"}}"#),
];

const ASKERS: &[(&str, &str)] = &[
    ("ann", "arn:aws:iam::111122223333:user/ann"),
    ("ci", "session:arn:aws:iam::111122223333:role/ci run1"),
    ("root", "arn:aws:iam::111122223333:root"),
    ("far", "arn:aws:iam::222233334444:user/far"),
    ("far-ci", "session:arn:aws:iam::222233334444:role/ci run1"),
    ("far-root", "arn:aws:iam::222233334444:root"),
    ("anon", "anonymous"),
    ("build", "service:codebuild.amazonaws.com"),
];

const PRINCIPALS: &[(&str, &str)] = &[
    ("*", r#""*""#),
    ("ann", r#"{"AWS": "arn:aws:iam::111122223333:user/ann"}"#),
    ("ci", r#"{"AWS": "arn:aws:iam::111122223333:role/ci"}"#),
    ("run1", r#"{"AWS": "arn:aws:sts::111122223333:assumed-role/ci/run1"}"#),
    ("us", r#"{"AWS": "111122223333"}"#),
    ("them", r#"{"AWS": "arn:aws:iam::222233334444:root"}"#),
    ("far", r#"{"AWS": "arn:aws:iam::222233334444:user/far"}"#),
    ("build", r#"{"Service": "codebuild.amazonaws.com"}"#),
];

/// Asker, action, policies, answer. A policy is `place=statement+statement`, the place `i` (identity, one each), `b` (boundary), `s`
/// (session), `g` (registry), `r` (repository), `p` (public); the statement of the last three is `name@principal`.
const ROWS: &[(&str, &str, &str, &str)] = &[
    // Nothing is allowed by itself.
    ("ann", "ecr:PutImage", "", "no either"),
    ("anon", "ecr:BatchGetImage", "", "no resource"),
    ("build", "ecr:BatchGetImage", "", "no resource"),
    ("far", "ecr:BatchGetImage", "", "no both"),
    ("root", "ecr:PutImage", "", "allowed"),
    ("far-root", "ecr:PutImage", "", "no resource"),
    // What is public needs nobody's leave, and a Deny goes before it.
    ("anon", "ecr:BatchGetImage", "p=pull@*", "allowed"),
    ("ann", "ecr:BatchGetImage", "p=pull@*", "allowed"),
    ("far", "ecr:BatchGetImage", "p=pull@*", "allowed"),
    ("far-ci", "ecr:BatchGetImage", "p=pull@*", "allowed"),
    ("build", "ecr:BatchGetImage", "p=pull@*", "allowed"),
    ("anon", "ecr:PutImage", "p=pull@*", "no resource"),
    ("anon", "ecr:BatchGetImage", "p=pull@* r=!all@*", "denied"),
    ("far", "ecr:BatchGetImage", "p=pull@* i=!all", "denied"),
    ("ci", "ecr:BatchGetImage", "p=pull@* s=push", "allowed"),
    ("anon", "ecr:GetAuthorizationToken", "p=all@*", "no identity"),
    // One account: one Allow is enough.
    ("ann", "ecr:PutImage", "i=push", "allowed"),
    ("ann", "ecr:PutImage", "i=pull", "no either"),
    ("ann", "ecr:PutImage", "i=pull i=push", "allowed"),
    ("ann", "ecr:InitiateLayerUpload", "i=push", "allowed"),
    ("ann", "ecr:PutImage", "r=push@ann", "allowed"),
    ("ann", "ecr:PutImage", "g=push@ann", "allowed"),
    ("ann", "ecr:PutImage", "r=push@*", "allowed"),
    ("ann", "ecr:PutImage", "r=push@ci", "no either"),
    ("ann", "ecr:PutImage", "r=push@us", "no identity"),
    ("ann", "ecr:PutImage", "r=push@us i=push", "allowed"),
    ("ann", "ecr:PutImage", "g=push@us", "no identity"),
    ("ann", "ecr:PutImage", "r=push@us g=push@ann", "allowed"),
    ("ci", "ecr:PutImage", "r=push@ci", "allowed"),
    ("ci", "ecr:PutImage", "r=push@run1", "allowed"),
    ("ci", "ecr:PutImage", "r=push@us", "no identity"),
    // Deny wins wherever it stands.
    ("ann", "ecr:PutImage", "i=all+!push", "denied"),
    ("ann", "ecr:PutImage", "i=!push+all", "denied"),
    ("ann", "ecr:BatchGetImage", "i=all+!push", "allowed"),
    ("ann", "ecr:PutImage", "i=all i=!push", "denied"),
    ("ann", "ecr:PutImage", "i=all r=!push@*", "denied"),
    ("ann", "ecr:PutImage", "i=all r=!push@ann", "denied"),
    ("ann", "ecr:PutImage", "i=all r=!push@ci", "allowed"),
    ("ann", "ecr:PutImage", "i=all r=!push@us", "denied"),
    ("ann", "ecr:PutImage", "i=all g=!push@*", "denied"),
    ("ann", "ecr:PutImage", "i=all b=all+!push", "denied"),
    ("ann", "ecr:PutImage", "r=push@ann b=!push", "denied"),
    ("ann", "ecr:PutImage", "r=push@ann i=!push", "denied"),
    ("root", "ecr:PutImage", "r=!push@*", "denied"),
    ("root", "ecr:PutImage", "r=!push@us", "denied"),
    ("root", "ecr:PutImage", "r=!push@ann", "allowed"),
    ("anon", "ecr:PutImage", "r=all@*+!push@*", "denied"),
    ("anon", "ecr:BatchGetImage", "r=all@*+!push@*", "allowed"),
    // Denials under a condition.
    ("ann", "ecr:PutImage", "i=all+!http", "allowed"),
    ("ann http", "ecr:PutImage", "i=all+!http", "denied"),
    ("ann", "ecr:PutImage", "i=all r=!outside@*", "allowed"),
    ("ann outside", "ecr:PutImage", "i=all r=!outside@*", "denied"),
    ("anon outside", "ecr:BatchGetImage", "r=pull@*+!outside@*", "denied"),
    ("ann", "ecr:PutImage", "i=all+!prod", "allowed"),
    ("ann prod", "ecr:PutImage", "i=all+!prod", "denied"),
    ("ann prod", "ecr:BatchGetImage", "i=all+!prod", "allowed"),
    ("ann", "ecr:PutImage", "i=mine", "no either"),
    ("ann owner", "ecr:PutImage", "i=mine", "allowed"),
    // A boundary limits identity policies and grants nothing.
    ("ann", "ecr:PutImage", "i=all b=pull", "no boundary"),
    ("ann", "ecr:BatchGetImage", "i=all b=pull", "allowed"),
    ("ann", "ecr:PutImage", "b=all", "no either"),
    ("ann", "ecr:PutImage", "i=pull b=push", "no either"),
    ("ann", "ecr:PutImage", "b=pull r=push@ann", "allowed"),
    ("ann", "ecr:PutImage", "b=pull r=push@*", "allowed"),
    ("ann", "ecr:PutImage", "b=pull i=push r=push@us", "no boundary"),
    ("ci", "ecr:PutImage", "b=pull r=push@ci", "no boundary"),
    ("ci", "ecr:PutImage", "b=pull r=push@run1", "allowed"),
    ("ci", "ecr:PutImage", "b=all r=push@ci", "allowed"),
    // A session policy limits in the same way.
    ("ci", "ecr:PutImage", "i=all s=pull", "no session"),
    ("ci", "ecr:BatchGetImage", "i=all s=pull", "allowed"),
    ("ci", "ecr:BatchGetImage", "s=pull", "no either"),
    ("ci", "ecr:PutImage", "i=all b=all s=all", "allowed"),
    ("ci", "ecr:PutImage", "i=all b=all s=pull", "no session"),
    ("ci", "ecr:PutImage", "i=all b=pull s=all", "no boundary"),
    ("ci", "ecr:PutImage", "s=pull r=push@ci", "no session"),
    ("ci", "ecr:PutImage", "s=pull r=push@run1", "allowed"),
    ("ci", "ecr:PutImage", "s=push r=push@ci", "allowed"),
    ("ci", "ecr:PutImage", "i=all s=all+!push", "denied"),
    // Two accounts: both sides must allow.
    ("far", "ecr:BatchGetImage", "i=pull", "no resource"),
    ("far", "ecr:BatchGetImage", "r=pull@far", "no identity"),
    ("far", "ecr:BatchGetImage", "r=pull@them", "no identity"),
    ("far", "ecr:BatchGetImage", "i=pull r=pull@far", "allowed"),
    ("far", "ecr:BatchGetImage", "i=pull r=pull@them", "allowed"),
    ("far", "ecr:BatchGetImage", "i=pull r=pull@*", "allowed"),
    ("far", "ecr:BatchGetImage", "i=pull g=pull@them", "allowed"),
    ("far", "ecr:BatchGetImage", "i=pull r=pull@us", "no resource"),
    ("far", "ecr:BatchGetImage", "i=pull r=push@them", "no resource"),
    ("far", "ecr:PutImage", "i=pull r=push@them", "no identity"),
    ("far", "ecr:BatchGetImage", "i=pull r=pull@them+!all@far", "denied"),
    ("far", "ecr:BatchGetImage", "i=pull r=pull@far+!all@them", "denied"),
    ("far", "ecr:BatchGetImage", "i=pull+!all r=pull@far", "denied"),
    ("far", "ecr:BatchGetImage", "i=pull b=push r=pull@far", "no boundary"),
    ("far-ci", "ecr:BatchGetImage", "i=pull s=push r=pull@them", "no session"),
    ("far-ci", "ecr:BatchGetImage", "i=pull s=pull r=pull@them", "allowed"),
    ("far-root", "ecr:BatchGetImage", "r=pull@them", "allowed"),
    ("far-root", "ecr:BatchGetImage", "r=pull@far", "no resource"),
    ("far-root", "ecr:BatchGetImage", "r=pull@*", "allowed"),
    // No account: the resource's side alone.
    ("anon", "ecr:BatchGetImage", "r=pull@*", "allowed"),
    ("anon", "ecr:BatchGetImage", "g=pull@*", "allowed"),
    ("anon", "ecr:PutImage", "r=pull@*", "no resource"),
    ("anon", "ecr:BatchGetImage", "i=all r=pull@us", "no resource"),
    ("build", "ecr:BatchGetImage", "r=pull@build", "allowed"),
    ("build", "ecr:BatchGetImage", "r=pull@us", "no resource"),
    ("build", "ecr:BatchGetImage", "i=all", "no resource"),
    // A token is the identity's own business.
    ("ann", "ecr:GetAuthorizationToken", "i=token", "allowed"),
    ("ann", "ecr:GetAuthorizationToken", "", "no identity"),
    ("ann", "ecr:GetAuthorizationToken", "r=token@ann g=token@ann", "no identity"),
    ("ann", "ecr:GetAuthorizationToken", "i=token r=!all@*", "allowed"),
    ("ann", "ecr:GetAuthorizationToken", "i=token g=!all@*", "allowed"),
    ("ann", "ecr:GetAuthorizationToken", "i=token+!token", "denied"),
    ("ann", "ecr:GetAuthorizationToken", "i=token b=pull", "no boundary"),
    ("ci", "ecr:GetAuthorizationToken", "i=token s=pull", "no session"),
    ("far", "ecr:GetAuthorizationToken", "i=token", "allowed"),
    ("far-root", "ecr:GetAuthorizationToken", "", "allowed"),
    ("anon", "ecr:GetAuthorizationToken", "r=all@*", "no identity"),
    ("build", "ecr:GetAuthorizationToken", "g=all@*", "no identity"),
    // Version 1 of the registry policy's scope knows three actions.
    ("far v1", "ecr:CreateRepository", "i=all g=create@them", "allowed"),
    ("far v1", "ecr:ReplicateImage", "i=all g=create@them", "allowed"),
    ("far v1", "ecr:BatchGetImage", "i=all g=pull@them", "no resource"),
    ("far v1", "ecr:BatchGetImage", "i=all r=pull@them", "allowed"),
    ("ann v1", "ecr:PutImage", "i=all g=!push@*", "allowed"),
    ("ann v1", "ecr:CreateRepository", "i=all g=!all@*", "denied"),
];

fn named<'t>(table: &[(&str, &'t str)], name: &str) -> &'t str {
    table.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no {name}")).1
}

fn build(kind: Kind, words: &str) -> Document {
    let statement = |word: &str| {
        let (name, principal) = word.split_once('@').map_or((word, None), |(name, principal)| (name, Some(principal)));
        let body = named(STATEMENTS, name);
        let principal =
            principal.map_or(String::new(), |name| format!(r#""Principal": {}, "#, named(PRINCIPALS, name)));
        let resource = if body.contains("\"Resource\"") { "" } else { r#", "Resource": "*""# };
        format!("{{{principal}{body}{resource}}}")
    };
    document(kind, &words.split('+').map(statement).collect::<Vec<_>>().join(", "))
}

#[test]
fn table() {
    for (who, action, policies, wanted) in ROWS {
        let mut words = who.split(' ');
        let principal = asker(named(ASKERS, words.next().unwrap()));
        let how = words.next().unwrap_or_default();
        let seen = match how {
            "http" => "aws:SecureTransport=bool:false; aws:SourceIp=ip:192.0.2.7",
            "outside" => "aws:SecureTransport=bool:true; aws:SourceIp=ip:203.0.113.7",
            "owner" => "aws:ResourceTag/owner=ann",
            _ => "aws:SecureTransport=bool:true; aws:SourceIp=ip:192.0.2.7",
        };
        let resource = if how == "prod" { REPOSITORY.replace("team", "prod") } else { REPOSITORY.to_owned() };

        let parts: Vec<_> = policies.split_whitespace().map(|part| part.split_once('=').unwrap()).collect();
        let of = |place: &str, kind| -> Vec<Document> {
            parts.iter().filter(|(found, _)| *found == place).map(|(_, words)| build(kind, words)).collect()
        };
        let (identity, boundary, session) = (of("i", Kind::Identity), of("b", Kind::Identity), of("s", Kind::Identity));
        let (registry, repository) = (of("g", Kind::Registry), of("r", Kind::Repository));
        let public = of("p", Kind::Registry);
        let identity: Vec<_> = identity.iter().map(|document| IdentityPolicy { name: "p", document }).collect();
        let policies = Policies {
            identity: &identity,
            boundary: boundary.first(),
            session: session.first(),
            registry: registry.first(),
            registry_scope: if how == "v1" { RegistryScope::V1 } else { RegistryScope::V2 },
            repository: repository.first(),
            public: public.first(),
            trust: None,
        };
        let found = ask(&policies, &principal, action, &resource, &context(seen));
        assert_eq!(found, *wanted, "{who} {action}: {parts:?}");
    }
}

#[test]
fn a_document_in_the_wrong_place_grants_nothing() {
    let allow = build(Kind::Identity, "all");
    let deny = build(Kind::Identity, "!all");
    let who = asker(named(ASKERS, "anon"));
    for (document, wanted) in [(&allow, "no resource"), (&deny, "denied")] {
        let policies = Policies { repository: Some(document), ..Policies::default() };
        assert_eq!(ask(&policies, &who, "ecr:BatchGetImage", REPOSITORY, &Context::new()), wanted);
    }
}

#[test]
fn presets() {
    let pull = ["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];
    let read = ["ecr:ListImages", "ecr:DescribeRepositories", "ecr:GetRepositoryPolicy"];
    let push = ["ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload"];
    let administer =
        ["ecr:CreateRepository", "ecr:DeleteRepository", "ecr:SetRepositoryPolicy", "ecr:BatchDeleteImage"];
    let who = asker(named(ASKERS, "ann"));
    for (preset, wanted) in [
        (ManagedPolicy::PullOnly, [true, false, false, false]),
        (ManagedPolicy::ReadOnly, [true, true, false, false]),
        (ManagedPolicy::PowerUser, [true, true, true, false]),
        (ManagedPolicy::FullAccess, [true, true, true, true]),
    ] {
        let document = preset.document().unwrap();
        let identity = [IdentityPolicy { name: preset.name(), document: &document }];
        let policies = Policies { identity: &identity, ..Policies::default() };
        for (actions, wanted) in [&pull[..], &read, &push, &administer].into_iter().zip(wanted) {
            for action in actions {
                let found = ask(&policies, &who, action, REPOSITORY, &Context::new()) == "allowed";
                assert_eq!(found, wanted, "{} {action}", preset.name());
            }
        }
        assert_eq!(ManagedPolicy::named(preset.name()), Some(preset));
    }
}

/// Patterns that are slow to compare end in a refusal, not in a decision that somebody waits for; many that are not do not.
#[test]
fn g10_a_decision_costs_so_much_at_the_most() {
    let who = asker("arn:aws:iam::111122223333:user/ann");
    let agent = "a".repeat(512);
    let seen = Context::new().with("aws:UserAgent", agent.as_str());
    let all = document(Kind::Identity, r#"{"Effect": "Allow", "Action": "*", "Resource": "*"}"#);
    let all = IdentityPolicy { name: "all", document: &all };
    for pattern in [format!("*{}b", "a".repeat(250)), format!("*{}b", "a?".repeat(125))] {
        let patterns = vec![format!("{pattern:?}"); 38].join(",");
        for effect in ["Allow", "Deny"] {
            let slow = document(
                Kind::Identity,
                &format!(
                    r#"{{"Effect": "{effect}", "Action": "*", "Resource": "*", "Condition": {{"StringLike": {{"aws:UserAgent": [{patterns}]}}}}}}"#
                ),
            );
            let identity = [IdentityPolicy { name: "slow", document: &slow }, all];
            let policies = Policies { identity: &identity, ..Policies::default() };
            assert_eq!(ask(&policies, &who, "ecr:PutImage", REPOSITORY, &seen), "no patience");
            assert_eq!(ask(&policies, &who, "ecr:PutImage", REPOSITORY, &Context::new()), "allowed");
        }
    }
    // As much as twenty policies of a user hold.
    let arns: Vec<_> = (0..180).map(|n| format!(r#""arn:aws:ecr:*:111122223333:repository/team-{n}/*""#)).collect();
    let large =
        document(Kind::Identity, &format!(r#"{{"Effect": "Deny", "Action": "*", "Resource": [{}]}}"#, arns.join(",")));
    let mut identity = vec![IdentityPolicy { name: "large", document: &large }; 20];
    identity.push(all);
    let policies = Policies { identity: &identity, ..Policies::default() };
    assert_eq!(ask(&policies, &who, "ecr:PutImage", REPOSITORY, &seen), "allowed");
}
