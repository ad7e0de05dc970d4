//! What a parsed operation says of itself, and how members become values.

use serde_json::{Value, json};

use super::super::{
    Exception, ExclusionFilter, Found, ImageFailureCode, Operation, OperationName, Page, PageKind,
    RepositoryScanningConfiguration, Resource, Selection, TagMutability, Word,
};
use super::{ACCOUNT, ARN, PREFIX, digest, minimal_bodies, parse, refusal};
use crate::oci::RepositoryName;

#[test]
fn all_62_names_are_known() {
    let typed = minimal_bodies();
    assert_eq!((OperationName::ALL.len(), typed.len()), (62, 41));
    for name in OperationName::ALL {
        let body = typed.iter().find(|(known, _)| *known == name.name()).map(|(_, body)| body.clone());
        let later = later_body();
        let operation = parse(name.name(), &body.clone().unwrap_or(later)).unwrap();
        assert_eq!(operation.operation_name(), *name);
        assert_eq!(matches!(operation, Operation::Later(_)), body.is_none(), "{name}");
    }
}

#[test]
fn other_targets_are_not() {
    for target in
        ["", "CreateRepository", "Other_V1.CreateRepository", PREFIX, "AmazonEC2ContainerRegistry_V20150921.Nope"]
    {
        let fault = Operation::parse(target, b"{}").unwrap_err();
        assert_eq!(fault.exception(), Exception::UnknownOperation, "{target}");
    }
}

#[test]
fn every_required_member_is_required() {
    for (name, body) in minimal_bodies() {
        for member in body.as_object().unwrap().keys() {
            for absent in [None, Some(Value::Null)] {
                let mut body = body.clone();
                match absent {
                    None => drop(body.as_object_mut().unwrap().remove(member)),
                    Some(null) => body[member.as_str()] = null,
                }
                let fault = parse(name, &body).unwrap_err();
                let message =
                    format!("Invalid parameter at '{member}' failed to satisfy constraint: 'Member must not be null'");
                assert_eq!((fault.exception(), fault.message()), (Exception::InvalidParameter, message.as_str()));
            }
        }
    }
}

#[test]
fn bodies() {
    let target = format!("{PREFIX}DescribeRegistry");
    for body in ["", " \n", "{}", r#"{"unknown": [1, {"x": null}]}"#] {
        assert_eq!(Operation::parse(&target, body.as_bytes()), Ok(Operation::DescribeRegistry), "{body}");
    }
    let deep = "[".repeat(100_000);
    for body in ["[]", "null", "1", "{", "{}{}", "\u{feff}{}", deep.as_str()] {
        let fault = Operation::parse(&target, body.as_bytes()).unwrap_err();
        assert_eq!(fault.exception(), Exception::Serialization);
    }
    assert!(Operation::parse(&target, b"{\"a\":\"\xff\"}").is_err());
}

#[test]
fn what_it_is_about() {
    let app: RepositoryName = "team/app".parse().unwrap();
    let other: RepositoryName = "team/other".parse().unwrap();
    let both = [app.clone(), other];
    for (name, body, resource, registry) in [
        ("CreateRepository", json!({"repositoryName": "team/app"}), Resource::Repository(&app), None),
        (
            "GetRepositoryPolicy",
            json!({"repositoryName": "team/app", "registryId": ACCOUNT}),
            Resource::Repository(&app),
            Some(ACCOUNT),
        ),
        ("TagResource", json!({"resourceArn": ARN, "tags": []}), Resource::Repository(&app), Some(ACCOUNT)),
        ("DescribeRepositories", json!({"registryId": ACCOUNT}), Resource::AllRepositories, Some(ACCOUNT)),
        ("DescribeRepositories", json!({"repositoryNames": ["team/app"]}), Resource::Repository(&app), None),
        (
            "DescribeRepositories",
            json!({"repositoryNames": ["team/app", "team/other"]}),
            Resource::Repositories(&both),
            None,
        ),
        ("GetAuthorizationToken", json!({"registryIds": [ACCOUNT]}), Resource::Registry, None),
        (
            "DeletePullThroughCacheRule",
            json!({"ecrRepositoryPrefix": "hub", "registryId": ACCOUNT}),
            Resource::Registry,
            Some(ACCOUNT),
        ),
        (
            "GetLifecyclePolicy",
            json!({"repositoryName": "team/app", "registryId": ACCOUNT}),
            Resource::Repository(&app),
            Some(ACCOUNT),
        ),
        (
            "BatchGetRepositoryScanningConfiguration",
            json!({"repositoryNames": ["team/app", "team/other"]}),
            Resource::Repositories(&both),
            None,
        ),
        ("GetSigningConfiguration", json!({}), Resource::Registry, None),
        ("StopReplicationBackfill", json!({"registryId": ACCOUNT}), Resource::Registry, Some(ACCOUNT)),
    ] {
        let operation = parse(name, &body).unwrap();
        assert_eq!(operation.resource(), resource, "{name}");
        assert_eq!(operation.registry_id().map(|id| id.as_str()), registry, "{name}");
    }
    assert_eq!(refusal("PutLifecyclePolicy", &json!({})), Some(Exception::InvalidParameter));
    let referrers = minimal_bodies().into_iter().find(|(name, _)| *name == "ListImageReferrers").unwrap().1;
    assert_eq!(parse("ListImageReferrers", &referrers).unwrap().iam_action(), "ecr:BatchGetImage");
}

