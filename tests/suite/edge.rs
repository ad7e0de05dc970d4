//! Who comes in and what they may do, on both planes.

use base64::Engine;
use entrepot::auth::{Signer, UnixTime};
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::proxy::{HUB, Proxy, Setup, blob, manifest};
use crate::push::{an_image, begin, path};
use crate::upstream::{FakeUpstream, Image, sha256};

const REPO: &str = "team/app";

/// Nobody else's secret, sought in every log.
pub const SECRET: &str = "a-secret-that-nobody-may-see";

pub const USERS: &str = r#"
[[user]]
name = "root"
access_key_id = "AKIAROOTROOTROOTROOT"
secret_access_key = "a-secret-that-nobody-may-see"
password = "root-a-secret-that-nobody-may-see"
policies = ["FullAccess"]

[[user]]
name = "reader"
access_key_id = "AKIAREADREADREADREAD"
secret_access_key = "reader-a-secret-that-nobody-may-see"
password = "reader-a-secret-that-nobody-may-see"
policies = ["PullOnly"]

[[user]]
name = "nobody"
access_key_id = "AKIANOBONOBONOBONOBO"
secret_access_key = "nobody-a-secret-that-nobody-may-see"
password = "nobody-a-secret-that-nobody-may-see"
"#;

pub async fn guarded(upstream: &FakeUpstream) -> Proxy {
    let mut setup = Setup::of(upstream);
    setup.more = format!("{USERS}\n[auth]\nfailed_logins = 1000\n");
    setup.start().await
}

pub fn basic(user: &str) -> String {
    let pair = format!("{user}:{user}-{SECRET}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

pub async fn as_user(proxy: &Proxy, user: &str, method: &str, path: &str) -> Answer {
    proxy.client().request(method, path, &[("Authorization", &basic(user))]).await
}

/// A request to the API, signed with the user's key.
pub async fn api(client: &Client, user: &str, operation: &str, input: Value) -> Answer {
    signed(client, user, operation, input, |_| {}).await
}

async fn signed(
    client: &Client,
    user: &str,
    operation: &str,
    input: Value,
    change: impl FnOnce(&mut http::HeaderMap),
) -> Answer {
    signed_text(client, user, operation, &input.to_string(), change).await
}

pub async fn signed_text(
    client: &Client,
    user: &str,
    operation: &str,
    body: &str,
    change: impl FnOnce(&mut http::HeaderMap),
) -> Answer {
    let headers = signed_headers(client, user, operation, body, change);
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    client.send("POST", "/", &headers, body.as_bytes()).await
}

/// The head of a request to the API, but for its host and length.
pub fn signed_headers(
    client: &Client,
    user: &str,
    operation: &str,
    body: &str,
    change: impl FnOnce(&mut http::HeaderMap),
) -> Vec<(String, String)> {
    let id = format!("AKIA{}", user[..4].to_uppercase().repeat(4));
    let secret = if user == "root" { SECRET.to_owned() } else { format!("{user}-{SECRET}") };
    let mut headers = http::HeaderMap::new();
    headers.insert("host", client.host().parse().unwrap());
    headers.insert("content-type", "application/x-amz-json-1.1".parse().unwrap());
    headers.insert("x-amz-target", format!("AmazonEC2ContainerRegistry_V20150921.{operation}").parse().unwrap());
    let signer =
        Signer { access_key_id: &id, secret: &secret, session_token: None, region: "eu-west-1", service: "ecr" };
    let hash: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(body).into();
    let now = UnixTime::from(std::time::SystemTime::now());
    signer.sign(&http::Method::POST, &"/".parse().unwrap(), &mut headers, &hash, now).unwrap();
    change(&mut headers);
    let headers = headers.iter().filter(|(name, _)| *name != "host");
    headers.map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned())).collect()
}

pub async fn push(proxy: &Proxy, repository: &str, tag: &str, image: &Image) {
    push_as(&proxy.client(), "root", repository, tag, image).await;
}

pub async fn push_as(client: &Client, user: &str, repository: &str, tag: &str, image: &Image) {
    let authorization = basic(user);
    let headers = [("Authorization", authorization.as_str())];
    for part in image.layers.iter().chain([&image.config]) {
        let to = path(repository, &format!("blobs/uploads/?digest={}", part.digest));
        client.send("POST", &to, &headers, &part.bytes).await.assert_status(201);
    }
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", image.media_type)];
    let to = path(repository, &format!("manifests/{tag}"));
    client.send("PUT", &to, &headers, &image.manifest.bytes).await.assert_status(201);
}

