//! Words of proxies: believed of those that are trusted, and of nobody else.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::with_authorization;
use crate::bound::{until, within};
use crate::edge::{USERS, api, basic, signed_text};
use crate::proxy::{Proxy, Setup};
use crate::push::path;
use crate::upstream::FakeUpstream;

/// The test is the proxy, which connects from a loopback address.
const HERE: &str = "127.0.0.0/8";

/// `networks` are trusted.
async fn behind(networks: &[&str]) -> (Proxy, FakeUpstream) {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.more = format!("{USERS}\n[auth]\nfailed_logins = 3\n");
    setup.http.texts("trusted_proxies", networks);
    (setup.start().await, upstream)
}

async fn wrong(proxy: &Proxy, forwarded_for: &[&str]) -> u16 {
    let mut headers = vec![("Authorization", "Basic cm9vdDpndWVzcw==")];
    headers.extend(forwarded_for.iter().map(|value| ("X-Forwarded-For", *value)));
    proxy.client().request("GET", "/v2/", &headers).await.status
}

fn challenge(answer: &crate::client::Answer) -> String {
    answer.assert_status(401);
    answer.header("www-authenticate").unwrap().to_owned()
}

/// Behind a proxy that terminates TLS, clients are told where they are in the client's own words.
#[tokio::test]
async fn nm15_a_trusted_proxy_says_how_the_client_came() {
    let (proxy, _upstream) = behind(&["10.0.0.0/8", HERE]).await;
    let forwarded =
        [("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "registry.example")];
    let answer = proxy.client().request("GET", "/v2/", &forwarded).await;
    assert!(
        challenge(&answer).starts_with("Bearer realm=\"https://registry.example/token\""),
        "{}",
        challenge(&answer)
    );
    until("the client is logged", || proxy.log().contains("client=198.51.100.7 ")).await;
    // The host that the client signed is the one that it came to.
    let signed =
        signed_text(&proxy.client().as_host("registry.example"), "root", "DescribeRegistry", "{}", |_| {}).await;
    signed.assert_status(200);
    let change = |headers: &mut http::HeaderMap| {
        headers.insert("x-forwarded-host", headers.get("host").unwrap().clone());
        headers.insert("host", "entrepot:5000".parse().unwrap());
    };
    // `signed_text` signs for the client's host; the proxy says that host and sends another.
    let client = proxy.client().as_host("registry.example");
    signed_text(&client, "root", "DescribeRegistry", "{}", change).await.assert_status(200);
}

/// Conditions on addresses and on TLS mean the client.
#[tokio::test]
async fn nm15_policies_see_the_client() {
    let (proxy, _upstream) = behind(&[HERE]).await;
    let client = proxy.client();
    api(&client, "root", "CreateRepository", json!({ "repositoryName": "team/app" })).await.assert_status(200);
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Deny", "Principal": "*", "Action": "ecr:*", "Condition": { "NotIpAddress": { "aws:SourceIp": "198.51.100.0/24" } } },
        { "Effect": "Deny", "Principal": "*", "Action": "ecr:*", "Condition": { "Bool": { "aws:SecureTransport": "false" } } },
    ] });
    let set = json!({ "repositoryName": "team/app", "policyText": policy.to_string(), "force": true });
    api(&client, "root", "SetRepositoryPolicy", set).await.assert_status(200);
    let authorization = basic("root");
    let list = async |from: &str, proto: &str| {
        let headers =
            [("Authorization", authorization.as_str()), ("X-Forwarded-For", from), ("X-Forwarded-Proto", proto)];
        client.request("GET", &path("team/app", "tags/list"), &headers).await.status
    };
    assert_eq!(list("198.51.100.7", "https").await, 200);
    assert_eq!(list("198.51.100.7", "http").await, 403);
    assert_eq!(list("203.0.113.7", "https").await, 403);
    // The client writes what it likes in front of what the proxy says.
    assert_eq!(list("198.51.100.7, 203.0.113.7", "https").await, 403);
}

