//! The vocabulary of ECR's control plane: operations with their inputs, outputs and faults.
//!
//! A request is `POST /` with the operation's name in `X-Amz-Target` and a JSON object as body. It is parsed once into
//! an [`Operation`], which tells the IAM action and the repositories that it is about; what carries it out answers with an
//! [`Output`] or a [`Fault`], and both know their JSON. Every limit of the service model is checked while parsing.
//!
//! *Never* here: IO, async, HTTP, signatures, deciding who may do something, or what the registry holds.

mod words;

mod arn;
mod timestamp;

mod account_setting;
mod applied_for;
mod conditions;
mod encryption;
mod image;
mod layer;
mod mutability;
mod page;
mod prefix;
mod resource_tag;
mod upstream_registry;

mod fault;

mod operation_name;

mod input;
mod operation;

mod output;

mod later;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub use tests::minimal_bodies;

pub use account_setting::AccountSettingName;
pub use applied_for::AppliedFor;
pub use arn::{ArnError, Region, RepositoryArn, repositories_arn, repository_arn};
pub use conditions::Said;
pub use encryption::{EncryptionConfiguration, EncryptionType};
pub use fault::{Denial, Exception, Fault, PartPlace};
pub use image::{
    ImageFailureCode, ImageIdentifier, ImageSelector, ImageStatus, ImageStatusFilter, RequestedImage, TagStatus,
};
pub use input::{
    BatchCheckLayerAvailability, BatchDeleteImage, BatchGetImage, CompleteLayerUpload, CreatePullThroughCacheRule,
    CreateRepository, CreateRepositoryCreationTemplate, DeleteRepository, DeleteRepositoryCreationTemplate,
    DescribeImages, DescribePullThroughCacheRules, DescribeRepositories, DescribeRepositoryCreationTemplates,
    GetAccountSetting, GetAuthorizationToken, GetDownloadUrlForLayer, ImageFilter, LaterOperation, ListImageReferrers,
    ListImages, ListPullTimeUpdateExclusions, ListTagsForResource, PullThroughCacheRuleKey, PullTimeUpdateExclusion,
    PutAccountSetting, PutImage, PutImageScanningConfiguration, PutImageTagMutability, PutRegistryPolicy,
    RepositoryTarget, SetRepositoryPolicy, TagResource, TemplateSettings, UntagResource, UpdatePullThroughCacheRule,
    UpdateRepositoryCreationTemplate, UploadLayerPart,
};
pub use later::Found;
pub use layer::{LayerAvailability, LayerDigest, LayerFailureCode, RequestedLayer};
pub use mutability::{ExclusionFilter, ExclusionFilterError, MutabilityMode, TagMutability};
pub use operation::{Operation, Resource};
pub use operation_name::OperationName;
pub use output::{
    AccountSettingOutput, AuthorizationData, BatchCheckLayerAvailabilityOutput, BatchDeleteImageOutput,
    BatchGetImageOutput, CompleteLayerUploadOutput, DeletedPullThroughCacheRule, DescribeImagesOutput,
    DescribePullThroughCacheRulesOutput, DescribeRegistryOutput, DescribeRepositoriesOutput,
    DescribeRepositoryCreationTemplatesOutput, ExclusionOutput, GetAuthorizationTokenOutput,
    GetDownloadUrlForLayerOutput, Image, ImageDetail, ImageFailure, ImageReferrer, ImageScanningConfiguration,
    InitiateLayerUploadOutput, Layer, LayerFailure, ListImageReferrersOutput, ListImagesOutput,
    ListPullTimeUpdateExclusionsOutput, ListTagsForResourceOutput, Output, PullThroughCacheRule, PutImageOutput,
    PutImageScanningConfigurationOutput, PutImageTagMutabilityOutput, RegistryPolicyOutput, ReplicationConfiguration,
    Repository, RepositoryCreationTemplate, RepositoryCreationTemplateOutput, RepositoryOutput, RepositoryPolicyOutput,
    RepositoryScanningConfiguration, UpdatedPullThroughCacheRule, UploadLayerPartOutput, ValidatedPullThroughCacheRule,
};
pub use page::{NextToken, NextTokenError, Page, PageKind, Selection};
pub use prefix::{Prefix, PrefixError};
pub use resource_tag::{MAX_RESOURCE_TAGS, ResourceTag};
pub use timestamp::Timestamp;
pub use upstream_registry::UpstreamRegistry;
pub use words::Word;
