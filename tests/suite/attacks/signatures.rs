//! Signed requests of which something was changed, left out or sent twice.

use std::time::Duration;

use base64::Engine;
use entrepot::auth::Signer;
use entrepot::auth::proof::{
    Keyring, Principal, TemporaryCredentials, UnixTime, issue_session, open_authorization_token,
};
use http::HeaderMap;
use sha2::Digest as _;

use super::ACCOUNT;
use crate::client::{Answer, Client};
use crate::edge::{SECRET, api, assert_fault, guarded};
use crate::upstream::FakeUpstream;

const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921.DescribeRegistry";
const BODY: &[u8] = b"{}";

/// A request that is right in all; a test changes one thing.
struct Call<'a> {
    key: &'a str,
    secret: &'a str,
    session: Option<&'a str>,
    region: &'a str,
    service: &'a str,
    at: UnixTime,
    uri: &'a str,
    /// Headers besides those that every request has.
    signed: Vec<(&'a str, &'a str)>,
    without: Vec<&'a str>,
}

impl<'a> Call<'a> {
    fn of_root() -> Self {
        Self {
            key: "AKIAROOTROOTROOTROOT",
            secret: SECRET,
            session: None,
            region: "eu-west-1",
            service: "ecr",
            at: std::time::SystemTime::now().into(),
            uri: "/",
            signed: Vec::new(),
            without: Vec::new(),
        }
    }

    fn with(given: &'a TemporaryCredentials) -> Self {
        let session = Some(given.session_token.as_str());
        Self { key: &given.access_key.id, secret: &given.access_key.secret, session, ..Self::of_root() }
    }

    fn sign(&self, client: &Client) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        headers.insert("host", client.host().parse().unwrap());
        headers.insert("content-type", "application/x-amz-json-1.1".parse().unwrap());
        headers.insert("x-amz-target", TARGET.parse().unwrap());
        for (name, value) in &self.signed {
            headers.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        for name in &self.without {
            headers.remove(*name);
        }
        let Self { key, secret, session, region, service, .. } = *self;
        let signer = Signer { access_key_id: key, secret, session_token: session, region, service };
        let hash: [u8; 32] = sha2::Sha256::digest(BODY).into();
        signer.sign(&http::Method::POST, &self.uri.parse().unwrap(), &mut headers, &hash, self.at).unwrap();
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        headers
            .iter()
            .filter(|(name, _)| *name != "host")
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect()
    }

    async fn send(&self, client: &Client) -> Answer {
        send(client, self.uri, &self.sign(client), BODY).await
    }
}

async fn send(client: &Client, uri: &str, headers: &[(String, String)], body: &[u8]) -> Answer {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    client.send("POST", uri, &headers, body).await
}

#[tokio::test]
async fn nothing_that_is_signed_may_change() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let client = proxy.client();
    Call::of_root().send(&client).await.assert_status(200);
    let signed = Call::of_root().sign(&client);
    send(&client, "/", &signed, BODY).await.assert_status(200);
    let changed = |name: &str, value: &str| -> Vec<_> {
        let change =
            |(known, old): &(String, String)| (known.clone(), if known == name { value.into() } else { old.clone() });
        signed.iter().map(change).collect()
    };
    for body in ["{ }", "", "{}\n", "{\"registryId\":\"000000000000\"}"] {
        assert_fault(&send(&client, "/", &signed, body.as_bytes()).await, "InvalidSignatureException");
    }
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-amz-target", "AmazonEC2ContainerRegistry_V20150921.DeleteRegistryPolicy"),
    ] {
        assert_fault(&send(&client, "/", &changed(name, value), BODY).await, "InvalidSignatureException");
    }
    // A replay at another host, under another key, with another secret's day or signature.
    let elsewhere = client.as_host("elsewhere.example");
    assert_fault(&send(&elsewhere, "/", &signed, BODY).await, "InvalidSignatureException");
    let authorization = signed.iter().find(|(name, _)| name == "authorization").unwrap().1.clone();
    for (from, to, fault) in [
        ("AKIAROOTROOTROOTROOT", "AKIAREADREADREADREAD", "InvalidSignatureException"),
        ("AKIAROOTROOTROOTROOT", "AKIAABSENTABSENTABSE", "UnrecognizedClientException"),
        ("eu-west-1", "us-east-1", "InvalidSignatureException"),
        ("/ecr/", "/s3/", "InvalidSignatureException"),
        ("content-type;host;", "host;", "InvalidSignatureException"),
        ("host;", "", "IncompleteSignatureException"),
        (";x-amz-target", "", "IncompleteSignatureException"),
        (";x-amz-date", "", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256", "AWS", "IncompleteSignatureException"),
        ("Signature=", "Signature=00, Signature=", "IncompleteSignatureException"),
    ] {
        let altered = authorization.replacen(from, to, 1);
        assert_ne!(altered, authorization, "{from}");
        let answer = send(&client, "/", &changed("authorization", &altered), BODY).await;
        assert_fault(&answer, fault);
    }
    // What is told about a mismatch is what the client sent, and nothing with which to sign.
    let answer = send(&client, "/", &changed("content-type", "a/b"), BODY).await;
    assert!(!answer.text().contains(SECRET));
    send(&client, "/", &signed, BODY).await.assert_status(200);
    assert!(!proxy.log().contains(SECRET));
}

