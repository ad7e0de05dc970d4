//! What the ECR API does beyond its vocabulary: pulling from upstream, settings of the registry, parts of layers, and what it says of what
//! it does not do.

use base64::Engine;
use serde_json::{Value, json};

use crate::edge::{api, as_user, assert_fault, basic, guarded, push_as};
use crate::push::{an_image, path};
use crate::upstream::{FakeUpstream, noise, sha256};

const REPO: &str = "team/app";

/// `BLOB_MOUNTING`: what would be mounted is uploaded instead, in the registry that disabled it.
#[tokio::test]
async fn mounting_can_be_disabled() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let image = an_image(1, &[1000]).await;
    push_as(&proxy.client(), "root", "team/base", "latest", &image).await;
    let (digest, root) = (&image.layer().digest, basic("root"));
    let mount = async |repository: &str| {
        let to = path(repository, &format!("blobs/uploads/?mount={digest}&from=team/base"));
        proxy.client().send("POST", &to, &[("Authorization", &root)], b"").await
    };
    let setting = async |input: Value| {
        let operation = if input["value"].is_null() { "GetAccountSetting" } else { "PutAccountSetting" };
        let answer = api(&proxy.client(), "root", operation, input).await;
        answer.assert_status(200);
        answer.json()["value"].clone()
    };
    assert_eq!(setting(json!({ "name": "BLOB_MOUNTING" })).await, "ENABLED");
    mount("team/one").await.assert_status(201);
    setting(json!({ "name": "BLOB_MOUNTING", "value": "DISABLED" })).await;
    let begun = mount("team/two").await;
    begun.assert_status(202);
    let blob = path("team/two", &format!("blobs/{digest}"));
    as_user(&proxy, "root", "GET", &blob).await.assert_error(404, "BLOB_UNKNOWN");
    // The client goes on with the upload, as it does where there is nothing to mount.
    let to = format!("{}?digest={digest}", begun.header("location").unwrap());
    let headers = [("Authorization", root.as_str())];
    proxy.client().send("PUT", &to, &headers, &image.layer().bytes).await.assert_status(201);
    as_user(&proxy, "root", "GET", &blob).await.assert_body(&image.layer().bytes);
    setting(json!({ "name": "BLOB_MOUNTING", "value": "ENABLED" })).await;
    mount("team/three").await.assert_status(201);
}

/// Every part but the last has at least 5 MiB, which is known when the upload ends.
#[tokio::test]
async fn short_parts_are_refused_at_the_end() {
    const LEAST: usize = 5 << 20;
    let upstream = FakeUpstream::start().await;
    let mut proxy = guarded(&upstream).await;
    let input = json!({ "repositoryName": REPO });
    api(&proxy.client(), "root", "CreateRepository", input.clone()).await.assert_status(200);
    for (sizes, exception) in [
        (&[LEAST, LEAST, 17][..], None),
        (&[10][..], None),
        (&[LEAST, LEAST - 1, LEAST], Some("LayerPartTooSmallException")),
        (&[10, 10], Some("LayerPartTooSmallException")),
    ] {
        let content = noise(sizes.len() as u64, sizes.iter().sum());
        let begun = api(&proxy.client(), "root", "InitiateLayerUpload", input.clone()).await.json();
        let id = begun["uploadId"].as_str().unwrap();
        let mut first = 0;
        for size in sizes {
            let part = &content[first..first + size];
            let part = json!({ "repositoryName": REPO, "uploadId": id, "partFirstByte": first,
                "partLastByte": first + size - 1,
                "layerPartBlob": base64::engine::general_purpose::STANDARD.encode(part) });
            api(&proxy.client(), "root", "UploadLayerPart", part).await.assert_status(200);
            first += size;
            // What was said of the parts outlasts the process.
            if sizes.len() == 2 && first == *size {
                proxy.restart().await;
            }
        }
        let end = json!({ "repositoryName": REPO, "uploadId": id, "layerDigests": [sha256(&content)] });
        let ended = api(&proxy.client(), "root", "CompleteLayerUpload", end.clone()).await;
        match exception {
            None => ended.assert_status(200),
            Some(exception) => {
                assert_fault(&ended, exception);
                let again = api(&proxy.client(), "root", "CompleteLayerUpload", end).await;
                assert_fault(&again, "UploadNotFoundException");
            }
        }
    }
    // The data plane has no parts, and no least size.
    let root = basic("root");
    let headers = [("Authorization", root.as_str())];
    let begun = proxy.client().send("POST", &path(REPO, "blobs/uploads/"), &headers, b"").await;
    let to = begun.header("location").unwrap().to_owned();
    for _ in 0..3 {
        proxy.client().send("PATCH", &to, &headers, b"short").await.assert_status(202);
    }
    let to = format!("{to}?digest={}", sha256(b"shortshortshort"));
    proxy.client().send("PUT", &to, &headers, b"").await.assert_status(201);
}

/// What is not done here answers as where nothing was ever set; what an operation names has to be there.
#[tokio::test]
async fn what_is_not_configured() {
    let upstream = FakeUpstream::start().await;
    let proxy = guarded(&upstream).await;
    let client = proxy.client();
    push_as(&client, "root", REPO, "latest", &an_image(1, &[100]).await).await;
    let image = |repository: &str, tag: &str| json!({ "repositoryName": repository, "imageId": { "imageTag": tag } });
    for operation in ["DescribeImageReplicationStatus", "DescribeImageSigningStatus", "DescribeImageScanFindings"] {
        let of = async |input: Value| api(&client, "root", operation, input).await;
        assert_fault(&of(image("team/absent", "latest")).await, "RepositoryNotFoundException");
        assert_fault(&of(image(REPO, "absent")).await, "ImageNotFoundException");
        let answer = of(image(REPO, "latest")).await;
        match operation {
            "DescribeImageReplicationStatus" => assert_eq!(answer.json()["replicationStatuses"], json!([])),
            "DescribeImageSigningStatus" => assert_eq!(answer.json()["signingStatuses"], json!([])),
            _ => assert_fault(&answer, "ScanNotFoundException"),
        }
    }
    let names = json!({ "repositoryNames": [REPO, "team/absent"] });
    let scanning = api(&client, "root", "BatchGetRepositoryScanningConfiguration", names).await.json();
    assert_eq!(scanning["scanningConfigurations"][0]["repositoryName"], REPO);
    assert_eq!(scanning["failures"][0]["failureCode"], "REPOSITORY_NOT_FOUND");
    let denied = api(&client, "nobody", "GetRegistryScanningConfiguration", json!({})).await;
    assert_fault(&denied, "AccessDeniedException");
}
