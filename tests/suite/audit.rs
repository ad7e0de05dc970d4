//! The audit log: no change goes unwritten, whoever makes it and whether they stay or not.

use std::path::Path;

use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::bound::until_async;
use crate::edge::{USERS, api, as_user, basic, push, signed_headers};
use crate::proxy::{Proxy, Setup};
use crate::push::{an_image, path};
use crate::upstream::FakeUpstream;

const REPO: &str = "team/app";

async fn audited(upstream: &FakeUpstream, file: &Path) -> Proxy {
    let mut setup = Setup::of(upstream);
    setup.log.text("audit", file.to_str().unwrap());
    setup.more = format!("{USERS}\n[auth]\nfailed_logins = 1000\n");
    setup.start().await
}

fn records(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Of records: who, what, and how it ended.
fn said(records: &[Value]) -> Vec<String> {
    let text = |record: &Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let line = |record: &Value| {
        let principal = text(record, "principal");
        let principal = principal.rsplit('/').next().unwrap_or_default();
        let line = format!(
            "{principal} {} {} {} {}",
            text(record, "action"),
            text(record, "resource").rsplit("repository/").next().unwrap_or_default(),
            text(record, "decision"),
            text(record, "fault"),
        );
        line.trim_end().to_owned()
    };
    records.iter().map(line).collect()
}

/// A client that leaves as soon as it has sent its request keeps its change from being written down as little as from being made.
#[tokio::test]
async fn y1_a_change_of_a_client_that_leaves_is_written_down() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit");
    let mut proxy = audited(&upstream, &file).await;
    let client = proxy.client();
    let image = an_image(1, &[100]).await;
    let count = 40;
    for n in 0..count {
        push(&proxy, &format!("team/r{n}"), "latest", &image).await;
    }
    // Until the lock is given back no deletion comes further than to its transaction.
    let database = format!("sqlite:{}", proxy.data_path().join("entrepot.db").display());
    let mut lock = sqlx::SqliteConnection::connect(&database).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut lock).await.unwrap();
    let mut exchanges = Vec::new();
    for n in 0..count {
        let body =
            json!({ "repositoryName": format!("team/r{n}"), "imageIds": [{ "imageTag": "latest" }] }).to_string();
        let headers = signed_headers(&client, "root", "BatchDeleteImage", &body, |_| {});
        let length = body.len().to_string();
        let mut headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        headers.push(("Content-Length", &length));
        let mut exchange = client.open("POST", "/", &headers).await;
        exchange.write(body.as_bytes()).await;
        exchanges.push(exchange);
    }
    let in_flight = async || proxy.metrics().await.sum("entrepot_http_requests_in_flight") as usize;
    until_async("the requests have come", async || in_flight().await == count).await;
    for _ in 0..count {
        as_user(&proxy, "root", "GET", "/v2/").await.assert_status(200);
    }
    for exchange in exchanges {
        exchange.reset();
    }
    until_async("the clients have left", async || in_flight().await == 0).await;
    sqlx::query("ROLLBACK").execute(&mut lock).await.unwrap();
    lock.close().await.unwrap();
    // Nothing is under way any more when the process has ended.
    proxy.terminate().await;
    let written: Vec<String> = records(&file)
        .iter()
        .filter(|record| record["action"] == "ecr:BatchDeleteImage" && record["fault"].is_null())
        .map(|record| record["resource"].as_str().unwrap().to_owned())
        .collect();
    proxy.start().await;
    let mut deleted = 0;
    for n in 0..count {
        let listed = as_user(&proxy, "root", "GET", &path(&format!("team/r{n}"), "tags/list")).await;
        let is_gone = listed.json()["tags"].as_array().is_none_or(Vec::is_empty);
        let arn = format!("arn:aws:ecr:local:000000000000:repository/team/r{n}");
        assert_eq!(written.contains(&arn), is_gone, "team/r{n} {written:?}");
        deleted += usize::from(is_gone);
    }
    assert_eq!(written.len(), deleted);
    assert!(deleted > 0, "some deletions were under way when their clients left");
}

