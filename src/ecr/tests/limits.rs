//! Every limit at its edge: accepted there, refused one beyond.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::{Exception, OperationName, PageKind};
use super::{ACCOUNT, digest, minimal_bodies, parse, refusal};

use Exception::InvalidParameter;

/// The body of `name` with all that it needs and `member` set; a dot in it goes into an object.
fn body_with(name: &str, member: &str, value: Value) -> Value {
    let (_, mut body) = minimal_bodies().into_iter().find(|(known, _)| *known == name).unwrap();
    let mut at = &mut body;
    for part in member.split('.') {
        at = &mut at[part];
    }
    *at = value;
    body
}

#[track_caller]
fn accepts(name: &str, member: &str, value: Value) {
    let shown: String = value.to_string().chars().take(80).collect();
    let fault = parse(name, &body_with(name, member, value)).err().map(|fault| fault.to_string());
    assert_eq!(fault, None, "{name} {member} {shown}");
}

#[track_caller]
fn refuses(exception: Exception, name: &str, member: &str, value: Value) {
    let shown: String = value.to_string().chars().take(80).collect();
    assert_eq!(refusal(name, &body_with(name, member, value)), Some(exception), "{name} {member} {shown}");
}

fn long(chars: usize) -> Value {
    "a".repeat(chars).into()
}

#[test]
fn lengths_of_text() {
    let repository_name = |chars| long(chars);
    let role = |chars: usize| {
        let start = format!("arn:aws:iam::{ACCOUNT}:role/");
        Value::from(format!("{start}{}", "a".repeat(chars - start.len())))
    };
    let credential = |chars: usize| {
        let start = "arn:aws:secretsmanager:e:secret:ecr-pullthroughcache/";
        Value::from(format!("{start}{}", "a".repeat(chars - start.len())))
    };
    let key = |chars: usize| {
        let start = format!("arn:aws:kms:e:{ACCOUNT}:key/");
        json!({"encryptionType": "KMS", "kmsKey": format!("{start}{}", "a".repeat(chars - start.len()))})
    };
    let kms = |chars| json!({"encryptionType": "KMS", "kmsKey": long(chars)});
    let of = |member: &str, value: Value| json!({ member: value });
    // Operation, member, the longest value, one that is longer by one, and the shortest with one that is shorter.
    type Row = (&'static str, &'static str, [Value; 2], Option<[Value; 2]>);
    let rows: Vec<Row> = vec![
        ("DeleteRepository", "repositoryName", [long(256), long(257)], Some([repository_name(2), long(1)])),
        ("CreateRepository", "encryptionConfiguration", [kms(2048), kms(2049)], Some([kms(1), kms(0)])),
        ("SetRepositoryPolicy", "policyText", [long(10_240), long(10_241)], None),
        ("PutRegistryPolicy", "policyText", [long(10_240), long(10_241)], None),
        ("PutImage", "imageManifest", [long(4_194_304), long(4_194_305)], Some([long(1), long(0)])),
        ("PutImage", "imageTag", [long(128), long(129)], Some([long(1), long(0)])),
        (
            "BatchGetImage",
            "imageIds",
            [json!([of("imageTag", long(300))]), json!([of("imageTag", long(301))])],
            Some([json!([of("imageTag", long(1))]), json!([of("imageTag", long(0))])]),
        ),
        ("BatchCheckLayerAvailability", "layerDigests", [json!([long(1000)]), json!([long(1001)])], None),
        ("DeletePullThroughCacheRule", "ecrRepositoryPrefix", [long(30), long(31)], Some([long(2), long(1)])),
        ("CreatePullThroughCacheRule", "upstreamRepositoryPrefix", [long(30), long(31)], Some([long(2), long(1)])),
        ("UpdatePullThroughCacheRule", "credentialArn", [credential(612), credential(613)], None),
        ("UpdatePullThroughCacheRule", "customRoleArn", [role(2048), role(2049)], None),
        ("DeleteRepositoryCreationTemplate", "prefix", [long(256), long(257)], Some([long(1), long(0)])),
        ("UpdateRepositoryCreationTemplate", "description", [long(256), long(257)], None),
        ("UpdateRepositoryCreationTemplate", "encryptionConfiguration", [key(2048), key(2049)], None),
        ("UpdateRepositoryCreationTemplate", "repositoryPolicy", [long(10_240), long(10_241)], None),
        ("UpdateRepositoryCreationTemplate", "lifecyclePolicy", [long(30_720), long(30_721)], None),
        ("UpdateRepositoryCreationTemplate", "customRoleArn", [role(2048), role(2049)], None),
        ("RegisterPullTimeUpdateExclusion", "principalArn", [role(200), role(201)], None),
        (
            "ListImageReferrers",
            "filter",
            [json!({"artifactTypes": [long(255)]}), json!({"artifactTypes": [long(256)]})],
            Some([json!({"artifactTypes": [long(1)]}), json!({"artifactTypes": [long(0)]})]),
        ),
    ];
    for (name, member, [longest, longer], shortest) in rows {
        accepts(name, member, longest);
        refuses(InvalidParameter, name, member, longer);
        if let Some([shortest, shorter]) = shortest {
            accepts(name, member, shortest);
            refuses(InvalidParameter, name, member, shorter);
        }
    }
    accepts("UpdateRepositoryCreationTemplate", "lifecyclePolicy", json!(""));
    accepts("UpdateRepositoryCreationTemplate", "encryptionConfiguration", kms(0));
}

