//! Faults and answers as clients read them.

use serde_json::{Value, json};

use super::super::*;
use super::ACCOUNT;
use crate::oci::{AccountId, Digest, RepositoryName};

fn shown(fault: &Fault) -> Value {
    serde_json::from_slice(&fault.to_json()).unwrap()
}

fn account() -> AccountId {
    ACCOUNT.parse().unwrap()
}

fn name() -> RepositoryName {
    "team/app".parse().unwrap()
}

#[test]
fn texts_of_faults() {
    let image = RequestedImage::new(None, Some("v1".to_owned()));
    let digest = Digest::of(b"");
    for (fault, name, message) in [
        (
            Fault::repository_not_found(&name(), &account()),
            "RepositoryNotFoundException",
            "The repository with name 'team/app' does not exist in the registry with id '012345678901'".to_owned(),
        ),
        (
            Fault::image_not_found(&image, &name(), &account()),
            "ImageNotFoundException",
            "The image with imageId {imageDigest:'null', imageTag:'v1'} does not exist within the repository with name 'team/app' in the registry with id '012345678901'".to_owned(),
        ),
        (
            Fault::image_already_exists(&digest, Some(&"v1".parse().unwrap()), &name(), &account()),
            "ImageAlreadyExistsException",
            format!("Image with digest '{digest}' and tag 'v1' already exists in the repository with name 'team/app' in registry with id '012345678901'"),
        ),
        (
            Fault::access_denied("arn:aws:iam::1:user/u", "ecr:PutImage", "*", Denial::NoIdentityPolicyAllows),
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/u is not authorized to perform: ecr:PutImage on resource: * because no identity-based policy allows the ecr:PutImage action".to_owned(),
        ),
        (
            Fault::invalid_parameter("maxResults", "Member must have value less than or equal to 1000"),
            "InvalidParameterException",
            "Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value less than or equal to 1000'".to_owned(),
        ),
        (Fault::throttling(), "ThrottlingException", "Rate exceeded".to_owned()),
    ] {
        assert_eq!(shown(&fault), json!({"__type": name, "message": message}));
        assert_eq!(fault.status(), 400);
    }
    assert_eq!(Fault::server("a cause").status(), 500);
}

#[test]
fn two_faults_have_more_members() {
    let place = PartPlace {
        registry_id: account(),
        repository_name: name(),
        upload_id: super::UPLOAD.parse().unwrap(),
        last_valid_byte_received: Some(9),
    };
    let fault = Fault::invalid_layer_part("It begins at 5", &place);
    assert_eq!(
        shown(&fault),
        json!({"__type": "InvalidLayerPartException", "message": "It begins at 5", "registryId": ACCOUNT,
            "repositoryName": "team/app", "uploadId": super::UPLOAD, "lastValidByteReceived": 9})
    );
    let fault = Fault::kms("no", Some("DisabledException"));
    assert_eq!(shown(&fault), json!({"__type": "KmsException", "message": "no", "kmsError": "DisabledException"}));
}

#[test]
fn members_without_a_value_are_left_out() {
    let detail = ImageDetail {
        registry_id: account(),
        repository_name: name(),
        image_digest: Digest::of(b""),
        image_tags: Vec::new(),
        image_size_in_bytes: None,
        image_pushed_at: Timestamp::from_unix_millis(1500),
        image_manifest_media_type: crate::oci::MediaType::new("a/m"),
        artifact_media_type: None,
        last_recorded_pull_time: None,
        subject_manifest_digest: None,
        image_status: ImageStatus::Active,
        last_archived_at: None,
        last_activated_at: None,
    };
    let output = Output::DescribeImages(DescribeImagesOutput { image_details: vec![detail], next_token: None });
    assert_eq!(
        String::from_utf8(output.to_json()).unwrap(),
        format!(
            r#"{{"imageDetails":[{{"registryId":"{ACCOUNT}","repositoryName":"team/app","imageDigest":"{}","imagePushedAt":1.5,"imageManifestMediaType":"a/m","imageStatus":"ACTIVE"}}]}}"#,
            Digest::of(b"")
        )
    );
    assert_eq!(Output::Empty {}.to_json(), b"{}");
}

#[test]
fn a_repository() {
    let repository = Repository {
        repository_arn: super::ARN.parse().unwrap(),
        registry_id: account(),
        repository_name: name(),
        repository_uri: "registry.example/team/app".to_owned(),
        created_at: Timestamp::from_unix_millis(1_565_128_275_000),
        tag_mutability: TagMutability::Mutable,
        image_scanning_configuration: ImageScanningConfiguration { scan_on_push: false },
        encryption_configuration: EncryptionConfiguration::default(),
    };
    let value: Value = serde_json::from_slice(&Output::Repository(RepositoryOutput { repository }).to_json()).unwrap();
    assert_eq!(
        value,
        json!({"repository": {"repositoryArn": super::ARN, "registryId": ACCOUNT, "repositoryName": "team/app",
            "repositoryUri": "registry.example/team/app", "createdAt": 1_565_128_275.0, "imageTagMutability": "MUTABLE",
            "imageScanningConfiguration": {"scanOnPush": false}, "encryptionConfiguration": {"encryptionType": "AES256"}}})
    );
}

#[test]
fn a_registry_that_does_not_replicate() {
    let output = Output::DescribeRegistry(DescribeRegistryOutput {
        registry_id: account(),
        replication_configuration: ReplicationConfiguration::default(),
    });
    let expected = format!(r#"{{"registryId":"{ACCOUNT}","replicationConfiguration":{{"rules":[]}}}}"#);
    assert_eq!(output.to_json(), expected.into_bytes());
}

#[test]
fn a_token_is_not_logged() {
    let data = AuthorizationData {
        authorization_token: "c2VjcmV0".to_owned(),
        expires_at: Timestamp::from_unix_millis(0),
        proxy_endpoint: "https://registry.example".to_owned(),
    };
    let output = Output::GetAuthorizationToken(GetAuthorizationTokenOutput { authorization_data: vec![data] });
    assert!(!format!("{output:?}").contains("c2VjcmV0"));
    assert!(String::from_utf8(output.to_json()).unwrap().contains("c2VjcmV0"));
}
