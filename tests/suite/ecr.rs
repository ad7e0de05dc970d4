//! What the ECR API does beyond its vocabulary: pulling from upstream, settings of the registry, parts of layers, and what it says of what
//! it does not do.

use serde_json::{Value, json};

use crate::edge::{api, assert_fault, guarded, push_as};
use crate::push::an_image;
use crate::upstream::FakeUpstream;

const REPO: &str = "team/app";

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