#[test]
fn characters_are_counted_not_bytes() {
    accepts("SetRepositoryPolicy", "policyText", "ä".repeat(10_240).into());
    refuses(InvalidParameter, "SetRepositoryPolicy", "policyText", "ä".repeat(10_241).into());
}

#[test]
fn sizes_of_lists() {
    let filter = |at: usize| json!({"filterType": "WILDCARD", "filter": format!("v{at}")});
    let image = |_| json!({"imageTag": "v1"});
    let name = |at: usize| Value::from(format!("team/app{at}"));
    let layer = |_| Value::from(digest());
    let media_type = |_| Value::from("application/json");
    let account = |_| Value::from(ACCOUNT);
    let prefix = |at: usize| Value::from(format!("p{at}"));
    // Operation, member, the longest list, its shortest, and what it is made of.
    type Row<'a> = (&'static str, &'static str, usize, usize, &'a dyn Fn(usize) -> Value);
    let rows: [Row; 10] = [
        ("GetAuthorizationToken", "registryIds", 10, 1, &account),
        ("DescribeRepositories", "repositoryNames", 100, 1, &name),
        ("DescribeImages", "imageIds", 100, 1, &image),
        ("BatchGetImage", "imageIds", 100, 1, &image),
        ("BatchGetImage", "acceptedMediaTypes", 100, 1, &media_type),
        ("BatchDeleteImage", "imageIds", 100, 1, &image),
        ("BatchCheckLayerAvailability", "layerDigests", 100, 1, &layer),
        ("CompleteLayerUpload", "layerDigests", 100, 1, &layer),
        ("DescribePullThroughCacheRules", "ecrRepositoryPrefixes", 100, 1, &prefix),
        ("ListImageReferrers", "filter.artifactTypes", 5, 0, &media_type),
    ];
    for (operation, member, most, least, element) in rows {
        let list = |size| Value::from((0..size).map(element).collect::<Vec<_>>());
        accepts(operation, member, list(most));
        accepts(operation, member, list(least));
        refuses(InvalidParameter, operation, member, list(most + 1));
        if let Some(fewer) = least.checked_sub(1) {
            refuses(InvalidParameter, operation, member, list(fewer));
        }
    }
    for (size, right) in [(0, false), (1, true), (5, true), (6, false)] {
        let mut body = body_with("PutImageTagMutability", "imageTagMutability", json!("MUTABLE_WITH_EXCLUSION"));
        body["imageTagMutabilityExclusionFilters"] = (0..size).map(filter).collect();
        assert_eq!(refusal("PutImageTagMutability", &body), (!right).then_some(InvalidParameter), "{size}");
    }
}

