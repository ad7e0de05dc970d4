//! What an operation needs, seen from outside: each tag that is written or deleted, AWS's own policies, ARNs of other partitions.

use std::path::Path;

use serde_json::{Value, json};

use crate::client::Answer;
use crate::edge::{USERS, api, as_user, assert_fault, basic, bearer, guarded, push, token};
use crate::proxy::{Proxy, Setup};
use crate::push::{an_image, path};
use crate::upstream::{FakeUpstream, Image};

const REPO: &str = "team/app";

/// A user `ci` with exactly this policy.
async fn with_policy(upstream: &FakeUpstream, folder: &Path, statements: Value) -> Proxy {
    let file = folder.join("ci.json");
    std::fs::write(&file, json!({ "Version": "2012-10-17", "Statement": statements }).to_string()).unwrap();
    let mut setup = Setup::of(upstream);
    let user = format!(
        "[[user]]\nname = \"cici\"\naccess_key_id = \"AKIACICICICICICICICI\"\nsecret_access_key = \"cici-{0}\"\npassword = \"cici-{0}\"\npolicies = [{file:?}]\n",
        crate::edge::SECRET
    );
    setup.more = format!("{USERS}\n{user}\n[auth]\nfailed_logins = 1000\n");
    setup.start().await
}

/// Nobody may do this to tags like `pattern` of the repository.
async fn deny_tags(proxy: &Proxy, repository: &str, action: &str, pattern: &str) {
    let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Deny", "Principal": "*", "Action": action,
        "Condition": { "StringLike": { "entrepot:ImageTag": pattern } } }] });
    let set = json!({ "repositoryName": repository, "policyText": policy.to_string() });
    api(&proxy.client(), "root", "SetRepositoryPolicy", set).await.assert_status(200);
}

async fn put(proxy: &Proxy, user: &str, rest: &str, image: &Image) -> Answer {
    let authorization = basic(user);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", image.media_type)];
    proxy.client().send("PUT", &path(REPO, &format!("manifests/{rest}")), &headers, &image.manifest.bytes).await
}

async fn tags(proxy: &Proxy) -> Value {
    as_user(proxy, "root", "GET", &path(REPO, "tags/list")).await.json()["tags"].clone()
}

/// A tag is written by the reference or by `?tag=`: each of them is asked about.
#[tokio::test]
async fn t04_each_tag_that_is_written_is_asked_about() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let image = an_image(1, &[100]).await;
    push(&proxy, REPO, "dev", &image).await;
    deny_tags(&proxy, REPO, "ecr:PutImage", "prod*").await;
    let digest = &image.manifest.digest;
    for rest in [
        "prod-1".to_owned(),
        "dev-1?tag=prod-1".to_owned(),
        "dev-1?tag=dev-2&tag=prod-1".to_owned(),
        format!("{digest}?tag=prod-1"),
        format!("{digest}?tag=dev-2&tag=prod-1"),
    ] {
        put(&proxy, "root", &rest, &image).await.assert_error(403, "DENIED");
    }
    assert_eq!(tags(&proxy).await, json!(["dev"]), "a refused push writes none of its tags");
    put(&proxy, "root", "dev-1?tag=dev-2", &image).await.assert_status(201);
    put(&proxy, "root", &format!("{digest}?tag=dev-3"), &image).await.assert_status(201);
    put(&proxy, "root", digest, &image).await.assert_status(201);
    assert_eq!(tags(&proxy).await, json!(["dev", "dev-1", "dev-2", "dev-3"]));
}

