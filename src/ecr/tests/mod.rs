//! What requests become, from outside: the limits of the model at their edges, what an operation is about, texts of
//! faults and answers, and that no bytes make parsing panic.

mod arbitrary;
mod limits;
mod meaning;
mod wire;

use serde_json::{Value, json};

use super::{Exception, Fault, Operation};

const PREFIX: &str = "AmazonEC2ContainerRegistry_V20150921.";
const ACCOUNT: &str = "012345678901";
const ARN: &str = "arn:aws:ecr:eu-west-1:012345678901:repository/team/app";
const UPLOAD: &str = "00000000-0000-4000-8000-0000000000ab";

fn parse(name: &str, body: &Value) -> Result<Operation, Fault> {
    Operation::parse(&format!("{PREFIX}{name}"), body.to_string().as_bytes())
}

/// The exception, or `None` where the body is accepted.
fn refusal(name: &str, body: &Value) -> Option<Exception> {
    parse(name, body).err().map(|fault| fault.exception())
}

fn digest() -> String {
    format!("sha256:{}", "a".repeat(64))
}

/// Every required member of each typed operation, and no other.
pub fn minimal_bodies() -> Vec<(&'static str, Value)> {
    let repository = || json!({"repositoryName": "team/app"});
    let with = |more: Value| {
        let mut body = repository();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let principal = json!({"principalArn": "arn:aws:iam::012345678901:role/node"});
    vec![
        ("GetAuthorizationToken", json!({})),
        ("DescribeRegistry", json!({})),
        ("GetAccountSetting", json!({"name": "BLOB_MOUNTING"})),
        ("PutAccountSetting", json!({"name": "BLOB_MOUNTING", "value": "ENABLED"})),
        ("CreateRepository", repository()),
        ("DescribeRepositories", json!({})),
        ("DeleteRepository", repository()),
        ("PutImageTagMutability", with(json!({"imageTagMutability": "IMMUTABLE"}))),
        ("PutImageScanningConfiguration", with(json!({"imageScanningConfiguration": {}}))),
        ("TagResource", json!({"resourceArn": ARN, "tags": [{"Key": "k", "Value": ""}]})),
        ("UntagResource", json!({"resourceArn": ARN, "tagKeys": ["k"]})),
        ("ListTagsForResource", json!({"resourceArn": ARN})),
        ("DescribeImages", repository()),
        ("ListImages", repository()),
        ("BatchGetImage", with(json!({"imageIds": [{"imageTag": "v1"}]}))),
        ("BatchDeleteImage", with(json!({"imageIds": [{"imageTag": "v1"}]}))),
        ("PutImage", with(json!({"imageManifest": "{}"}))),
        ("ListImageReferrers", with(json!({"subjectId": {"imageDigest": digest()}}))),
        ("BatchCheckLayerAvailability", with(json!({"layerDigests": [digest()]}))),
        ("InitiateLayerUpload", repository()),
        (
            "UploadLayerPart",
            with(json!({"uploadId": UPLOAD, "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": "eA=="})),
        ),
        ("CompleteLayerUpload", with(json!({"uploadId": UPLOAD, "layerDigests": [digest()]}))),
        ("GetDownloadUrlForLayer", with(json!({"layerDigest": digest()}))),
        ("SetRepositoryPolicy", with(json!({"policyText": "{}"}))),
        ("GetRepositoryPolicy", repository()),
        ("DeleteRepositoryPolicy", repository()),
        ("PutRegistryPolicy", json!({"policyText": "{}"})),
        ("GetRegistryPolicy", json!({})),
        ("DeleteRegistryPolicy", json!({})),
        ("CreatePullThroughCacheRule", json!({"ecrRepositoryPrefix": "hub", "upstreamRegistryUrl": "ghcr.io"})),
        ("DescribePullThroughCacheRules", json!({})),
        ("UpdatePullThroughCacheRule", json!({"ecrRepositoryPrefix": "hub"})),
        ("ValidatePullThroughCacheRule", json!({"ecrRepositoryPrefix": "hub"})),
        ("DeletePullThroughCacheRule", json!({"ecrRepositoryPrefix": "hub"})),
        ("CreateRepositoryCreationTemplate", json!({"prefix": "team", "appliedFor": ["CREATE_ON_PUSH"]})),
        ("UpdateRepositoryCreationTemplate", json!({"prefix": "team"})),
        ("DeleteRepositoryCreationTemplate", json!({"prefix": "team"})),
        ("DescribeRepositoryCreationTemplates", json!({})),
        ("RegisterPullTimeUpdateExclusion", principal.clone()),
        ("DeregisterPullTimeUpdateExclusion", principal),
        ("ListPullTimeUpdateExclusions", json!({})),
    ]
}
