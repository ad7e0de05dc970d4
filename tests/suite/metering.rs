//! Who used how much: what the program says after clients did what they did.
//!
//! What is read exactly is read after SIGTERM: then every request has ended, and everything that was counted is written.

use base64::Engine;
use serde_json::{Value, json};

use crate::bound::until_async;
use crate::bucket::{a_database, in_bucket, prefix, server};
use crate::edge::{api, as_user, guarded};
use crate::proxy::{HUB, Proxy, Setup, blob, manifest};
use crate::push::{an_image, assert_image, begin, path, push_blob, push_image, push_manifest};
use crate::upstream::{Behaviour, FakeUpstream, Gate, Image, noise, sha256};

const REPO: &str = "team/app";
const LEN: usize = 1 << 20;

/// `entrepot usage` with these arguments.
fn cli(proxy: &Proxy, arguments: &[&str]) -> Value {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_entrepot"))
        .args(["usage", "--output", "json", "--config"])
        .arg(proxy.config_path())
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What is counted of one repository or principal.
fn line<'a>(report: &'a Value, key: &str, name: &str) -> &'a Value {
    let lines = report["lines"].as_array().unwrap();
    lines.iter().find(|line| line[key] == name).unwrap_or_else(|| panic!("nothing of {name}: {report}"))
}

/// These numbers of a line.
#[track_caller]
fn assert_counts(line: &Value, expected: &[(&str, i64)]) {
    for (key, count) in expected {
        assert_eq!(line[key].as_i64(), Some(*count), "{key} of {line}");
    }
}

/// Everything counted so far is written, and stock is taken.
async fn take_stock(proxy: &Proxy) -> Value {
    let run = proxy.admin().get("/jobs/usage").await.json()["run"].as_u64().unwrap();
    // Once: a job that is asked for while it runs is due again, so that one that is asked for all the time always is.
    proxy.admin().send("POST", "/jobs/usage", &[], b"").await.assert_status(202);
    let mut state = Value::Null;
    until_async("stock is taken", async || {
        state = proxy.admin().get("/jobs/usage").await.json();
        state["run"].as_u64() > Some(run) && state["running"] == false
    })
    .await;
    assert_eq!(state["error"], Value::Null);
    state["result"].clone()
}

async fn nothing_in_flight(proxy: &Proxy) {
    until_async("all requests have ended", async || {
        proxy.metrics().await.sum("entrepot_http_requests_in_flight") == 0.0
    })
    .await;
}

fn bytes_of(image: &Image) -> i64 {
    let parts = image.layers.iter().chain([&image.config, &image.manifest]);
    parts.map(|part| part.bytes.len() as i64).sum()
}