/// A digest goes with all its tags: each of them is asked about, and where one may not go nothing does.
#[tokio::test]
async fn t04_each_tag_that_goes_with_a_digest_is_asked_about() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let [guarded, free] = [an_image(1, &[100]).await, an_image(2, &[100]).await];
    for (tag, image) in [("prod-1", &guarded), ("dev-1", &guarded), ("dev-2", &free), ("dev-3", &free)] {
        push(&proxy, REPO, tag, image).await;
    }
    deny_tags(&proxy, REPO, "ecr:BatchDeleteImage", "prod*").await;
    let delete =
        async |reference: &str| as_user(&proxy, "root", "DELETE", &path(REPO, &format!("manifests/{reference}"))).await;
    let batch = async |digests: &[&Image]| {
        let ids: Vec<Value> = digests.iter().map(|image| json!({ "imageDigest": image.manifest.digest })).collect();
        api(&proxy.client(), "root", "BatchDeleteImage", json!({ "repositoryName": REPO, "imageIds": ids })).await
    };
    delete("prod-1").await.assert_error(403, "DENIED");
    let refused = delete(&guarded.manifest.digest).await;
    refused.assert_error(403, "DENIED");
    assert!(refused.text().contains("ecr:BatchDeleteImage"), "{}", refused.text());
    assert_fault(&batch(&[&free, &guarded]).await, "AccessDeniedException");
    assert_eq!(tags(&proxy).await, json!(["dev-1", "dev-2", "dev-3", "prod-1"]), "a refusal deletes nothing");
    delete("dev-1").await.assert_status(202);
    let gone = batch(&[&free]).await;
    gone.assert_status(200);
    assert_eq!(gone.json()["imageIds"].as_array().unwrap().len(), 2);
    assert_eq!(tags(&proxy).await, json!(["prod-1"]));
    push(&proxy, REPO, "dev-4", &free).await;
    delete(&free.manifest.digest).await.assert_status(202);
    assert_eq!(tags(&proxy).await, json!(["prod-1"]));
}

/// With a right to some tags only, the others cannot be written beside them.
#[tokio::test]
async fn s01_an_allow_by_tag_covers_no_other_tag() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let allow = json!([
        { "Effect": "Allow", "Action": ["ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload"], "Resource": "*" },
        { "Effect": "Allow", "Action": "ecr:PutImage", "Resource": "*",
          "Condition": { "StringLike": { "entrepot:ImageTag": "dev-*" } } },
    ]);
    let proxy = with_policy(&upstream, folder.path(), allow).await;
    let image = an_image(1, &[100]).await;
    push(&proxy, REPO, "release", &image).await;
    put(&proxy, "cici", "release", &image).await.assert_error(403, "DENIED");
    put(&proxy, "cici", "dev-1?tag=release", &image).await.assert_error(403, "DENIED");
    put(&proxy, "cici", &image.manifest.digest, &image).await.assert_error(403, "DENIED");
    put(&proxy, "cici", "dev-1?tag=dev-2", &image).await.assert_status(201);
}

/// A layer is stored only by whoever may end an upload, whichever way it comes.
#[tokio::test]
async fn s07_a_layer_in_one_request_needs_all_rights_of_an_upload() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let allow = json!([{ "Effect": "Allow", "Action": ["ecr:InitiateLayerUpload", "ecr:GetDownloadUrlForLayer"], "Resource": "*" }]);
    let proxy = with_policy(&upstream, folder.path(), allow).await;
    let image = an_image(1, &[100]).await;
    push(&proxy, "team/base", "latest", &image).await;
    api(&proxy.client(), "root", "CreateRepository", json!({ "repositoryName": REPO })).await.assert_status(200);
    let layer = image.layer();
    let authorization = basic("cici");
    let headers = [("Authorization", authorization.as_str())];
    let post = async |query: &str, bytes: &[u8]| {
        proxy.client().send("POST", &path(REPO, &format!("blobs/uploads/{query}")), &headers, bytes).await
    };
    post(&format!("?digest={}", layer.digest), &layer.bytes).await.assert_error(403, "DENIED");
    // A mount is an offer: without the right it is an upload, which cannot be ended.
    let mount = post(&format!("?mount={}&from=team/base", layer.digest), b"").await;
    mount.assert_status(202);
    let upload = mount.header("location").unwrap().to_owned();
    let end = format!("{upload}?digest={}", layer.digest);
    proxy.client().send("PUT", &end, &headers, &layer.bytes).await.assert_error(403, "DENIED");
    as_user(&proxy, "root", "HEAD", &path(REPO, &format!("blobs/{}", layer.digest))).await.assert_status(404);
}

