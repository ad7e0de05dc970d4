//! Other spellings of a name that is denied: the same decision, or no such thing, and never the bytes.

use serde_json::json;

use super::ACCOUNT;
use crate::edge::{api, as_user, assert_fault, basic, guarded, push, token};
use crate::proxy::{HUB, Proxy, manifest};
use crate::push::{an_image, path};
use crate::upstream::{FakeUpstream, Image};

const PRIVATE: &str = "team/private";

/// `reader` may pull everything but one repository; a repository beside it is theirs.
async fn with_a_private_repository(upstream: &FakeUpstream) -> (Proxy, Image) {
    let proxy = guarded(upstream).await;
    let image = an_image(1, &[1000]).await;
    push(&proxy, PRIVATE, "latest", &image).await;
    push(&proxy, "team/open", "latest", &an_image(2, &[10]).await).await;
    let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Deny",
        "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:user/reader") }, "Action": "ecr:*" }] });
    let set = json!({ "repositoryName": PRIVATE, "policyText": policy.to_string() });
    api(&proxy.client(), "root", "SetRepositoryPolicy", set).await.assert_status(200);
    (proxy, image)
}

/// Everything that has been tried on somebody's registry to name `a/b` otherwise.
fn spellings(name: &str) -> Vec<String> {
    let (first, last) = name.split_once('/').unwrap();
    let mut all = vec![
        format!("{first}//{last}"),
        format!("/{first}/{last}"),
        format!("//{first}/{last}"),
        format!("{first}/{last}/"),
        format!("{first}/./{last}"),
        format!("./{first}/{last}"),
        format!("{first}/open/../{last}"),
        format!("{first}/%2e%2e/{first}/{last}"),
        format!("{first}/%2E/{last}"),
        format!("{first}/open/%2e%2e/{last}"),
        format!("{first}/open/..%2f{last}"),
        format!("{first}/open%2f..%2f{last}"),
        format!("{first}/open/%252e%252e/{last}"),
        format!("{first}%2f{last}"),
        format!("{first}%2F{last}"),
        format!("{first}%252f{last}"),
        format!("{first}%5c{last}"),
        format!("{first}\\{last}"),
        format!("{first}/{last};x=1"),
        format!("{first};x=1/{last}"),
        format!("{first}/{last}%00"),
        format!("{first}/{last}%20"),
        format!("{first}/{last}%09"),
        format!("{first}/{last}."),
        format!("{first}/{last}%0d%0a"),
        format!("{first}/{last}%23"),
        format!("{first}/{last}%3f"),
        // Overlong UTF-8 of `/` and of `.`, and letters that fold or decompose to ASCII.
        format!("{first}%c0%af{last}"),
        format!("{first}%e0%80%af{last}"),
        format!("{first}/open/%c0%ae%c0%ae/{last}"),
        format!("{first}/{}%c4%b1{}", &last[..2], &last[3..]),
        format!("{first}/%ef%bd%90{}", &last[1..]),
        format!("{first}/%u0070{}", &last[1..]),
        format!("{first}/{last}%cc%81"),
        name.to_ascii_uppercase(),
        format!("{}{}", name[..1].to_ascii_uppercase(), &name[1..]),
        // Escapes of plain letters.
        format!("{first}/%70{}", &last[1..]),
        name.bytes().map(|byte| format!("%{byte:02x}")).collect(),
        // Names that lead back through an endpoint's word.
        format!("{first}/open/manifests/../../{last}"),
        format!("{first}/open/blobs/%2e%2e/%2e%2e/{last}"),
    ];
    all.extend([format!("{HUB}/../{name}"), format!("{HUB}/%2e%2e/{name}"), format!("{HUB}//{name}")]);
    all
}

