//! The tables once more, row by row: a need as `ACTION[|OTHER] OBJECT[:TAG]`.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::action::{Action, Chunk, Mount, Page, RequestedName, UploadStart, Want};
use crate::auth::AccessAction;
use crate::oci::{AcceptSet, Algorithm, Digest, UploadId};
use crate::{ecr, iam};

const HOME: &str = "111111111111";

fn account(text: &str) -> AccountId {
    text.parse().unwrap()
}

fn about(name: &str, upstream: Option<&str>, exists: bool) -> About {
    let repository = QualifiedName::new(account(HOME), name.parse().unwrap());
    About { repository, upstream: upstream.map(str::to_owned), exists }
}

fn text(need: &Need<'_>) -> String {
    let on = match need.on {
        On::Registry(account) => format!("registry {account}"),
        On::Repository(about) => about.repository.name.to_string(),
        On::Below(below) => format!("below {} of {}", below.prefix, below.account),
        On::Principal(subject) => subject.arn.clone(),
        On::Assumed(subject) => format!("{} and its trust policy", subject.arn),
    };
    let or = need.or.map(|or| format!("|{or}")).unwrap_or_default();
    format!("{}{or} {on}{}", need.action, need.tag.map(|tag| format!(":{tag}")).unwrap_or_default())
}

fn texts(asked: &impl Asked) -> Vec<String> {
    asked.needs().iter().map(text).collect()
}

fn requested() -> RequestedName {
    RequestedName { path: "team/app".parse().unwrap(), namespace: None, host: None, registry: None }
}

fn put(reference: &str, tags: &[&str]) -> Action {
    let tags = tags.iter().map(|tag| tag.parse().unwrap()).collect();
    Action::PushManifest { name: requested(), reference: reference.parse().unwrap(), media_type: None, tags }
}

fn start(digest: bool, mount: Option<&str>) -> Action {
    let digest = digest.then(|| Digest::of(b""));
    let mount = mount.map(|from| Mount { digest: Digest::of(b""), from: Some(from.parse().unwrap()) });
    Action::StartUpload { name: requested(), start: UploadStart { digest, algorithm: Algorithm::Sha256, mount } }
}