#[tokio::test]
async fn what_is_pushed_and_pulled() {
    let upstream = FakeUpstream::start().await;
    let mut proxy = Proxy::of(&upstream).await;
    let image = an_image(1, &[1000, LEN]).await;
    let (all, layer) = (bytes_of(&image), &image.layers[1]);
    push_image(&proxy, REPO, "latest", &image).await;
    assert_image(&proxy, REPO, "latest", &image).await;
    // What is described is not sent.
    proxy.head(&path(REPO, "manifests/latest")).await.assert_status(200);
    let blob = path(REPO, &format!("blobs/{}", layer.digest));
    proxy.head(&blob).await.assert_status(200);
    proxy.client().get_range(&blob, "bytes=100-199").await.assert_bytes(206, &layer.bytes[100..200]);
    let parts = proxy.client().get_range(&blob, "bytes=0-9,50-59").await;
    parts.assert_status(206);
    // What is refused does not count, and names that mean nothing leave nothing.
    for refused in [path(REPO, "manifests/none"), path("no/such", "manifests/x"), manifest("no/such", "x")] {
        proxy.get(&refused).await.assert_status(404);
    }
    proxy.client().get_range(&blob, "bytes=9000000-").await.assert_status(416);
    // But for what it brought.
    let wrong = format!("{}?digest={}", begin(&proxy, REPO).await, sha256(b"right"));
    proxy.client().send("PUT", &wrong, &[], b"wrong").await.assert_error(400, "DIGEST_INVALID");
    let stock = take_stock(&proxy).await;
    assert_eq!(stock, json!({ "repositories": 1, "bytes": all, "removed": 0 }));
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.sum("entrepot_metered_stored_bytes"), all as f64);
    assert!(proxy.terminate().await.success());
    let first = [
        ("requests", 3 * 2 + 1 + 4 + 2 + 2 + 1),
        ("pulls", 1),
        ("pushes", 1),
        ("received_bytes", all + 5),
        ("sent_bytes", all + 100 + parts.body.len() as i64),
        ("fetched_bytes", 0),
        ("saved_bytes", 0),
        ("stored_bytes", all),
    ];
    let report = cli(&proxy, &[]);
    assert_counts(line(&report, "repository", REPO), &first);
    assert_counts(&report["total"], &first);
    assert_eq!(report["lines"].as_array().unwrap().len(), 1, "{report}");
    assert_counts(line(&cli(&proxy, &["--by", "principal"]), "principal", "anonymous"), &first[..6]);
    assert!(cli(&proxy, &["--repository", "other/*"])["lines"].as_array().unwrap().is_empty());
    // Another process adds to it.
    proxy.start().await;
    assert_image(&proxy, REPO, "latest", &image).await;
    assert!(proxy.terminate().await.success());
    let sent = 2 * all + 100 + parts.body.len() as i64;
    let report = cli(&proxy, &["--repository", "team/*", "--since", "2d"]);
    assert_counts(
        line(&report, "repository", REPO),
        &[("pulls", 2), ("sent_bytes", sent), ("received_bytes", all + 5)],
    );
    let hours = cli(&proxy, &["--by", "hour"]);
    let sum: i64 = hours["lines"].as_array().unwrap().iter().map(|line| line["sent_bytes"].as_i64().unwrap()).sum();
    assert_eq!(sum, sent);
}

#[tokio::test]
async fn what_operators_ask() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.more = "[metering]\nmax_keys = 1\n".to_owned();
    let proxy = setup.start().await;
    let names: Vec<_> = (0..10).map(|n| format!("team/app{n}")).collect();
    for name in &names {
        push_blob(&proxy, name, &noise(1, 1000)).await.assert_status(201);
    }
    nothing_in_flight(&proxy).await;
    take_stock(&proxy).await;
    let report = proxy.admin().get("/usage").await.json();
    // There is one row at a time; what it holds is known of each all the same.
    let nobodys = line(&report, "repository", "*");
    for name in &names {
        assert_counts(line(&report, "repository", name), &[("stored_bytes", 1000), ("sent_bytes", 0)]);
    }
    assert_counts(&report["total"], &[("requests", 20), ("received_bytes", 10_000), ("stored_bytes", 10_000)]);
    let told = cli(&proxy, &[]);
    assert_eq!((&told["lines"], &told["total"]), (&report["lines"], &report["total"]), "the same while it serves");
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.with("entrepot_metered_bytes_total", &[("direction", "received")]), 10_000.0);
    assert_eq!(Some(metrics.sum("entrepot_metering_unnamed_total")), nobodys["requests"].as_f64());
    assert_eq!(metrics.with("entrepot_metering_writes_total", &[("result", "failed")]), 0.0);
    assert!(!proxy.admin().get("/metrics").await.text().contains("team/"), "names are no labels");
    let by = proxy.admin().get("/usage?by=principal&since=7d&repository=other%2F*").await.json();
    assert!(by["lines"].as_array().unwrap().is_empty());
    for wrong in ["?by=day", "?since=yesterday", "?since=1h&until=2h", "?repository=A", "?x=1"] {
        proxy.admin().get(&format!("/usage{wrong}")).await.assert_status(400);
    }
    assert_eq!(proxy.admin().send("POST", "/usage", &[], b"").await.status, 405);
    assert_eq!(proxy.get("/usage").await.status, 404, "not where clients are");
}

#[tokio::test]
async fn nothing_counts_where_it_is_turned_off() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.more = "[metering]\nenabled = false\n".to_owned();
    let mut proxy = setup.start().await;
    push_blob(&proxy, REPO, b"some").await.assert_status(201);
    take_stock(&proxy).await;
    assert!(proxy.terminate().await.success());
    let report = cli(&proxy, &[]);
    assert_counts(&report["total"], &[("requests", 0), ("received_bytes", 0), ("stored_bytes", 0)]);
}

