//! Two replicas on one database: what one changes, or a command beside them, the other knows at once.
//!
//! A replica counts what was announced to it (`entrepot_announced_changes_total`); that is the barrier after which the next request
//! must be answered by what is new. Whatever is remembered is also forgotten by itself after three seconds: a round that took
//! nearly as long proves nothing and is done again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::AnyPool;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::bound::{until_async, within};
use crate::bucket::{a_database, server};
use crate::client::Answer;
use crate::edge::{SECRET, USERS, api, as_user, basic, bearer, guarded, push_as};
use crate::iam::{Key, caller, iam};
use crate::proxy::{Proxy, Setup};
use crate::push::{an_image, path};
use crate::upstream::FakeUpstream;

/// Before this, nothing is forgotten by itself.
const REMEMBERED: Duration = Duration::from_millis(2_500);

struct Replicas {
    one: Proxy,
    two: Proxy,
    database: String,
    upstream: FakeUpstream,
    /// Where the keys lie that both have.
    _keys: TempDir,
}

/// `None` where there is no PostgreSQL.
async fn replicas() -> Option<Replicas> {
    let database = a_database(&server("TEST_POSTGRES_URL")?).await;
    let upstream = FakeUpstream::start().await;
    let keys = tempfile::tempdir().unwrap();
    let start = async || {
        let mut setup = Setup::of(&upstream);
        setup.meta.text("url", &database);
        let file = keys.path().join("keys");
        setup.more = format!("{USERS}\n[auth]\nfailed_logins = 1000\nkey_file = {file:?}\n");
        setup.start().await
    };
    let (one, two) = (start().await, start().await);
    for kind in ["principals", "policies", "rules", "exclusions"] {
        until_async("two is listening", async || announced(&two, kind).await > 0.0).await;
    }
    Some(Replicas { one, two, database, upstream, _keys: keys })
}

/// How often changes of the kind were announced to the replica.
async fn announced(proxy: &Proxy, kind: &str) -> f64 {
    proxy.metrics().await.with("entrepot_announced_changes_total", &[("kind", kind)])
}

impl Replicas {
    /// Does what one does, or a command, and waits until it was announced to two.
    async fn tell<T>(&self, kind: &str, act: impl Future<Output = T>) -> T {
        let before = announced(&self.two, kind).await;
        let done = act.await;
        until_async("the change is announced", async || announced(&self.two, kind).await > before).await;
        done
    }

    async fn at_one(&self, operation: &str, input: Value) {
        api(&self.one.client(), "root", operation, input).await.assert_status(200);
    }

    async fn policy(&self, repository: &str, effect: &str) {
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": effect, "Principal": "*", "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"] }] });
        let input = json!({ "repositoryName": repository, "policyText": policy.to_string() });
        self.tell("policies", self.at_one("SetRepositoryPolicy", input)).await;
    }

    async fn iam(&self, arguments: &[&str], input: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_entrepot"));
        command.arg("iam").args(arguments).arg("--config").arg(self.one.config_path()).kill_on_drop(true);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
        let mut child = command.spawn().expect("the binary runs");
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        assert!(within("a command", child.wait()).await.unwrap().success(), "{arguments:?}");
    }

    /// A user with a password, of whom two has heard all that there is to hear.
    async fn user(&self, name: &str) {
        self.iam(&["create-user", name, "--policy", "PullOnly"], "").await;
        self.iam(&["set-password", name], &format!("{name}-{SECRET}")).await;
        // Announcements come in the order of commits: after this one the others are there.
        let last = json!({ "principalArn": format!("arn:aws:iam::000000000000:user/{name}") });
        self.tell("exclusions", self.at_one("RegisterPullTimeUpdateExclusion", last)).await;
    }
}

/// Does rounds until three were quick enough to prove something; each says when it began to be remembered.
async fn rounds(mut round: impl AsyncFnMut(usize) -> Instant) {
    let mut proven = 0;
    for n in 0..30 {
        let since = round(n).await;
        proven += usize::from(since.elapsed() < REMEMBERED);
        if proven == 3 {
            return;
        }
    }
    panic!("this machine is too slow to tell");
}

