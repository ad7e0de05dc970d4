//! Parsing never panics, whatever the bytes.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::super::{Operation, OperationName, Word};
use super::{PREFIX, minimal_bodies};

/// Names of members and words that get past the first checks.
const WORDS: &[&str] = &[
    "repositoryName",
    "registryId",
    "imageIds",
    "imageDigest",
    "imageTag",
    "tags",
    "Key",
    "Value",
    "filter",
    "maxResults",
    "nextToken",
    "prefix",
    "appliedFor",
    "resourceArn",
    "layerDigests",
    "uploadId",
    "partFirstByte",
    "partLastByte",
    "layerPartBlob",
    "imageTagMutability",
    "imageTagMutabilityExclusionFilters",
    "filterType",
    "WILDCARD",
    "MUTABLE",
    "IMMUTABLE_WITH_EXCLUSION",
    "team/app",
    "ROOT",
    "ecrRepositoryPrefix",
    "credentialArn",
    "principalArn",
    "encryptionConfiguration",
    "kmsKey",
    "012345678901",
    "name",
    "value",
    "BLOB_MOUNTING",
    "",
    "ä🦀",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![3 => prop::sample::select(WORDS).prop_map(str::to_owned), 1 => ".{0,40}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((word(), inner), 0..8).prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

/// What came of it answers every question, too.
fn ask(name: &str, body: &[u8]) {
    match Operation::parse(&format!("{PREFIX}{name}"), body) {
        Ok(operation) => {
            assert_eq!(operation.name(), name);
            assert!(operation.iam_action().starts_with("ecr:"));
            let _ = (operation.resource(), operation.registry_id(), operation.is_write());
        }
        Err(fault) => {
            assert_eq!(fault.status(), 400);
            assert!(serde_json::from_slice::<Value>(&fault.to_json()).unwrap().is_object());
        }
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), target in ".{0,60}") {
        for name in OperationName::ALL {
            ask(name.name(), &bytes);
        }
        let _ = Operation::parse(&target, &bytes);
    }

    #[test]
    fn any_json(value in value()) {
        let body = value.to_string();
        for name in OperationName::ALL {
            ask(name.name(), body.as_bytes());
        }
    }

    /// A body that is right but for one member.
    #[test]
    fn any_member(at in 0..41_usize, member in word(), value in value()) {
        let bodies = minimal_bodies();
        let (name, mut body) = bodies[at].clone();
        body[member.as_str()] = value.clone();
        ask(name, body.to_string().as_bytes());
        for known in bodies[at].1.as_object().unwrap().keys() {
            let mut body = bodies[at].1.clone();
            body[known.as_str()] = value.clone();
            ask(name, body.to_string().as_bytes());
        }
    }
}