/// Every action of the data plane, on a repository that is there.
fn data_plane() -> Vec<(Action, &'static [&'static str], &'static [&'static str])> {
    let name = requested;
    let id = || "00000000-0000-4000-8000-000000000000".parse::<UploadId>().unwrap();
    let digest = Digest::of(b"");
    let by_digest = digest.to_string();
    let blob = |want| Action::ReadBlob { name: name(), digest, want };
    let manifest = |reference: &str| Action::ReadManifest {
        name: name(),
        reference: reference.parse().unwrap(),
        accept: AcceptSet::current(),
        want: Want::Body,
    };
    let finish = |length| Action::FinishUpload { name: name(), id: id(), digest, chunk: Chunk { start: None, length } };
    let delete = |reference: &str| Action::DeleteManifest { name: name(), reference: reference.parse().unwrap() };
    vec![
        (Action::Ping, &[], &[]),
        (Action::ListRepositories { page: Page::default(), host: None }, &[], &["registry:catalog:*"]),
        (
            Action::ListTags { name: name(), page: Page::default() },
            &["ecr:ListImages team/app"],
            &["repository:team/app:pull"],
        ),
        (manifest("v1"), &["ecr:BatchGetImage team/app:v1"], &["repository:team/app:pull"]),
        (manifest(&by_digest), &["ecr:BatchGetImage team/app"], &["repository:team/app:pull"]),
        (
            Action::ListReferrers { name: name(), subject: digest, artifact_type: None, page: Page::default() },
            &["ecr:BatchGetImage team/app"],
            &["repository:team/app:pull"],
        ),
        (blob(Want::Body), &["ecr:GetDownloadUrlForLayer team/app"], &["repository:team/app:pull"]),
        (
            blob(Want::Head),
            &["ecr:GetDownloadUrlForLayer|ecr:BatchCheckLayerAvailability team/app"],
            &["repository:team/app:pull", "repository:team/app:push"],
        ),
        (start(false, None), &["ecr:InitiateLayerUpload team/app"], &["repository:team/app:push"]),
        (
            start(true, None),
            &["ecr:InitiateLayerUpload team/app", "ecr:UploadLayerPart team/app", "ecr:CompleteLayerUpload team/app"],
            &["repository:team/app:push"],
        ),
        (
            Action::ReadUpload { name: name(), id: id() },
            &["ecr:UploadLayerPart team/app"],
            &["repository:team/app:push"],
        ),
        (
            Action::AppendUpload { name: name(), id: id(), chunk: Chunk::default() },
            &["ecr:UploadLayerPart team/app"],
            &["repository:team/app:push"],
        ),
        (
            Action::CancelUpload { name: name(), id: id() },
            &["ecr:UploadLayerPart team/app"],
            &["repository:team/app:push"],
        ),
        (finish(Some(0)), &["ecr:CompleteLayerUpload team/app"], &["repository:team/app:push"]),
        (
            finish(Some(1)),
            &["ecr:CompleteLayerUpload team/app", "ecr:UploadLayerPart team/app"],
            &["repository:team/app:push"],
        ),
        (
            finish(None),
            &["ecr:CompleteLayerUpload team/app", "ecr:UploadLayerPart team/app"],
            &["repository:team/app:push"],
        ),
        (put("v1", &[]), &["ecr:PutImage team/app:v1"], &["repository:team/app:push"]),
        (put(&by_digest, &[]), &["ecr:PutImage team/app"], &["repository:team/app:push"]),
        (
            put("v1", &["v2", "v1", "a"]),
            &["ecr:PutImage team/app:a", "ecr:PutImage team/app:v1", "ecr:PutImage team/app:v2"],
            &["repository:team/app:push"],
        ),
        (put(&by_digest, &["prod"]), &["ecr:PutImage team/app:prod"], &["repository:team/app:push"]),
        (delete("v1"), &["ecr:BatchDeleteImage team/app:v1"], &["repository:team/app:delete"]),
        (delete(&by_digest), &["ecr:BatchDeleteImage team/app"], &["repository:team/app:delete"]),
        (
            Action::DeleteBlob { name: name(), digest },
            &["ecr:BatchDeleteImage team/app"],
            &["repository:team/app:delete"],
        ),
    ]
}

fn request(action: &Action, about: About) -> OciRequest {
    let about = action.repository().is_some().then_some(about);
    OciRequest { action: action.clone(), about, source: None }
}

#[test]
fn the_data_plane() {
    let rows = data_plane();
    let kinds: BTreeSet<String> =
        rows.iter().map(|(action, ..)| format!("{action:?}").split([' ', '{']).next().unwrap().to_owned()).collect();
    assert_eq!(kinds.len(), 14, "every action has a row: {kinds:?}");
    for (action, needs, accesses) in rows {
        let asked = request(&action, about("team/app", None, true));
        assert_eq!(texts(&asked), needs, "{action:?}");
        let carried: Vec<String> = asked.access(account(HOME)).iter().map(ToString::to_string).collect();
        assert_eq!(carried, accesses, "{action:?}");
    }
}

/// A repository that is not there is made by what begins a push, and by nothing else.
#[test]
fn a_repository_that_is_not_there() {
    for (action, needs, _) in data_plane().into_iter().filter(|(action, ..)| action.repository().is_some()) {
        let makes = matches!(action, Action::StartUpload { .. } | Action::PushManifest { .. });
        let mut expected: Vec<String> = needs.iter().map(|need| (*need).to_owned()).collect();
        expected.extend(makes.then(|| "ecr:CreateRepository team/app".to_owned()));
        assert_eq!(texts(&request(&action, about("team/app", None, false))), expected, "{action:?}");
    }
}

/// Pulling from an upstream is a right of its own, for the tag that is pulled.
#[test]
fn a_repository_of_an_upstream() {
    for (action, needs, _) in data_plane().into_iter().filter(|(action, ..)| action.repository().is_some()) {
        let tag = match &action {
            Action::ReadManifest { reference, .. } => reference.tag().map(|tag| format!(":{}", tag.as_str())),
            _ => None,
        };
        let mut expected: Vec<String> = needs.iter().map(|need| need.replace("team/app", "hub/app")).collect();
        expected.push(format!("ecr:BatchImportUpstreamImage hub/app{}", tag.unwrap_or_default()));
        assert_eq!(texts(&request(&action, about("hub/app", Some("hub"), true))), expected, "{action:?}");
    }
}

