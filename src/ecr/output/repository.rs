//! Answers about repositories.

use serde::Serialize;

use super::super::arn::RepositoryArn;
use super::super::encryption::EncryptionConfiguration;
use super::super::mutability::TagMutability;
use super::super::page::NextToken;
use super::super::resource_tag::ResourceTag;
use super::super::timestamp::Timestamp;
use super::text;
use crate::oci::{AccountId, RepositoryName};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repository {
    pub repository_arn: RepositoryArn,
    pub registry_id: AccountId,
    #[serde(serialize_with = "text::one")]
    pub repository_name: RepositoryName,
    /// `<host of the data plane>/<name>`, without a scheme.
    pub repository_uri: String,
    pub created_at: Timestamp,
    #[serde(flatten)]
    pub tag_mutability: TagMutability,
    pub image_scanning_configuration: ImageScanningConfiguration,
    pub encryption_configuration: EncryptionConfiguration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageScanningConfiguration {
    pub scan_on_push: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryOutput {
    pub repository: Repository,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeRepositoriesOutput {
    pub repositories: Vec<Repository>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<NextToken>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutImageTagMutabilityOutput {
    pub registry_id: AccountId,
    #[serde(serialize_with = "text::one")]
    pub repository_name: RepositoryName,
    #[serde(flatten)]
    pub tag_mutability: TagMutability,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutImageScanningConfigurationOutput {
    pub registry_id: AccountId,
    #[serde(serialize_with = "text::one")]
    pub repository_name: RepositoryName,
    pub image_scanning_configuration: ImageScanningConfiguration,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListTagsForResourceOutput {
    pub tags: Vec<ResourceTag>,
}
