//! URLs of layers that need no login (`GetDownloadUrlForLayer`): whoever has one reads that layer for a while, and nothing else.

use std::time::{Duration, SystemTime};

use entrepot::auth::proof::{Principal, open_layer_signature, sign_layer};
use entrepot::auth::{UnixTime, load_keyring};
use serde_json::{Value, json};

use super::ACCOUNT;
use crate::client::Client;
use crate::edge::{SECRET, USERS, api, as_user, assert_fault, basic, guarded, push, push_as, token};
use crate::proxy::{Proxy, Setup, blob, manifest};
use crate::push::{an_image, path};
use crate::upstream::{FakeUpstream, Image};

const REPO: &str = "team/app";

/// The path and query of the URL that the user is given.
async fn url(proxy: &Proxy, user: &str, repository: &str, digest: &str) -> String {
    let input = json!({ "repositoryName": repository, "layerDigest": digest });
    let answer = api(&proxy.client(), user, "GetDownloadUrlForLayer", input).await;
    answer.assert_status(200);
    let url = answer.json()["downloadUrl"].as_str().unwrap().to_owned();
    url.strip_prefix(&proxy.url()).unwrap_or_else(|| panic!("{url}")).to_owned()
}

fn signature(url: &str) -> &str {
    url.split_once("?signature=").unwrap().1
}

async fn with_an_image(upstream: &FakeUpstream) -> (Proxy, Image) {
    let proxy = guarded(upstream).await;
    let image = an_image(1, &[100_000, 2000]).await;
    push(&proxy, REPO, "latest", &image).await;
    (proxy, image)
}

async fn set_policy(proxy: &Proxy, repository: &str, statement: Value) {
    let policy = json!({ "Version": "2012-10-17", "Statement": [statement] });
    let input = json!({ "repositoryName": repository, "policyText": policy.to_string() });
    api(&proxy.client(), "root", "SetRepositoryPolicy", input).await.assert_status(200);
}

#[tokio::test]
async fn c7_the_url_of_a_layer_needs_no_login() {
    let upstream = FakeUpstream::start().await;
    let (proxy, image) = with_an_image(&upstream).await;
    let layer = image.layer();
    let url = url(&proxy, "reader", REPO, &layer.digest).await;
    for _ in 0..2 {
        proxy.get(&url).await.assert_body(&layer.bytes);
    }
    let head = proxy.head(&url).await;
    head.assert_status(200);
    assert_eq!(head.header("content-length"), Some("100000"));
    proxy.client().get_range(&url, "bytes=10-19").await.assert_bytes(206, &layer.bytes[10..20]);
    // Who logs in all the same is taken at their word, and not for who has the URL.
    let shown =
        async |authorization: &str| proxy.client().request("GET", &url, &[("Authorization", authorization)]).await;
    shown(&basic("root")).await.assert_body(&layer.bytes);
    shown(&basic("nobody")).await.assert_error(403, "DENIED");
    shown("Basic eDp5").await.assert_error(401, "UNAUTHORIZED");
    // Whoever reads the log does not read the layer.
    let log = proxy.log();
    assert!(log.contains("signature=-") && !log.contains(signature(&url)), "{log}");
}

/// Of what is pulled through, too.
#[tokio::test]
async fn c7_layers_that_are_pulled_through() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[1000]);
    let proxy = guarded(&upstream).await;
    as_user(&proxy, "reader", "GET", &manifest(REPO, "latest")).await.assert_status(200);
    as_user(&proxy, "reader", "GET", &blob(REPO, &image.layer().digest)).await.assert_status(200);
    let repository = format!("{}/{REPO}", crate::proxy::HUB);
    let url = url(&proxy, "reader", &repository, &image.layer().digest).await;
    proxy.get(&url).await.assert_body(&image.layer().bytes);
}

