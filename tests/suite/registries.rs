//! Registries of several accounts in one process, and repositories that are pulled through as repositories of a registry.

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::edge::{SECRET, USERS, api, as_user, assert_fault, basic, push_as};
use crate::proxy::{HUB, Proxy, Setup, blob, manifest};
use crate::push::{an_image, path};
use crate::upstream::{FakeUpstream, Image, OCI_INDEX};

const REPO: &str = "team/app";

const HOME: &str = "000000000000";
const THEIRS: &str = "222222222222";

const ACCOUNTS: &str = r#"
[[account]]
id = "222222222222"
hosts = ["team.example"]

[[user]]
name = "other"
account = "222222222222"
access_key_id = "AKIAOTHEOTHEOTHEOTHE"
secret_access_key = "other-a-secret-that-nobody-may-see"
password = "other-a-secret-that-nobody-may-see"
policies = ["FullAccess"]

[auth]
domain = "registry.example"
failed_logins = 1000
"#;

async fn two_registries(upstream: &FakeUpstream) -> Proxy {
    let mut setup = Setup::of(upstream);
    setup.more = format!("{USERS}{ACCOUNTS}");
    setup.start().await
}

/// An authorization token, which is good at every registry.
async fn token(client: &Client, user: &str) -> String {
    let answer = api(client, user, "GetAuthorizationToken", json!({})).await;
    answer.assert_status(200);
    format!("Basic {}", answer.json()["authorizationData"][0]["authorizationToken"].as_str().unwrap())
}

async fn with(client: &Client, authorization: &str, method: &str, path: &str) -> Answer {
    client.request(method, path, &[("Authorization", authorization)]).await
}

async fn push_with(client: &Client, authorization: &str, repository: &str, image: &crate::upstream::Image) {
    for part in image.layers.iter().chain([&image.config]) {
        let to = path(repository, &format!("blobs/uploads/?digest={}", part.digest));
        let headers = [("Authorization", authorization)];
        client.send("POST", &to, &headers, &part.bytes).await.assert_status(201);
    }
    let headers = [("Authorization", authorization), ("Content-Type", image.media_type)];
    client.send("PUT", &path(repository, "manifests/latest"), &headers, &image.manifest.bytes).await.assert_status(201);
}

fn names(answer: &Answer) -> Vec<String> {
    answer.assert_status(200);
    let repositories = answer.json()["repositories"].as_array().unwrap().clone();
    repositories.iter().map(|one| one["repositoryName"].as_str().or(one.as_str()).unwrap().to_owned()).collect()
}

