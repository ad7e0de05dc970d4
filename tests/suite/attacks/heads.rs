//! Heads that two readers could read in two ways, and headers that only a proxy of ours could vouch for.

use futures_util::future::join_all;
use serde_json::json;

use super::{ACCOUNT, impatient, said_to, statuses};
use crate::edge::{api, as_user, basic, bearer, guarded, push, token};
use crate::proxy::Proxy;
use crate::push::{an_image, path};
use crate::upstream::FakeUpstream;

/// A request that nobody may get through inside of another.
const HIDDEN: &str = "GET /v2/team/hidden/tags/list HTTP/1.1\r\nHost: x\r\n\r\n";

/// Refused, and the connection with it: what follows is never taken for a request.
#[tokio::test]
async fn nothing_is_smuggled_behind_a_crooked_head() {
    let upstream = FakeUpstream::start().await;
    let proxy = impatient(&upstream).await;
    let client = proxy.client();
    let post = |headers: &str| format!("POST /token HTTP/1.1\r\nHost: x\r\n{headers}\r\n{HIDDEN}");
    let get = |headers: &str| format!("GET /v2/ HTTP/1.1\r\nHost: x\r\n{headers}\r\n{HIDDEN}");
    let length = HIDDEN.len();
    let crooked = [
        post(&format!("Content-Length: 0\r\nContent-Length: {length}\r\n")),
        post("Content-Length: +0\r\n"),
        post("Content-Length: -1\r\n"),
        post("Content-Length: 0x0\r\n"),
        post("Content-Length: 0, 5\r\n"),
        post("Content-Length: 0 0\r\n"),
        post("Content-Length: 99999999999999999999\r\n"),
        post("Content-Length :0\r\n"),
        post("Transfer-Encoding: xchunked\r\n"),
        post("Transfer-Encoding: identity\r\n"),
        post("Transfer-Encoding: chunked, identity\r\n"),
        post("Transfer-Encoding : chunked\r\n"),
        post("Transfer-Encoding: \u{b}chunked\r\n"),
        post("X: a\r\n Content-Length: 0\r\n"),
        get("X: a\0b\r\n"),
        get("X: a\rb\r\n"),
        get("X: a\r\n\tb\r\n"),
        get("X a\r\n"),
        get(": a\r\n"),
        get("Content-Length: 1\rX: a\r\n"),
        format!("POST /token HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("GET /v2/ HTTP/1.1\r\n Host: x\r\n\r\n{HIDDEN}"),
        format!("GET  /v2/ HTTP/1.1\r\nHost: x\r\n\r\n{HIDDEN}"),
        format!("GET /v2/ HTTP/1.1 \r\nHost: x\r\n\r\n{HIDDEN}"),
        format!("GET /v2/\t HTTP/1.1\r\nHost: x\r\n\r\n{HIDDEN}"),
    ];
    join_all(crooked.iter().map(async |text| {
        let said = said_to(&client, text.as_bytes()).await;
        assert!(matches!(statuses(&said).as_slice(), [] | ["400"]), "{text:?}: {said}");
    }))
    .await;
    // Chunks are read to the end or not at all.
    let chunked = |body: &str| {
        format!(
            "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n{body}{HIDDEN}"
        )
    };
    let bodies = [
        "+0\r\n\r\n",
        "0x0\r\n\r\n",
        "0 0\r\n\r\n",
        "-1\r\n\r\n",
        "fffffffffffffffff\r\n\r\n",
        "\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "g\r\n",
    ];
    join_all(bodies.map(async |body| {
        let said = said_to(&client, chunked(body).as_bytes()).await;
        assert!(statuses(&said).len() <= 1, "{body:?}: {said}");
        assert!(!said.starts_with("HTTP/1.1 2") && !said.starts_with("HTTP/1.1 5"), "{body:?}: {said}");
    }))
    .await;
    // RFC 9112 section 6.1: with both, the chunks count, and nothing more is taken from this connection.
    for both in
        ["Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"]
    {
        let said = said_to(&client, post(both).replace(HIDDEN, &format!("0\r\n\r\n{HIDDEN}")).as_bytes()).await;
        assert_eq!(statuses(&said), ["400"], "{both:?}: {said}");
    }
    assert!(!proxy.log().contains("hidden"), "a hidden request was carried out");
    // The same bytes behind a plain request are the next request: the check above can fail.
    let said = said_to(&client, get("").as_bytes()).await;
    assert_eq!(statuses(&said), ["401", "401"]);
    assert!(proxy.log().contains("hidden"));
}

/// What comes with a request that has no use for it is its body all the same, and never the next request.
#[tokio::test]
async fn bodies_that_nobody_reads_are_no_requests() {
    let upstream = FakeUpstream::start().await;
    let proxy = impatient(&upstream).await;
    let (client, root, nobody) = (proxy.client(), basic("root"), basic("nobody"));
    let tried = [
        ("GET", "/v2/", "401"),
        ("HEAD", "/v2/", "401"),
        ("GET", "/v2/team/absent/tags/list", "401"),
        ("DELETE", "/v2/team/app/manifests/latest", "401"),
        ("POST", "/v2/team/app/blobs/uploads/", "401"),
        ("PUT", "/v2/team/app/manifests/latest", "401"),
        ("POST", "/nothing/here", "404"),
        ("PURGE", "/v2/", "405"),
        ("TRACE", "/v2/", "405"),
        ("OPTIONS", "*", "404"),
    ];
    join_all(tried.map(async |(method, path, status)| {
        let whole = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{HIDDEN}", HIDDEN.len());
        let chunked = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{HIDDEN}\r\n0\r\n\r\n",
            HIDDEN.len()
        );
        let expecting = whole.replacen("Host: x", "Host: x\r\nExpect: 100-continue", 1);
        for text in [whole, chunked, expecting] {
            let said = said_to(&client, text.as_bytes()).await;
            let said: Vec<_> = statuses(&said).into_iter().filter(|status| *status != "100").collect();
            assert_eq!(said, [status], "{text:?}");
        }
    }))
    .await;
    for authorization in [&root, &nobody] {
        let headers = [("Authorization", authorization.as_str())];
        let answer = client.send("GET", "/v2/", &headers, HIDDEN.as_bytes()).await;
        assert_eq!(answer.status, 200);
    }
    assert!(!proxy.log().contains("hidden"), "a body was taken for a request");
}

