//! Requests that take their time, so that they end when their client has no right any more.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::client::Exchange;
use crate::iam::{self, Key, done, ecr, root, user};
use crate::proxy::{Proxy, Setup};
use crate::push::{an_image, path};
use crate::upstream::{FakeUpstream, OCI_MANIFEST, sha256};

const REPO: &str = "team/app";

/// An authorization token, as the header that shows it.
async fn login(proxy: &Proxy, key: &Key) -> String {
    let data = ecr(proxy, key, "GetAuthorizationToken", "{}").await.json();
    format!("Basic {}", data["authorizationData"][0]["authorizationToken"].as_str().unwrap())
}

/// Sends all but the body's last byte.
async fn begin(proxy: &Proxy, shown: &str, method: &str, of: &str, media_type: &str, body: &[u8]) -> Exchange {
    let length = body.len().to_string();
    let headers = [("Authorization", shown), ("Content-Type", media_type), ("Content-Length", length.as_str())];
    let mut exchange = proxy.client().open(method, of, &headers).await;
    exchange.write(&body[..body.len() - 1]).await;
    exchange
}

async fn end(mut exchange: Exchange, body: &[u8]) -> u16 {
    exchange.write(&body[body.len() - 1..]).await;
    exchange.rest().await.status
}

/// Waits until the service has taken in what was sent so far: it decided about as many requests.
async fn are_under_way(proxy: &Proxy, count: usize) {
    let in_flight = async || proxy.metrics().await.sum("entrepot_http_requests_in_flight") as usize;
    crate::bound::until_async("the requests have come", async || in_flight().await == count).await;
    // They were decided about when others that came later are answered.
    for _ in 0..3 {
        ecr(proxy, &root(), "DescribeRegistry", "{}").await.assert_status(200);
    }
}

/// A manifest, a blob in one request and the last bytes of an upload come to an end after each way of taking their user's rights away.
#[tokio::test]
async fn g24_a_push_does_not_outlive_the_rights_of_its_user() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit");
    let mut setup = Setup::of(&upstream);
    setup.log.text("audit", file.to_str().unwrap());
    setup.more = format!("{}\n[auth]\nfailed_logins = 1000\n", iam::USERS);
    let mut proxy = setup.start().await;
    let rooted = login(&proxy, &root()).await;
    let image = an_image(1, &[100]).await;
    for part in image.layers.iter().chain([&image.config]) {
        let of = path(REPO, &format!("blobs/uploads/?digest={}", part.digest));
        let answer = proxy.client().send("POST", &of, &[("Authorization", &rooted)], &part.bytes).await;
        answer.assert_status(201);
    }
    let deny = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::000000000000:user/denied"},"Action":"ecr:*"}]}"#;
    let policy = serde_json::json!({ "repositoryName": REPO, "policyText": deny }).to_string();
    for (n, name) in ["kept", "detached", "deleted", "revoked", "denied"].into_iter().enumerate() {
        let key = user(&proxy, name, None).await;
        done(&proxy, &format!("AttachUserPolicy&UserName={name}&PolicyArn=arn:aws:iam::aws:policy/FullAccess")).await;
        let shown = login(&proxy, &key).await;
        let blob = format!("the blob of {name}").into_bytes();
        let rest = format!("the rest of {name}").into_bytes();
        let to = path(REPO, "blobs/uploads/");
        let upload = proxy.client().send("POST", &to, &[("Authorization", &shown)], b"").await;
        upload.assert_status(202);
        let upload = format!("{}?digest={}", upload.header("location").unwrap(), sha256(&rest));
        let manifest = &image.manifest.bytes;
        let whole = format!("{to}?digest={}", sha256(&blob));
        let of = path(REPO, &format!("manifests/{name}"));
        let begun = [
            begin(&proxy, &shown, "PUT", &of, OCI_MANIFEST, manifest).await,
            begin(&proxy, &shown, "POST", &whole, "application/octet-stream", &blob).await,
            begin(&proxy, &shown, "PUT", &upload, "application/octet-stream", &rest).await,
        ];
        are_under_way(&proxy, 3).await;
        let detach = format!("DetachUserPolicy&UserName={name}&PolicyArn=arn:aws:iam::aws:policy/FullAccess");
        match name {
            "detached" => drop(done(&proxy, &detach).await),
            "deleted" => {
                done(&proxy, &detach).await;
                done(&proxy, &format!("DeleteAccessKey&UserName={name}&AccessKeyId={}", key.id())).await;
                done(&proxy, &format!("DeleteUser&UserName={name}")).await;
            }
            "revoked" => {
                iam::revoke(&proxy, &[name]);
                crate::bound::until_async("the revocation is seen", async || {
                    let answer = proxy.client().request("GET", "/v2/", &[("Authorization", &shown)]).await;
                    answer.status == 401
                })
                .await;
            }
            "denied" => ecr(&proxy, &root(), "SetRepositoryPolicy", &policy).await.assert_status(200),
            _ => {}
        }
        let wanted = if n == 0 { 201 } else { 403 };
        for (exchange, body) in begun.into_iter().zip([manifest.as_ref(), &blob, &rest]) {
            assert_eq!(end(exchange, body).await, wanted, "{name}");
        }
        let there = proxy.client().request("GET", &of, &[("Authorization", &rooted)]).await.status;
        assert_eq!(there, if n == 0 { 200 } else { 404 }, "{name}");
    }
    proxy.terminate().await;
    // The record says the decision that held, and the uploads, which have none otherwise, have one of their refusal.
    let text = std::fs::read_to_string(file).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for name in ["kept", "detached", "deleted", "revoked", "denied"] {
        let of = |action: &str| {
            let is_it = |record: &&Value| {
                record["action"] == action && record["principal"].as_str().unwrap().ends_with(&format!("/{name}"))
            };
            records.iter().filter(is_it).map(|record| record["decision"].as_str().unwrap()).collect::<Vec<_>>()
        };
        let refused = if name == "kept" { 0 } else { 1 };
        assert_eq!(of("ecr:PutImage"), [if refused == 0 { "allowed" } else { "denied" }], "{name}");
        assert_eq!(of("ecr:InitiateLayerUpload"), vec!["denied"; refused], "{name}");
        assert_eq!(of("ecr:CompleteLayerUpload"), vec!["denied"; refused], "{name}");
    }
}

/// Passwords are asked for once, when the request comes: a push does not fail at its end because others guess meanwhile.
#[tokio::test]
async fn g24_a_password_is_asked_for_once() {
    let upstream = FakeUpstream::start().await;
    let proxy = crate::edge::guarded(&upstream).await;
    let blob = b"a blob".as_slice();
    let whole = path(REPO, &format!("blobs/uploads/?digest={}", sha256(blob)));
    let begun = begin(&proxy, &crate::edge::basic("root"), "POST", &whole, "application/octet-stream", blob).await;
    let in_flight = async || proxy.metrics().await.sum("entrepot_http_requests_in_flight") as usize;
    crate::bound::until_async("the request has come", async || in_flight().await == 1).await;
    assert_eq!(end(begun, blob).await, 201);
    let wrong = format!("Basic {}", STANDARD.encode("root:wrong"));
    let refused = begin(&proxy, &wrong, "POST", &whole, "application/octet-stream", blob).await;
    assert_eq!(end(refused, blob).await, 401);
}