/// Names, lists, policies and blobs of one registry are nothing in another, whichever way it is chosen.
#[tokio::test]
async fn registries_are_apart() {
    let upstream = FakeUpstream::start().await;
    let proxy = two_registries(&upstream).await;
    let (home, theirs) = (proxy.client(), proxy.client().as_host("team.example:5000"));
    let named = proxy.client().as_host(&format!("{THEIRS}.dkr.ecr.eu-west-1.registry.example"));
    let (mine, yours) = (an_image(1, &[1000]).await, an_image(2, &[1000]).await);
    push_as(&home, "root", REPO, "latest", &mine).await;
    let (root, other) = (basic("root"), token(&home, "other").await);
    push_with(&theirs, &other, REPO, &yours).await;

    with(&home, &root, "GET", &path(REPO, "manifests/latest")).await.assert_body(&mine.manifest.bytes);
    for client in [&theirs, &named] {
        with(client, &other, "GET", &path(REPO, "manifests/latest")).await.assert_body(&yours.manifest.bytes);
        // A blob that only the other registry has, though the bytes are here.
        with(client, &other, "GET", &path(REPO, &format!("blobs/{}", mine.layer().digest))).await.assert_status(404);
    }
    // A user's name is one of the registry that the client came to.
    let by_name = basic("other");
    with(&theirs, &by_name, "GET", &path(REPO, "manifests/latest")).await.assert_body(&yours.manifest.bytes);
    with(&home, &by_name, "GET", &path(REPO, "manifests/latest")).await.assert_error(401, "UNAUTHORIZED");
    with(&theirs, &root, "GET", &path(REPO, "manifests/latest")).await.assert_error(401, "UNAUTHORIZED");
    with(&home, &other, "GET", &path(REPO, "manifests/latest")).await.assert_error(403, "DENIED");
    let mine_elsewhere = token(&home, "root").await;
    with(&theirs, &mine_elsewhere, "GET", &path(REPO, "manifests/latest")).await.assert_error(403, "DENIED");
    let unknown = proxy.client().as_host("999999999999.dkr.ecr.eu-west-1.registry.example");
    with(&unknown, &root, "GET", &path(REPO, "manifests/latest")).await.assert_error(404, "NAME_UNKNOWN");
    // Whose token endpoint is told stays with the registry.
    let challenge = theirs.get("/v2/").await.header("www-authenticate").unwrap().to_owned();
    assert!(challenge.contains("http://team.example:5000/token"), "{challenge}");

    push_with(&theirs, &other, "only/theirs", &yours).await;
    assert_eq!(names(&with(&home, &root, "GET", "/v2/_catalog").await), [REPO]);
    assert_eq!(names(&with(&theirs, &other, "GET", "/v2/_catalog").await), ["only/theirs", REPO]);
    assert_eq!(names(&api(&home, "root", "DescribeRepositories", json!({})).await), [REPO]);
    let described = api(&home, "other", "DescribeRepositories", json!({})).await;
    assert_eq!(names(&described), ["only/theirs", REPO]);
    let first = &described.json()["repositories"][0];
    assert_eq!(first["registryId"], THEIRS);
    assert_eq!(first["repositoryArn"], format!("arn:aws:ecr:eu-west-1:{THEIRS}:repository/only/theirs"));
    let port = proxy.client().host().rsplit_once(':').unwrap().1.to_owned();
    assert_eq!(first["repositoryUri"], format!("team.example:{port}/only/theirs"));
    let input = json!({ "registryIds": [HOME, THEIRS] });
    let tokens = api(&home, "root", "GetAuthorizationToken", input).await.json();
    let endpoints: Vec<_> =
        tokens["authorizationData"].as_array().unwrap().iter().map(|one| one["proxyEndpoint"].clone()).collect();
    assert_eq!(endpoints, [json!(proxy.url()), json!(format!("http://team.example:{port}"))]);
}

/// A token for a repository of one registry is for none of the same name in another.
#[tokio::test]
async fn tokens_are_for_one_registry() {
    let upstream = FakeUpstream::start().await;
    let proxy = two_registries(&upstream).await;
    let (home, theirs) = (proxy.client(), proxy.client().as_host("team.example"));
    let image = an_image(1, &[1000]).await;
    push_as(&home, "root", REPO, "latest", &image).await;
    let other = token(&home, "other").await;
    push_with(&theirs, &other, REPO, &image).await;
    let principal = json!({ "AWS": format!("arn:aws:iam::{THEIRS}:user/other") });
    let actions = json!(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]);
    let allow = json!({ "Effect": "Allow", "Principal": principal, "Action": actions });
    let policy = json!({ "Version": "2012-10-17", "Statement": [allow] });
    let set = json!({ "repositoryName": REPO, "policyText": policy.to_string() });
    api(&home, "root", "SetRepositoryPolicy", set).await.assert_status(200);
    let scope = format!("/token?service=x&scope=repository:{REPO}:pull");
    let at = path(REPO, "manifests/latest");
    for (from, there) in [(&theirs, &home), (&home, &theirs)] {
        let bearer = crate::edge::bearer(&with(from, &other, "GET", &scope).await);
        with(from, &bearer, "GET", &at).await.assert_body(&image.manifest.bytes);
        let refused = with(there, &bearer, "GET", &at).await;
        refused.assert_error(401, "UNAUTHORIZED");
        assert!(refused.header("www-authenticate").unwrap().contains("insufficient_scope"));
    }
}