/// A bearer token from the registry's own endpoint.
pub async fn token(proxy: &Proxy, user: Option<&str>, scopes: &[&str]) -> Answer {
    let scopes: String = scopes.iter().map(|scope| format!("&scope={scope}")).collect();
    let to = format!("/token?service=x{scopes}");
    match user {
        Some(user) => as_user(proxy, user, "GET", &to).await,
        None => proxy.get(&to).await,
    }
}

pub fn bearer(token: &Answer) -> String {
    token.assert_status(200);
    format!("Bearer {}", token.json()["token"].as_str().unwrap())
}

pub fn assert_fault(answer: &Answer, name: &str) {
    assert_eq!((answer.status, answer.json()["__type"].as_str()), (400, Some(name)), "{}", answer.text());
}

#[tokio::test]
async fn who_shows_nothing_is_told_how_to_log_in() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[100]);
    let proxy = guarded(&upstream).await;
    let answer = proxy.get("/v2/").await;
    answer.assert_error(401, "UNAUTHORIZED");
    let challenge = answer.header("www-authenticate").unwrap().to_owned();
    assert!(challenge.starts_with(&format!("Bearer realm=\"{}/token\",service=\"", proxy.url())), "{challenge}");
    let answer = proxy.get(&manifest(REPO, "latest")).await;
    answer.assert_error(401, "UNAUTHORIZED");
    let scope = format!("scope=\"repository:{HUB}/{REPO}:pull\"");
    assert!(answer.header("www-authenticate").unwrap().contains(&scope));
    assert!(upstream.log().is_empty(), "upstream is not asked for who may not");
    let answer = proxy.client().send("POST", &path(REPO, "blobs/uploads/"), &[], b"").await;
    assert!(answer.header("www-authenticate").unwrap().contains(":pull,push\""));
    for wrong in ["Basic !", "Basic eDp5", "Bearer x.y.z", "Bearer ", "Negotiate abc"] {
        let answer = proxy.client().request("GET", "/v2/", &[("Authorization", wrong)]).await;
        answer.assert_error(401, "UNAUTHORIZED");
        assert!(answer.header("www-authenticate").is_some(), "{wrong}");
    }
    as_user(&proxy, "reader", "GET", "/v2/").await.assert_status(200);
    as_user(&proxy, "reader", "GET", &manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    as_user(&proxy, "nobody", "GET", &manifest(REPO, "latest")).await.assert_error(403, "DENIED");
    assert!(!proxy.log().contains(SECRET));
    // What our clients show never leaves this house.
    assert!(upstream.log().iter().all(|logged| logged.header("authorization").is_none()));
}