/// What any of the later operations needs.
fn later_body() -> Value {
    json!({"repositoryName": "team/app", "repositoryNames": ["team/app"], "imageId": {"imageTag": "v1"}})
}

/// All 21, each with the document or the exception.
#[test]
fn later_operations_answer_what_ecr_answers_where_nothing_is_set() {
    let refused = |exception: &str| json!({ "__type": exception });
    let unsupported = || refused("UnsupportedOperationException");
    let image = json!({"imageTag": "v1"});
    let table = [
        ("PutLifecyclePolicy", unsupported()),
        ("GetLifecyclePolicy", refused("LifecyclePolicyNotFoundException")),
        ("DeleteLifecyclePolicy", refused("LifecyclePolicyNotFoundException")),
        ("StartLifecyclePolicyPreview", refused("LifecyclePolicyNotFoundException")),
        ("GetLifecyclePolicyPreview", refused("LifecyclePolicyPreviewNotFoundException")),
        (
            "PutRegistryScanningConfiguration",
            json!({"registryScanningConfiguration": {"scanType": "BASIC", "rules": []}}),
        ),
        (
            "GetRegistryScanningConfiguration",
            json!({"registryId": ACCOUNT, "scanningConfiguration": {"scanType": "BASIC", "rules": []}}),
        ),
        (
            "BatchGetRepositoryScanningConfiguration",
            json!({"scanningConfigurations": [{"repositoryArn": ARN, "repositoryName": "team/app", "scanOnPush": true,
                "scanFrequency": "MANUAL", "appliedScanFilters": []}], "failures": []}),
        ),
        ("StartImageScan", unsupported()),
        ("DescribeImageScanFindings", refused("ScanNotFoundException")),
        ("PutReplicationConfiguration", unsupported()),
        (
            "DescribeImageReplicationStatus",
            json!({"repositoryName": "team/app", "imageId": image, "replicationStatuses": []}),
        ),
        ("StartReplicationBackfill", unsupported()),
        ("DescribeReplicationBackfillResults", refused("ReplicationBackfillNotFoundException")),
        ("ListReplicationBackfills", json!({"registryId": ACCOUNT, "backfills": []})),
        ("StopReplicationBackfill", refused("ReplicationBackfillNotFoundException")),
        ("PutSigningConfiguration", unsupported()),
        ("GetSigningConfiguration", refused("SigningConfigurationNotFoundException")),
        ("DeleteSigningConfiguration", refused("SigningConfigurationNotFoundException")),
        (
            "DescribeImageSigningStatus",
            json!({"repositoryName": "team/app", "imageId": image, "registryId": ACCOUNT, "signingStatuses": []}),
        ),
        ("UpdateImageStorageClass", refused("ImageStorageClassUpdateNotSupportedException")),
    ];
    let named = |name: &OperationName| table.iter().any(|(listed, _)| *listed == name.name());
    let later = |name: &OperationName| matches!(parse(name.name(), &later_body()), Ok(Operation::Later(_)));
    assert!(OperationName::ALL.iter().all(|name| named(name) == later(name)));
    for (name, expected) in table {
        assert_eq!(later_answer(name, &later_body(), false), expected, "{name}");
        let Ok(Operation::Later(later)) = parse(name, &later_body()) else { panic!("{name}") };
        if later.repositories.is_empty() {
            continue;
        }
        let missing = match name {
            "BatchGetRepositoryScanningConfiguration" => json!({"scanningConfigurations": [], "failures": [
                {"repositoryName": "team/app", "failureCode": "REPOSITORY_NOT_FOUND", "failureReason": "REPOSITORY_NOT_FOUND"}]}),
            _ => refused("RepositoryNotFoundException"),
        };
        assert_eq!(later_answer(name, &later_body(), true), missing, "{name}");
    }
    let mut tried = later_body();
    tried["lifecyclePolicyText"] = json!("x".repeat(100));
    assert_eq!(later_answer("StartLifecyclePolicyPreview", &tried, false), unsupported());
    // What holds anyway can be set: Terraform and the CDK write it down.
    let rule = json!({"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": []});
    for (name, body, expected) in [
        (
            "PutReplicationConfiguration",
            json!({"replicationConfiguration": {"rules": []}}),
            json!({"replicationConfiguration": {"rules": []}}),
        ),
        ("PutReplicationConfiguration", json!({"replicationConfiguration": {"rules": [{}]}}), unsupported()),
        (
            "PutRegistryScanningConfiguration",
            json!({"scanType": "BASIC", "rules": []}),
            json!({"registryScanningConfiguration": {"scanType": "BASIC", "rules": []}}),
        ),
        ("PutRegistryScanningConfiguration", json!({"scanType": "BASIC", "rules": [rule]}), unsupported()),
        ("PutRegistryScanningConfiguration", json!({"scanType": "ENHANCED"}), unsupported()),
    ] {
        assert_eq!(later_answer(name, &body, false), expected, "{name} {body}");
    }
    for image in [json!({}), json!({"imageDigest": "x"}), json!({"imageTag": "-x"})] {
        let body = json!({"repositoryName": "team/app", "imageId": image});
        assert_eq!(refusal("DescribeImageScanFindings", &body), Some(Exception::InvalidParameter));
    }
}