#[test]
fn names_in_tokens_carry_other_registries_accounts() {
    let asked = request(&put("v1", &[]), about("team/app", None, true));
    let access = asked.access(account("222222222222"));
    assert_eq!(access[0].to_string(), "repository:111111111111:team/app:push");
}

#[test]
fn a_mount_is_an_offer() {
    let with = |from: &str, source: Option<About>| {
        let about = Some(about("team/app", None, true));
        OciRequest { action: start(false, Some(from)), about, source }
    };
    let mut asked = with("team/base", Some(about("team/base", None, true)));
    assert_eq!(texts(&asked), ["ecr:InitiateLayerUpload team/app"]);
    let offer = asked.offer(account(HOME)).unwrap();
    assert_eq!(
        offer.needs.iter().map(text).collect::<Vec<_>>(),
        ["ecr:GetDownloadUrlForLayer team/base", "ecr:CompleteLayerUpload team/app"]
    );
    assert_eq!(offer.access.to_string(), "repository:team/base:pull");
    asked.decline();
    assert!(asked.offer(account(HOME)).is_none(), "it is taken out of the request");
    // Nothing is taken from an upstream, or from a repository that goes by another name here.
    for source in [None, Some(about("team/base", Some("hub"), true)), Some(about("hub/team/base", None, true))] {
        assert!(with("team/base", source).offer(account(HOME)).is_none());
    }
}

fn operation(name: &str, body: &str) -> EcrRequest {
    let target = format!("AmazonEC2ContainerRegistry_V20150921.{name}");
    let operation = ecr::Operation::parse(&target, body.as_bytes()).unwrap();
    EcrRequest::new(operation, account(HOME), account("222222222222"), |repository| About {
        repository,
        upstream: None,
        exists: true,
    })
}

/// Each operation with its least body: the registry, or the one repository that it names.
#[test]
fn ecr() {
    let of_the_registry = [
        "DescribeRegistry",
        "GetAccountSetting",
        "PutAccountSetting",
        "PutRegistryPolicy",
        "GetRegistryPolicy",
        "DeleteRegistryPolicy",
        "CreatePullThroughCacheRule",
        "DescribePullThroughCacheRules",
        "UpdatePullThroughCacheRule",
        "ValidatePullThroughCacheRule",
        "DeletePullThroughCacheRule",
        "CreateRepositoryCreationTemplate",
        "UpdateRepositoryCreationTemplate",
        "DeleteRepositoryCreationTemplate",
        "DescribeRepositoryCreationTemplates",
        "RegisterPullTimeUpdateExclusion",
        "DeregisterPullTimeUpdateExclusion",
        "ListPullTimeUpdateExclusions",
    ];
    let bodies = ecr::minimal_bodies();
    assert_eq!(bodies.len(), 41, "every operation that this registry carries out has a row");
    for (name, body) in bodies {
        let expected = match name {
            "GetAuthorizationToken" => vec!["ecr:GetAuthorizationToken registry 222222222222".to_owned()],
            "DescribeRepositories" => Vec::new(),
            "ListImageReferrers" => vec!["ecr:BatchGetImage team/app".to_owned()],
            "BatchGetImage" | "BatchDeleteImage" => vec![format!("ecr:{name} team/app:v1")],
            "CreateRepositoryCreationTemplate" => {
                vec![format!("ecr:{name} registry {HOME}"), format!("ecr:CreateRepository below team of {HOME}")]
            }
            name if of_the_registry.contains(&name) => vec![format!("ecr:{name} registry {HOME}")],
            name => vec![format!("ecr:{name} team/app")],
        };
        assert_eq!(texts(&operation(name, &body.to_string())), expected, "{name}");
    }
}