/// Whoever guesses from one address is one address, and whoever claims others is as well.
#[tokio::test]
async fn nm15_t13_failed_logins_are_the_clients() {
    let (proxy, _upstream) = behind(&[HERE]).await;
    for n in 0..3 {
        assert_eq!(wrong(&proxy, &[&format!("192.0.2.{n}, 198.51.100.1")]).await, 401);
    }
    assert_eq!(wrong(&proxy, &["198.51.100.1"]).await, 429);
    assert_eq!(wrong(&proxy, &["192.0.2.1", "198.51.100.1"]).await, 429);
    assert_eq!(wrong(&proxy, &["198.51.100.2"]).await, 401);
    let headers = [("Authorization", basic("root")), ("X-Forwarded-For", "198.51.100.2".to_owned())];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    proxy.client().request("GET", "/v2/", &headers).await.assert_status(200);
}

/// The same headers of somebody else say nothing.
#[tokio::test]
async fn nm15_nobody_else_is_believed() {
    for networks in [&[][..], &["10.0.0.0/8", "127.255.0.0/16"]] {
        let (proxy, _upstream) = behind(networks).await;
        let forwarded = [
            ("X-Forwarded-For", "198.51.100.7"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "registry.example"),
            ("Forwarded", "for=198.51.100.7;proto=https;host=registry.example"),
        ];
        let answer = proxy.client().request("GET", "/v2/", &forwarded).await;
        let own = format!("Bearer realm=\"{}/token\"", proxy.url());
        assert!(challenge(&answer).starts_with(&own), "{}", challenge(&answer));
        assert!(!proxy.log().contains("client=198.51.100.7"));
        for n in 0..3 {
            assert_eq!(wrong(&proxy, &[&format!("198.51.100.{n}")]).await, 401);
        }
        assert_eq!(wrong(&proxy, &["198.51.100.9"]).await, 429);
    }
}

/// `Forwarded` is not read: a proxy that knows only `X-Forwarded-For` passes it on as the client wrote it. Nor is garbage.
#[tokio::test]
async fn nm15_what_cannot_be_read_is_the_proxys() {
    let (proxy, _upstream) = behind(&[HERE]).await;
    let forwarded = [
        ("Forwarded", "for=198.51.100.7;proto=https;host=registry.example"),
        ("X-Forwarded-For", "198.51.100.7, unknown"),
        ("X-Forwarded-Proto", "gopher"),
        ("X-Forwarded-Host", "registry example\""),
    ];
    let answer = proxy.client().request("GET", "/v2/", &forwarded).await;
    let own = format!("Bearer realm=\"{}/token\"", proxy.url());
    assert!(challenge(&answer).starts_with(&own), "{}", challenge(&answer));
    until("the proxy is logged", || proxy.log().contains("client=127.")).await;
}

/// A listener that takes the PROXY protocol, from these networks.
async fn balanced(networks: &[&str]) -> (Proxy, FakeUpstream) {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.more = format!("{USERS}\n[auth]\nfailed_logins = 3\n");
    setup.http.texts("trusted_proxies", networks).text("header_timeout", "1s");
    setup.proxy_protocol();
    (setup.start().await, upstream)
}