/// `registryId` asks another registry, which has to allow it, as has one's own account.
#[tokio::test]
async fn another_accounts_registry() {
    let upstream = FakeUpstream::start().await;
    let proxy = two_registries(&upstream).await;
    let home = proxy.client();
    let create = json!({ "repositoryName": "shared/app" });
    api(&home, "other", "CreateRepository", create).await.assert_status(200);
    let input = |registry: &str| json!({ "registryId": registry, "repositoryName": "shared/app" });
    assert_fault(&api(&home, "root", "ListImages", input(THEIRS)).await, "AccessDeniedException");
    assert_fault(&api(&home, "root", "ListImages", input(HOME)).await, "RepositoryNotFoundException");
    assert_fault(&api(&home, "root", "ListImages", input("999999999999")).await, "RepositoryNotFoundException");
    let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
        "Principal": { "AWS": format!("arn:aws:iam::{HOME}:root") }, "Action": ["ecr:ListImages", "ecr:PutImage"] }] });
    let set = json!({ "repositoryName": "shared/app", "policyText": policy.to_string() });
    api(&home, "other", "SetRepositoryPolicy", set).await.assert_status(200);
    api(&home, "root", "ListImages", input(THEIRS)).await.assert_status(200);
    // Somebody whose own account allows nothing.
    assert_fault(&api(&home, "nobody", "ListImages", input(THEIRS)).await, "AccessDeniedException");
    // The region of an ARN counts for nothing, its account does.
    let arn = |account: &str| json!({ "resourceArn": format!("arn:aws:ecr:mars-1:{account}:repository/shared/app") });
    api(&home, "other", "ListTagsForResource", arn(THEIRS)).await.assert_status(200);
    assert_fault(&api(&home, "other", "ListTagsForResource", arn(HOME)).await, "AccessDeniedException");
}

/// A rule, its names and its secret are of the registry that made it.
#[tokio::test]
async fn rules_are_of_one_registry() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[1000]);
    let proxy = two_registries(&upstream).await;
    let (home, theirs) = (proxy.client(), proxy.client().as_host("team.example"));
    let host = upstream.host();
    let rule = json!({ "ecrRepositoryPrefix": "cache", "upstreamRegistryUrl": host });
    let secret = "arn:aws:secretsmanager:local:000000000000:secret:ecr-pullthroughcache/hub-AbCdEf";
    let folder = proxy.data_path().join("secrets/ecr-pullthroughcache");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("hub.json"), r#"{"username":"u","accessToken":"t"}"#).unwrap();
    let mut with_secret = rule.clone();
    with_secret["credentialArn"] = json!(secret);
    assert_fault(&api(&home, "other", "CreatePullThroughCacheRule", with_secret).await, "SecretNotFoundException");
    api(&home, "other", "CreatePullThroughCacheRule", rule).await.assert_status(200);
    // Nor can a rule call itself as another registry's upstream is called, and so come by what that has.
    let taken = json!({ "ecrRepositoryPrefix": format!("{THEIRS}/cache"), "upstreamRegistryUrl": host });
    assert_fault(&api(&home, "root", "CreatePullThroughCacheRule", taken).await, "ValidationException");
    let (root, other) = (basic("root"), token(&home, "other").await);
    with(&home, &root, "GET", &manifest_of("cache/team/app")).await.assert_error(404, "NAME_UNKNOWN");
    let pulled = with(&theirs, &other, "GET", &manifest_of("cache/team/app")).await;
    // The fake speaks HTTP, which no rule can say: it was asked, under this name, and not as a repository of one's own.
    assert!(pulled.status >= 500, "{} {}", pulled.status, pulled.text());
    assert!(image.layers.len() == 1);
    let listed = api(&home, "root", "DescribePullThroughCacheRules", json!({})).await.json();
    let prefixes: Vec<_> = listed["pullThroughCacheRules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["ecrRepositoryPrefix"].clone())
        .collect();
    assert_eq!(prefixes, [json!(HUB)]);
}