/// A template needs the right to all that it gives, on all that it is for; empty texts and lists are nothing.
#[test]
fn s6_templates_need_what_they_give() {
    for (given, expected) in [
        (r#""repositoryPolicy": "{}""#, &["CreateRepository", "SetRepositoryPolicy"][..]),
        (r#""resourceTags": [{"Key": "k", "Value": "v"}]"#, &["CreateRepository", "TagResource"]),
        (r#""lifecyclePolicy": "{}""#, &["CreateRepository", "PutLifecyclePolicy"]),
        (
            r#""repositoryPolicy": "{}", "lifecyclePolicy": "{}", "resourceTags": [{"Key": "k", "Value": "v"}]"#,
            &["CreateRepository", "TagResource", "SetRepositoryPolicy", "PutLifecyclePolicy"],
        ),
        (r#""repositoryPolicy": "", "lifecyclePolicy": "", "resourceTags": []"#, &["CreateRepository"]),
        (r#""description": "d", "imageTagMutability": "IMMUTABLE""#, &["CreateRepository"]),
    ] {
        for prefix in ["a/b", "ROOT"] {
            let body = format!(r#"{{"prefix": "{prefix}", "appliedFor": ["REPLICATION"], {given}}}"#);
            let asked = operation("CreateRepositoryCreationTemplate", &body);
            let needs = expected.iter().map(|action| format!("ecr:{action} below {prefix} of {HOME}"));
            let own = format!("ecr:CreateRepositoryCreationTemplate registry {HOME}");
            assert_eq!(texts(&asked), std::iter::once(own).chain(needs).collect::<Vec<_>>(), "{given}");
            let said: Vec<Said> = vec![
                ("aws:RequestTag/k".to_owned(), vec!["v".to_owned()]),
                ("aws:TagKeys".to_owned(), vec!["k".to_owned()]),
            ];
            for need in asked.needs().iter().skip(1) {
                let has_said =
                    given.contains("\"k\"") && ["ecr:CreateRepository", "ecr:TagResource"].contains(&need.action);
                assert_eq!(need.said, if has_said { said.clone() } else { Vec::new() }, "{}", need.action);
            }
        }
    }
}

/// A push by the API makes the repository, as on the data plane.
#[test]
fn c8_an_upload_to_a_repository_that_is_not_there() {
    for name in ["InitiateLayerUpload", "CompleteLayerUpload", "PutImage", "GetRepositoryPolicy"] {
        let bodies = ecr::minimal_bodies();
        let (_, body) = bodies.iter().find(|(of, _)| *of == name).unwrap();
        let target = format!("AmazonEC2ContainerRegistry_V20150921.{name}");
        let operation = ecr::Operation::parse(&target, body.to_string().as_bytes()).unwrap();
        let absent = |repository| About { repository, upstream: None, exists: false };
        let asked = EcrRequest::new(operation, account(HOME), account(HOME), absent);
        let mut expected = vec![format!("ecr:{name} team/app")];
        expected.extend((name == "InitiateLayerUpload").then(|| "ecr:CreateRepository team/app".to_owned()));
        assert_eq!(texts(&asked), expected);
        assert_eq!(asked.makes().is_some(), name == "InitiateLayerUpload");
    }
}

/// Operations that are known by name only ask for the right all the same.
#[test]
fn ecr_later() {
    let repository = r#"{"repositoryName":"team/app"}"#;
    assert_eq!(texts(&operation("PutLifecyclePolicy", repository)), ["ecr:PutLifecyclePolicy team/app"]);
    let registry = format!("ecr:GetRegistryScanningConfiguration registry {HOME}");
    assert_eq!(texts(&operation("GetRegistryScanningConfiguration", "{}")), [registry]);
    let many = r#"{"repositoryNames":["team/app","team/base"]}"#;
    let expected = ["team/app", "team/base"].map(|name| format!("ecr:BatchGetRepositoryScanningConfiguration {name}"));
    assert_eq!(texts(&operation("BatchGetRepositoryScanningConfiguration", many)), expected);
}

#[test]
fn ecr_asks_about_each_repository_tag_and_resource_tag() {
    let digest = Digest::of(b"");
    let ids = format!(
        r#"{{"repositoryName":"team/app","imageIds":[{{"imageTag":"v2"}},{{"imageDigest":"{digest}"}},{{"imageTag":"v1"}},{{"imageTag":"v2"}}]}}"#
    );
    for (name, body, expected) in [
        (
            "BatchDeleteImage",
            ids.as_str(),
            vec![
                "ecr:BatchDeleteImage team/app",
                "ecr:BatchDeleteImage team/app:v1",
                "ecr:BatchDeleteImage team/app:v2",
            ],
        ),
        (
            "PutImage",
            r#"{"repositoryName":"team/app","imageManifest":"{}","imageTag":"v1"}"#,
            vec!["ecr:PutImage team/app:v1"],
        ),
        (
            "DescribeRepositories",
            r#"{"repositoryNames":["team/app","team/base"]}"#,
            vec!["ecr:DescribeRepositories team/app", "ecr:DescribeRepositories team/base"],
        ),
        (
            "CreateRepository",
            r#"{"repositoryName":"team/app","tags":[{"Key":"k","Value":"v"}]}"#,
            vec!["ecr:CreateRepository team/app", "ecr:TagResource team/app"],
        ),
    ] {
        assert_eq!(texts(&operation(name, body)), expected, "{name}");
    }
    let created = operation("CreateRepository", r#"{"repositoryName":"team/app","tags":[{"Key":"k","Value":"v"}]}"#);
    let said: Vec<Said> =
        vec![("aws:RequestTag/k".to_owned(), vec!["v".to_owned()]), ("aws:TagKeys".to_owned(), vec!["k".to_owned()])];
    assert!(created.needs().iter().all(|need| need.said == said));
}

#[test]
fn iam() {
    let arn = format!("arn:aws:iam::{HOME}:user/a");
    let subject = Subject { arn: arn.clone(), account: account(HOME), tags: BTreeMap::new(), trust: None };
    let user = || iam::Entity::user(iam::EntityName::parse("a").unwrap());
    for name in iam::OperationName::ALL.iter().copied() {
        let of_operation = |operation, subject: Option<Subject>| texts(&IamRequest { name, operation, subject });
        let expected = vec![format!("{} {arn}", name.iam_action())];
        assert_eq!(of_operation(iam::Operation::Get(user()), Some(subject.clone())), expected, "{name:?}");
        assert_eq!(of_operation(iam::Operation::GetCallerIdentity, None), Vec::<String>::new(), "{name:?}");
    }
    let role = iam::RoleArn::parse(&format!("arn:aws:iam::{HOME}:role/ci")).unwrap();
    let session = iam::SessionName::parse("s1").unwrap();
    let assume = iam::Operation::AssumeRole { role, session, seconds: 900 };
    let asked = IamRequest { name: iam::OperationName::AssumeRole, operation: assume, subject: Some(subject) };
    assert_eq!(texts(&asked), [format!("sts:AssumeRole {arn} and its trust policy")]);
    let said: Vec<Said> = vec![("sts:RoleSessionName".to_owned(), vec!["s1".to_owned()])];
    assert_eq!(asked.needs()[0].said, said);
}

#[test]
fn tokens() {
    let about = about("team/app", None, true);
    for (action, expected) in [
        (AccessAction::Pull, &["ecr:BatchGetImage team/app"][..]),
        (AccessAction::Push, &["ecr:InitiateLayerUpload team/app"]),
        (AccessAction::Delete, &["ecr:BatchDeleteImage team/app"]),
        (
            AccessAction::All,
            &["ecr:BatchGetImage team/app", "ecr:InitiateLayerUpload team/app", "ecr:BatchDeleteImage team/app"],
        ),
    ] {
        assert_eq!(of_action(action, &about).iter().map(text).collect::<Vec<_>>(), expected, "{action:?}");
    }
}

#[test]
fn a_token_for_the_registry_is_for_its_list() {
    for (scope, given) in [
        ("registry:catalog:*", "registry:catalog:*"),
        ("registry:catalog:pull,*", "registry:catalog:*"),
        ("registry:catalog:pull", "registry:catalog:"),
        ("registry:team/app:*", "registry:team/app:"),
    ] {
        assert_eq!(of_registry(&Access::parse(scope).unwrap()).to_string(), given);
    }
}

/// Rights that come to light only while the request is carried out.
#[test]
fn what_goes_along() {
    let about = about("team/app", None, true);
    let tag = "v1".parse().unwrap();
    assert_eq!(text(&deleted_tag(&about, &tag)), "ecr:BatchDeleteImage team/app:v1");
    assert_eq!(text(&import(&about, Some("v1"))), "ecr:BatchImportUpstreamImage team/app:v1");
    assert_eq!(text(&sight(&about)), "ecr:DescribeRepositories team/app");
}