/// The document, or the exception without its message.
fn later_answer(name: &str, body: &Value, is_missing: bool) -> Value {
    let Ok(Operation::Later(later)) = parse(name, body) else { panic!("{name}") };
    let found = match is_missing {
        true => Found { repositories: Vec::new(), missing: vec!["team/app".parse().unwrap()] },
        false => Found {
            repositories: vec![RepositoryScanningConfiguration::new(ARN.parse().unwrap(), true)],
            missing: Vec::new(),
        },
    };
    match later.answer(ACCOUNT.parse().unwrap(), found) {
        Ok(output) => serde_json::from_slice(&output.to_json()).unwrap(),
        Err(fault) => json!({ "__type": fault.name() }),
    }
}

#[test]
fn pages() {
    let page = |name: &str, body: Value| match parse(name, &body).unwrap() {
        Operation::ListImages(input) => input.page,
        Operation::ListImageReferrers(input) => input.page,
        Operation::ListPullTimeUpdateExclusions(input) => input.page,
        Operation::DescribeRepositories(input) => match input.repositories {
            Selection::All(page) => page,
            Selection::Named(names) => panic!("{names:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(page("DescribeRepositories", json!({})), Page::new(PageKind::Repositories, 100, None));
    let list = |more: Value| page("ListImages", more);
    assert_eq!(list(json!({"repositoryName": "team/app", "maxResults": 1000})).limit, 1000);
    let token = list(json!({"repositoryName": "team/app"})).next_token("v1");
    let next = list(json!({"repositoryName": "team/app", "nextToken": token.as_str()}));
    assert_eq!((next.limit, next.after.as_deref()), (100, Some("v1")));
    let referrers = json!({"repositoryName": "team/app", "subjectId": {"imageDigest": digest()}});
    assert_eq!(page("ListImageReferrers", referrers).limit, 20);
    assert_eq!(page("ListPullTimeUpdateExclusions", json!({"maxResults": 1000})).limit, 100);
    let foreign = json!({"nextToken": token.as_str()});
    assert_eq!(refusal("DescribeRepositories", &foreign), Some(Exception::InvalidParameter));
}

#[test]
fn mutability_and_filters_agree() {
    let filters = json!([{"filterType": "WILDCARD", "filter": "dev-*"}]);
    let put = |mode: &str, filters: Value| {
        let body = json!({"repositoryName": "team/app", "imageTagMutability": mode,
            "imageTagMutabilityExclusionFilters": filters});
        match parse("PutImageTagMutability", &body) {
            Ok(Operation::PutImageTagMutability(input)) => Ok(input.tag_mutability),
            Ok(other) => panic!("{other:?}"),
            Err(fault) => Err(fault.message().to_owned()),
        }
    };
    let dev: ExclusionFilter = "dev-*".parse().unwrap();
    assert_eq!(put("IMMUTABLE", Value::Null), Ok(TagMutability::Immutable));
    assert_eq!(
        put("IMMUTABLE_WITH_EXCLUSION", filters.clone()),
        Ok(TagMutability::ImmutableWithExclusion(vec![dev.clone()]))
    );
    assert_eq!(put("MUTABLE_WITH_EXCLUSION", filters.clone()), Ok(TagMutability::MutableWithExclusion(vec![dev])));
    assert_eq!(
        put("IMMUTABLE_WITH_EXCLUSION", Value::Null).unwrap_err(),
        "Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: 'ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as IMMUTABLE_WITH_EXCLUSION'"
    );
    assert!(put("MUTABLE", filters.clone()).is_err());
    let alone = json!({"repositoryName": "team/app", "imageTagMutabilityExclusionFilters": filters});
    assert_eq!(refusal("CreateRepository", &alone), Some(Exception::InvalidParameter));
    for bad in [
        json!([{"filter": "a"}]),
        json!([{"filterType": "PREFIX", "filter": "a"}]),
        json!([{"filterType": "WILDCARD", "filter": "***"}]),
    ] {
        assert!(put("MUTABLE_WITH_EXCLUSION", bad).is_err());
    }
}

#[test]
fn malformed_ids_fail_alone_in_a_batch_and_together_elsewhere() {
    let ids = json!([{"imageTag": "v1"}, {}, {"imageDigest": "sha256"}, {"imageDigest": "md5:ab"}, {"imageTag": "-x"}]);
    let body = json!({"repositoryName": "team/app", "imageIds": ids});
    let Ok(Operation::BatchDeleteImage(input)) = parse("BatchDeleteImage", &body) else { panic!() };
    let codes: Vec<_> = input.images.iter().map(|image| image.meaning().err()).collect();
    use ImageFailureCode::{ImageNotFound, InvalidImageDigest, InvalidImageTag, MissingDigestAndTag};
    assert_eq!(
        codes,
        [None, Some(MissingDigestAndTag), Some(InvalidImageDigest), Some(ImageNotFound), Some(InvalidImageTag)]
    );
    let fault = parse("DescribeImages", &body).unwrap_err();
    assert!(fault.message().contains("'imageIds.2.member'"), "{fault}");
    let unknown = json!({"repositoryName": "team/app", "imageIds": [{"imageDigest": "md5:ab"}]});
    assert_eq!(refusal("DescribeImages", &unknown), None);
}

#[test]
fn a_root_rule_has_a_root_upstream() {
    let rule = |prefix: &str, upstream: Value| json!({"ecrRepositoryPrefix": prefix, "upstreamRegistryUrl": "ghcr.io", "upstreamRepositoryPrefix": upstream});
    for (body, refused) in [
        (rule("ROOT", Value::Null), false),
        (rule("ROOT", json!("ROOT")), false),
        (rule("ROOT", json!("library")), true),
        (rule("hub", json!("library")), false),
    ] {
        let expected = refused.then_some(Exception::InvalidParameter);
        assert_eq!(refusal("CreatePullThroughCacheRule", &body), expected, "{body}");
    }
}

#[test]
fn a_part_says_how_long_it_is() {
    let part = |first: u64, last: u64| {
        let body = json!({"repositoryName": "team/app", "uploadId": super::UPLOAD.to_uppercase(),
            "partFirstByte": first, "partLastByte": last, "layerPartBlob": "eHl6"});
        let Ok(Operation::UploadLayerPart(part)) = parse("UploadLayerPart", &body) else { panic!() };
        assert_eq!((part.upload_id.as_str(), &part.blob[..]), (super::UPLOAD, &b"xyz"[..]));
        part.is_consistent()
    };
    assert!(part(0, 2) && part(10, 12));
    assert!(!part(0, 3) && !part(2, 0));
}