fn manifest_of(repository: &str) -> String {
    path(repository, "manifests/latest")
}

async fn images(proxy: &Proxy, repository: &str) -> Vec<Value> {
    let answer = api(&proxy.client(), "root", "DescribeImages", json!({ "repositoryName": repository })).await;
    answer.assert_status(200);
    answer.json()["imageDetails"].as_array().unwrap().clone()
}

/// What is pulled through is an image of a repository, which has settings, tags and a policy like any other.
#[tokio::test]
async fn what_is_pulled_is_an_image_of_the_registry() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[1000]);
    let mut setup = Setup::of(&upstream).fresh_tags();
    setup.more = format!("{USERS}\n[auth]\nfailed_logins = 1000\n");
    let proxy = setup.start().await;
    let (client, local) = (proxy.client(), format!("{HUB}/{REPO}"));
    let template = json!({ "prefix": HUB, "appliedFor": ["PULL_THROUGH_CACHE"], "resourceTags": [{ "Key": "from", "Value": "hub" }] });
    api(&client, "root", "CreateRepositoryCreationTemplate", template).await.assert_status(200);
    assert!(names(&api(&client, "root", "DescribeRepositories", json!({})).await).is_empty());

    as_user(&proxy, "reader", "GET", &manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    let described = api(&client, "root", "DescribeRepositories", json!({})).await;
    assert_eq!(names(&described), [local.as_str()]);
    let arn = json!({ "resourceArn": described.json()["repositories"][0]["repositoryArn"] });
    let tags = api(&client, "root", "ListTagsForResource", arn).await.json();
    assert_eq!(tags["tags"][0]["Value"], "hub");
    let found = images(&proxy, &local).await;
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0]["imageDigest"], &found[0]["imageTags"]), (&json!(image.manifest.digest), &json!(["latest"])));
    assert!(found[0]["lastRecordedPullTime"].is_number());
    let ids = json!({ "repositoryName": local, "imageIds": [{ "imageTag": "latest" }] });
    let got = api(&client, "root", "BatchGetImage", ids).await.json();
    assert_eq!(got["images"][0]["imageManifest"].as_str().unwrap().as_bytes(), image.manifest.bytes);
    let layer = json!({ "repositoryName": local, "layerDigest": image.layer().digest });
    let url =
        api(&client, "root", "GetDownloadUrlForLayer", layer).await.json()["downloadUrl"].as_str().unwrap().to_owned();
    let from = url.strip_prefix(&proxy.url()).unwrap();
    as_user(&proxy, "reader", "GET", from).await.assert_body(&image.layer().bytes);
    // Pushing stays upstream's.
    let upload = json!({ "repositoryName": local });
    assert_fault(&api(&client, "root", "InitiateLayerUpload", upload).await, "InvalidParameterException");
    as_user(&proxy, "root", "POST", &path(&local, "blobs/uploads/")).await.assert_error(405, "UNSUPPORTED");

    // Its own policy lets somebody in, and keeps somebody out.
    as_user(&proxy, "nobody", "GET", &manifest(REPO, "latest")).await.assert_error(403, "DENIED");
    let statement = |effect: &str, user: &str| {
        json!({ "Effect": effect, "Principal": { "AWS": format!("arn:aws:iam::{HOME}:user/{user}") },
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchImportUpstreamImage"] })
    };
    let policy =
        json!({ "Version": "2012-10-17", "Statement": [statement("Allow", "nobody"), statement("Deny", "reader")] });
    let set = json!({ "repositoryName": local, "policyText": policy.to_string() });
    api(&client, "root", "SetRepositoryPolicy", set).await.assert_status(200);
    as_user(&proxy, "nobody", "GET", &manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    as_user(&proxy, "nobody", "GET", &blob(REPO, &image.layer().digest)).await.assert_body(&image.layer().bytes);
    as_user(&proxy, "reader", "GET", &manifest(REPO, "latest")).await.assert_error(403, "DENIED");
    as_user(&proxy, "nobody", "GET", &manifest("other/app", "latest")).await.assert_error(403, "DENIED");

    // The tag moves: both images are there, one of them without a tag.
    let second = upstream.image(REPO, "latest", 2, &[1000]);
    as_user(&proxy, "nobody", "GET", &manifest(REPO, "latest")).await.assert_body(&second.manifest.bytes);
    let found = images(&proxy, &local).await;
    assert_eq!(found.len(), 2);
    for one in &found {
        let is_new = one["imageDigest"] == json!(second.manifest.digest);
        assert_eq!(one["imageTags"].as_array().is_some_and(|tags| !tags.is_empty()), is_new, "{one}");
    }
    assert!(!proxy.log().contains(SECRET));
}

/// docker and containerd ask what a tag means, and get the manifest by its digest: the image is listed with the tag all the same, and its
/// size is that of all its parts, in the home registry and in another.
#[tokio::test]
async fn c3_what_clients_pull_is_listed_with_tags_and_whole_sizes() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[1000, 3000]);
    let other = upstream.untagged_image(REPO, 2, &[50_000]);
    let index = upstream.index(REPO, "multi", OCI_INDEX, &[&image, &other]);
    let proxy = two_registries(&upstream).await;
    let (home, theirs) = (proxy.client(), proxy.client().as_host("team.example"));
    let (root, others) = (basic("root"), basic("other"));
    let whole = |image: &Image| {
        let parts = image.layers.iter().chain([&image.config, &image.manifest]);
        parts.map(|part| part.bytes.len() as u64).sum::<u64>()
    };
    for (client, user, who) in [(&home, "root", &root), (&theirs, "other", &others)] {
        let pull = async |tag: &str, digest: &str| {
            with(client, who, "HEAD", &manifest(REPO, tag)).await.assert_status(200);
            with(client, who, "GET", &manifest(REPO, digest)).await.assert_status(200);
        };
        let listed = async || {
            let local = format!("{HUB}/{REPO}");
            let answer = api(client, user, "DescribeImages", json!({ "repositoryName": local })).await;
            answer.assert_status(200);
            answer.json()["imageDetails"].as_array().unwrap().clone()
        };
        pull("latest", &image.manifest.digest).await;
        let found = listed().await;
        assert_eq!(found.len(), 1);
        assert!(found[0]["imageTags"].as_array().unwrap().contains(&json!("latest")), "{}", found[0]);
        assert_eq!(found[0]["imageSizeInBytes"], whole(&image), "{}", found[0]);
        // Another tag of the same image, whose digest the client has already.
        upstream.manifest(REPO, Some("stable"), image.media_type, image.manifest.bytes.clone());
        pull("stable", &image.manifest.digest).await;
        assert_eq!(listed().await[0]["imageTags"], json!(["latest", "stable"]));
        // Of an index it is the largest child that was pulled.
        pull("multi", &index.digest).await;
        for child in [&image, &other] {
            with(client, who, "GET", &manifest(REPO, &child.manifest.digest)).await.assert_status(200);
        }
        let found = listed().await;
        let of_index = found.iter().find(|one| one["imageDigest"] == json!(index.digest)).unwrap();
        assert_eq!(of_index["imageTags"], json!(["multi"]));
        assert_eq!(of_index["imageSizeInBytes"], whole(&other), "{of_index}");
    }
}