#[tokio::test]
async fn a_policy_of_one_denies_at_the_other_at_once() {
    let Some(replicas) = replicas().await else { return };
    let (one, two) = (&replicas.one, &replicas.two);
    let image = an_image(1, &[100]).await;
    let check = async |repository: String| {
        push_as(&one.client(), "root", &repository, "latest", &image).await;
        let manifest = path(&repository, "manifests/latest");
        let since = Instant::now();
        as_user(two, "reader", "GET", &manifest).await.assert_body(&image.manifest.bytes);
        as_user(two, "nobody", "GET", &manifest).await.assert_error(403, "DENIED");
        replicas.policy(&repository, "Deny").await;
        as_user(two, "reader", "GET", &manifest).await.assert_error(403, "DENIED");
        replicas.policy(&repository, "Allow").await;
        as_user(two, "nobody", "GET", &manifest).await.assert_body(&image.manifest.bytes);
        replicas
            .tell("policies", replicas.at_one("DeleteRepositoryPolicy", json!({ "repositoryName": repository })))
            .await;
        as_user(two, "nobody", "GET", &manifest).await.assert_error(403, "DENIED");
        since
    };
    rounds(async |n| check(format!("team/app{n}")).await).await;
    // Connections are lost, and made again.
    let before = announced(two, "policies").await;
    let pool = AnyPool::connect(&replicas.database).await.unwrap();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query(cut).execute(&pool).await.unwrap();
    pool.close().await;
    until_async("two is listening again", async || announced(two, "policies").await > before).await;
    assert!(two.log().contains("announcements of changes are not heard"), "{}", two.log());
    assert!(!two.log().contains("entrepot:secret"), "the URL's password");
    rounds(async |n| check(format!("team/again{n}")).await).await;
}

/// Whatever `entrepot iam` does to a user holds for the next request, at any replica.
#[tokio::test]
async fn a_user_changed_by_a_command() {
    let Some(replicas) = replicas().await else { return };
    let image = an_image(1, &[100]).await;
    push_as(&replicas.one.client(), "root", "team/app", "latest", &image).await;
    let manifest = path("team/app", "manifests/latest");
    let ask = async |authorization: &str| -> Answer {
        replicas.two.client().request("GET", &manifest, &[("Authorization", authorization)]).await
    };
    let scope = "/token?service=x&scope=repository:team/app:pull";
    for (case, arguments, input, by_token, status) in [
        ("policy", &["delete-policy", "USER", "PullOnly"][..], "", false, 403),
        ("password", &["set-password", "USER"], "another-password", false, 401),
        ("gone", &["delete-user", "USER"], "", false, 401),
        ("revoked", &["revoke", "USER"], "", true, 401),
    ] {
        rounds(async |n| {
            let user = format!("{case}{n}");
            replicas.user(&user).await;
            let mut authorization = basic(&user);
            if by_token {
                authorization = bearer(&as_user(&replicas.two, &user, "GET", scope).await);
            }
            let since = Instant::now();
            ask(&authorization).await.assert_body(&image.manifest.bytes);
            let arguments: Vec<_> = arguments.iter().map(|word| word.replace("USER", &user)).collect();
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            replicas.tell("principals", replicas.iam(&arguments, input)).await;
            assert_eq!(ask(&authorization).await.status, status, "{case}");
            if by_token {
                // Whoever logs in again, with a password that is remembered, gets a token of the new epoch.
                let again = bearer(&as_user(&replicas.two, &user, "GET", scope).await);
                ask(&again).await.assert_body(&image.manifest.bytes);
            }
            since
        })
        .await;
    }
}