#[tokio::test]
async fn tokens_are_for_what_they_were_asked_for() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let image = an_image(1, &[1000]).await;
    push(&proxy, REPO, "latest", &image).await;
    let of = path(REPO, "manifests/latest");
    let get = async |authorization: &str, path: &str| {
        proxy.client().request("GET", path, &[("Authorization", authorization)]).await
    };
    let pull = bearer(&token(&proxy, Some("reader"), &["repository:team/app:pull"]).await);
    get(&pull, "/v2/").await.assert_status(200);
    get(&pull, &of).await.assert_body(&image.manifest.bytes);
    // Another repository, other actions: ask for another token.
    push(&proxy, "team/other", "latest", &image).await;
    let other = get(&pull, &path("team/other", "manifests/latest")).await;
    other.assert_error(401, "UNAUTHORIZED");
    let challenge = other.header("www-authenticate").unwrap();
    assert!(
        challenge.contains("repository:team/other:pull") && challenge.contains("insufficient_scope"),
        "{challenge}"
    );
    let delete = proxy.client().request("DELETE", &of, &[("Authorization", &pull)]).await;
    delete.assert_error(403, "DENIED");
    // What may not be had is not in the token, whatever is asked for.
    let scopes = ["repository:team/app:pull,push,delete,*", "repository:../x:pull", "registry:catalog:*", "nonsense"];
    let granted = token(&proxy, Some("reader"), &scopes).await;
    let payload = granted.json()["token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    let access = serde_json::from_slice::<Value>(&payload).unwrap()["access"].clone();
    // The list of repositories shows what its reader may see: everyone may have it.
    let list = json!({ "type": "registry", "name": "catalog", "actions": ["*"] });
    assert_eq!(access, json!([{ "type": "repository", "name": "team/app", "actions": ["pull"] }, list]));
    // Somebody without a name gets a token, too, which is good for nothing here.
    let anonymous = bearer(&token(&proxy, None, &["repository:team/app:pull"]).await);
    get(&anonymous, "/v2/").await.assert_status(200);
    get(&anonymous, &of).await.assert_error(401, "UNAUTHORIZED");
    // Altered, cut, of another algorithm.
    let text = pull.strip_prefix("Bearer ").unwrap();
    let (head, rest) = text.split_once('.').unwrap();
    let none = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let flipped = format!("{head}.{}", rest.replacen('A', "B", 1).replacen('a', "b", 1));
    for wrong in [
        &text[..text.len() - 2],
        flipped.as_str(),
        &format!("{none}.{rest}"),
        &format!("{none}.{}.", rest.split('.').next().unwrap()),
    ] {
        get(&format!("Bearer {wrong}"), &of).await.assert_error(401, "UNAUTHORIZED");
    }
    // Docker's form, and a refresh token.
    let form = format!(
        "grant_type=password&service=x&client_id=docker&access_type=offline&scope=repository:team/app:pull&username=reader&password=reader-{SECRET}"
    );
    let content_type = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = proxy.client().send("POST", "/token", &content_type, form.as_bytes()).await;
    get(&bearer(&answer), &of).await.assert_body(&image.manifest.bytes);
    let refresh = answer.json()["refresh_token"].as_str().unwrap().to_owned();
    let form = format!(
        "grant_type=refresh_token&service=x&client_id=docker&scope=repository:team/app:pull&refresh_token={refresh}"
    );
    let answer = proxy.client().send("POST", "/token", &content_type, form.as_bytes()).await;
    get(&bearer(&answer), &of).await.assert_body(&image.manifest.bytes);
    let answer = proxy
        .client()
        .send("POST", "/token", &content_type, b"grant_type=password&username=reader&password=no&service=x&client_id=x")
        .await;
    assert_eq!(answer.status, 401);
    assert!(!proxy.log().contains(SECRET) && !proxy.log().contains(&refresh));
}

/// C62 and C63: bytes that are kept for one are not served to another who may not have them.
#[tokio::test]
async fn c62_c63_what_is_cached_is_not_everybodys() {
    let upstream = FakeUpstream::start().await;
    let theirs = upstream.image("team/theirs", "latest", 7, &[5000]);
    let proxy = guarded(&upstream).await;
    as_user(&proxy, "reader", "GET", &manifest("team/theirs", "latest")).await.assert_status(200);
    as_user(&proxy, "reader", "GET", &blob("team/theirs", &theirs.layer().digest))
        .await
        .assert_body(&theirs.layer().bytes);
    let image = an_image(1, &[1000]).await;
    push(&proxy, "team/private", "latest", &image).await;
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Deny", "Principal": { "AWS": "arn:aws:iam::000000000000:user/reader" }, "Action": "ecr:*" }] });
    let set = json!({ "repositoryName": "team/private", "policyText": policy.to_string() });
    api(&proxy.client(), "root", "SetRepositoryPolicy", set).await.assert_status(200);
    push(&proxy, "team/open", "latest", &an_image(2, &[10]).await).await;
    let (private, open) = (path("team/private", ""), path("team/open", ""));
    for layer in [&image.layer().digest, &theirs.layer().digest] {
        as_user(&proxy, "reader", "GET", &format!("{open}blobs/{layer}")).await.assert_error(404, "BLOB_UNKNOWN");
        as_user(&proxy, "nobody", "GET", &blob("team/theirs", layer)).await.assert_error(403, "DENIED");
        proxy.get(&blob("team/theirs", layer)).await.assert_error(401, "UNAUTHORIZED");
    }
    let layer = &image.layer().digest;
    for (method, rest) in [
        ("GET", format!("blobs/{layer}")),
        ("HEAD", format!("blobs/{layer}")),
        ("GET", "tags/list".into()),
        ("GET", "manifests/latest".into()),
        ("GET", format!("referrers/{}", image.manifest.digest)),
    ] {
        let answer = as_user(&proxy, "reader", method, &format!("{private}{rest}")).await;
        assert_eq!(answer.status, 403, "{method} {rest}");
    }
    // The same by names that mean the same: path tricks find nothing.
    for trick in
        ["team//private", "team/./private", "team/open/../private", "team%2fprivate", "TEAM/private", "team/private%20"]
    {
        let answer = as_user(&proxy, "reader", "GET", &path(trick, "manifests/latest")).await;
        assert!(matches!(answer.status, 400 | 403 | 404), "{trick}: {}", answer.status);
    }
}