/// Whoever may pull fills the database with manifests up to a limit; what is served does not depend on it.
#[tokio::test]
async fn t22_what_is_pulled_through_is_listed_up_to_a_limit() {
    const LIMIT: u64 = 16 << 20;
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.more = format!("{USERS}\n[auth]\nfailed_logins = 1000\n");
    setup.hosted.set("pulled_bytes", LIMIT);
    let proxy = setup.start().await;
    let digests: Vec<String> = (0..10)
        .map(|seed| {
            let filler = format!("{seed}{}", "x".repeat(3 << 20));
            let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": { "filler": filler } });
            upstream.manifest(REPO, Some(&format!("v{seed}")), OCI_INDEX, manifest.to_string())
        })
        .collect();
    for seed in 0..digests.len() {
        as_user(&proxy, "reader", "GET", &manifest(REPO, &format!("v{seed}"))).await.assert_status(200);
        let listed = images(&proxy, &format!("{HUB}/{REPO}")).await;
        let bytes: u64 = listed.iter().map(|image| image["imageSizeInBytes"].as_u64().unwrap()).sum();
        assert!(bytes <= LIMIT, "{bytes} bytes are listed");
        assert!(listed.iter().any(|image| image["imageTags"] == json!([format!("v{seed}")])), "the last one is listed");
    }
    upstream.refuse();
    for digest in &digests {
        as_user(&proxy, "reader", "GET", &manifest(REPO, digest)).await.assert_status(200);
    }
}