#[tokio::test]
async fn what_must_be_signed_is_signed_once() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let client = proxy.client();
    // Sent beside a signature that does not know of it.
    let mut unsigned = Call { without: vec!["x-amz-target"], ..Call::of_root() }.sign(&client);
    unsigned.push(("x-amz-target".to_owned(), TARGET.to_owned()));
    assert_fault(&send(&client, "/", &unsigned, BODY).await, "IncompleteSignatureException");
    // Twice, signed or not, in either order.
    for name in ["x-amz-target", "x-amz-date", "authorization"] {
        let signed = Call::of_root().sign(&client);
        let value = signed.iter().find(|(known, _)| known == name).unwrap().1.clone();
        for other in [value, "x".to_owned()] {
            for at in [0, signed.len()] {
                let mut twice = signed.clone();
                twice.insert(at, (name.to_owned(), other.clone()));
                assert_fault(&send(&client, "/", &twice, BODY).await, "IncompleteSignatureException");
            }
        }
    }
    let twice = Call {
        signed: vec![("x-amz-target", "AmazonEC2ContainerRegistry_V20150921.DeleteRegistryPolicy")],
        ..Call::of_root()
    };
    assert_fault(&twice.send(&client).await, "IncompleteSignatureException");
    // Bodies that nobody signed.
    for payload in [
        "UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "",
        "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ] {
        let call = Call { signed: vec![("x-amz-content-sha256", payload)], ..Call::of_root() };
        assert_fault(&call.send(&client).await, "InvalidSignatureException");
    }
    // A signature in the query is none.
    let query = format!(
        "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAROOTROOTROOTROOT%2F20260101%2Feu-west-1%2Fecr%2Faws4_request&X-Amz-Date={}&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature={}",
        Call::of_root().at.basic(),
        "0".repeat(64)
    );
    let target = [("x-amz-target".to_owned(), TARGET.to_owned())];
    assert_fault(&send(&client, &query, &target, BODY).await, "MissingAuthenticationTokenException");
    // A query that was not signed makes it another request; one that was is carried along.
    assert_fault(&send(&client, "/?a=b", &Call::of_root().sign(&client), BODY).await, "InvalidSignatureException");
    Call { uri: "/?a=b", ..Call::of_root() }.send(&client).await.assert_status(200);
}