/// A mount takes no bytes from where one may not read.
#[tokio::test]
async fn mounts_need_the_right_to_read() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let image = an_image(1, &[1000]).await;
    push(&proxy, "team/secret", "latest", &image).await;
    let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
        "Principal": { "AWS": "arn:aws:iam::000000000000:user/nobody" }, "Action": "ecr:*" }] });
    api(&proxy.client(), "root", "CreateRepository", json!({ "repositoryName": "team/mine" })).await.assert_status(200);
    let set = json!({ "repositoryName": "team/mine", "policyText": policy.to_string() });
    api(&proxy.client(), "root", "SetRepositoryPolicy", set).await.assert_status(200);
    let digest = &image.layer().digest;
    for from in ["&from=team/secret", ""] {
        let to = path("team/mine", &format!("blobs/uploads/?mount={digest}{from}"));
        let mount = proxy.client().send("POST", &to, &[("Authorization", &basic("nobody"))], b"").await;
        mount.assert_status(202);
        as_user(&proxy, "nobody", "GET", &path("team/mine", &format!("blobs/{digest}")))
            .await
            .assert_error(404, "BLOB_UNKNOWN");
    }
    let to = path("team/mine", &format!("blobs/uploads/?mount={digest}&from=team/secret"));
    proxy.client().send("POST", &to, &[("Authorization", &basic("root"))], b"").await.assert_status(201);
    as_user(&proxy, "nobody", "GET", &path("team/mine", &format!("blobs/{digest}")))
        .await
        .assert_body(&image.layer().bytes);
    // Whoever may push, but not make repositories, makes none.
    let to = path("team/new", "blobs/uploads/");
    proxy.client().send("POST", &to, &[("Authorization", &basic("nobody"))], b"").await.assert_error(403, "DENIED");
}

#[tokio::test]
async fn lists_show_what_may_be_seen() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    for name in ["a/one", "a/two", "b/three"] {
        api(&proxy.client(), "root", "CreateRepository", json!({ "repositoryName": name })).await.assert_status(200);
    }
    let names = |answer: &Answer| answer.json()["repositories"].clone();
    assert_eq!(names(&as_user(&proxy, "root", "GET", "/v2/_catalog").await), json!(["a/one", "a/two", "b/three"]));
    assert_eq!(names(&as_user(&proxy, "nobody", "GET", "/v2/_catalog").await), json!([]));
    let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
        "Principal": { "AWS": "arn:aws:iam::000000000000:user/nobody" }, "Action": "ecr:DescribeRepositories" }] });
    let set = json!({ "repositoryName": "a/two", "policyText": policy.to_string() });
    api(&proxy.client(), "root", "SetRepositoryPolicy", set).await.assert_status(200);
    assert_eq!(names(&as_user(&proxy, "nobody", "GET", "/v2/_catalog").await), json!(["a/two"]));
    let described = api(&proxy.client(), "nobody", "DescribeRepositories", json!({})).await;
    assert_eq!(described.json()["repositories"][0]["repositoryName"], "a/two");
    assert_eq!(described.json()["repositories"].as_array().unwrap().len(), 1);
    let denied = api(&proxy.client(), "nobody", "DescribeRepositories", json!({ "repositoryNames": ["a/one"] })).await;
    assert_fault(&denied, "AccessDeniedException");
}

#[tokio::test]
async fn signatures_are_looked_at_closely() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let client = proxy.client();
    api(&client, "root", "DescribeRegistry", json!({})).await.assert_status(200);
    let changed =
        async |change: fn(&mut http::HeaderMap)| signed(&client, "root", "DescribeRegistry", json!({}), change).await;
    let fault = changed(|headers| {
        headers.insert("x-amz-target", "AmazonEC2ContainerRegistry_V20150921.DeleteRegistryPolicy".parse().unwrap());
    });
    assert_fault(&fault.await, "InvalidSignatureException");
    let fault = changed(|headers| drop(headers.remove("authorization")));
    assert_fault(&fault.await, "MissingAuthenticationTokenException");
    let fault = changed(|headers| drop(headers.insert("x-amz-date", "20200101T000000Z".parse().unwrap())));
    assert_fault(&fault.await, "InvalidSignatureException");
    let other_host = proxy.client().as_host("elsewhere.example");
    let answer = signed(&client, "root", "DescribeRegistry", json!({}), |_| {}).await;
    answer.assert_status(200);
    let headers = [("x-amz-target", "AmazonEC2ContainerRegistry_V20150921.DescribeRegistry")];
    assert_fault(&other_host.send("POST", "/", &headers, b"{}").await, "MissingAuthenticationTokenException");
    assert_fault(&api(&client, "root", "NoSuchOperation", json!({})).await, "UnknownOperationException");
    assert_fault(
        &api(&client, "reader", "CreateRepository", json!({ "repositoryName": "x/y" })).await,
        "AccessDeniedException",
    );
    let unknown = json!({ "repositoryName": "x/y", "registryId": "999999999999" });
    assert_fault(&api(&client, "root", "DeleteRepository", unknown).await, "RepositoryNotFoundException");
    assert!(!proxy.log().contains(SECRET));
}

