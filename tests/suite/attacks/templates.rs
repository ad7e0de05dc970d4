//! Creation templates, written by somebody who may not give by themselves what a template gives.

use std::path::Path;

use serde_json::{Value, json};

use crate::client::Answer;
use crate::edge::{USERS, api, as_user, assert_fault, push};
use crate::proxy::{HUB, Proxy, Setup, manifest};
use crate::push::{an_image, path};
use crate::upstream::FakeUpstream;

const TEMPLATES: &str = "ecr:*RepositoryCreationTemplate*";

/// The user `cici` has these statements, and a tag.
async fn with_policy(upstream: &FakeUpstream, folder: &Path, statements: Value) -> Proxy {
    let file = folder.join("cici.json");
    std::fs::write(&file, json!({ "Version": "2012-10-17", "Statement": statements }).to_string()).unwrap();
    let user = format!(
        "[[user]]\nname = \"cici\"\naccess_key_id = \"AKIACICICICICICICICI\"\nsecret_access_key = \"cici-{0}\"\npassword = \"cici-{0}\"\npolicies = [{file:?}]\n",
        crate::edge::SECRET
    );
    let mut setup = Setup::of(upstream);
    setup.log.text("audit", folder.join("audit").to_str().unwrap());
    setup.more = format!("{USERS}\n{user}\n[auth]\nfailed_logins = 1000\n");
    setup.start().await
}

fn allow(action: Value, resource: &str) -> Value {
    json!({ "Effect": "Allow", "Action": action, "Resource": resource })
}

fn deny(action: &str, resource: &str) -> Value {
    json!({ "Effect": "Deny", "Action": action, "Resource": resource })
}

fn arn(rest: &str) -> String {
    format!("arn:aws:ecr:*:*:repository/{rest}")
}

/// For whoever writes it, the right to pull.
fn policy() -> String {
    let cici = json!({ "AWS": "arn:aws:iam::000000000000:user/cici" });
    let pull = json!(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]);
    json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": cici, "Action": pull }] })
        .to_string()
}

async fn create(proxy: &Proxy, prefix: &str, given: Value) -> Answer {
    let mut input = json!({ "prefix": prefix, "appliedFor": ["CREATE_ON_PUSH", "PULL_THROUGH_CACHE"] });
    input.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
    api(&proxy.client(), "cici", "CreateRepositoryCreationTemplate", input).await
}

/// Refused, and for this action on all that the template would be for.
fn assert_refused(answer: &Answer, action: &str, below: &str) {
    assert_fault(answer, "AccessDeniedException");
    let text = answer.text();
    assert!(text.contains(&format!("to perform: {action} on resource: arn:")), "{text}");
    assert!(text.contains(&format!(":repository/{below} because")), "{text}");
}

/// The audit log has a record that this was denied.
#[track_caller]
fn assert_written(folder: &Path, action: &str) {
    let text = std::fs::read_to_string(folder.join("audit")).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let is_it = |record: &Value| {
        let principal = record["principal"].as_str().unwrap_or_default();
        principal.ends_with("user/cici") && record["action"] == action && record["decision"] == "denied"
    };
    assert!(records.filter(is_it).count() > 0, "{text}");
}

/// As it was found: a template for everything, written by somebody to whom policies and tags are denied, lets its writer read what others push.
#[tokio::test]
async fn s6_a_template_gives_nobody_what_they_may_not_give() {
    let (upstream, folder) = (FakeUpstream::start().await, tempfile::tempdir().unwrap());
    let statements = json!([
        allow(json!([TEMPLATES, "ecr:CreateRepository"]), "*"),
        deny("ecr:SetRepositoryPolicy", "*"),
        deny("ecr:TagResource", "*"),
        deny("ecr:PutLifecyclePolicy", "*"),
    ]);
    let proxy = with_policy(&upstream, folder.path(), statements).await;
    for (prefix, below) in [("ROOT", "*"), ("team", "team/*"), ("team/", "team/*")] {
        for (given, action) in [
            (json!({ "repositoryPolicy": policy() }), "ecr:SetRepositoryPolicy"),
            (json!({ "resourceTags": [{ "Key": "team", "Value": "cici" }] }), "ecr:TagResource"),
            (json!({ "lifecyclePolicy": "{\"rules\":[]}" }), "ecr:PutLifecyclePolicy"),
        ] {
            assert_refused(&create(&proxy, prefix, given).await, action, below);
        }
    }
    push(&proxy, "team/app", "latest", &an_image(1, &[100]).await).await;
    as_user(&proxy, "cici", "GET", &path("team/app", "manifests/latest")).await.assert_error(403, "DENIED");
    // What gives nothing is theirs to write.
    create(&proxy, "ROOT", json!({ "imageTagMutability": "IMMUTABLE" })).await.assert_status(200);
    assert_written(folder.path(), "ecr:SetRepositoryPolicy");
}