/// The policy of AWS's user guide, "IAM permissions for pushing an image", which is in everybody's CI.
fn awss_push_policy() -> Value {
    json!([
        { "Effect": "Allow", "Action": [
            "ecr:CompleteLayerUpload", "ecr:UploadLayerPart", "ecr:InitiateLayerUpload", "ecr:BatchCheckLayerAvailability",
            "ecr:PutImage", "ecr:BatchGetImage",
        ], "Resource": "arn:aws:ecr:eu-west-1:000000000000:repository/team/app" },
        { "Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*" },
    ])
}

#[tokio::test]
async fn c1_awss_own_push_policy_pushes() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let proxy = with_policy(&upstream, folder.path(), awss_push_policy()).await;
    let client = proxy.client();
    api(&client, "root", "CreateRepository", json!({ "repositoryName": REPO })).await.assert_status(200);
    let image = an_image(1, &[100, 200]).await;
    // As docker does: a token for pull and push; then each layer is looked for, uploaded, and looked for again.
    let bearer = bearer(&token(&proxy, Some("cici"), &["repository:team/app:pull,push"]).await);
    let login = api(&client, "cici", "GetAuthorizationToken", json!({})).await;
    let password = login.json()["authorizationData"][0]["authorizationToken"].as_str().unwrap().to_owned();
    for (tag, authorization) in [("one", bearer), ("two", format!("Basic {password}")), ("three", basic("cici"))] {
        let headers = [("Authorization", authorization.as_str())];
        for part in image.layers.iter().chain([&image.config]) {
            let blob = path(REPO, &format!("blobs/{}", part.digest));
            let status = client.request("HEAD", &blob, &headers).await.status;
            assert_eq!(status, if tag == "one" { 404 } else { 200 });
            let begun = client.send("POST", &path(REPO, "blobs/uploads/"), &headers, b"").await;
            begun.assert_status(202);
            let upload = begun.header("location").unwrap().to_owned();
            client.send("PATCH", &upload, &headers, &part.bytes).await.assert_status(202);
            client.send("PUT", &format!("{upload}?digest={}", part.digest), &headers, b"").await.assert_status(201);
            client.request("HEAD", &blob, &headers).await.assert_status(200);
            client.request("GET", &blob, &headers).await.assert_error(403, "DENIED");
        }
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", image.media_type)];
        let to = path(REPO, &format!("manifests/{tag}"));
        client.send("PUT", &to, &headers, &image.manifest.bytes).await.assert_status(201);
        client.request("HEAD", &to, &headers).await.assert_status(200);
    }
}

/// A token for pushing alone is enough to look whether a layer is there.
#[tokio::test]
async fn c1_a_token_for_pushing_looks_for_layers() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut statements = awss_push_policy();
    statements[0]["Action"].as_array_mut().unwrap().retain(|action| action != "ecr:BatchGetImage");
    let proxy = with_policy(&upstream, folder.path(), statements).await;
    let client = proxy.client();
    api(&client, "root", "CreateRepository", json!({ "repositoryName": REPO })).await.assert_status(200);
    let bearer = bearer(&token(&proxy, Some("cici"), &["repository:team/app:pull,push"]).await);
    let headers = [("Authorization", bearer.as_str())];
    let layer = an_image(1, &[100]).await.layers.remove(0);
    client.request("HEAD", &path(REPO, &format!("blobs/{}", layer.digest)), &headers).await.assert_status(404);
    client.request("GET", &path(REPO, &format!("blobs/{}", layer.digest)), &headers).await.assert_error(403, "DENIED");
    client.request("GET", &path(REPO, "manifests/latest"), &headers).await.assert_error(403, "DENIED");
}