/// The 12-hour token of ECR, and what ends it.
#[tokio::test]
async fn authorization_tokens() {
    let upstream = FakeUpstream::start().await;
    let mut proxy = guarded(&upstream).await;
    let data = api(&proxy.client(), "reader", "GetAuthorizationToken", json!({})).await;
    data.assert_status(200);
    let token = data.json()["authorizationData"][0]["authorizationToken"].as_str().unwrap().to_owned();
    assert_eq!(data.json()["authorizationData"][0]["proxyEndpoint"], proxy.url());
    let pair = base64::engine::general_purpose::STANDARD.decode(&token).unwrap();
    let pair = String::from_utf8(pair).unwrap();
    assert!(pair.starts_with("AWS:") && pair.matches(':').count() == 1);
    let shown = format!("Basic {token}");
    let ping = async |proxy: &Proxy| proxy.client().request("GET", "/v2/", &[("Authorization", &shown)]).await.status;
    assert_eq!(ping(&proxy).await, 200);
    proxy.restart().await;
    assert_eq!(ping(&proxy).await, 200, "tokens outlive the process");
    assert_fault(&api(&proxy.client(), "nobody", "GetAuthorizationToken", json!({})).await, "AccessDeniedException");
    // Rotating the keys logs nobody out; taking the old one away does.
    let keys = proxy.data_path().join("keys");
    let old = std::fs::read_to_string(&keys).unwrap();
    let new = entrepot::auth::Keyring::generate().unwrap().to_text();
    std::fs::write(&keys, format!("{new}{old}")).unwrap();
    proxy.restart().await;
    assert_eq!(ping(&proxy).await, 200);
    std::fs::write(&keys, &new).unwrap();
    proxy.restart().await;
    assert_eq!(ping(&proxy).await, 401);
    assert!(!proxy.log().contains(&token[8..40]));
}

/// Guessing is slow, and a right password is right all the same from elsewhere.
#[tokio::test]
async fn failed_logins_are_limited() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.more = format!("{USERS}\n[auth]\nfailed_logins = 3\n");
    let proxy = setup.start().await;
    let wrong = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("root:guess"));
    let mut seen = Vec::new();
    for _ in 0..5 {
        let answer = proxy.client().request("GET", "/v2/", &[("Authorization", &wrong)]).await;
        seen.push(answer.status);
        assert_eq!(answer.status == 429, answer.header("retry-after").is_some());
    }
    assert_eq!(seen, [401, 401, 401, 429, 429]);
    as_user(&proxy, "root", "GET", "/v2/").await.assert_error(429, "TOOMANYREQUESTS");
}

/// Nothing in what is pushed, deleted or mounted goes past the gate: every action of the data plane asks.
#[tokio::test]
async fn every_action_asks() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let image = an_image(1, &[10]).await;
    push(&proxy, REPO, "latest", &image).await;
    let digest = sha256(b"x");
    let upload = {
        let authorization = basic("root");
        let answer =
            proxy.client().send("POST", &path(REPO, "blobs/uploads/"), &[("Authorization", &authorization)], b"").await;
        answer.header("location").unwrap().to_owned()
    };
    for (method, rest) in [
        ("GET", path(REPO, "manifests/latest")),
        ("HEAD", path(REPO, "manifests/latest")),
        ("PUT", path(REPO, "manifests/other")),
        ("DELETE", path(REPO, "manifests/latest")),
        ("GET", path(REPO, &format!("blobs/{digest}"))),
        ("DELETE", path(REPO, &format!("blobs/{digest}"))),
        ("POST", path(REPO, "blobs/uploads/")),
        ("GET", upload.clone()),
        ("PATCH", upload.clone()),
        ("PUT", format!("{upload}?digest={digest}")),
        ("DELETE", upload.clone()),
        ("GET", path(REPO, "tags/list")),
        ("GET", path(REPO, &format!("referrers/{digest}"))),
    ] {
        assert_eq!(as_user(&proxy, "nobody", method, &rest).await.status, 403, "{method} {rest}");
        assert_eq!(proxy.client().request(method, &rest, &[]).await.status, 401, "{method} {rest}");
    }
    as_user(&proxy, "root", "GET", &path(REPO, "manifests/latest")).await.assert_body(&image.manifest.bytes);
}