#[tokio::test]
async fn c7_the_signature_is_for_one_layer() {
    let upstream = FakeUpstream::start().await;
    let (proxy, image) = with_an_image(&upstream).await;
    push(&proxy, "team/other", "latest", &image).await;
    let (layer, config) = (&image.layer().digest, &image.config.digest);
    let url = url(&proxy, "root", REPO, layer).await;
    let signature = signature(&url).to_owned();
    let signed = |rest: &str| format!("{rest}{}signature={signature}", if rest.contains('?') { "&" } else { "?" });
    let client = proxy.client();
    for (repository, rest) in [
        (REPO, format!("blobs/{}", image.layers[1].digest)),
        (REPO, format!("blobs/{config}")),
        (REPO, format!("blobs/{}", image.manifest.digest)),
        ("team/other", format!("blobs/{layer}")),
        ("team", format!("blobs/{layer}")),
        (REPO, format!("blobs/{layer}?ns={}", crate::proxy::HUB)),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = client.request(method, &signed(&path(repository, &rest)), &[]).await;
            assert_eq!(answer.status, 403, "{method} {repository} {rest}: {}", answer.text());
        }
    }
    // Elsewhere it is no credential at all: who shows nothing else is told to log in.
    for (method, rest) in [
        ("GET", format!("manifests/{}", image.manifest.digest)),
        ("HEAD", "manifests/latest".to_owned()),
        ("GET", "tags/list".to_owned()),
        ("GET", format!("referrers/{layer}")),
        ("DELETE", format!("blobs/{layer}")),
        ("DELETE", "manifests/latest".to_owned()),
        ("PUT", "manifests/new".to_owned()),
        ("POST", "blobs/uploads/".to_owned()),
        ("POST", format!("blobs/uploads/?mount={layer}&from={REPO}")),
    ] {
        client.request(method, &signed(&path(REPO, &rest)), &[]).await.assert_status(401);
    }
    for rest in ["/v2/", "/v2/_catalog"] {
        let answer = client.get(&signed(rest)).await;
        assert!(answer.status == 401 || answer.json()["repositories"] == json!([]), "{rest}: {}", answer.text());
    }
    // It is exchanged for nothing.
    let anonymous = client.get(&signed("/token?service=x&scope=repository:team/app:pull")).await;
    let bearer = format!("Bearer {}", anonymous.json()["token"].as_str().unwrap());
    let headers = [("Authorization", bearer.as_str())];
    client.request("GET", &path(REPO, "manifests/latest"), &headers).await.assert_status(401);
    for user in ["AWS", "<token>", "oidc", "root"] {
        let pair = format!("{user}:{signature}");
        let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair);
        let headers = [("Authorization", format!("Basic {basic}"))];
        let headers = [(headers[0].0, headers[0].1.as_str())];
        client.request("GET", "/v2/", &headers).await.assert_status(401);
    }
    let target = [("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories")];
    assert_eq!(client.send("POST", &signed("/"), &target, b"{}").await.status, 400);
    as_user(&proxy, "root", "GET", &path(REPO, "manifests/latest")).await.assert_status(200);
}