/// The ARN that the API tells a client of another partition means the same repository in a policy.
#[tokio::test]
async fn y2_a_deny_holds_in_every_partition() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let statements = json!([
        { "Effect": "Allow", "Action": "ecr:*", "Resource": "*" },
        { "Effect": "Deny", "Action": "ecr:DeleteRepository", "Resource": "arn:aws-cn:ecr:cn-north-1:000000000000:repository/team/app" },
        { "Effect": "Deny", "Action": "ecr:DeleteRepository", "Resource": "arn:aws-us-gov:*:us-gov-west-1:000000000000:repository/team/base" },
    ]);
    let proxy = with_policy(&upstream, folder.path(), statements).await;
    let client = proxy.client();
    for name in [REPO, "team/base", "team/else"] {
        let name = json!({ "repositoryName": name });
        api(&client, "root", "CreateRepository", name.clone()).await.assert_status(200);
        let deleted = api(&client, "cici", "DeleteRepository", name.clone()).await;
        if name["repositoryName"] == "team/else" {
            deleted.assert_status(200);
        } else {
            assert_fault(&deleted, "AccessDeniedException");
        }
    }
}

/// A token for the list of repositories gives what a password gives: the list of what its reader may see.
#[tokio::test]
async fn c10_a_token_for_the_catalog_lists_what_may_be_seen() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let see = json!([{ "Effect": "Allow", "Action": "ecr:DescribeRepositories",
        "Resource": "arn:aws:ecr:*:000000000000:repository/team-a/*" }]);
    let proxy = with_policy(&upstream, folder.path(), see).await;
    for name in ["team-a/one", "team-b/two"] {
        api(&proxy.client(), "root", "CreateRepository", json!({ "repositoryName": name })).await.assert_status(200);
    }
    let unscoped = bearer(&token(&proxy, Some("cici"), &[]).await);
    let refused = proxy.client().request("GET", "/v2/_catalog", &[("Authorization", &unscoped)]).await;
    refused.assert_error(401, "UNAUTHORIZED");
    assert!(refused.header("www-authenticate").unwrap().contains("scope=\"registry:catalog:*\""));
    for (user, seen) in
        [("cici", json!(["team-a/one"])), ("root", json!(["team-a/one", "team-b/two"])), ("nobody", json!([]))]
    {
        let bearer = bearer(&token(&proxy, Some(user), &["registry:catalog:*"]).await);
        let listed = proxy.client().request("GET", "/v2/_catalog", &[("Authorization", &bearer)]).await;
        listed.assert_status(200);
        assert_eq!(listed.json()["repositories"], seen, "{user}");
        assert_eq!(as_user(&proxy, user, "GET", "/v2/_catalog").await.json()["repositories"], seen, "{user}");
    }
}

/// What a first push of somebody who may not create repositories is told, and whoever forgot to log in.
#[tokio::test]
async fn c4_refusals_say_what_to_do() {
    let (upstream, folder) = (FakeUpstream::start().await, tempfile::tempdir().unwrap());
    let push = json!(["ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"]);
    let allow = json!([{ "Effect": "Allow", "Action": push, "Resource": "*" }]);
    let proxy = with_policy(&upstream, folder.path(), allow).await;
    let begin = path("team/new", "blobs/uploads/");
    let refused = as_user(&proxy, "cici", "POST", &begin).await;
    refused.assert_error(403, "DENIED");
    let text = refused.text();
    for said in [
        "ecr:CreateRepository on resource: arn:",
        "There is no repository team/new yet",
        "create-repository --repository-name team/new",
    ] {
        assert!(text.contains(said), "{text}");
    }
    // It is there: now it says nothing of that.
    api(&proxy.client(), "root", "CreateRepository", json!({ "repositoryName": "team/new" })).await.assert_status(200);
    as_user(&proxy, "cici", "POST", &begin).await.assert_status(202);
    let refused = as_user(&proxy, "cici", "GET", &path("team/new", "tags/list")).await;
    refused.assert_error(403, "DENIED");
    assert!(!refused.text().contains("There is no repository"), "{}", refused.text());
    for (method, to) in
        [("GET", path("team/new", "manifests/latest")), ("POST", begin), ("POST", path("team/newer", "blobs/uploads/"))]
    {
        let refused = proxy.client().send(method, &to, &[], b"").await;
        refused.assert_error(401, "UNAUTHORIZED");
        let login = format!("log in first, as by `docker login {}`", proxy.url().strip_prefix("http://").unwrap());
        assert!(refused.text().contains(&login), "{}", refused.text());
    }
}