/// An open listener looks at no credential, right or wrong.
#[tokio::test]
async fn open_listeners_stay_open() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[100]);
    let mut setup = Setup::of(&upstream);
    setup.more = format!("{USERS}\n[auth]\nrequired = false\n");
    let proxy = setup.start().await;
    for authorization in ["Basic eDp5", "Bearer x", &basic("nobody")] {
        let headers = [("Authorization", authorization)];
        proxy.client().request("GET", &manifest(REPO, "latest"), &headers).await.assert_body(&image.manifest.bytes);
    }
    begin(&proxy, "team/mine").await;
    // The API wants to know all the same.
    assert_fault(
        &api(&proxy.client(), "nobody", "CreateRepository", json!({ "repositoryName": "x/y" })).await,
        "AccessDeniedException",
    );
    api(&proxy.client(), "root", "CreateRepository", json!({ "repositoryName": "x/y" })).await.assert_status(200);
}

/// A token of an identity provider, signed with its key.
pub struct Issuer {
    key: aws_lc_rs::signature::EcdsaKeyPair,
    upstream: FakeUpstream,
}

impl Issuer {
    pub async fn start() -> Self {
        let upstream = FakeUpstream::start().await;
        let key = aws_lc_rs::signature::EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING)
            .unwrap();
        let issuer = Self { key, upstream };
        let document = json!({ "issuer": issuer.name(), "jwks_uri": format!("{}/keys", issuer.name()) });
        let serve = |path: &str, document: Value| {
            issuer.upstream.file(path, "application/json", document.to_string().into_bytes());
        };
        serve("/.well-known/openid-configuration", document);
        let point = aws_lc_rs::signature::KeyPair::public_key(&issuer.key).as_ref().to_vec();
        let text = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        serve(
            "/keys",
            json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "one", "alg": "ES256", "use": "sig",
            "x": text(&point[1..33]), "y": text(&point[33..65]) }] }),
        );
        issuer
    }

    pub fn name(&self) -> String {
        self.upstream.url()
    }

    pub fn token(&self, changes: Value) -> String {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let mut claims = json!({ "iss": self.name(), "aud": "registry", "sub": "repo:team/app:ref:refs/heads/main",
            "repository": "team/app", "iat": now, "exp": now + 300 });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let text = |text: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let signed =
            format!("{}.{}", text(json!({ "alg": "ES256", "kid": "one" }).to_string()), text(claims.to_string()));
        let random = aws_lc_rs::rand::SystemRandom::new();
        let signature = self.key.sign(&random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(signature))
    }
}

#[tokio::test]
async fn id_tokens_of_identity_providers_assume_a_role() {
    let (upstream, issuer) = (FakeUpstream::start().await, Issuer::start().await);
    let mut setup = Setup::of(&upstream);
    setup.more = format!(
        "{USERS}\n[[oidc]]\nissuer = {:?}\naudience = \"registry\"\nclaims = [\"repository=team/*\"]\nrole = \"ci\"\npolicies = [\"FullAccess\"]\n",
        issuer.name()
    );
    let proxy = setup.start().await;
    let with = async |token: &str| {
        proxy.client().request("GET", "/v2/", &[("Authorization", &format!("Bearer {token}"))]).await
    };
    let good = issuer.token(json!({}));
    with(&good).await.assert_status(200);
    // As docker does it: the token is a password, for which a token of ours is given, which works like any other.
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("oidc:{good}"));
    let to = "/token?service=x&scope=repository:team/app:pull,push";
    let ours = bearer(&proxy.client().request("GET", to, &[("Authorization", &format!("Basic {pair}"))]).await);
    let pushed = proxy.client().send("POST", &path(REPO, "blobs/uploads/"), &[("Authorization", &ours)], b"").await;
    pushed.assert_status(202);
    let past = 1_000_000;
    for wrong in [
        json!({ "aud": "another" }),
        json!({ "repository": "elsewhere/app" }),
        json!({ "exp": past }),
        json!({ "nbf": 9_999_999_999u64 }),
        json!({ "iss": "https://elsewhere.example" }),
        json!({ "repository": null }),
    ] {
        with(&issuer.token(wrong.clone())).await.assert_error(401, "UNAUTHORIZED");
    }
    let cut = &good[..good.len() - 4];
    with(cut).await.assert_error(401, "UNAUTHORIZED");
    // Another's key.
    let mut other = Issuer::start().await;
    other.upstream = issuer.upstream.clone();
    with(&other.token(json!({}))).await.assert_error(401, "UNAUTHORIZED");
    assert_eq!(issuer.upstream.count("GET", "/keys"), 1, "keys are kept");
    // Kept keys do while the issuer is away.
    issuer.upstream.refuse();
    with(&issuer.token(json!({}))).await.assert_status(200);
}