/// What is deleted is forgotten: upstream is asked again, and what comes is an image again.
#[tokio::test]
async fn a_deleted_image_is_pulled_again() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[1000]);
    let mut setup = Setup::of(&upstream);
    setup.more = format!("{USERS}\n[auth]\nfailed_logins = 1000\n");
    let proxy = setup.start().await;
    let (client, local) = (proxy.client(), format!("{HUB}/{REPO}"));
    let asked = || upstream.log().len();
    let pull = async || {
        as_user(&proxy, "reader", "GET", &manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
        asked()
    };
    let first = pull().await;
    assert_eq!(pull().await, first, "what is kept is served");
    let delete = json!({ "repositoryName": local, "imageIds": [{ "imageDigest": image.manifest.digest }] });
    let deleted = api(&client, "root", "BatchDeleteImage", delete).await.json();
    assert_eq!(deleted["imageIds"][0]["imageTag"], "latest");
    assert!(images(&proxy, &local).await.is_empty());
    let second = pull().await;
    assert!(second > first, "upstream is asked");
    assert_eq!(images(&proxy, &local).await.len(), 1);

    let delete = json!({ "repositoryName": local });
    assert_fault(&api(&client, "root", "DeleteRepository", delete).await, "RepositoryNotEmptyException");
    let delete = json!({ "repositoryName": local, "force": true });
    api(&client, "root", "DeleteRepository", delete).await.assert_status(200);
    assert!(names(&api(&client, "root", "DescribeRepositories", json!({})).await).is_empty());
    assert!(pull().await > second, "upstream is asked");
    assert_eq!(names(&api(&client, "root", "DescribeRepositories", json!({})).await), [local]);
}