/// Rules that are announced are read at once; what is read every five seconds anyhow is not counted.
#[tokio::test]
async fn a_rule_of_one_holds_at_the_other_at_once() {
    let Some(replicas) = replicas().await else { return };
    let ask = async || as_user(&replicas.two, "root", "GET", &path("cache/team/app", "manifests/latest")).await;
    let rule = json!({ "ecrRepositoryPrefix": "cache", "upstreamRegistryUrl": replicas.upstream.host() });
    ask().await.assert_error(404, "NAME_UNKNOWN");
    replicas.tell("rules", replicas.at_one("CreatePullThroughCacheRule", rule)).await;
    // The fake speaks HTTP, which no rule can say: it was asked.
    let pulled = ask().await;
    assert!(pulled.status >= 500, "{} {}", pulled.status, pulled.text());
    let gone = json!({ "ecrRepositoryPrefix": "cache" });
    replicas.tell("rules", replicas.at_one("DeletePullThroughCacheRule", gone)).await;
    ask().await.assert_error(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn an_exclusion_of_one_holds_at_the_other_at_once() {
    let Some(replicas) = replicas().await else { return };
    let image = an_image(1, &[100]).await;
    let pulled = async |repository: &str| {
        as_user(&replicas.two, "reader", "GET", &path(repository, "manifests/latest")).await.assert_status(200);
        let images =
            api(&replicas.two.client(), "root", "DescribeImages", json!({ "repositoryName": repository })).await;
        images.assert_status(200);
        !images.json()["imageDetails"][0]["lastRecordedPullTime"].is_null()
    };
    rounds(async |n| {
        let [counted, excluded] = ["counted", "excluded"].map(|name| format!("team/{name}{n}"));
        for repository in [&counted, &excluded] {
            push_as(&replicas.one.client(), "root", repository, "latest", &image).await;
        }
        let exclusion = json!({ "principalArn": "arn:aws:iam::000000000000:user/reader" });
        let since = Instant::now();
        assert!(pulled(&counted).await);
        let register = replicas.at_one("RegisterPullTimeUpdateExclusion", exclusion.clone());
        replicas.tell("exclusions", register).await;
        assert!(!pulled(&excluded).await);
        replicas.tell("exclusions", replicas.at_one("DeregisterPullTimeUpdateExclusion", exclusion)).await;
        assert!(pulled(&excluded).await);
        since
    })
    .await;
    // Whoever listens ends when it is told to.
    let Replicas { mut two, .. } = replicas;
    assert!(two.terminate().await.success(), "{}", two.log());
    assert!(!two.log().contains("WARN"), "{}", two.log());
}

/// With SQLite the same announcements go round within the process.
#[tokio::test]
async fn a_process_alone_hears_itself() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let before = announced(&proxy, "policies").await;
    let setting = json!({ "name": "REGISTRY_POLICY_SCOPE", "value": "V1" });
    api(&proxy.client(), "root", "PutAccountSetting", setting).await.assert_status(200);
    until_async("it is announced", async || announced(&proxy, "policies").await == before + 1.0).await;
    assert_eq!(announced(&proxy, "rules").await, 0.0);
}

/// A key that was made inactive at one logs nobody in at two, and the other way round.
#[tokio::test]
async fn c4_an_inactive_key_is_inactive_at_the_other_replica() {
    let Some(replicas) = replicas().await else { return };
    let mut command = Command::new(env!("CARGO_BIN_EXE_entrepot"));
    command.args(["iam", "create-user", "boss", "--policy", "Administrator", "--output", "json", "--config"]);
    let made = command.arg(replicas.one.config_path()).kill_on_drop(true).output();
    let made = within("a command", made).await.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let boss: Value = serde_json::from_slice(&made.stdout).unwrap();
    let text = |name: &str| boss[name].as_str().unwrap().to_owned();
    let boss = Key { id: text("access_key_id"), secret: text("secret_access_key"), token: None };
    iam(&replicas.one, &boss, "CreateUser&UserName=alice").await.assert_status(200);
    let key = Key::told(&iam(&replicas.one, &boss, "CreateAccessKey&UserName=alice").await);
    let arn = "arn:aws:iam::000000000000:user/alice";
    let set = async |at: &Proxy, status: &str| {
        let action = format!("UpdateAccessKey&UserName=alice&AccessKeyId={}&Status={status}", key.id);
        iam(at, &boss, &action).await.assert_status(200);
    };
    for _ in 0..3 {
        assert_eq!(caller(&replicas.two, &key).await, arn);
        set(&replicas.one, "Inactive").await;
        assert_eq!(caller(&replicas.two, &key).await, "InvalidClientTokenId");
        set(&replicas.two, "Active").await;
        assert_eq!(caller(&replicas.one, &key).await, arn);
    }
}