#[test]
fn resource_tags() {
    let tag = |key: String, value: String| json!({"Key": key, "Value": value});
    let some = |count: usize| (0..count).map(|at| tag(format!("k{at}"), String::new())).collect::<Value>();
    let keys = |count: usize| (0..count).map(|at| Value::from(format!("k{at}"))).collect::<Value>();
    accepts("TagResource", "tags", some(50));
    refuses(Exception::TooManyTags, "TagResource", "tags", some(51));
    refuses(Exception::TooManyTags, "CreateRepository", "tags", some(51));
    accepts("UntagResource", "tagKeys", keys(50));
    refuses(Exception::TooManyTags, "UntagResource", "tagKeys", keys(51));
    accepts("TagResource", "tags", json!([tag("ä".repeat(128), "ä".repeat(256))]));
    for (key, value) in
        [("k".repeat(129), "v".to_owned()), (String::new(), "v".to_owned()), ("k".to_owned(), "v".repeat(257))]
    {
        refuses(Exception::InvalidTagParameter, "TagResource", "tags", json!([tag(key, value)]));
    }
    for (first, second) in [("team", "team"), ("team", "Team"), ("ä", "Ä")] {
        let both = json!([tag(first.to_owned(), "1".to_owned()), tag(second.to_owned(), "2".to_owned())]);
        refuses(Exception::InvalidTagParameter, "TagResource", "tags", both.clone());
        refuses(Exception::InvalidTagParameter, "CreateRepository", "tags", both);
    }
    for key in ["aws:cloudformation", "AWS:x"] {
        refuses(Exception::InvalidTagParameter, "TagResource", "tags", json!([tag(key.to_owned(), String::new())]));
    }
    let twice = json!([tag("k".to_owned(), "1".to_owned()), tag("k".to_owned(), "2".to_owned())]);
    refuses(Exception::InvalidTagParameter, "TagResource", "tags", twice);
    refuses(InvalidParameter, "TagResource", "tags", json!([{"Key": "k"}]));
}

#[test]
fn numbers() {
    for (name, most) in [
        ("DescribeRepositories", 1000),
        ("DescribeImages", 1000),
        ("ListImages", 1000),
        ("DescribePullThroughCacheRules", 1000),
        ("DescribeRepositoryCreationTemplates", 1000),
        ("ListPullTimeUpdateExclusions", 1000),
        ("ListImageReferrers", 50),
    ] {
        accepts(name, "maxResults", json!(1));
        accepts(name, "maxResults", json!(most));
        refuses(InvalidParameter, name, "maxResults", json!(0));
        refuses(InvalidParameter, name, "maxResults", json!(most + 1));
        refuses(Exception::Serialization, name, "maxResults", json!(1.5));
        refuses(Exception::Serialization, name, "maxResults", json!("1"));
    }
    for member in ["partFirstByte", "partLastByte"] {
        accepts("UploadLayerPart", member, json!(i64::MAX));
        refuses(InvalidParameter, "UploadLayerPart", member, json!(-1));
        refuses(Exception::Serialization, "UploadLayerPart", member, json!(u64::MAX));
    }
}

#[test]
fn a_body_has_room_for_the_longest_members() {
    let part = body_with("UploadLayerPart", "layerPartBlob", STANDARD.encode(vec![b'x'; 20_971_520]).into());
    assert!(part.to_string().len() < OperationName::UploadLayerPart.max_body_bytes());
    let image = body_with("PutImage", "imageManifest", "\"".repeat(4_194_304).into());
    assert!(image.to_string().len() < OperationName::PutImage.max_body_bytes());
    let check = body_with("BatchCheckLayerAvailability", "layerDigests", vec!["\n".repeat(1000); 100].into());
    assert!(check.to_string().len() < OperationName::BatchCheckLayerAvailability.max_body_bytes());
}