#[tokio::test]
async fn for_one_service_and_one_moment() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let client = proxy.client();
    let now = || Call::of_root().at;
    for service in ["s3", "sts", "ecr-public", "ecr2"] {
        let answer = Call { service, ..Call::of_root() }.send(&client).await;
        assert_fault(&answer, "InvalidSignatureException");
        assert!(answer.text().contains("scoped to service ecr"), "{}", answer.text());
    }
    // The region is the client's: names of regions mean nothing here.
    for region in ["us-east-1", "local", "cn-north-1"] {
        Call { region, ..Call::of_root() }.send(&client).await.assert_status(200);
    }
    let minutes = |count: u64| Duration::from_secs(60 * count);
    for (at, is_good) in [
        (now().minus(minutes(4)), true),
        (now().plus(minutes(4)), true),
        (now().minus(minutes(6)), false),
        (now().plus(minutes(6)), false),
        (now().minus(minutes(60 * 24)), false),
        (now().minus(minutes(60 * 24 * 365)), false),
    ] {
        let answer = Call { at, ..Call::of_root() }.send(&client).await;
        if is_good {
            answer.assert_status(200);
        } else {
            assert_fault(&answer, "InvalidSignatureException");
        }
    }
}

/// Temporary credentials: the token goes with its own key, and ends.
#[tokio::test]
async fn session_tokens_belong_to_their_key() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let client = proxy.client();
    let ring = Keyring::parse(&std::fs::read_to_string(proxy.data_path().join("keys")).unwrap()).unwrap();
    let now: UnixTime = std::time::SystemTime::now().into();
    let root = format!("arn:aws:iam::{ACCOUNT}:user/root");
    let issue = |ring: &Keyring, arn: &str, epoch, at, seconds| {
        let principal = Principal::new(arn, ACCOUNT, epoch).unwrap();
        issue_session(ring, &principal, None, at, Duration::from_secs(seconds)).unwrap()
    };
    let told = api(&client, "root", "GetAuthorizationToken", serde_json::json!({})).await.json();
    let told = told["authorizationData"][0]["authorizationToken"].as_str().unwrap().to_owned();
    let told = base64::engine::general_purpose::STANDARD.decode(told).unwrap();
    let password = std::str::from_utf8(&told).unwrap().strip_prefix("AWS:").unwrap().to_owned();
    let epoch = open_authorization_token(&ring, &password, now).unwrap().value.epoch();
    let mine = issue(&ring, &root, epoch, now, 900);
    Call::with(&mine).send(&client).await.assert_status(200);
    let another = issue(&ring, &root, epoch, now, 900);
    let swapped = Call { session: Some(&another.session_token), ..Call::with(&mine) };
    assert_fault(&swapped.send(&client).await, "UnrecognizedClientException");
    let lasting = Call { session: Some(&mine.session_token), ..Call::of_root() };
    assert_fault(&lasting.send(&client).await, "UnrecognizedClientException");
    let without = Call { session: None, ..Call::with(&mine) };
    assert_fault(&without.send(&client).await, "UnrecognizedClientException");
    let other_secret = Call { secret: SECRET, ..Call::with(&mine) };
    assert_fault(&other_secret.send(&client).await, "InvalidSignatureException");
    for (given, fault) in [
        (issue(&Keyring::generate().unwrap(), &root, epoch, now, 900), "UnrecognizedClientException"),
        (issue(&ring, &root, epoch + 7, now, 900), "UnrecognizedClientException"),
        (issue(&ring, &format!("arn:aws:iam::{ACCOUNT}:user/absent"), epoch, now, 900), "UnrecognizedClientException"),
        // Clients fetch new credentials when they are told this.
        (issue(&ring, &root, epoch, now.minus(Duration::from_secs(1000)), 900), "ExpiredTokenException"),
    ] {
        assert_fault(&Call::with(&given).send(&client).await, fault);
    }
    // Sent, but not signed: somebody else could have put it there.
    let mut unsigned = Call { session: None, ..Call::with(&mine) }.sign(&client);
    unsigned.push(("x-amz-security-token".to_owned(), mine.session_token.clone()));
    assert_fault(&send(&client, "/", &unsigned, BODY).await, "IncompleteSignatureException");
    let mut twice = Call::with(&mine).sign(&client);
    twice.push(("x-amz-security-token".to_owned(), mine.session_token.clone()));
    assert_fault(&send(&client, "/", &twice, BODY).await, "IncompleteSignatureException");
    Call::with(&mine).send(&client).await.assert_status(200);
    assert!(!proxy.log().contains(&mine.session_token) && !proxy.log().contains(&mine.access_key.secret));
}