#[tokio::test]
async fn no_spelling_goes_around_a_deny() {
    let upstream = FakeUpstream::start().await;
    let (proxy, image) = with_a_private_repository(&upstream).await;
    let layer = &image.layer().digest;
    let ends = [
        "manifests/latest".to_owned(),
        format!("manifests/{}", image.manifest.digest),
        format!("blobs/{layer}"),
        "tags/list".to_owned(),
    ];
    // The name as it is: root may, the reader may not.
    for end in &ends {
        as_user(&proxy, "root", "GET", &path(PRIVATE, end)).await.assert_status(200);
        assert_eq!(as_user(&proxy, "reader", "GET", &path(PRIVATE, end)).await.status, 403);
    }
    let reader = basic("reader");
    for name in spellings(PRIVATE) {
        for end in &ends {
            let tried = path(&name, end);
            let answer = as_user(&proxy, "reader", "GET", &tried).await;
            assert!((400..500).contains(&answer.status), "{tried}: {}", answer.status);
            assert!(answer.body != image.manifest.bytes && answer.body != image.layer().bytes, "{tried}");
            let anonymous = proxy.get(&tried).await;
            assert!((400..500).contains(&anonymous.status), "{tried}: {}", anonymous.status);
        }
        for (method, end) in [("PUT", "manifests/new"), ("POST", "blobs/uploads/"), ("DELETE", "manifests/latest")] {
            let tried = path(&name, end);
            let headers = [("Authorization", reader.as_str()), ("Content-Type", image.media_type)];
            let answer = proxy.client().send(method, &tried, &headers, &image.manifest.bytes).await;
            assert!((400..500).contains(&answer.status), "{method} {tried}: {}", answer.status);
        }
    }
    // The start of the path and its end, spelled otherwise.
    for tried in [
        format!("/V2/{PRIVATE}/manifests/latest"),
        format!("/v2//{PRIVATE}/manifests/latest"),
        format!("//v2/{PRIVATE}/manifests/latest"),
        format!("/./v2/{PRIVATE}/manifests/latest"),
        format!("/%76%32/{PRIVATE}/manifests/latest"),
        format!("/v1/../v2/{PRIVATE}/manifests/latest"),
        format!("/token/../v2/{PRIVATE}/manifests/latest"),
        format!("/v2/{PRIVATE}/manifests/latest/"),
        format!("/v2/{PRIVATE}/manifests//latest"),
        format!("/v2/{PRIVATE}/Manifests/latest"),
        format!("/v2/{PRIVATE}/manifests%2flatest"),
        format!("/v2/{PRIVATE}/manifests/latest%00"),
        format!("/v2/{PRIVATE}/manifests/latest;x"),
        "/v2/team/open/manifests/..%2f..%2fprivate%2fmanifests%2flatest".to_owned(),
        "/v2/team/open/manifests/../../private/manifests/latest".to_owned(),
        format!("/v2/team/open/blobs/..%2f..%2fprivate%2fblobs%2f{layer}"),
        format!("/v2/team/open/blobs/sha256:..%2f..%2f{}", &layer[7..]),
        format!("/v2/team/open/blobs/{}", layer.to_ascii_uppercase()),
        format!("/v2/team/open/blobs/{layer}"),
        format!("/v2/team/open/manifests/{}", image.manifest.digest),
        format!("/v2/{PRIVATE}/manifests/latest?ns="),
        format!("/v2/{PRIVATE}/manifests/latest?ns={HUB}"),
        "/v2/private/manifests/latest?ns=team".to_owned(),
        format!("/v2/{PRIVATE}/manifests/latest?repository=team/open"),
    ] {
        let answer = as_user(&proxy, "reader", "GET", &tried).await;
        assert!((400..500).contains(&answer.status), "{tried}: {}", answer.status);
        let answer = proxy.client().request("PURGE", &tried, &[("Authorization", &reader)]).await;
        assert!((400..500).contains(&answer.status), "PURGE {tried}: {}", answer.status);
    }
    // An escape that is understood where digests stand is understood before the decision.
    let escaped = format!("blobs/{}", layer.replacen(':', "%3A", 1));
    as_user(&proxy, "root", "GET", &path(PRIVATE, &escaped)).await.assert_body(&image.layer().bytes);
    assert_eq!(as_user(&proxy, "reader", "GET", &path(PRIVATE, &escaped)).await.status, 403);
    // Nothing of all that has changed or made anything.
    as_user(&proxy, "root", "GET", &path(PRIVATE, "manifests/latest")).await.assert_body(&image.manifest.bytes);
    let catalog = as_user(&proxy, "root", "GET", "/v2/_catalog").await;
    assert_eq!(catalog.json()["repositories"], json!(["team/open", PRIVATE]));
}

