//! The answer of any operation.

use serde::Serialize;

use super::exclusion::{ExclusionOutput, ListPullTimeUpdateExclusionsOutput};
use super::image::{
    BatchDeleteImageOutput, BatchGetImageOutput, DescribeImagesOutput, ListImageReferrersOutput, ListImagesOutput,
    PutImageOutput,
};
use super::later::{
    BatchGetRepositoryScanningConfigurationOutput, DescribeImageReplicationStatusOutput,
    DescribeImageSigningStatusOutput, GetRegistryScanningConfigurationOutput, ListReplicationBackfillsOutput,
    PutRegistryScanningConfigurationOutput, PutReplicationConfigurationOutput,
};
use super::layer::{
    BatchCheckLayerAvailabilityOutput, CompleteLayerUploadOutput, GetDownloadUrlForLayerOutput,
    InitiateLayerUploadOutput, UploadLayerPartOutput,
};
use super::policy::{RegistryPolicyOutput, RepositoryPolicyOutput};
use super::pull_through::{
    DeletedPullThroughCacheRule, DescribePullThroughCacheRulesOutput, PullThroughCacheRule,
    UpdatedPullThroughCacheRule, ValidatedPullThroughCacheRule,
};
use super::registry::{AccountSettingOutput, DescribeRegistryOutput, GetAuthorizationTokenOutput};
use super::repository::{
    DescribeRepositoriesOutput, ListTagsForResourceOutput, PutImageScanningConfigurationOutput,
    PutImageTagMutabilityOutput, RepositoryOutput,
};
use super::template::{DescribeRepositoryCreationTemplatesOutput, RepositoryCreationTemplateOutput};

/// The operations that answer with a variant stand beside it where the name does not say it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Output {
    GetAuthorizationToken(GetAuthorizationTokenOutput),
    DescribeRegistry(DescribeRegistryOutput),
    /// GetAccountSetting, PutAccountSetting.
    AccountSetting(AccountSettingOutput),

    /// CreateRepository, DeleteRepository.
    Repository(RepositoryOutput),
    DescribeRepositories(DescribeRepositoriesOutput),
    PutImageTagMutability(PutImageTagMutabilityOutput),
    PutImageScanningConfiguration(PutImageScanningConfigurationOutput),
    ListTagsForResource(ListTagsForResourceOutput),

    DescribeImages(DescribeImagesOutput),
    ListImages(ListImagesOutput),
    BatchGetImage(BatchGetImageOutput),
    BatchDeleteImage(BatchDeleteImageOutput),
    PutImage(PutImageOutput),
    ListImageReferrers(ListImageReferrersOutput),

    BatchCheckLayerAvailability(BatchCheckLayerAvailabilityOutput),
    InitiateLayerUpload(InitiateLayerUploadOutput),
    UploadLayerPart(UploadLayerPartOutput),
    CompleteLayerUpload(CompleteLayerUploadOutput),
    GetDownloadUrlForLayer(GetDownloadUrlForLayerOutput),

    /// SetRepositoryPolicy, GetRepositoryPolicy, DeleteRepositoryPolicy.
    RepositoryPolicy(RepositoryPolicyOutput),
    /// PutRegistryPolicy, GetRegistryPolicy, DeleteRegistryPolicy.
    RegistryPolicy(RegistryPolicyOutput),

    CreatePullThroughCacheRule(PullThroughCacheRule),
    DescribePullThroughCacheRules(DescribePullThroughCacheRulesOutput),
    UpdatePullThroughCacheRule(UpdatedPullThroughCacheRule),
    ValidatePullThroughCacheRule(ValidatedPullThroughCacheRule),
    DeletePullThroughCacheRule(DeletedPullThroughCacheRule),

    /// CreateRepositoryCreationTemplate, UpdateRepositoryCreationTemplate, DeleteRepositoryCreationTemplate.
    RepositoryCreationTemplate(RepositoryCreationTemplateOutput),
    DescribeRepositoryCreationTemplates(DescribeRepositoryCreationTemplatesOutput),

    /// RegisterPullTimeUpdateExclusion, DeregisterPullTimeUpdateExclusion.
    Exclusion(ExclusionOutput),
    ListPullTimeUpdateExclusions(ListPullTimeUpdateExclusionsOutput),

    PutRegistryScanningConfiguration(PutRegistryScanningConfigurationOutput),
    GetRegistryScanningConfiguration(GetRegistryScanningConfigurationOutput),
    BatchGetRepositoryScanningConfiguration(BatchGetRepositoryScanningConfigurationOutput),
    PutReplicationConfiguration(PutReplicationConfigurationOutput),
    ListReplicationBackfills(ListReplicationBackfillsOutput),
    DescribeImageReplicationStatus(DescribeImageReplicationStatusOutput),
    DescribeImageSigningStatus(DescribeImageSigningStatusOutput),

    /// TagResource, UntagResource: `{}`.
    Empty {},
}

impl Output {
    /// The body of the response.
    pub fn to_json(&self) -> Vec<u8> {
        // Text, numbers and lists in structs: there is nothing in them that JSON cannot say.
        serde_json::to_vec(self).unwrap_or_else(|_| b"{}".to_vec())
    }
}