/// What is said to a connection that begins so.
async fn said(proxy: &Proxy, first: &[u8], request: &str) -> String {
    let mut stream = proxy.client().connect().await.unwrap();
    let _ = within("the server takes it", stream.write_all(&[first, request.as_bytes()].concat())).await;
    let mut answer = Vec::new();
    let _ = within("the server closes", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

const PING: &str = "GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, rest].concat()
}

#[tokio::test]
async fn nm15_the_proxy_protocol_says_whose_a_connection_is() {
    let (proxy, _upstream) = balanced(&[HERE]).await;
    let v4 = [198, 51, 100, 8, 192, 0, 2, 1, 0x15, 0xb3, 0x01, 0xbb];
    for (first, client) in [
        (b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 443\r\n".to_vec(), "198.51.100.7:5555"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 5556 443\r\n".to_vec(), "[2001:db8::7]:5556"),
        (version_2(0x21, 0x11, &v4), "198.51.100.8:5555"),
        // With what balancers add: an AWS VPC endpoint's id.
        (version_2(0x21, 0x11, &[&v4[..], &[0xea, 0, 5, 1, b'v', b'p', b'c', b'e']].concat()), "198.51.100.8:5555"),
        // A health check of the balancer itself.
        (b"PROXY UNKNOWN\r\n".to_vec(), "127."),
        (version_2(0x20, 0x00, &[]), "127."),
    ] {
        let answer = said(&proxy, &first, PING).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{first:?}: {answer}");
        let logged = format!("client={client}");
        until("the client is logged", || proxy.log().contains(&logged)).await;
    }
    // What counts for an address counts for the client's.
    let guess = PING.replace("Connection", "Authorization: Basic cm9vdDpndWVzcw==\r\nConnection");
    let from = |n: u8| format!("PROXY TCP4 203.0.113.{n} 192.0.2.1 5555 443\r\n");
    for _ in 0..3 {
        assert!(said(&proxy, from(1).as_bytes(), &guess).await.starts_with("HTTP/1.1 401"));
    }
    assert!(said(&proxy, from(1).as_bytes(), &guess).await.starts_with("HTTP/1.1 429"));
    assert!(said(&proxy, from(2).as_bytes(), &guess).await.starts_with("HTTP/1.1 401"));
}

/// Nothing is guessed: a connection without the header, with another's, or with half of it is closed without a word.
#[tokio::test]
async fn nm15_connections_without_the_header_are_closed() {
    let (proxy, _upstream) = balanced(&[HERE]).await;
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(200));
    for first in [
        &b""[..],
        b"PROXY TCP4 198.51.100.7 192.0.2.1 5555\r\n",
        b"PROXY TCP4 198.51.100.999 192.0.2.1 5555 443\r\n",
        b"PROXY TCP9 198.51.100.7 192.0.2.1 5555 443\r\n",
        long.as_bytes(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaa",
        &version_2(0x21, 0x11, &[1, 2, 3]),
        &version_2(0x2f, 0x11, &[0; 12]),
        &version_2(0x21, 0x11, &[0; 65_000]),
        // And then nothing more.
        &version_2(0x21, 0x11, &[0; 12])[..20],
    ] {
        let request = if first.len() == 20 { "" } else { PING };
        assert_eq!(said(&proxy, first, request).await, "", "{:?}", first.get(..60.min(first.len())));
    }
    // The header is one of the connection's beginning, and a second one is no request.
    let twice = b"PROXY TCP4 198.51.100.7 192.0.2.1 1 443\r\nPROXY TCP4 198.51.100.8 192.0.2.1 1 443\r\n";
    let answer = said(&proxy, twice, PING).await;
    assert!(!answer.contains(" 401 ") && !proxy.log().contains("client=198.51.100.8"), "{answer}");
    let (proxy, _upstream) = balanced(&["10.0.0.0/8"]).await;
    assert_eq!(said(&proxy, b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 443\r\n", PING).await, "");
}

/// Without `proxy_protocol` the header is no request.
#[tokio::test]
async fn nm15_the_header_is_not_taken_where_it_is_not_asked_for() {
    let (proxy, _upstream) = behind(&[HERE]).await;
    let answer = said(&proxy, b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 443\r\n", PING).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(!proxy.log().contains("client=198.51.100.7"));
    with_authorization(&proxy, &basic("root"), "GET", "/v2/").await.assert_status(200);
}

/// A proxy brings many clients by one address; behind a balancer that says whose a connection is, each has its own number.
#[tokio::test]
async fn nm15_a_proxy_is_not_one_client() {
    let upstream = FakeUpstream::start().await;
    let start = async |proxy_protocol: bool| {
        let mut setup = Setup::of(&upstream);
        setup.http.texts("trusted_proxies", &[HERE]).set("max_connections_per_client", 2);
        if proxy_protocol {
            setup.proxy_protocol();
        }
        setup.start().await
    };
    let proxy = start(false).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(proxy.client().connect().await.unwrap());
        proxy.get("/v2/").await.assert_status(200);
    }
    let proxy = start(true).await;
    let from = |n: u8| format!("PROXY TCP4 198.51.100.{n} 192.0.2.1 5555 443\r\n");
    for _ in 0..2 {
        let mut stream = proxy.client().connect().await.unwrap();
        stream.write_all(format!("{}GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n", from(7)).as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        within("an answer", stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        held.push(stream);
    }
    assert_eq!(said(&proxy, from(7).as_bytes(), PING).await, "");
    assert!(said(&proxy, from(8).as_bytes(), PING).await.starts_with("HTTP/1.1 200"));
    // Whoever says nothing takes no client's place.
    for _ in 0..5 {
        held.push(proxy.client().connect().await.unwrap());
    }
    assert!(said(&proxy, from(8).as_bytes(), PING).await.starts_with("HTTP/1.1 200"));
}