/// Two clients want the same cold blob: it is fetched once, sent twice, and so saved once.
#[tokio::test]
async fn a_cold_blob_for_two() {
    let upstream = FakeUpstream::start().await;
    let image = upstream.image(REPO, "latest", 1, &[LEN]);
    let layer = image.layer();
    let gate = Gate::new();
    upstream.on("GET", &layer.digest, Behaviour::usual().gate_at(LEN as u64 / 2, &gate));
    let mut proxy = Proxy::of(&upstream).await;
    for _ in 0..2 {
        proxy.get(&manifest(REPO, "latest")).await.assert_body(&image.manifest.bytes);
    }
    let path = blob(REPO, &layer.digest);
    let (mut one, mut two) =
        (proxy.client().open("GET", &path, &[]).await, proxy.client().open("GET", &path, &[]).await);
    one.read(1000).await;
    two.read(1000).await;
    gate.open();
    one.rest().await.assert_body(&layer.bytes);
    two.rest().await.assert_body(&layer.bytes);
    proxy.kept(&layer.digest).await;
    assert!(proxy.terminate().await.success());
    let once = (image.manifest.bytes.len() + layer.bytes.len()) as i64;
    let report = cli(&proxy, &[]);
    let expected = [
        ("requests", 4),
        ("pulls", 2),
        ("fetched_bytes", once),
        ("sent_bytes", 2 * once),
        ("saved_bytes", once),
        ("received_bytes", 0),
        ("stored_bytes", 0),
    ];
    assert_counts(line(&report, "repository", &format!("{HUB}/{REPO}")), &expected);
    let principals = cli(&proxy, &["--by", "principal"]);
    assert_counts(line(&principals, "principal", "-"), &[("requests", 0), ("fetched_bytes", once), ("sent_bytes", 0)]);
    assert_counts(line(&principals, "principal", "anonymous"), &[("fetched_bytes", 0), ("sent_bytes", 2 * once)]);
    assert_eq!(principals["lines"][0]["saved_bytes"], Value::Null);
    // Warm, everything is saved, whichever way the repository is named.
    proxy.start().await;
    proxy.client().get_range(&path, "bytes=0-999").await.assert_status(206);
    let by_namespace = format!("/v2/{REPO}/blobs/{}?ns={HUB}", layer.digest);
    proxy.client().get_range(&by_namespace, "bytes=0-999").await.assert_status(206);
    assert!(proxy.terminate().await.success());
    let report = cli(&proxy, &[]);
    let expected = [("requests", 6), ("fetched_bytes", once), ("saved_bytes", once + 2000)];
    assert_counts(line(&report, "repository", &format!("{HUB}/{REPO}")), &expected);
    assert_counts(&report["total"], &expected);
}

/// A fill that upstream broke off counts with all that came, in several answers.
#[tokio::test]
async fn a_blob_that_comes_in_two_parts() {
    let upstream = FakeUpstream::start().await;
    let bytes = noise(3, LEN);
    let digest = upstream.blob(REPO, bytes.clone());
    upstream.on("GET", &digest, Behaviour::usual().cut_after(LEN as u64 / 2).once());
    let mut proxy = Proxy::of(&upstream).await;
    proxy.get(&blob(REPO, &digest)).await.assert_body(&bytes);
    proxy.kept(&digest).await;
    assert!(proxy.terminate().await.success());
    assert_counts(&cli(&proxy, &[])["total"], &[("fetched_bytes", LEN as i64), ("saved_bytes", 0)]);
}