#[test]
fn blobs() {
    const MOST: usize = 20_971_520;
    let blob = |bytes: usize| Value::from(STANDARD.encode(vec![b'x'; bytes]));
    for bytes in [0, 1, MOST] {
        accepts("UploadLayerPart", "layerPartBlob", blob(bytes));
    }
    for bytes in [MOST + 1, MOST + 2, MOST + 3, MOST * 2] {
        refuses(InvalidParameter, "UploadLayerPart", "layerPartBlob", blob(bytes));
    }
    for text in ["a", "a===", "eA", "e A==", "ä"] {
        refuses(Exception::Serialization, "UploadLayerPart", "layerPartBlob", json!(text));
    }
}

#[test]
fn patterns() {
    for (name, member, good, bad) in [
        ("DeleteRepository", "registryId", json!("012345678901"), json!("01234567890a")),
        ("DeleteRepository", "repositoryName", json!("a.b/c--d__e"), json!("a..b")),
        ("UploadLayerPart", "uploadId", json!("ABCDEF01-2345-6789-abcd-ef0123456789"), json!("x")),
        ("GetDownloadUrlForLayer", "layerDigest", json!("md5+x:AbC"), json!("md5")),
        ("PutImage", "imageDigest", json!(digest()), json!("sha256:abc")),
        ("PutImage", "imageTag", json!("_v1.0-x"), json!("-v1")),
        ("CreatePullThroughCacheRule", "ecrRepositoryPrefix", json!("ROOT"), json!("root/ROOT")),
        ("CreatePullThroughCacheRule", "upstreamRepositoryPrefix", json!("library/"), json!("/library")),
        ("CreatePullThroughCacheRule", "upstreamRegistry", json!("k8s"), json!("harbor")),
        ("TagResource", "resourceArn", json!(super::ARN), json!("arn:aws:s3:::bucket")),
        ("PutImageTagMutability", "imageTagMutability", json!("MUTABLE"), json!("mutable")),
        ("CreateRepository", "encryptionConfiguration.encryptionType", json!("KMS_DSSE"), json!("NONE")),
        ("DescribeImages", "filter.tagStatus", json!("UNTAGGED"), json!("SOME")),
        ("ListImages", "filter.imageStatus", json!("ARCHIVED"), json!("SOME")),
        ("ListImageReferrers", "filter.artifactStatus", json!("ANY"), json!("SOME")),
        ("CreateRepositoryCreationTemplate", "appliedFor", json!(["REPLICATION"]), json!(["PULL"])),
        ("CreateRepositoryCreationTemplate", "customRoleArn", json!(""), json!("role/pull")),
        ("CreatePullThroughCacheRule", "customRoleArn", json!("arn:aws:iam::012345678901:role/a"), json!("a")),
        ("PutAccountSetting", "value", json!("DISABLED"), json!("V1")),
        ("GetAccountSetting", "name", json!("REGISTRY_POLICY_SCOPE"), json!("OTHER")),
    ] {
        accepts(name, member, good);
        refuses(InvalidParameter, name, member, bad);
    }
}

#[test]
fn paging_does_not_go_with_ids() {
    let prefixes = ("prefixes", json!(["team"]), PageKind::Templates);
    for (name, (member, ids, kind)) in [
        ("DescribeRepositories", ("repositoryNames", json!(["team/app"]), PageKind::Repositories)),
        ("DescribeImages", ("imageIds", json!([{"imageTag": "v1"}]), PageKind::ImageDetails)),
        ("DescribePullThroughCacheRules", ("ecrRepositoryPrefixes", json!(["hub"]), PageKind::PullThroughCacheRules)),
        ("DescribeRepositoryCreationTemplates", prefixes),
    ] {
        let token = json!(super::super::NextToken::seal(kind, "key").as_str());
        accepts(name, "nextToken", token.clone());
        refuses(InvalidParameter, name, "nextToken", json!("foreign"));
        for (paging, value) in [("nextToken", token), ("maxResults", json!(10))] {
            let mut body = body_with(name, member, ids.clone());
            body[paging] = value;
            assert_eq!(refusal(name, &body), Some(InvalidParameter), "{name} {paging}");
        }
    }
}