/// The data plane's changes have records as well: what makes a repository, a manifest and its tags come and go.
#[tokio::test]
async fn y1_changes_of_the_data_plane_are_written_down() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit");
    let mut proxy = audited(&upstream, &file).await;
    let image = an_image(1, &[100]).await;
    push(&proxy, REPO, "latest", &image).await;
    as_user(&proxy, "root", "GET", &path(REPO, "manifests/latest")).await.assert_status(200);
    as_user(&proxy, "root", "DELETE", &path(REPO, "manifests/latest")).await.assert_status(202);
    as_user(&proxy, "root", "DELETE", &path(REPO, "manifests/latest")).await.assert_status(404);
    as_user(&proxy, "reader", "DELETE", &path(REPO, "manifests/latest")).await.assert_status(403);
    // A push that breaks off is written down with its failure.
    let authorization = basic("root");
    let headers = [("Authorization", authorization.as_str()), ("Content-Length", "1000")];
    let mut broken = proxy.client().open("PUT", &path(REPO, "manifests/broken"), &headers).await;
    broken.write(b"{").await;
    broken.reset();
    let is_written = async || said(&records(&file)).iter().any(|line| line.contains("BLOB_UPLOAD_INVALID"));
    until_async("the broken push is written down", is_written).await;
    proxy.terminate().await;
    assert_eq!(
        said(&records(&file)),
        [
            "root ecr:CreateRepository team/app allowed",
            "root ecr:PutImage team/app allowed",
            "root ecr:BatchDeleteImage team/app allowed",
            "root ecr:BatchDeleteImage team/app allowed MANIFEST_UNKNOWN",
            "reader ecr:BatchDeleteImage team/app denied",
            "root ecr:PutImage team/app allowed BLOB_UPLOAD_INVALID",
        ]
    );
}

/// Clients push layers side by side: one request makes the repository, and the others are decided about once more.
#[tokio::test]
async fn y3_first_pushes_at_once_make_one_repository() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit");
    let mut proxy = audited(&upstream, &file).await;
    let (client, authorization) = (proxy.client(), basic("root"));
    let to = path(REPO, "blobs/uploads/");
    let headers = [("Authorization", authorization.as_str())];
    let begun = futures_util::future::join_all((0..8).map(|_| client.send("POST", &to, &headers, b""))).await;
    begun.iter().for_each(|answer| answer.assert_status(202));
    proxy.terminate().await;
    let made =
        said(&records(&file)).iter().filter(|line| *line == "root ecr:CreateRepository team/app allowed").count();
    assert_eq!(made, 1);
}

/// An operator's command makes changes like any other.
#[tokio::test]
async fn nm8_changes_of_an_operators_command_are_written_down() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit");
    let mut proxy = audited(&upstream, &file).await;
    let command = |arguments: &[&str], input: &str| crate::enrolment::iam(&proxy, arguments, input);
    let secret = "a-password-of-anns";
    for (arguments, input, succeeds) in [
        (&["create-user", "ann", "--policy", "PullOnly"][..], "", true),
        (&["set-password", "ann"], secret, true),
        (&["put-policy", "ann", "FullAccess"], "", true),
        (&["delete-policy", "ann", "FullAccess"], "", true),
        (&["delete-policy", "ann", "FullAccess"], "", false),
        (&["revoke", "ann"], "", true),
        (&["list"], "", true),
        (&["delete-user", "ann"], "", true),
    ] {
        let output = command(arguments, input);
        assert_eq!(output.status.success(), succeeds, "{arguments:?} {}", String::from_utf8_lossy(&output.stderr));
    }
    proxy.terminate().await;
    let records = records(&file);
    let lines: Vec<(&str, Option<&str>)> = records
        .iter()
        .map(|record| {
            assert_eq!(record["resource"], "arn:aws:iam::000000000000:user/ann");
            assert_eq!((&record["means"], &record["decision"]), (&json!("command"), &json!("allowed")));
            (record["action"].as_str().unwrap(), record["fault"].as_str())
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("iam:CreateUser", None),
            ("iam:AttachUserPolicy", None),
            ("iam:CreateAccessKey", None),
            ("iam:UpdateLoginProfile", None),
            ("iam:AttachUserPolicy", None),
            ("iam:DetachUserPolicy", None),
            ("iam:DetachUserPolicy", Some("NoSuchEntity")),
            ("entrepot:RevokeTokens", None),
            ("iam:DeleteUser", None),
        ]
    );
    assert!(!std::fs::read_to_string(&file).unwrap().contains(secret));
}