/// What is told to clients and to the log is told in one line.
#[tokio::test]
async fn nothing_forges_a_header_or_a_line_of_the_log() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    push(&proxy, "team/app", "one", &an_image(1, &[10]).await).await;
    push(&proxy, "team/app", "two", &an_image(2, &[10]).await).await;
    let root = basic("root");
    let forged = "%0d%0aForged:%20yes%1b%5b31m";
    for tried in [
        format!("/v2/team/app/tags/list?n=1&last={forged}"),
        format!("/v2/_catalog?n=1&last={forged}"),
        format!("/v2/team/app/tags/list?n={forged}"),
        format!("/v2/team/app/manifests/{forged}"),
        format!("/v2/team/app/blobs/{forged}"),
        format!("/v2/team/app/blobs/uploads/{forged}"),
        format!("/v2/team/app/referrers/sha256:{}?artifactType={forged}", "0".repeat(64)),
        format!("/v2/{forged}/tags/list"),
        format!("/v2/team/app/tags/list?ns={forged}"),
        format!("/token?service={forged}&scope=repository:{forged}:pull&account={forged}"),
        format!("/{forged}"),
    ] {
        for headers in
            [&[("Authorization", root.as_str()), ("User-Agent", "a\u{e4}b"), ("OCI-Namespace", "forged\tx")][..], &[]]
        {
            let answer = proxy.client().request("GET", &tried, headers).await;
            assert!(answer.status < 500 && answer.status != 0, "{tried}: {}", answer.status);
            assert_eq!(answer.header("forged"), None, "{tried}");
        }
        let mounting = tried.replacen("/tags/list?n=1&last=", "/blobs/uploads/?digest-algorithm=", 1);
        assert_eq!(
            proxy.client().send("POST", &mounting, &[("Authorization", &root)], b"").await.header("forged"),
            None
        );
    }
    for name in ["a\nforged", "a\r\nforged", "a\u{1b}[31mforged", "a\u{2028}forged"] {
        for operation in ["CreateRepository", "ListImages"] {
            let answer = api(&proxy.client(), "root", operation, json!({ "repositoryName": name })).await;
            assert_eq!(answer.status, 400, "{name:?}");
        }
    }
    let log = proxy.log();
    assert!(log.to_lowercase().contains("forged"), "what was tried is in the log");
    assert!(!log.contains('\u{1b}') && !log.contains('\r'));
    for line in log.lines() {
        assert!(line.starts_with("20"), "{line}");
    }
}