/// Changes and refusals are written down, and no secret.
#[tokio::test]
async fn the_audit_log() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit");
    setup.log.text("audit", file.to_str().unwrap());
    setup.more = USERS.to_owned();
    let mut proxy = setup.start().await;
    let create = json!({ "repositoryName": "team/app" });
    api(&proxy.client(), "root", "CreateRepository", create.clone()).await.assert_status(200);
    assert_fault(
        &api(&proxy.client(), "root", "CreateRepository", create.clone()).await,
        "RepositoryAlreadyExistsException",
    );
    assert_fault(&api(&proxy.client(), "reader", "CreateRepository", create).await, "AccessDeniedException");
    api(&proxy.client(), "root", "DescribeRepositories", json!({})).await.assert_status(200);
    as_user(&proxy, "nobody", "GET", &path(REPO, "manifests/latest")).await.assert_error(403, "DENIED");
    proxy.terminate().await;
    let text = std::fs::read_to_string(file).unwrap();
    assert!(!text.contains(SECRET));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["principal"].as_str().unwrap().rsplit('/').next().unwrap(),
                line["action"].as_str().unwrap(),
                line["decision"].as_str().unwrap(),
                line["means"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("root", "ecr:CreateRepository", "allowed", "signature"),
            ("root", "ecr:CreateRepository", "allowed", "signature"),
            ("reader", "ecr:CreateRepository", "denied", "signature"),
            ("nobody", "ecr:BatchGetImage", "denied", "password"),
        ]
    );
    assert_eq!(lines[1]["fault"], "RepositoryAlreadyExistsException");
    assert!(lines[0]["because"].as_str().unwrap().contains("FullAccess"));
    assert_eq!(lines[3]["resource"], "arn:aws:ecr:local:000000000000:repository/team/app");
}

/// What is sent to confuse or to exhaust is refused with a reason, and others are served.
#[tokio::test]
async fn bombs_and_crooked_requests() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let client = proxy.client();
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let wide = format!("{{{}\"z\":1}}", (0..50_000).map(|n| format!("\"k{n}\":0,")).collect::<String>());
    for (body, fault) in [
        (deep.as_str(), "SerializationException"),
        ("{", "SerializationException"),
        ("[]", "SerializationException"),
        (wide.as_str(), "InvalidParameterException"),
        ("{\"repositoryName\":\"a\",\"repositoryName\":17}", "SerializationException"),
    ] {
        let answer = signed_text(&client, "root", "CreateRepository", body, |_| {}).await;
        assert_fault(&answer, fault);
    }
    let long = " ".repeat(2 << 20);
    assert_fault(&signed_text(&client, "root", "CreateRepository", &long, |_| {}).await, "SerializationException");
    // Two lengths, a long head, a long token.
    let two = [("Content-Length", "5"), ("Content-Length", "6")];
    assert_eq!(client.open("POST", "/token", &two).await.try_status().await, Some(400));
    let token = format!("Bearer {}", "x".repeat(20 << 10));
    client.request("GET", "/v2/", &[("Authorization", &token)]).await.assert_error(401, "UNAUTHORIZED");
    let token = format!("Bearer {}", "x".repeat(60 << 10));
    assert_eq!(client.open("GET", "/v2/", &[("Authorization", &token)]).await.try_status().await, Some(431));
    // The API is at one path only, and the target is not taken from elsewhere.
    let target = [("x-amz-target", "AmazonEC2ContainerRegistry_V20150921.DescribeRegistry")];
    for path in ["//", "/?x", "/v2/", "/."] {
        let answer = client.send("POST", path, &target, b"{}").await;
        assert!(matches!(answer.status, 400 | 404 | 405), "{path}: {}", answer.status);
        assert!(!answer.text().contains("registryId"), "{path}");
    }
    api(&client, "root", "DescribeRegistry", json!({})).await.assert_status(200);
}

