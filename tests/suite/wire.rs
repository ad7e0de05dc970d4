//! The listener's limits, and what operators see of requests.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bound::{until_async, within};
use crate::proxy::{Proxy, Setup, blob, manifest};
use crate::upstream::{FakeUpstream, noise};

const REPO: &str = "team/app";

/// What the server says until it closes.
async fn said_before_closing(stream: &mut tokio::net::TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = within("the server closes", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up() {
    let upstream = FakeUpstream::start().await;
    let bytes = noise(1, 12 << 20);
    let digest = upstream.blob(REPO, bytes.clone());
    let mut setup = Setup::of(&upstream);
    setup.http.text("stall_timeout", "1s");
    let proxy = setup.start().await;
    let mut stalled = proxy.client().slow().open("GET", &blob(REPO, &digest), &[]).await;
    stalled.read(1000).await;
    // Another one is not given up, and the fill is not either.
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    until_async("the request has ended", async || proxy.metrics().await.sum("entrepot_http_requests_in_flight") == 0.0)
        .await;
    let answer = stalled.rest().await;
    assert!(!answer.complete);
    assert_eq!(upstream.count("GET", &digest), 1);
}

#[tokio::test]
async fn a_client_that_takes_a_little_is_not_given_up() {
    let upstream = FakeUpstream::start().await;
    let bytes = noise(1, 12 << 20);
    let digest = upstream.blob(REPO, bytes.clone());
    let mut setup = Setup::of(&upstream);
    setup.http.text("stall_timeout", "2s");
    let proxy = setup.start().await;
    let mut slow = proxy.client().slow().open("GET", &blob(REPO, &digest), &[]).await;
    // Longer than the deadline in all, never as long between two reads.
    for _ in 0..12 {
        let more = slow.received.len() + (200 << 10);
        slow.read(more).await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    slow.rest().await.assert_body(&bytes);
}

#[tokio::test]
async fn half_a_head_is_not_waited_for() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.http.text("header_timeout", "500ms");
    let proxy = setup.start().await;
    let mut stream = proxy.client().connect().await.unwrap();
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    assert!(!said_before_closing(&mut stream).await.contains(" 200 "));
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.http.text("idle_timeout", "500ms").text("header_timeout", "500ms");
    let proxy = setup.start().await;
    let mut stream = proxy.client().connect().await.unwrap();
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(said_before_closing(&mut stream).await.contains(" 200 "));
}

#[tokio::test]
async fn heads_have_a_size_limit() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.http.text("max_header_bytes", "8KiB");
    let proxy = setup.start().await;
    let large = "x".repeat(20_000);
    let answer = proxy.client().request("GET", "/v2/", &[("X-Large", &large)]).await;
    assert!(matches!(answer.status, 0 | 400 | 431), "{}", answer.status);
    proxy.get("/v2/").await.assert_status(200);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.http.set("max_connections", 2).set("max_connections_per_client", 2);
    let proxy = setup.start().await;
    let mut taken = Vec::new();
    for _ in 0..2 {
        let mut stream = proxy.client().connect().await.unwrap();
        stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut start = [0; 12];
        within("an answer", stream.read_exact(&mut start)).await.unwrap();
        taken.push(stream);
    }
    let mut third = proxy.client().open("GET", "/v2/", &[]).await;
    // The operators' listener has places of its own.
    proxy.admin().get("/readyz").await.assert_status(200);
    drop(taken.pop());
    assert_eq!(third.head().await.status, 200);
}

#[tokio::test]
async fn garbage_is_refused_and_hurts_nobody() {
    let upstream = FakeUpstream::start().await;
    let proxy = Proxy::of(&upstream).await;
    for text in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /v2/ HTTP/9.9\r\n\r\n",
        "BREW /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /v2/\u{7f}/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /v2/%ff%00%2e%2e/manifests/latest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET http://169.254.169.254/v2/a/manifests/latest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ] {
        let mut stream = proxy.client().connect().await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let answer = said_before_closing_or_silent(&mut stream).await;
        assert!(!answer.starts_with("HTTP/1.1 5"), "{text:?}: {answer}");
    }
    proxy.get("/v2/").await.assert_status(200);
    assert_eq!(upstream.connections(), 0);
}

/// As above, for a server that may keep the connection.
async fn said_before_closing_or_silent(stream: &mut tokio::net::TcpStream) -> String {
    let mut answer = vec![0; 4096];
    stream.shutdown().await.unwrap();
    let count = within("an answer or an end", stream.read(&mut answer)).await.unwrap_or(0);
    String::from_utf8_lossy(&answer[..count]).into_owned()
}

#[tokio::test]
async fn access_lines_are_json_where_it_is_asked() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[300_000]);
    let mut setup = Setup::of(&upstream);
    setup.log.text("format", "json");
    let mut proxy = setup.start().await;
    let path = blob(REPO, &image.layer().digest);
    proxy.get(&manifest(REPO, "latest")).await.assert_status(200);
    let id = proxy.get(&path).await.header("x-request-id").unwrap().to_owned();
    proxy.kept(&image.layer().digest).await;
    proxy.get(&path).await.assert_status(200);
    proxy.get(&manifest(REPO, "absent")).await.assert_status(404);
    assert!(proxy.terminate().await.success());
    let log = proxy.log();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect();
    let of_path: Vec<_> = lines.iter().filter(|line| line["path"] == path.as_str()).collect();
    assert_eq!(of_path.len(), 2, "one line a request");
    assert_eq!(of_path[0]["request_id"], id.as_str());
    assert_eq!(of_path[0]["cache"], "miss");
    // The fill may be coming to its end still.
    assert!(of_path[1]["cache"] == "hit" || of_path[1]["cache"] == "coalesced");
    for line in &of_path {
        assert_eq!(line["status"].as_u64(), Some(200), "{line}");
        assert_eq!(line["bytes"].as_u64(), Some(300_000), "{line}");
        assert_eq!(line["method"], "GET");
        assert_eq!(line["upstream"], crate::proxy::HUB);
    }
}

#[tokio::test]
async fn the_environment_goes_before_the_file() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.cache.text("disk", "10MiB");
    setup.environment.insert("ENTREPOT_CACHE__DISK".to_owned(), "11MiB".to_owned());
    let proxy = setup.start().await;
    let limit = proxy.metrics().await.with("entrepot_cache_limit_bytes", &[("tier", "disk")]);
    assert_eq!(limit, f64::from(11 << 20));
}

#[tokio::test]
async fn healthcheck_asks_the_running_process() {
    let upstream = FakeUpstream::start().await;
    let mut proxy = Proxy::of(&upstream).await;
    for running in [true, false] {
        for more in [&[][..], &["--ready"][..]] {
            let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_entrepot"));
            command.arg("healthcheck").arg("--config").arg(proxy.config_path()).args(more);
            let output = within("healthcheck", command.output()).await.unwrap();
            assert_eq!(output.status.success(), running, "{output:?}");
        }
        if running {
            proxy.terminate().await;
        }
    }
}