#[tokio::test]
async fn c7_a_signature_that_was_changed_is_none() {
    let upstream = FakeUpstream::start().await;
    let (proxy, image) = with_an_image(&upstream).await;
    let url = url(&proxy, "reader", REPO, &image.layer().digest).await;
    let (before, signature) = url.split_once("?signature=").unwrap();
    let middle = signature.len() / 2;
    let mut wrong: Vec<String> = [0, 8, 30, middle, signature.len() - 1]
        .iter()
        .map(|at| {
            let other = if signature.as_bytes()[*at] == b'A' { "B" } else { "A" };
            format!("signature={}{other}{}", &signature[..*at], &signature[at + 1..])
        })
        .collect();
    wrong.extend([
        "signature=".to_owned(),
        "signature".to_owned(),
        format!("signature={}", &signature[..middle]),
        format!("signature={signature}A"),
        format!("signature={signature}&signature={signature}"),
        format!("signature={signature}&%73ignature=x"),
        format!("signature={}", "A".repeat(9000)),
    ]);
    for query in wrong {
        let answer = proxy.get(&format!("{before}?{query}")).await;
        answer.assert_error(401, "UNAUTHORIZED");
        assert!(answer.header("www-authenticate").is_some());
    }
    proxy.get(&format!("{before}?Signature={signature}")).await.assert_status(401);
    proxy.get(&format!("{before}?x=1&signature={signature}")).await.assert_body(&image.layer().bytes);
    // Not even as a user's own token, and not with the key of another registry.
    let authorization = api(&proxy.client(), "root", "GetAuthorizationToken", json!({})).await.json();
    let pair = authorization["authorizationData"][0]["authorizationToken"].as_str().unwrap().to_owned();
    let pair = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, pair).unwrap();
    let password = String::from_utf8(pair).unwrap().strip_prefix("AWS:").unwrap().to_owned();
    let bearer = token(&proxy, Some("root"), &["repository:team/app:pull"]).await.json();
    for other in [password.as_str(), bearer["token"].as_str().unwrap()] {
        proxy.get(&format!("{before}?signature={other}")).await.assert_error(401, "UNAUTHORIZED");
    }
    let (elsewhere, _) = with_an_image(&upstream).await;
    elsewhere.get(&url).await.assert_error(401, "UNAUTHORIZED");
}

/// It ends by itself, and with the rights of whoever was given it.
#[tokio::test]
async fn c7_a_url_ends() {
    let upstream = FakeUpstream::start().await;
    let (proxy, image) = with_an_image(&upstream).await;
    let layer = &image.layer().digest;
    let keys = load_keyring(&proxy.data_path().join("keys")).unwrap();
    let readers = url(&proxy, "reader", REPO, layer).await;
    let loan = open_layer_signature(&keys, signature(&readers), SystemTime::now().into()).unwrap().value;
    let signed = |principal: &Principal, ago: u64| {
        let now = UnixTime::from(SystemTime::now() - Duration::from_secs(ago));
        let minutes = Duration::from_secs(900);
        let signature = sign_layer(&keys, principal.clone(), loan.layer.clone(), now, minutes).unwrap();
        path(REPO, &format!("blobs/{layer}?signature={signature}"))
    };
    proxy.get(&signed(&loan.principal, 600)).await.assert_status(200);
    let expired = proxy.get(&signed(&loan.principal, 901)).await;
    expired.assert_error(401, "UNAUTHORIZED");
    assert!(expired.text().contains("the URL expired at"), "{}", expired.text());
    // Of an earlier epoch of theirs, and of a user who was never there.
    let other =
        |name: &str, epoch| Principal::new(&format!("arn:aws:iam::{ACCOUNT}:user/{name}"), ACCOUNT, epoch).unwrap();
    let epoch = loan.principal.epoch();
    proxy.get(&signed(&other("reader", epoch), 0)).await.assert_status(200);
    proxy.get(&signed(&other("reader", epoch - 1), 0)).await.assert_error(401, "UNAUTHORIZED");
    proxy.get(&signed(&other("ghost", epoch), 0)).await.assert_error(401, "UNAUTHORIZED");

    // A right that came and went.
    let nobody = json!({ "AWS": format!("arn:aws:iam::{ACCOUNT}:user/nobody") });
    let may = |effect: &str| json!({ "Effect": effect, "Principal": nobody, "Action": "ecr:GetDownloadUrlForLayer" });
    set_policy(&proxy, REPO, may("Allow")).await;
    let theirs = url(&proxy, "nobody", REPO, layer).await;
    proxy.get(&theirs).await.assert_status(200);
    set_policy(&proxy, REPO, may("Deny")).await;
    proxy.get(&theirs).await.assert_error(403, "DENIED");
    // Conditions see who comes with the URL.
    let mut from_there = may("Allow");
    from_there["Condition"] = json!({ "IpAddress": { "aws:SourceIp": "192.0.2.0/24" } });
    set_policy(&proxy, REPO, from_there).await;
    proxy.get(&theirs).await.assert_error(403, "DENIED");

    // The repository goes, and another one of its name comes.
    let gone = json!({ "repositoryName": REPO, "force": true });
    api(&proxy.client(), "root", "DeleteRepository", gone).await.assert_status(200);
    proxy.get(&readers).await.assert_error(404, "NAME_UNKNOWN");
    proxy.get(&theirs).await.assert_error(403, "DENIED");
    push(&proxy, REPO, "latest", &an_image(2, &[10]).await).await;
    proxy.get(&readers).await.assert_error(404, "BLOB_UNKNOWN");
    push(&proxy, REPO, "again", &image).await;
    set_policy(&proxy, REPO, json!({ "Effect": "Deny", "Principal": "*", "Action": "ecr:GetDownloadUrlForLayer" }))
        .await;
    proxy.get(&readers).await.assert_error(403, "DENIED");
}