/// Without a file of its own a record is among the lines of the log, as an object or as fields that are escaped once, at any level.
#[tokio::test]
async fn nm8_records_in_the_log() {
    let upstream = FakeUpstream::start().await;
    for format in ["json", "text"] {
        let mut setup = Setup::of(&upstream);
        setup.log.text("format", format).text("level", "error");
        setup.more = format!("{USERS}\n[auth]\nfailed_logins = 1000\n");
        let mut proxy = setup.start().await;
        let created = api(&proxy.client(), "root", "CreateRepository", json!({ "repositoryName": REPO })).await;
        created.assert_status(200);
        proxy.terminate().await;
        let log = proxy.log();
        let line = log.lines().find(|line| line.contains("ecr:CreateRepository")).expect("a record");
        if format == "json" {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["message"], "audit");
            assert_eq!(line["audit"]["action"], "ecr:CreateRepository");
            assert_eq!(line["audit"]["principal"], "arn:aws:iam::000000000000:user/root");
        } else {
            let fields = " action=ecr:CreateRepository resource=arn:aws:ecr:local:000000000000:repository/team/app decision=allowed ";
            assert!(line.contains(" INFO audit request_id=") && line.contains(fields), "{line}");
            let because = r#" because="allowed by statement 0 of the identity policy \"FullAccess\"""#;
            assert!(line.contains(because), "{line}");
        }
    }
}