/// What one registry deletes of an upstream that all have, the others keep.
#[tokio::test]
async fn a_registry_deletes_for_itself() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[1000]);
    let proxy = two_registries(&upstream).await;
    let (home, theirs) = (proxy.client(), proxy.client().as_host("team.example"));
    let (root, other) = (basic("root"), basic("other"));
    for (client, who) in [(&home, &root), (&theirs, &other)] {
        with(client, who, "GET", &manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    }
    upstream.refuse();
    let delete = json!({ "repositoryName": format!("{HUB}/{REPO}"), "force": true });
    api(&home, "other", "DeleteRepository", delete).await.assert_status(200);
    assert!(names(&api(&home, "other", "DescribeRepositories", json!({})).await).is_empty());
    with(&home, &root, "GET", &manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
}

/// Pulls of a principal that is excluded leave no trace.
#[tokio::test]
async fn excluded_pulls_do_not_count() {
    let upstream = FakeUpstream::start().await;
    upstream.image(REPO, "latest", 1, &[1000]);
    let mut setup = Setup::of(&upstream);
    setup.more = format!("{USERS}\n[auth]\nfailed_logins = 1000\n");
    let proxy = setup.start().await;
    let exclude = json!({ "principalArn": format!("arn:aws:iam::{HOME}:user/reader") });
    api(&proxy.client(), "root", "RegisterPullTimeUpdateExclusion", exclude.clone()).await.assert_status(200);
    let local = format!("{HUB}/{REPO}");
    let pulled_at = async |repository: &str| images(&proxy, repository).await[0]["lastRecordedPullTime"].clone();
    as_user(&proxy, "reader", "GET", &manifest(REPO, "latest")).await.assert_status(200);
    assert_eq!(pulled_at(&local).await, Value::Null);
    push_as(&proxy.client(), "root", REPO, "v1", &an_image(3, &[100]).await).await;
    as_user(&proxy, "reader", "GET", &path(REPO, "manifests/v1")).await.assert_status(200);
    assert_eq!(pulled_at(REPO).await, Value::Null);
    api(&proxy.client(), "root", "DeregisterPullTimeUpdateExclusion", exclude).await.assert_status(200);
    as_user(&proxy, "reader", "GET", &path(REPO, "manifests/v1")).await.assert_status(200);
    assert!(pulled_at(REPO).await.is_number());
}

/// Without users it is the same: what a mirror has pulled is in its lists, after a restart as well.
#[tokio::test]
async fn an_open_mirror_lists_what_it_pulled() {
    let upstream = FakeUpstream::start().await;
    upstream.image(REPO, "latest", 1, &[1000]);
    let mut proxy = Proxy::of(&upstream).await;
    proxy.get(&manifest(REPO, "latest")).await.assert_status(200);
    assert_eq!(names(&proxy.get("/v2/_catalog").await), [format!("{HUB}/{REPO}")]);
    proxy.restart().await;
    assert_eq!(names(&proxy.get("/v2/_catalog").await), [format!("{HUB}/{REPO}")]);
}

/// Quotas of a repository and of an account, on both planes; what is deleted makes room again.
#[tokio::test]
async fn quotas() {
    let upstream = FakeUpstream::start().await;
    upstream.image(REPO, "latest", 1, &[5000]);
    let mut setup = Setup::of(&upstream);
    setup.hosted.set("max_repository_images", 2).text("max_repository_bytes", "20kB");
    setup.more = format!(
        "{USERS}\n[auth]\nfailed_logins = 1000\n[[account]]\nid = {HOME:?}\nmax_repositories = 2\nmax_bytes = \"30kB\"\n"
    );
    let proxy = setup.start().await;
    let (client, root) = (proxy.client(), basic("root"));
    let headers = [("Authorization", root.as_str())];
    let upload = async |repository: &str, bytes: &[u8]| {
        let digest = crate::upstream::sha256(bytes);
        client.send("POST", &path(repository, &format!("blobs/uploads/?digest={digest}")), &headers, bytes).await
    };
    let refused = |answer: &Answer, key: &str| {
        answer.assert_error(403, "DENIED");
        assert!(answer.text().contains(key), "{}", answer.text());
    };
    upload("team/a", &[1; 15_000]).await.assert_status(201);
    refused(&upload("team/a", &[2; 6_000]).await, "hosted.max_repository_bytes");
    upload("team/a", &[1; 15_000]).await.assert_status(201);
    upload("team/b", &[3; 12_000]).await.assert_status(201);
    refused(&upload("team/b", &[4; 4_000]).await, "account.max_bytes");
    // Mounted bytes count as well, and come under the same quota.
    let digest = crate::upstream::sha256(&[1; 15_000]);
    let mount = path("team/b", &format!("blobs/uploads/?mount={digest}&from=team/a"));
    refused(&client.send("POST", &mount, &headers, b"").await, "hosted.max_repository_bytes");
    // A third repository, on both planes; what is pulled through is none.
    refused(&upload("team/c", b"x").await, "account.max_repositories");
    let create = json!({ "repositoryName": "team/c" });
    assert_fault(&api(&client, "root", "CreateRepository", create).await, "LimitExceededException");
    as_user(&proxy, "root", "GET", &manifest(REPO, "latest")).await.assert_status(200);
    assert_eq!(names(&api(&client, "root", "DescribeRepositories", json!({})).await).len(), 3);
    // An upload that says how much it brings is refused before it comes.
    let begun = client.send("POST", &path("team/a", "blobs/uploads/"), &headers, b"").await;
    let to = begun.header("location").unwrap().to_owned();
    let mut long = client.open("PATCH", &to, &[headers[0], ("Content-Length", "9000000")]).await;
    assert_eq!(long.try_status().await, Some(403));
    // Images: a third one is too many, the same one again is not.
    let put = async |tag: &str, text: &str| {
        let headers = [headers[0], ("Content-Type", "application/vnd.oci.image.index.v1+json")];
        client.send("PUT", &path("team/a", &format!("manifests/{tag}")), &headers, text.as_bytes()).await
    };
    let index = |note: &str| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{{"n":"{note}"}}}}"#
        )
    };
    for (tag, note) in [("a", "1"), ("b", "2"), ("c", "1")] {
        put(tag, &index(note)).await.assert_status(201);
    }
    refused(&put("d", &index("3")).await, "hosted.max_repository_images");
    let manifest = json!({ "repositoryName": "team/a", "imageManifest": index("3"), "imageTag": "d" });
    assert_fault(&api(&client, "root", "PutImage", manifest).await, "LimitExceededException");
    let delete = json!({ "repositoryName": "team/a", "imageIds": [{ "imageTag": "b" }] });
    api(&client, "root", "BatchDeleteImage", delete).await.assert_status(200);
    put("d", &index("3")).await.assert_status(201);
}