/// Whoever may create, set policies and tag below one prefix writes templates for it, and for no other.
#[tokio::test]
async fn s6_rights_below_a_prefix_are_for_templates_of_it() {
    let (upstream, folder) = (FakeUpstream::start().await, tempfile::tempdir().unwrap());
    let rights = json!(["ecr:CreateRepository", "ecr:SetRepositoryPolicy", "ecr:TagResource"]);
    let statements = json!([
        allow(json!(TEMPLATES), "*"),
        allow(rights.clone(), &arn("team/*")),
        allow(rights.clone(), &arn("part/a*")),
        allow(rights, &arn("guarded/*")),
        deny("ecr:SetRepositoryPolicy", &arn("guarded/secret/*")),
    ]);
    let proxy = with_policy(&upstream, folder.path(), statements).await;
    let given = || json!({ "repositoryPolicy": policy(), "resourceTags": [{ "Key": "k", "Value": "v" }] });
    for prefix in ["team", "team/a/b"] {
        create(&proxy, prefix, given()).await.assert_status(200);
    }
    for (prefix, below) in
        [("ROOT", "*"), ("tea", "tea/*"), ("team2", "team2/*"), ("other", "other/*"), ("part", "part/*")]
    {
        assert_refused(&create(&proxy, prefix, given()).await, "ecr:CreateRepository", below);
    }
    create(&proxy, "part/ab", given()).await.assert_status(200);
    assert_refused(&create(&proxy, "part/b", given()).await, "ecr:CreateRepository", "part/b/*");
    // Below it somebody else's names are guarded: the template would be for them, too.
    assert_refused(&create(&proxy, "guarded", given()).await, "ecr:SetRepositoryPolicy", "guarded/*");
    assert_refused(&create(&proxy, "guarded/secret", given()).await, "ecr:SetRepositoryPolicy", "guarded/secret/*");
    create(&proxy, "guarded/open", given()).await.assert_status(200);
    // It does what it says for a repository that somebody else makes.
    push(&proxy, "team/app", "latest", &an_image(1, &[100]).await).await;
    as_user(&proxy, "cici", "GET", &path("team/app", "manifests/latest")).await.assert_status(200);
}

/// Conditions on tags: those that the template gives are told, those that a repository will have are not known.
#[tokio::test]
async fn s6_conditions_on_tags() {
    let (upstream, folder) = (FakeUpstream::start().await, tempfile::tempdir().unwrap());
    let of_team = json!({ "StringEquals": { "aws:RequestTag/team": "mine" },
        "ForAllValues:StringEquals": { "aws:TagKeys": ["team"] } });
    let mut tag = allow(json!(["ecr:TagResource", "ecr:CreateRepository"]), "*");
    tag["Condition"] = of_team;
    let mut set = allow(json!("ecr:SetRepositoryPolicy"), "*");
    set["Condition"] = json!({ "StringEquals": { "aws:ResourceTag/team": "mine" } });
    let mut guard = deny("ecr:PutLifecyclePolicy", &arn("guarded/*"));
    guard["Condition"] = json!({ "StringEquals": { "aws:ResourceTag/guard": "on" } });
    let statements =
        json!([allow(json!(TEMPLATES), "*"), tag, set, allow(json!("ecr:PutLifecyclePolicy"), "*"), guard]);
    let proxy = with_policy(&upstream, folder.path(), statements).await;
    let tags = |tags: &[(&str, &str)]| {
        let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        json!({ "resourceTags": tags })
    };
    let with = |mut given: Value, key: &str, value: &str| {
        given[key] = json!(value);
        given
    };
    create(&proxy, "a", tags(&[("team", "mine")])).await.assert_status(200);
    for given in [tags(&[("team", "yours")]), tags(&[("team", "mine"), ("other", "x")]), tags(&[])] {
        assert_refused(&create(&proxy, "b", given).await, "ecr:CreateRepository", "b/*");
    }
    let given = with(tags(&[("team", "mine")]), "repositoryPolicy", &policy());
    assert_refused(&create(&proxy, "b", given).await, "ecr:SetRepositoryPolicy", "b/*");
    let lifecycle = with(tags(&[("team", "mine")]), "lifecyclePolicy", "{}");
    assert_refused(&create(&proxy, "guarded", lifecycle.clone()).await, "ecr:PutLifecyclePolicy", "guarded/*");
    create(&proxy, "b", lifecycle).await.assert_status(200);
}