/// What an intruder does first, what is given out, and of what each change was.
#[tokio::test]
async fn g06_records_say_who_was_tried_and_what_was_changed() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit");
    let mut setup = Setup::of(&upstream);
    setup.log.text("audit", file.to_str().unwrap());
    setup.more = format!("{}\n[auth]\nfailed_logins = 1000\n", crate::iam::USERS);
    let mut proxy = setup.start().await;
    let client = proxy.client();
    let shown = |header: String| {
        let client = client.clone();
        async move { client.request("GET", "/v2/_catalog", &[("Authorization", &header)]).await.status }
    };
    let pair = |pair: &str| {
        let pair = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair);
        format!("Basic {pair}")
    };
    assert_eq!(shown(pair("root:guessed-secret")).await, 401);
    assert_eq!(shown(pair("AWS:guessed-secret")).await, 401);
    assert_eq!(shown("Bearer guessed-secret".to_owned()).await, 401);
    let token = client.request("GET", "/token?service=x", &[("Authorization", &pair("mallory:guessed-secret"))]).await;
    assert_eq!(token.status, 401);
    let unknown = crate::iam::Key::of("AKIANOBODYNOBODYNOBO");
    crate::iam::ecr(&proxy, &unknown, "DescribeRegistry", "{}").await.assert_status(400);
    assert_eq!(crate::iam::iam(&proxy, &unknown, "ListUsers").await.status, 403);
    // Nobody showed nothing: a client that is only sent for a login.
    assert_eq!(client.request("GET", &path("team/app", "tags/list"), &[]).await.status, 401);
    let anonymous = client.get("/token?service=x&scope=repository:team/app:pull").await.json();
    let anonymous = format!("Bearer {}", anonymous["token"].as_str().unwrap());
    let denied = client.request("GET", &path("team/app", "tags/list"), &[("Authorization", &anonymous)]).await;
    assert!(matches!(denied.status, 401 | 403));

    let key = crate::iam::user(&proxy, "bob", Some(&crate::iam::allow(r#""ecr:*""#, r#""*""#))).await;
    crate::iam::done(&proxy, "AttachUserPolicy&UserName=bob&PolicyArn=arn:aws:iam::aws:policy/PullOnly").await;
    let token = crate::iam::ecr(&proxy, &key, "GetAuthorizationToken", "{}").await.json();
    let token = format!("Basic {}", token["authorizationData"][0]["authorizationToken"].as_str().unwrap());
    let image = an_image(1, &[10]).await;
    for part in image.layers.iter().chain([&image.config]) {
        let whole = path("team/app", &format!("blobs/uploads/?digest={}", part.digest));
        client.send("POST", &whole, &[("Authorization", &token)], &part.bytes).await.assert_status(201);
    }
    let headers = [("Authorization", token.as_str()), ("Content-Type", image.media_type)];
    let put = client.send("PUT", &path("team/app", "manifests/prod"), &headers, &image.manifest.bytes).await;
    put.assert_status(201);
    let delete = r#"{"repositoryName":"team/app","imageIds":[{"imageTag":"none"}]}"#;
    crate::iam::ecr(&proxy, &key, "BatchDeleteImage", delete).await.assert_status(200);
    proxy.terminate().await;
    let text = |record: &Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let said: Vec<String> = records(&file)
        .iter()
        .map(|record| {
            let principal = text(record, "principal");
            let principal = principal.rsplit('/').next().unwrap_or_default().to_owned();
            [principal, text(record, "action"), text(record, "decision"), text(record, "detail")].join("|")
        })
        .collect();
    let is_there = |line: &str| assert!(said.iter().any(|said| said == line), "{line} is not in {said:#?}");
    for who in ["root", "AWS", "unknown", "mallory", "AKIANOBODYNOBODYNOBO"] {
        is_there(&format!("{who}|entrepot:LogIn|denied|"));
    }
    assert_eq!(said.iter().filter(|line| line.contains("|entrepot:LogIn|")).count(), 6);
    is_there("anonymous|ecr:ListImages|denied|");
    is_there("root|iam:PutUserPolicy|allowed|policy own");
    is_there("root|iam:AttachUserPolicy|allowed|policy arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly");
    is_there(&format!("root|iam:CreateAccessKey|allowed|access key {}", key.id()));
    is_there("bob|ecr:GetAuthorizationToken|allowed|");
    is_there(&format!("bob|ecr:PutImage|allowed|tags prod; {}", image.manifest.digest));
    is_there("bob|ecr:BatchDeleteImage|allowed|tags none; nothing was deleted");
    let all = std::fs::read_to_string(&file).unwrap();
    assert!(!all.contains("guessed-secret") && !all.contains(key.secret()), "no secret is written");
}

/// The first user, who may do everything, is a change like any other.
#[tokio::test]
async fn g06_the_first_user_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit");
    let mut setup = Setup::new();
    setup.log.text("audit", file.to_str().unwrap());
    setup.more = "[[user]]\nname = \"idle\"\n".to_owned();
    let mut proxy = setup.start().await;
    proxy.terminate().await;
    let records = records(&file);
    let first = &records[0];
    assert_eq!((&first["action"], &first["means"]), (&json!("iam:CreateUser"), &json!("start")));
    assert!(first["detail"].as_str().unwrap().starts_with("policy Administrator, access key AKIA"), "{first}");
}

/// Requests are served while the file cannot be written; metrics and the log say so.
#[tokio::test]
async fn g07_a_full_audit_log_is_told() {
    let upstream = FakeUpstream::start().await;
    let proxy = audited(&upstream, Path::new("/dev/full")).await;
    let created = api(&proxy.client(), "root", "CreateRepository", json!({ "repositoryName": "team/app" })).await;
    created.assert_status(200);
    until_async("it is counted", async || proxy.metrics().await.sum("entrepot_audit_write_failures_total") > 0.0).await;
    crate::bound::until("it is in the log", || proxy.log().contains("the audit log cannot be written")).await;
}

/// The repository that a pull makes is a change like any other, by whoever pulled: once, whichever plane it was, and also on an open listener.
#[tokio::test]
async fn g06_a_repository_that_a_pull_makes_is_written_down() {
    let upstream = FakeUpstream::start().await;
    for n in 0..3 {
        upstream.image(&format!("team/app{n}"), "latest", 1, &[100]);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit");
    let mut proxy = audited(&upstream, &file).await;
    for _ in 0..2 {
        for user in ["reader", "root"] {
            let manifest = crate::proxy::manifest("team/app0", "latest");
            as_user(&proxy, user, "GET", &manifest).await.assert_status(200);
        }
    }
    // Nobody made anything who may not, or where nothing is.
    as_user(&proxy, "nobody", "GET", &crate::proxy::manifest("team/app2", "latest")).await.assert_status(403);
    as_user(&proxy, "reader", "GET", &crate::proxy::manifest("team/none", "latest")).await.assert_status(404);
    let name = format!("{}/team/app1", crate::proxy::HUB);
    let ids = json!({ "repositoryName": name, "imageIds": [{ "imageTag": "latest" }] });
    for _ in 0..2 {
        api(&proxy.client(), "reader", "BatchGetImage", ids.clone()).await.assert_status(200);
    }
    proxy.terminate().await;
    let made: Vec<Value> =
        records(&file).into_iter().filter(|record| record["action"] == "ecr:CreateRepository").collect();
    let hub = crate::proxy::HUB;
    assert_eq!(
        said(&made),
        [
            format!("reader ecr:CreateRepository {hub}/team/app0 allowed"),
            format!("reader ecr:CreateRepository {hub}/team/app1 allowed")
        ]
    );
    let first = &made[0];
    assert_eq!((&first["means"], &first["detail"]), (&json!("password"), &json!(format!("pulled through from {hub}"))));
    assert!(first["because"].as_str().unwrap().contains("PullOnly") && first["request_id"] != "", "{first}");
    let open = folder.path().join("open");
    let mut setup = Setup::of(&upstream);
    setup.log.text("audit", open.to_str().unwrap());
    let mut proxy = setup.start().await;
    proxy.get(&crate::proxy::manifest("team/app0", "latest")).await.assert_status(200);
    proxy.terminate().await;
    assert_eq!(said(&records(&open)), [format!("anonymous ecr:CreateRepository {hub}/team/app0 allowed")]);
}

/// Anybody is given a token of nobody's. What is refused with it fills no file: an address gets so many records in a while.
#[tokio::test]
async fn h01_refusals_of_nobody_do_not_fill_the_file() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit");
    let mut proxy = audited(&upstream, &file).await;
    let token = crate::edge::bearer(&crate::edge::token(&proxy, None, &["repository:team/app:pull"]).await);
    let refused = 100;
    for n in 0..refused {
        let to = path(&format!("team/app{n}"), "tags/list");
        let answer = proxy.client().request("GET", &to, &[("Authorization", &token)]).await;
        assert!(matches!(answer.status, 401 | 403), "{}", answer.status);
    }
    let left_out = proxy.metrics().await.sum("entrepot_audit_left_out_total") as usize;
    // Who is known answers for it, and has a record of each.
    for n in 0..30 {
        as_user(&proxy, "nobody", "GET", &path(&format!("team/app{n}"), "tags/list")).await.assert_status(403);
    }
    proxy.terminate().await;
    let records = records(&file);
    let of = |name: &str| records.iter().filter(|record| record["principal"].as_str().unwrap().ends_with(name)).count();
    assert_eq!(of("anonymous") + left_out, refused);
    assert!((1..refused / 2).contains(&of("anonymous")), "{}", of("anonymous"));
    assert_eq!(of("user/nobody"), 30);
}

/// Whoever reaches the admin listener starts and drops work: that is written down with where they came from, and so are the commands.
#[tokio::test]
async fn h03_changes_of_jobs_are_written_down() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit");
    let mut proxy = audited(&upstream, &file).await;
    let admin = proxy.admin();
    let long = format!("/jobs/{}", "x".repeat(5_000));
    for (method, path, status) in [
        ("GET", "/jobs", 200),
        ("POST", "/jobs/gc", 202),
        ("POST", "/jobs/none", 404),
        ("DELETE", "/jobs/queue/999999", 404),
        ("POST", "/jobs/queue/retry?queue=gc", 200),
        ("POST", long.as_str(), 404),
    ] {
        admin.send(method, path, &[], b"").await.assert_status(status);
    }
    let config = proxy.config_path();
    let retry = ["jobs", "retry", "--dead", "gc", "--config", config.to_str().unwrap()];
    assert!(crate::operators::run(&retry, folder.path(), &[]).await.status.success());
    proxy.terminate().await;
    let lines: Vec<Vec<String>> = records(&file)
        .iter()
        .map(|record| {
            assert!(record["resource"].as_str().unwrap().len() <= 200);
            let texts = ["means", "action", "resource", "fault"];
            texts.map(|key| record[key].as_str().unwrap_or_default().chars().take(40).collect()).to_vec()
        })
        .collect();
    let expected = [
        ["admin-listener", "entrepot:StartJob", "/jobs/gc", ""],
        ["admin-listener", "entrepot:StartJob", "/jobs/none", "404"],
        ["admin-listener", "entrepot:DropJob", "/jobs/queue/999999", "404"],
        ["admin-listener", "entrepot:RetryJob", "/jobs/queue/retry?queue=gc", ""],
        ["admin-listener", "entrepot:StartJob", &long[..40], "404"],
        ["command", "entrepot:RetryJob", "queue gc", ""],
    ];
    assert_eq!(lines, expected);
}