/// RFC 9112 section 3.2.
#[tokio::test]
async fn there_is_one_host() {
    let upstream = FakeUpstream::start().await;
    let proxy = impatient(&upstream).await;
    for (hosts, status) in
        [("", "400"), ("Host: x\r\nHost: x\r\n", "400"), ("Host: x\r\nhost: y\r\n", "400"), ("Host: x\r\n", "401")]
    {
        for target in ["/v2/", "http://x/v2/", "/token?service=x"] {
            let said = said_to(&proxy.client(), format!("GET {target} HTTP/1.1\r\n{hosts}\r\n").as_bytes()).await;
            let expected = if status == "401" && target.starts_with("/token") { "200" } else { status };
            assert_eq!(statuses(&said), [expected], "{hosts:?} {target}: {said}");
        }
    }
    // The older version knows none.
    assert!(said_to(&proxy.client(), b"GET /v2/ HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 401"));
}

/// Two credentials: somebody before us may have looked at the other one.
#[tokio::test]
async fn who_shows_two_credentials_shows_none() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    push(&proxy, "team/app", "latest", &an_image(1, &[10]).await).await;
    let of = path("team/app", "manifests/latest");
    let (root, nobody) = (basic("root"), basic("nobody"));
    let root_token = bearer(&token(&proxy, Some("root"), &["repository:team/app:pull"]).await);
    for two in [[&root, &nobody], [&nobody, &root], [&root, &root], [&root_token, &nobody], [&nobody, &root_token]] {
        let headers = two.map(|value| ("Authorization", value.as_str()));
        for path in [of.as_str(), "/v2/"] {
            proxy.client().request("GET", path, &headers).await.assert_error(401, "UNAUTHORIZED");
        }
        let asked = proxy.client().request("GET", "/token?service=x&scope=repository:team/app:pull", &headers).await;
        assert_eq!(asked.status, 401, "{}", asked.text());
    }
    // In one line they are no credential either.
    for line in [format!("{root}, {nobody}"), format!("{root} {nobody}"), format!("{root_token}, {root}")] {
        proxy.client().request("GET", &of, &[("Authorization", &line)]).await.assert_error(401, "UNAUTHORIZED");
    }
    // Other headers are no credential: what browsers and proxies add is not looked at.
    for name in
        ["Proxy-Authorization", "X-Authorization", "X-Registry-Auth", "Cookie", "X-Forwarded-User", "X-Remote-User"]
    {
        for value in [root.as_str(), "root"] {
            proxy.client().request("GET", &of, &[(name, value)]).await.assert_error(401, "UNAUTHORIZED");
        }
    }
}

