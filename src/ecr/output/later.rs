//! Answers about what this registry does not do yet: that nothing of it is configured.

use serde::Serialize;

use super::super::arn::RepositoryArn;
use super::super::image::RequestedImage;
use super::registry::ReplicationConfiguration;
use super::text;
use crate::oci::{AccountId, RepositoryName};

/// A list that has nothing in it.
pub type Nothing = [(); 0];

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetRegistryScanningConfigurationOutput {
    pub registry_id: AccountId,
    pub scanning_configuration: RegistryScanningConfiguration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutRegistryScanningConfigurationOutput {
    registry_scanning_configuration: RegistryScanningConfiguration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutReplicationConfigurationOutput {
    replication_configuration: ReplicationConfiguration,
}

/// What a registry of ECR has before anything is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryScanningConfiguration {
    scan_type: &'static str,
    rules: Nothing,
}

impl Default for RegistryScanningConfiguration {
    fn default() -> Self {
        Self { scan_type: "BASIC", rules: [] }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchGetRepositoryScanningConfigurationOutput {
    pub scanning_configurations: Vec<RepositoryScanningConfiguration>,
    pub failures: Vec<RepositoryScanningConfigurationFailure>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryScanningConfiguration {
    repository_arn: RepositoryArn,
    #[serde(serialize_with = "text::one")]
    repository_name: RepositoryName,
    scan_on_push: bool,
    scan_frequency: &'static str,
    applied_scan_filters: Nothing,
}

impl RepositoryScanningConfiguration {
    /// No rule of the registry is for the repository; `scan_on_push` is what was set on itself.
    pub fn new(repository_arn: RepositoryArn, scan_on_push: bool) -> Self {
        let repository_name = repository_arn.name.clone();
        Self { repository_arn, repository_name, scan_on_push, scan_frequency: "MANUAL", applied_scan_filters: [] }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryScanningConfigurationFailure {
    #[serde(serialize_with = "text::one")]
    repository_name: RepositoryName,
    failure_code: &'static str,
    failure_reason: &'static str,
}

impl RepositoryScanningConfigurationFailure {
    pub const fn not_found(repository_name: RepositoryName) -> Self {
        const CODE: &str = "REPOSITORY_NOT_FOUND";
        Self { repository_name, failure_code: CODE, failure_reason: CODE }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListReplicationBackfillsOutput {
    pub registry_id: AccountId,
    pub backfills: Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeImageReplicationStatusOutput {
    #[serde(serialize_with = "text::one")]
    pub repository_name: RepositoryName,
    pub image_id: RequestedImage,
    pub replication_statuses: Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeImageSigningStatusOutput {
    #[serde(serialize_with = "text::one")]
    pub repository_name: RepositoryName,
    pub image_id: RequestedImage,
    pub registry_id: AccountId,
    pub signing_statuses: Nothing,
}