/// A name in a token's scope or in the API's JSON is the name that it says.
#[tokio::test]
async fn scopes_and_json_spell_no_way_around_either() {
    let upstream = FakeUpstream::start().await;
    let (proxy, _) = with_a_private_repository(&upstream).await;
    for name in spellings(PRIVATE).into_iter().chain([PRIVATE.to_owned(), "*".to_owned(), "team/*".to_owned()]) {
        let scope =
            format!("repository:{name}:pull").replace('%', "%25").replace(' ', "%20").replace(['\\', '#'], "%5c");
        let answer = token(&proxy, Some("reader"), &[&scope]).await;
        assert!(answer.status == 200 || (400..500).contains(&answer.status), "{name}: {}", answer.status);
        if answer.status == 200 {
            let shown = crate::edge::bearer(&answer);
            let tried = super::with_authorization(&proxy, &shown, "GET", &path(PRIVATE, "manifests/latest")).await;
            assert!(matches!(tried.status, 401 | 403), "{name}: {}", tried.status);
        }
        let answer = api(&proxy.client(), "reader", "ListImages", json!({ "repositoryName": name })).await;
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
    }
    // JSON's own escapes are another spelling of the same text, and get the same answer.
    for text in [r"team\/private", r"team/\u0070rivate", r"\u0074eam\u002fprivate"] {
        let body = format!(r#"{{"repositoryName":"{text}"}}"#);
        let answer = crate::edge::signed_text(&proxy.client(), "reader", "ListImages", &body, |_| {}).await;
        assert_fault(&answer, "AccessDeniedException");
        crate::edge::signed_text(&proxy.client(), "root", "ListImages", &body, |_| {}).await.assert_status(200);
    }
    let twice = format!(r#"{{"repositoryName":"team/open","repositoryName":"{PRIVATE}"}}"#);
    let answer = crate::edge::signed_text(&proxy.client(), "reader", "ListImages", &twice, |_| {}).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
}

/// Digests and uploads of a repository mean nothing in another, on either plane.
#[tokio::test]
async fn nothing_of_one_repository_is_had_through_another() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let image = an_image(1, &[1000]).await;
    push(&proxy, PRIVATE, "latest", &image).await;
    push(&proxy, "team/mine", "latest", &an_image(2, &[10]).await).await;
    let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
        "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:user/nobody") }, "Action": "ecr:*" }] });
    let set = json!({ "repositoryName": "team/mine", "policyText": policy.to_string() });
    api(&proxy.client(), "root", "SetRepositoryPolicy", set).await.assert_status(200);
    let (root, nobody) = (basic("root"), basic("nobody"));
    let (layer, digest) = (&image.layer().digest, &image.manifest.digest);
    let as_nobody = async |method: &str, end: &str, body: &[u8]| {
        let headers = [("Authorization", nobody.as_str()), ("Content-Type", image.media_type)];
        proxy.client().send(method, &path("team/mine", end), &headers, body).await
    };
    assert_eq!(as_nobody("GET", "manifests/latest", b"").await.status, 200);
    // By digest.
    for (end, code) in [
        (format!("blobs/{layer}"), "BLOB_UNKNOWN"),
        (format!("blobs/{}", image.config.digest), "BLOB_UNKNOWN"),
        (format!("blobs/{digest}"), "BLOB_UNKNOWN"),
        (format!("manifests/{digest}"), "MANIFEST_UNKNOWN"),
    ] {
        as_nobody("GET", &end, b"").await.assert_error(404, code);
        assert_eq!(as_nobody("HEAD", &end, b"").await.status, 404);
    }
    // By a manifest that refers to it, or an index that does.
    as_nobody("PUT", "manifests/stolen", &image.manifest.bytes).await.assert_error(404, "MANIFEST_BLOB_UNKNOWN");
    let index = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        { "mediaType": image.media_type, "digest": digest, "size": image.manifest.bytes.len() }] });
    let typed = [("Authorization", nobody.as_str()), ("Content-Type", "application/vnd.oci.image.index.v1+json")];
    let put =
        proxy.client().send("PUT", &path("team/mine", "manifests/index"), &typed, index.to_string().as_bytes()).await;
    assert!(matches!(put.status, 400 | 404), "{}", put.text());
    // By an upload that somebody began there: its bytes are not theirs to see, to add to, to end or to take.
    let begun = proxy.client().send("POST", &path(PRIVATE, "blobs/uploads/"), &[("Authorization", &root)], b"").await;
    let upload = begun.header("location").unwrap().rsplit('/').next().unwrap().to_owned();
    let there = path(PRIVATE, &format!("blobs/uploads/{upload}"));
    proxy.client().send("PATCH", &there, &[("Authorization", &root)], b"secret").await.assert_status(202);
    let end = format!("blobs/uploads/{upload}");
    let finish = format!("{end}?digest={}", crate::upstream::sha256(b"secret"));
    for (method, end, body) in
        [("GET", &end, &b""[..]), ("PATCH", &end, b"more"), ("PUT", &finish, b""), ("DELETE", &end, b"")]
    {
        as_nobody(method, end, body).await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
    proxy
        .client()
        .send(
            "PUT",
            &format!("{there}?digest={}", crate::upstream::sha256(b"secret")),
            &[("Authorization", &root)],
            b"",
        )
        .await
        .assert_status(201);
    // By the API.
    let ask = async |operation: &str, input: serde_json::Value| api(&proxy.client(), "nobody", operation, input).await;
    let mine = "team/mine";
    let answer = ask("GetDownloadUrlForLayer", json!({ "repositoryName": mine, "layerDigest": layer })).await;
    assert_fault(&answer, "LayersNotFoundException");
    let answer = ask("BatchCheckLayerAvailability", json!({ "repositoryName": mine, "layerDigests": [layer] })).await;
    assert_ne!(answer.json()["layers"][0]["layerAvailability"], "AVAILABLE", "{}", answer.text());
    let answer = ask("BatchGetImage", json!({ "repositoryName": mine, "imageIds": [{ "imageDigest": digest }] })).await;
    assert_eq!(answer.json()["images"], json!([]), "{}", answer.text());
    let text = String::from_utf8(image.manifest.bytes.to_vec()).unwrap();
    let answer = ask("PutImage", json!({ "repositoryName": mine, "imageManifest": text, "imageTag": "stolen" })).await;
    assert_fault(&answer, "LayersNotFoundException");
    let answer =
        ask("CompleteLayerUpload", json!({ "repositoryName": mine, "uploadId": upload, "layerDigests": [layer] }))
            .await;
    assert_fault(&answer, "UploadNotFoundException");
    as_nobody("GET", &format!("blobs/{layer}"), b"").await.assert_error(404, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn names_that_are_too_long_are_no_names() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    for length in [257, 258, 300, 1000, 8000] {
        let name = "a".repeat(length);
        for method in ["GET", "PUT", "DELETE"] {
            as_user(&proxy, "root", method, &path(&name, "manifests/latest")).await.assert_error(400, "NAME_INVALID");
        }
        let deep = "a/".repeat(length / 2) + "a";
        as_user(&proxy, "root", "GET", &path(&deep, "tags/list")).await.assert_error(400, "NAME_INVALID");
        let tag = as_user(&proxy, "root", "GET", &path("team/app", &format!("manifests/{name}"))).await;
        assert_eq!(tag.status, 404);
    }
    assert!(upstream.log().is_empty());
    as_user(&proxy, "root", "GET", &manifest("team/absent", "latest")).await.assert_status(404);
}