/// `aws:SourceIp` is the other end of the connection.
#[tokio::test]
async fn addresses_are_not_taken_from_headers() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let image = an_image(1, &[10]).await;
    push(&proxy, "team/app", "latest", &image).await;
    let of = path("team/app", "manifests/latest");
    let allow = async |proxy: &Proxy, range: &str| {
        let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
            "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:user/nobody") }, "Action": "ecr:*",
            "Condition": { "IpAddress": { "aws:SourceIp": range } } }] });
        let set = json!({ "repositoryName": "team/app", "policyText": policy.to_string() });
        api(&proxy.client(), "root", "SetRepositoryPolicy", set).await.assert_status(200);
    };
    allow(&proxy, "203.0.113.7/32").await;
    let nobody = basic("nobody");
    let get = async |name: &str, value: &str| {
        proxy.client().request("GET", &of, &[("Authorization", &nobody), (name, value)]).await
    };
    for (name, value) in [
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-For", "203.0.113.7, 127.0.0.1"),
        ("Forwarded", "for=203.0.113.7"),
        ("X-Real-IP", "203.0.113.7"),
        ("X-Client-IP", "203.0.113.7"),
        ("True-Client-IP", "203.0.113.7"),
        ("CF-Connecting-IP", "203.0.113.7"),
        ("X-Amz-Source-Ip", "203.0.113.7"),
    ] {
        get(name, value).await.assert_error(403, "DENIED");
    }
    allow(&proxy, "127.0.0.0/8").await;
    crate::bound::until_async("the policy is known", async || get("X-Other", "x").await.status == 200).await;
    get("X-Forwarded-For", "203.0.113.7").await.assert_body(&image.manifest.bytes);
}

/// Where a request goes and what it does stands in its first line and nowhere else.
#[tokio::test]
async fn methods_and_paths_are_not_taken_from_headers() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let image = an_image(1, &[10]).await;
    push(&proxy, "team/app", "latest", &image).await;
    let of = path("team/app", "manifests/latest");
    let root = basic("root");
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        for method in ["GET", "POST"] {
            proxy
                .client()
                .request(method, &of, &[("Authorization", &root), (name, "DELETE"), ("Content-Length", "0")])
                .await;
        }
    }
    proxy.client().request("GET", &format!("{of}?_method=DELETE"), &[("Authorization", &root)]).await;
    as_user(&proxy, "root", "GET", &of).await.assert_body(&image.manifest.bytes);
    for name in ["X-Original-URL", "X-Rewrite-URL", "X-Original-URI", "X-Forwarded-Uri", "X-Forwarded-Path"] {
        let answer = proxy.client().request("GET", "/v2/", &[("Authorization", &root), (name, &of)]).await;
        answer.assert_status(200);
        assert_ne!(answer.body, image.manifest.bytes, "{name}");
        // Nor the other way round: a path that is free to all opens none that is not.
        proxy.client().request("GET", &of, &[(name, "/healthz")]).await.assert_error(401, "UNAUTHORIZED");
    }
    // The target with a host in it is the same target.
    let absolute = format!("http://elsewhere.example{of}");
    proxy.client().request("GET", &absolute, &[]).await.assert_error(401, "UNAUTHORIZED");
    as_user(&proxy, "nobody", "GET", &absolute).await.assert_error(403, "DENIED");
    // Clients send passwords to the realm: nobody but the Host that they came to, or the configuration, says where it is.
    let headers =
        [("X-Forwarded-Host", "thief.example"), ("X-Forwarded-Proto", "https"), ("Forwarded", "host=thief.example")];
    let answer = proxy.client().request("GET", "/v2/", &headers).await;
    answer.assert_error(401, "UNAUTHORIZED");
    assert!(answer.header("www-authenticate").unwrap().starts_with(&format!("Bearer realm=\"{}/token\"", proxy.url())));
    for host in ["a\",realm=\"http://thief.example", "a b", "a/b", "a@thief.example", "a?b", "a#b"] {
        let answer = proxy.client().as_host(host).request("GET", "/v2/", &[]).await;
        let challenge = answer.header("www-authenticate").unwrap_or_default().to_owned();
        assert!(matches!(answer.status, 400 | 401), "{host}: {}", answer.status);
        assert!(!challenge.contains("thief"), "{host}: {challenge}");
    }
}
