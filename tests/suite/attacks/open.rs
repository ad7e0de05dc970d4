//! An open listener looks at no credential: what clients send because they know the image by its original name goes nowhere
//! (C61: reads are in `auth.rs`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::proxy::{Setup, blob, manifest};
use crate::push::{an_image, path};
use crate::upstream::{Behaviour, FakeUpstream};

const REPO: &str = "team/app";

#[tokio::test]
async fn c61_foreign_credentials_go_nowhere_whatever_is_asked() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[3_000_000]);
    let mut setup = Setup::of(&upstream).fresh_tags();
    setup.log.text("level", "trace");
    let mut proxy = setup.start().await;
    let pair = STANDARD.encode("somebody:correct-horse-battery");
    let secrets = ["correct-horse", pair.as_str(), "a-hub-token", "a-cookie", "a-signature", "a-session-token"];
    let mut shown = vec![
        format!("Basic {pair}"),
        "Bearer a-hub-token.a-hub-token.a-hub-token".to_owned(),
        "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/ecr/aws4_request, SignedHeaders=host, Signature=a-signature".to_owned(),
        "Digest a-hub-token".to_owned(),
    ];
    shown.push(format!("{}\u{e4}", shown[1]));
    let digest = &image.layer().digest;
    let pushed = an_image(2, &[100]).await;
    for (turn, authorization) in shown.iter().enumerate() {
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Authorization", "Basic c29tZWJvZHk6Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5"),
            ("Proxy-Authorization", authorization.as_str()),
            ("X-Amz-Security-Token", "a-session-token"),
            ("Cookie", "session=a-cookie"),
        ];
        for (method, tried) in [
            ("GET", "/v2/".to_owned()),
            ("HEAD", manifest(REPO, "latest")),
            ("GET", manifest(REPO, "latest")),
            ("GET", manifest(REPO, &image.manifest.digest)),
            ("GET", blob(REPO, digest)),
            ("GET", format!("/v2/{}/{REPO}/tags/list", crate::proxy::HUB)),
            ("GET", format!("/v2/{}/{REPO}/referrers/{}", crate::proxy::HUB, image.manifest.digest)),
        ] {
            let answer = proxy.client().request(method, &tried, &headers).await;
            assert_eq!(answer.status, 200, "{method} {tried}: {}", answer.text());
        }
        let ranged: Vec<_> = headers.iter().copied().chain([("Range", "bytes=2000000-2000009")]).collect();
        proxy
            .client()
            .request("GET", &blob(REPO, digest), &ranged)
            .await
            .assert_bytes(206, &image.layer().bytes[2_000_000..2_000_010]);
        proxy.client().request("GET", &manifest(REPO, "absent"), &headers).await.assert_status(404);
        // To push here no one needs to show anything either.
        for part in pushed.layers.iter().chain([&pushed.config]) {
            let to = path("team/mine", &format!("blobs/uploads/?digest={}", part.digest));
            proxy.client().send("POST", &to, &headers, &part.bytes).await.assert_status(201);
        }
        let typed: Vec<_> = headers.iter().copied().chain([("Content-Type", pushed.media_type)]).collect();
        let to = path("team/mine", &format!("manifests/t{turn}"));
        proxy.client().send("PUT", &to, &typed, &pushed.manifest.bytes).await.assert_status(201);
    }
    // Where upstream refuses, the client's credential is not tried on it.
    upstream.on("*", "/manifests/", Behaviour::status(401));
    let answer = proxy.client().request("GET", &manifest(REPO, "other"), &[("Authorization", &shown[0])]).await;
    assert_eq!(answer.status, 401);
    assert!(upstream.log().len() > 5);
    for asked in upstream.log() {
        assert!(asked.header("authorization").is_none() && asked.header("proxy-authorization").is_none(), "{asked:?}");
        for (name, value) in &asked.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            assert!(!secrets.iter().any(|secret| value.contains(secret)), "{name}: {value}");
        }
    }
    assert!(proxy.terminate().await.success());
    let log = proxy.log();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log says little");
    for secret in secrets {
        assert!(!log.contains(secret), "the log tells {secret}");
    }
}