/// What the configuration makes public is pulled without a login, and by users of any account; a deny goes before.
#[tokio::test]
async fn public_repositories() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image("open/app", "latest", 1, &[1000]);
    upstream.image("closed/app", "latest", 2, &[1000]);
    let mut setup = Setup::of(&upstream);
    setup.more = format!(
        "{USERS}{ACCOUNTS}\n[[repository]]\nname = \"public/*\"\npublic = true\n[[repository]]\nname = \"{HUB}/open/*\"\npublic = true\n"
    );
    let proxy = setup.start().await;
    let (client, mine) = (proxy.client(), an_image(3, &[1000]).await);
    push_as(&client, "root", "public/app", "latest", &mine).await;
    push_as(&client, "root", "publicity", "latest", &mine).await;
    let at = path("public/app", "manifests/latest");
    client.get(&at).await.assert_body(&mine.manifest.bytes);
    client.get(&path("public/app", &format!("blobs/{}", mine.layer().digest))).await.assert_body(&mine.layer().bytes);
    client.get(&path("public/app", "tags/list")).await.assert_status(200);
    client.get(&manifest("open/app", "latest")).await.assert_body(&image.manifest.bytes);
    for user in ["nobody", "reader"] {
        as_user(&proxy, user, "GET", &at).await.assert_body(&mine.manifest.bytes);
    }
    let other = token(&client, "other").await;
    with(&client, &other, "GET", &at).await.assert_body(&mine.manifest.bytes);
    assert_eq!(names(&client.get("/v2/_catalog").await), [format!("{HUB}/open/app"), "public/app".to_owned()]);
    for closed in [path("publicity", "manifests/latest"), manifest("closed/app", "latest")] {
        client.get(&closed).await.assert_error(401, "UNAUTHORIZED");
    }
    client.send("POST", &path("public/app", "blobs/uploads/"), &[], b"").await.assert_error(401, "UNAUTHORIZED");
    as_user(&proxy, "nobody", "DELETE", &at).await.assert_error(403, "DENIED");
    let deny = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Deny", "Principal": "*", "Action": "ecr:BatchGetImage" }] });
    let set = json!({ "repositoryName": "public/app", "policyText": deny.to_string() });
    api(&client, "root", "SetRepositoryPolicy", set).await.assert_status(200);
    client.get(&at).await.assert_error(401, "UNAUTHORIZED");
    as_user(&proxy, "root", "GET", &at).await.assert_error(403, "DENIED");
}