/// Tokens and URLs of a user end together.
#[tokio::test]
async fn c7_a_revoked_user_has_no_urls() {
    let upstream = FakeUpstream::start().await;
    let (proxy, image) = with_an_image(&upstream).await;
    let layer = &image.layer().digest;
    let theirs = url(&proxy, "reader", REPO, layer).await;
    proxy.get(&theirs).await.assert_status(200);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_entrepot"));
    command.args(["iam", "revoke", "reader", "--config"]).arg(proxy.config_path());
    let revoked = command.current_dir(proxy.data_path().parent().unwrap()).output().unwrap();
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    crate::bound::until_async("the URL is over", async || proxy.get(&theirs).await.status == 401).await;
    proxy.get(&url(&proxy, "reader", REPO, layer).await).await.assert_status(200);
}

/// Each account has layers of its own, though their bytes are the same.
#[tokio::test]
async fn c7_the_layer_of_another_account() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    let other = format!(
        "[[account]]\nid = \"222222222222\"\nhosts = [\"team.example\"]\n[[user]]\nname = \"other\"\naccount = \"222222222222\"\naccess_key_id = \"AKIAOTHEOTHEOTHEOTHE\"\nsecret_access_key = \"other-{SECRET}\"\npassword = \"other-{SECRET}\"\npolicies = [\"FullAccess\"]\n"
    );
    setup.more = format!("{USERS}{other}\n[auth]\nfailed_logins = 1000\n");
    let proxy = setup.start().await;
    let image = an_image(1, &[1000]).await;
    let (home, theirs) = (proxy.client(), proxy.client().as_host("team.example"));
    push_as(&home, "root", REPO, "latest", &image).await;
    push_as(&theirs, "other", REPO, "latest", &image).await;
    let of = async |client: &Client, user: &str| {
        let input = json!({ "repositoryName": REPO, "layerDigest": image.layer().digest });
        let answer = api(client, user, "GetDownloadUrlForLayer", input).await.json();
        answer["downloadUrl"].as_str().unwrap().split_once("/v2/").map(|(_, rest)| format!("/v2/{rest}")).unwrap()
    };
    let (mine, yours) = (of(&home, "root").await, of(&theirs, "other").await);
    home.get(&mine).await.assert_status(200);
    theirs.get(&yours).await.assert_status(200);
    theirs.get(&mine).await.assert_error(403, "DENIED");
    home.get(&yours).await.assert_error(403, "DENIED");
    assert_fault(
        &api(
            &home,
            "other",
            "GetDownloadUrlForLayer",
            json!({ "repositoryName": "team/none", "layerDigest": image.layer().digest }),
        )
        .await,
        "RepositoryNotFoundException",
    );
}

/// On an open listener everybody reads, and no signature is looked at.
#[tokio::test]
async fn c7_open_listeners_look_at_no_signature() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[1000]);
    let proxy = Proxy::of(&upstream).await;
    proxy.get(&format!("{}?signature=whatever", blob(REPO, &image.layer().digest))).await.assert_status(200);
    assert!(!proxy.log().contains("whatever"), "it is not logged there either");
}