/// Who leaves in the middle has used what was sent, and sent what came.
#[tokio::test]
async fn clients_that_leave() {
    const LARGE: usize = 64 << 20;
    let upstream = FakeUpstream::start().await;
    let bytes = noise(2, LEN);
    let digest = upstream.blob(REPO, bytes.clone());
    let gate = Gate::new();
    upstream.on("GET", &digest, Behaviour::usual().gate_at(LEN as u64 / 2, &gate));
    let mut proxy = Proxy::of(&upstream).await;
    // Of a growing file.
    let mut exchange = proxy.client().open("GET", &blob(REPO, &digest), &[]).await;
    exchange.read(LEN / 4).await;
    exchange.reset();
    nothing_in_flight(&proxy).await;
    gate.open();
    proxy.kept(&digest).await;
    // Of a file that leaves by sendfile.
    let large = noise(5, LARGE);
    push_blob(&proxy, "team/large", &large).await.assert_status(201);
    let mut exchange =
        proxy.client().slow().open("GET", &path("team/large", &format!("blobs/{}", sha256(&large))), &[]).await;
    exchange.read(LEN).await;
    exchange.reset();
    // In the middle of a push.
    let upload = begin(&proxy, "team/broken").await;
    let mut exchange = proxy.client().open("PATCH", &upload, &[("Content-Length", "1000")]).await;
    exchange.write(&[b'x'; 400]).await;
    until_async("some of it has come", async || {
        proxy.client().request("GET", &upload, &[]).await.status == 204
            && proxy.metrics().await.sum("entrepot_http_requests_in_flight") == 1.0
    })
    .await;
    drop(exchange);
    nothing_in_flight(&proxy).await;
    assert!(proxy.terminate().await.success());
    let report = cli(&proxy, &[]);
    let growing = line(&report, "repository", &format!("{HUB}/{REPO}"));
    let sent = growing["sent_bytes"].as_u64().unwrap();
    assert!((LEN as u64 / 4..=LEN as u64 / 2).contains(&sent), "{growing}");
    assert_counts(growing, &[("fetched_bytes", LEN as i64), ("saved_bytes", sent as i64 - LEN as i64)]);
    let file = line(&report, "repository", "team/large");
    let sent = file["sent_bytes"].as_u64().unwrap();
    assert!((LEN as u64..LARGE as u64).contains(&sent), "{file}");
    assert_counts(line(&report, "repository", "team/broken"), &[("received_bytes", 400), ("pushes", 0)]);
}

/// By name and password and by the API, each for themselves; what is denied leaves nothing.
#[tokio::test]
async fn each_principal_for_themselves() {
    const ROOT: &str = "arn:aws:iam::000000000000:user/root";
    const READER: &str = "arn:aws:iam::000000000000:user/reader";
    let upstream = FakeUpstream::start().await;
    let theirs = upstream.image("their/app", "latest", 9, &[10]);
    let mut proxy = guarded(&upstream).await;
    let client = proxy.client();
    let image = an_image(1, &[50_000]).await;
    let call = async |operation: &str, input: Value| {
        let answer = api(&client, "root", operation, input).await;
        answer.assert_status(200);
        answer.json()
    };
    call("CreateRepository", json!({ "repositoryName": REPO })).await;
    let mut received = 0;
    for part in image.layers.iter().chain([&image.config]) {
        let id = call("InitiateLayerUpload", json!({ "repositoryName": REPO })).await["uploadId"].clone();
        let encoded = base64::engine::general_purpose::STANDARD.encode(&part.bytes);
        received += encoded.len() as i64;
        let last = part.bytes.len() - 1;
        let input = json!({ "repositoryName": REPO, "uploadId": id, "partFirstByte": 0, "partLastByte": last,
            "layerPartBlob": encoded });
        call("UploadLayerPart", input).await;
        let input = json!({ "repositoryName": REPO, "uploadId": id, "layerDigests": [part.digest] });
        call("CompleteLayerUpload", input).await;
    }
    let text = String::from_utf8(image.manifest.bytes.to_vec()).unwrap();
    call(
        "PutImage",
        json!({ "repositoryName": REPO, "imageManifest": text, "imageTag": "latest",
        "imageManifestMediaType": image.media_type }),
    )
    .await;
    let id = json!([{ "imageTag": "latest" }]);
    call("BatchGetImage", json!({ "repositoryName": REPO, "imageIds": id })).await;
    let input = json!({ "repositoryName": REPO, "layerDigest": image.layer().digest });
    let url = call("GetDownloadUrlForLayer", input).await["downloadUrl"].as_str().unwrap().to_owned();
    let layer = url.strip_prefix(&proxy.url()).unwrap();
    as_user(&proxy, "reader", "GET", layer).await.assert_body(&image.layer().bytes);
    as_user(&proxy, "reader", "GET", &manifest("their/app", "latest")).await.assert_body(&theirs.manifest.bytes);
    as_user(&proxy, "nobody", "GET", &path(REPO, "manifests/latest")).await.assert_status(403);
    proxy.get(&path(REPO, "manifests/latest")).await.assert_status(401);
    let refused = json!({ "repositoryName": "no/such", "imageIds": id });
    assert_eq!(api(&client, "root", "BatchGetImage", refused).await.status, 400);
    assert!(proxy.terminate().await.success());
    let report = cli(&proxy, &["--by", "principal"]);
    let root = line(&report, "principal", ROOT);
    assert_counts(root, &[("requests", 1 + 2 * 3 + 1 + 1 + 1), ("pulls", 1), ("pushes", 1)]);
    // Bodies as they come: JSON around base64.
    let more = root["received_bytes"].as_i64().unwrap() - received;
    assert!((0..10_000).contains(&more), "{root}");
    let sent = image.layer().bytes.len() + theirs.manifest.bytes.len();
    assert_counts(line(&report, "principal", READER), &[("requests", 2), ("pulls", 1), ("sent_bytes", sent as i64)]);
    assert_eq!(report["lines"].as_array().unwrap().len(), 3, "the third fetched: {report}");
    let report = cli(&proxy, &[]);
    assert_eq!(report["lines"].as_array().unwrap().len(), 2, "{report}");
}