/// What a request says of tags is what conditions look at, on both planes.
#[tokio::test]
async fn conditions_on_what_requests_say() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let client = proxy.client();
    let image = an_image(1, &[100]).await;
    for tag in ["dev", "prod-1"] {
        push(&proxy, REPO, tag, &image).await;
    }
    let deny = |action: Value, condition: Value| json!({ "Effect": "Deny", "Principal": "*", "Action": action, "Resource": "*", "Condition": condition });
    let actions = json!(["ecr:PutImage", "ecr:BatchGetImage", "ecr:BatchDeleteImage"]);
    let production = deny(actions, json!({ "StringLike": { "entrepot:ImageTag": "prod-*" } }));
    let policy = json!({ "Version": "2012-10-17", "Statement": [production] });
    let set = json!({ "repositoryName": REPO, "policyText": policy.to_string() });
    api(&client, "root", "SetRepositoryPolicy", set).await.assert_status(200);
    let ids = |tags: &[&str]| {
        let ids: Vec<Value> = tags.iter().map(|tag| json!({ "imageTag": tag })).collect();
        json!({ "repositoryName": REPO, "imageIds": ids })
    };
    let put = |tag: &str| {
        let text = std::str::from_utf8(&image.manifest.bytes).unwrap();
        json!({ "repositoryName": REPO, "imageManifest": text, "imageTag": tag })
    };
    for (operation, input) in [
        ("BatchGetImage", ids(&["prod-1"])),
        ("BatchGetImage", ids(&["dev", "prod-1"])),
        ("BatchDeleteImage", ids(&["dev", "prod-1"])),
        ("PutImage", put("prod-2")),
    ] {
        assert_fault(&api(&client, "root", operation, input).await, "AccessDeniedException");
    }
    api(&client, "root", "BatchGetImage", ids(&["dev"])).await.assert_status(200);
    api(&client, "root", "PutImage", put("dev-2")).await.assert_status(200);
    as_user(&proxy, "root", "GET", &path(REPO, "manifests/prod-1")).await.assert_error(403, "DENIED");
    as_user(&proxy, "root", "GET", &path(REPO, "manifests/dev")).await.assert_status(200);

    let untagged = deny(json!("ecr:CreateRepository"), json!({ "Null": { "aws:RequestTag/team": "true" } }));
    let secret = deny(json!("ecr:TagResource"), json!({ "ForAnyValue:StringEquals": { "aws:TagKeys": ["secret"] } }));
    let setting =
        deny(json!("ecr:PutAccountSetting"), json!({ "StringEquals": { "ecr:AccountSetting": "BLOB_MOUNTING" } }));
    let policy = json!({ "Version": "2012-10-17", "Statement": [untagged, secret, setting] });
    let set = json!({ "policyText": policy.to_string() });
    api(&client, "root", "PutRegistryPolicy", set).await.assert_status(200);
    let create = |tags: Value| json!({ "repositoryName": "tagged/app", "tags": tags });
    let tag = |key: &str| json!({ "Key": key, "Value": "x" });
    for tags in [json!([]), json!([tag("env")]), json!([tag("team"), tag("secret")])] {
        assert_fault(&api(&client, "root", "CreateRepository", create(tags)).await, "AccessDeniedException");
    }
    let created = api(&client, "root", "CreateRepository", create(json!([tag("team")]))).await;
    created.assert_status(200);
    let arn = created.json()["repository"]["repositoryArn"].clone();
    let more = |key: &str| json!({ "resourceArn": arn, "tags": [tag(key)] });
    assert_fault(&api(&client, "root", "TagResource", more("secret")).await, "AccessDeniedException");
    api(&client, "root", "TagResource", more("open")).await.assert_status(200);
    let put = |name: &str, value: &str| json!({ "name": name, "value": value });
    let mounting = put("BLOB_MOUNTING", "DISABLED");
    assert_fault(&api(&client, "root", "PutAccountSetting", mounting).await, "AccessDeniedException");
    api(&client, "root", "PutAccountSetting", put("REGISTRY_POLICY_SCOPE", "V2")).await.assert_status(200);
}
