//! Too much, too slow, too many: whoever sends it is ended or waits, and others are served meanwhile.

use std::time::Duration;

use futures_util::future::{join_all, select_all};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{impatient, said_to, statuses};
use crate::bound::{until_async, within};
use crate::client::{Client, Exchange};
use crate::edge::{USERS, api, assert_fault, basic, guarded, signed_text};
use crate::proxy::{Setup, blob, manifest};
use crate::push::{path, push_blob};
use crate::upstream::{FakeUpstream, OCI_MANIFEST, sha256};

/// Manifests that name twenty thousand layers each: what they say is noted of some of them, and pushes have their turn meanwhile.
#[tokio::test]
async fn d13_manifests_of_many_layers_do_not_fill_the_database() {
    let upstream = FakeUpstream::start().await;
    let proxy = Setup::of(&upstream).start().await;
    let database = || {
        let sizes = ["entrepot.db", "entrepot.db-wal"].map(|name| std::fs::metadata(proxy.data_path().join(name)));
        sizes.into_iter().flatten().map(|found| found.len()).sum::<u64>()
    };
    let before = database();
    for tag in 0..3 {
        let layer = |n: u32| {
            let digest = sha256(format!("{tag} {n}").as_bytes());
            format!(r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{digest}","size":{n}}}"#)
        };
        let layers: Vec<_> = (0..19_999).map(layer).collect();
        let text = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","layers":[{}]}}"#, layers.join(","));
        upstream.manifest("many/layers", Some(&format!("t{tag}")), OCI_MANIFEST, text.clone());
        proxy.get(&manifest("many/layers", &format!("t{tag}"))).await.assert_body(text.as_bytes());
        push_blob(&proxy, "team/app", format!("pushed {tag}").as_bytes()).await.assert_status(201);
    }
    let grown = database().saturating_sub(before);
    assert!(grown < 8 << 20, "{} KiB for three manifests", grown >> 10);
}

/// `{}`.
const GZIPPED: &[u8] =
    &[0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 0x03, 0xab, 0xae, 0x05, 0, 0x43, 0xbf, 0xa6, 0xa3, 0x02, 0, 0, 0];

/// Sends the text, then a byte now and then, until the server has had enough.
async fn drip(mut stream: TcpStream, text: &str) -> String {
    let (mut reader, mut writer) = stream.split();
    let mut said = Vec::new();
    writer.write_all(text.as_bytes()).await.unwrap();
    let write = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if writer.write_all(b"a").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        _ = within("the server ends a slow head", reader.read_to_end(&mut said)) => {}
        () = write => {}
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn heads_that_come_a_byte_at_a_time_are_ended() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.http.text("header_timeout", "1s");
    let proxy = setup.start().await;
    let client = proxy.client();
    let slow = join_all((0..50).map(async |turn| {
        let text = ["G", "GET /v2/", "GET /v2/ HTTP/1.1\r\nHost: x\r\nX: "][turn % 3];
        drip(client.connect().await.unwrap(), text).await
    }));
    let others = async {
        for _ in 0..100 {
            proxy.get("/v2/").await.assert_status(200);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (said, ()) = tokio::join!(slow, others);
    assert!(said.iter().all(|said| !said.contains(" 200 ")), "{said:?}");
    // What could become the preface of HTTP/2 is no exception, though it is waited for in another place.
    let said = join_all(["P", "PR", "PRI"].map(async |text| {
        let mut stream = client.connect().await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        let _ = within("the server ends half a preface", stream.read_to_end(&mut said)).await;
        said.len()
    }));
    assert_eq!(said.await, [0, 0, 0]);
    // And one that is only split is understood.
    let mut stream = client.connect().await.unwrap();
    stream.write_all(b"P").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream.write_all(b"UT /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut said = String::new();
    within("an answer", stream.read_to_string(&mut said)).await.unwrap();
    assert_eq!(statuses(&said), ["405"]);
}

#[tokio::test]
async fn bodies_that_stop_are_given_up() {
    let upstream = FakeUpstream::start().await;
    let proxy = impatient(&upstream).await;
    let client = proxy.client();
    let stalled =
        async |head: String| said_to(&client, format!("POST {head}\r\nContent-Length: 100\r\n\r\n{{").as_bytes()).await;
    let credential = "AWS4-HMAC-SHA256 Credential=AKIAROOTROOTROOTROOT/20260101/eu-west-1/ecr/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=";
    let signed = format!(
        "/ HTTP/1.1\r\nHost: x\r\nX-Amz-Date: 20260101T000000Z\r\nX-Amz-Target: AmazonEC2ContainerRegistry_V20150921.DescribeRegistry\r\nAuthorization: {credential}{}",
        "0".repeat(64)
    );
    let form = "/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded".to_owned();
    let upload = format!(
        "/v2/team/app/blobs/uploads/?digest={} HTTP/1.1\r\nHost: x\r\nAuthorization: {}",
        sha256(b"x"),
        basic("root")
    );
    let others = async {
        for _ in 0..50 {
            proxy.get("/v2/").await.assert_status(401);
        }
    };
    let (api, form, upload, ()) = tokio::join!(stalled(signed), stalled(form), stalled(upload), others);
    for said in [api, form, upload] {
        assert!(matches!(statuses(&said).as_slice(), [] | ["400" | "408" | "499"]), "{said}");
    }
}

#[tokio::test]
async fn headers_have_a_number() {
    let upstream = FakeUpstream::start().await;
    let proxy = impatient(&upstream).await;
    let with = async |count: usize| {
        let headers: String = (0..count).map(|n| format!("x{n}: a\r\n")).collect();
        said_to(&proxy.client(), format!("GET /v2/ HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes()).await
    };
    for (count, status) in [(90, "401"), (150, "431"), (1000, "431"), (10_000, "431")] {
        let said = with(count).await;
        assert!(statuses(&said) == [status] || count == 10_000 && said.is_empty(), "{count}: {said}");
    }
    let long = format!("GET /v2/{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    let said = said_to(&proxy.client(), long.as_bytes()).await;
    assert!(matches!(statuses(&said).as_slice(), [] | ["414" | "431"]), "{said}");
    assert_eq!(statuses(&with(1).await), ["401"]);
}

/// Bytes are what they are: nothing that clients send is unpacked.
#[tokio::test]
async fn bodies_are_never_inflated() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let client = proxy.client();
    api(&client, "root", "DescribeRegistry", serde_json::json!({})).await.assert_status(200);
    let root = basic("root");
    for encoding in ["gzip", "br", "deflate", "zstd", "gzip, gzip"] {
        let encoded = |headers: &mut http::HeaderMap| {
            headers.insert("content-encoding", encoding.parse().unwrap());
        };
        signed_text(&client, "root", "DescribeRegistry", "{}", encoded).await.assert_status(200);
        // The name of a blob is the digest of what came.
        let headers = [("Authorization", root.as_str()), ("Content-Encoding", encoding)];
        let to = path("team/app", &format!("blobs/uploads/?digest={}", sha256(b"{}")));
        client.send("POST", &to, &headers, GZIPPED).await.assert_error(400, "DIGEST_INVALID");
        let to = path("team/app", &format!("blobs/uploads/?digest={}", sha256(GZIPPED)));
        client.send("POST", &to, &headers, GZIPPED).await.assert_status(201);
        let typed = [headers[0], headers[1], ("Content-Type", "application/vnd.oci.image.manifest.v1+json")];
        let put = client.send("PUT", &path("team/app", "manifests/latest"), &typed, GZIPPED).await;
        put.assert_error(400, "MANIFEST_INVALID");
        let form = [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Encoding", encoding)];
        assert_eq!(client.send("POST", "/token", &form, GZIPPED).await.status, 400);
    }
    let kept = client
        .request("GET", &path("team/app", &format!("blobs/{}", sha256(GZIPPED))), &[("Authorization", &root)])
        .await;
    kept.assert_body(GZIPPED);
    assert_eq!(kept.header("content-encoding"), None);
}

/// A part of a layer of 28 MiB, by somebody who knows no more than the name of a key.
async fn open_part(client: &Client, key: &str, address: &str) -> Exchange {
    let now = entrepot::auth::UnixTime::from(std::time::SystemTime::now());
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={key}/{}/eu-west-1/ecr/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature={}",
        now.day(),
        "0".repeat(64)
    );
    let headers = [
        ("Authorization", authorization.as_str()),
        ("X-Amz-Date", &now.basic()),
        ("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.UploadLayerPart"),
        ("Content-Length", "29360128"),
        ("X-Forwarded-For", address),
    ];
    client.open("POST", "/", &headers).await
}

#[tokio::test]
async fn large_bodies_of_nobody_are_not_read() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    // Answered before anything of the body has come.
    let answer = open_part(&proxy.client(), "AKIAABSENTABSENTABSE", "192.0.2.1").await.rest().await;
    assert_fault(&answer, "UnrecognizedClientException");
}

/// T31: room is taken by what comes, not by what is announced, and one client does not take all of it.
#[tokio::test]
async fn t31_room_for_bodies_is_taken_as_they_come_and_shared() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.more = format!("{USERS}\n[auth]\nfailed_logins = 1000\n");
    setup.http.texts("trusted_proxies", &["127.0.0.0/8"]).text("request_memory", "64MiB");
    let proxy = setup.start().await;
    let (client, key) = (proxy.client(), "AKIAROOTROOTROOTROOT");
    let mut announced = Vec::new();
    for _ in 0..20 {
        let mut exchange = open_part(&client, key, "192.0.2.1").await;
        exchange.write(b"{").await;
        announced.push(exchange);
    }
    let spaces = vec![b' '; 29_360_128];
    let mut next = open_part(&client, key, "192.0.2.1").await;
    next.write(&spaces).await;
    assert_fault(&next.rest().await, "InvalidSignatureException");
    // These do send it, but for the end, and fill the share of their address.
    let held: Vec<_> = (0..6)
        .map(|_| {
            Box::pin(async {
                let mut exchange = open_part(&client, key, "192.0.2.1").await;
                exchange.write(&spaces[..27 << 20]).await;
                exchange.rest().await
            })
        })
        .collect();
    let (answer, _, held) = select_all(held).await;
    assert_fault(&answer, "ThrottlingException");
    // What is small is not in their way, nor is another client.
    api(&client, "root", "DescribeRegistry", serde_json::json!({})).await.assert_status(200);
    let mut other = open_part(&client, key, "192.0.2.2").await;
    other.write(&spaces[..1 << 20]).await;
    let holds = async || proxy.metrics().await.with("entrepot_receiving_bytes", &[("what", "bodies")]);
    let before = holds().await;
    assert!(before <= 64.0 * 1024.0 * 1024.0);
    drop((held, announced));
    other.write(&spaces[1 << 20..]).await;
    assert_fault(&other.rest().await, "InvalidSignatureException");
    until_async("the room is given back", async || holds().await == 0.0).await;
}

/// The soft limit that shells begin with is not the program's.
#[tokio::test]
async fn more_connections_than_the_soft_limit_of_files() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image("team/app", "latest", 1, &[300_000]);
    let proxy = Setup::of(&upstream).prepare();
    proxy.write_config();
    let mut child = tokio::process::Command::new("/bin/sh")
        .args(["-c", "ulimit -S -n 200; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_entrepot"), "serve", "--config"])
        .arg(proxy.config_path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    crate::bound::until_async("it serves", async || match proxy.client().try_open("GET", "/v2/", &[]).await {
        Ok(mut exchange) => exchange.head().await.status == 200,
        Err(_) => false,
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(proxy.client().connect().await.unwrap());
    }
    proxy.get(&manifest("team/app", "latest")).await.assert_body(&image.manifest.bytes);
    proxy.get(&blob("team/app", &image.layer().digest)).await.assert_body(&image.layer().bytes);
    child.kill().await.unwrap();
}

/// Connections without a request, and such whose client does not come back.
#[tokio::test]
async fn ten_thousand_idle_connections() {
    const WANTED: u64 = 10_000;
    // Half of the limit is for this side's ends and whatever runs beside.
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(1 << 20);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(hard), maximum: Some(hard) });
    let count = WANTED.min(hard.saturating_sub(2000));
    if count < 4000 {
        return eprintln!("left out: this process may open {hard} files only");
    }
    if count < WANTED {
        eprintln!("{count} connections instead of {WANTED}: this process may open {hard} files only");
    }
    let upstream = FakeUpstream::start().await;
    let image = upstream.image("team/app", "latest", 1, &[3_000_000]);
    let mut setup = Setup::of(&upstream);
    setup
        .http
        .set("max_connections", count + 100)
        .set("max_connections_per_client", count + 100)
        .text("idle_timeout", "10m");
    let proxy = setup.start().await;
    proxy.get("/v2/").await.assert_status(200);
    let before = proxy.resident_bytes();
    let request = b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut answer = [0; 4096];
    let mut idle = Vec::new();
    for turn in 0..count {
        let mut stream = proxy.client().connect().await.unwrap();
        if turn % 2 == 0 {
            stream.write_all(request).await.unwrap();
            assert!(within("an answer", stream.read(&mut answer)).await.unwrap() > 0);
        }
        idle.push(stream);
    }
    let open = async || proxy.metrics().await.sum("entrepot_http_connections");
    crate::bound::until_async("all are open", async || open().await >= count as f64).await;
    let each = proxy.resident_bytes().saturating_sub(before) / count;
    eprintln!("{count} idle connections, {each} bytes each");
    assert!(each < 32 << 10, "{each} bytes for each idle connection");
    // A pull is as ever, and those that waited are there still.
    proxy.get(&manifest("team/app", "latest")).await.assert_body(&image.manifest.bytes);
    proxy.get(&blob("team/app", &image.layer().digest)).await.assert_body(&image.layer().bytes);
    for stream in idle.iter_mut().step_by(97) {
        stream.write_all(request).await.unwrap();
        assert!(within("an answer", stream.read(&mut answer)).await.unwrap() > 0);
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    }
    drop(idle);
    crate::bound::until_async("all are gone", async || open().await < 100.0).await;
}

/// PostgreSQL takes no NUL in a text: what is no name is refused before it is asked for.
#[tokio::test]
async fn g16_markers_with_control_characters_are_refused() {
    let upstream = FakeUpstream::start().await;
    let proxy = crate::proxy::Proxy::of(&upstream).await;
    let digest = crate::upstream::sha256(b"x");
    for path in [
        "/v2/_catalog?last=%00".to_owned(),
        "/v2/_catalog?last=a%1f".to_owned(),
        "/v2/team/app/tags/list?last=%00".to_owned(),
        format!("/v2/team/app/referrers/{digest}?artifactType=%00"),
    ] {
        proxy.get(&path).await.assert_error(400, "PAGINATION_NUMBER_INVALID");
    }
}