#[tokio::test]
async fn clients_that_are_sent_to_the_bucket() {
    let Some(endpoint) = server("TEST_S3_URL") else { return };
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    in_bucket(&mut setup, &endpoint, &prefix());
    setup.redirect();
    let mut proxy = setup.start().await;
    let image = an_image(1, &[LEN]).await;
    push_image(&proxy, REPO, "latest", &image).await;
    let layer = path(REPO, &format!("blobs/{}", image.layer().digest));
    proxy.get(&layer).await.assert_status(307);
    proxy.head(&layer).await.assert_status(200);
    assert!(proxy.terminate().await.success());
    let all = bytes_of(&image);
    let expected = [("sent_bytes", LEN as i64), ("received_bytes", all), ("saved_bytes", 0)];
    assert_counts(line(&cli(&proxy, &[]), "repository", REPO), &expected);
}

/// Each adds its own to the same rows, also when both come to an end at the same time.
#[tokio::test]
async fn two_replicas() {
    let (Some(endpoint), Some(database)) = (server("TEST_S3_URL"), server("TEST_POSTGRES_URL")) else { return };
    let upstream = FakeUpstream::start().await;
    let theirs = upstream.image("their/app", "latest", 9, &[LEN]);
    let (prefix, database) = (prefix(), a_database(&database).await);
    let start = async || {
        let mut setup = Setup::of(&upstream);
        in_bucket(&mut setup, &endpoint, &prefix);
        setup.meta.text("url", &database);
        setup.start().await
    };
    let (mut one, mut two): (Proxy, Proxy) = (start().await, start().await);
    let image = an_image(1, &[LEN]).await;
    push_image(&one, REPO, "latest", &image).await;
    for proxy in [&one, &two] {
        assert_image(proxy, REPO, "latest", &image).await;
        proxy.get(&blob("their/app", &theirs.layer().digest)).await.assert_body(&theirs.layer().bytes);
    }
    push_manifest(&two, REPO, "again", image.media_type, &image.manifest.bytes).await.assert_status(201);
    for proxy in [&one, &two] {
        take_stock(proxy).await;
    }
    let (one_ended, two_ended) = tokio::join!(one.terminate(), two.terminate());
    assert!(one_ended.success() && two_ended.success());
    let (all, len) = (bytes_of(&image), LEN as i64);
    let report = cli(&one, &[]);
    let expected = [
        ("pulls", 2),
        ("pushes", 2),
        ("sent_bytes", 2 * all),
        ("received_bytes", all + image.manifest.bytes.len() as i64),
        ("stored_bytes", all),
    ];
    assert_counts(line(&report, "repository", REPO), &expected);
    // The bucket gave the second replica what the first had fetched.
    let expected = [("fetched_bytes", len), ("sent_bytes", 2 * len), ("saved_bytes", len)];
    assert_counts(line(&report, "repository", &format!("{HUB}/their/app")), &expected);
    assert_eq!(report, cli(&two, &[]));
}