/// An update is judged by all that the template gives afterwards: what it adds, and what somebody else gave before.
#[tokio::test]
async fn s6_an_update_gives_all_of_the_template() {
    let (upstream, folder) = (FakeUpstream::start().await, tempfile::tempdir().unwrap());
    let statements = json!([allow(json!([TEMPLATES, "ecr:CreateRepository", "ecr:TagResource"]), "*")]);
    let proxy = with_policy(&upstream, folder.path(), statements).await;
    let update = async |user: &str, prefix: &str, given: Value| {
        let mut input = json!({ "prefix": prefix });
        input.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        api(&proxy.client(), user, "UpdateRepositoryCreationTemplate", input).await
    };
    create(&proxy, "team", json!({})).await.assert_status(200);
    for prefix in ["team", "team/"] {
        let refused = update("cici", prefix, json!({ "repositoryPolicy": policy() })).await;
        assert_refused(&refused, "ecr:SetRepositoryPolicy", "team/*");
    }
    update("cici", "team", json!({ "resourceTags": [{ "Key": "k", "Value": "v" }] })).await.assert_status(200);
    // Somebody who may has made it one with a policy: for more occasions it is as good as a new one.
    update("root", "team", json!({ "repositoryPolicy": policy() })).await.assert_status(200);
    let refused = update("cici", "team", json!({ "appliedFor": ["REPLICATION"] })).await;
    assert_refused(&refused, "ecr:SetRepositoryPolicy", "team/*");
    // Without it, it is theirs to change.
    update("cici", "team", json!({ "repositoryPolicy": "", "description": "mine" })).await.assert_status(200);
    assert_fault(&update("cici", "absent", json!({})).await, "TemplateNotFoundException");
    assert_written(folder.path(), "ecr:UpdateRepositoryCreationTemplate");
}

/// A template for what is pulled through is no way round either.
#[tokio::test]
async fn s6_templates_of_what_is_pulled_through() {
    let (upstream, folder) = (FakeUpstream::start().await, tempfile::tempdir().unwrap());
    upstream.image("team/app", "latest", 1, &[100]);
    let statements = json!([
        allow(json!([TEMPLATES, "ecr:*PullThroughCacheRule*", "ecr:CreateRepository"]), "*"),
        allow(json!("ecr:SetRepositoryPolicy"), &arn("mine/*")),
    ]);
    let proxy = with_policy(&upstream, folder.path(), statements).await;
    let given = || json!({ "repositoryPolicy": policy() });
    for (prefix, below) in [(HUB.to_owned(), format!("{HUB}/*")), ("ROOT".to_owned(), "*".to_owned())] {
        assert_refused(&create(&proxy, &prefix, given()).await, "ecr:SetRepositoryPolicy", &below);
    }
    create(&proxy, "mine", given()).await.assert_status(200);
    as_user(&proxy, "root", "GET", &manifest("team/app", "latest")).await.assert_status(200);
    as_user(&proxy, "cici", "GET", &manifest("team/app", "latest")).await.assert_error(403, "DENIED");
}
