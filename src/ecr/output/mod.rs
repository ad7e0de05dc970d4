//! What each operation answers when it succeeds, as structs that know their JSON.
//!
//! Members without a value are left out. Operations whose answers have the same shape share one struct. [`Output`] is
//! one of them all, for whoever carries out operations.
//!
//! *Never* here: looking anything up.

mod answer;
mod text;

mod exclusion;
mod image;
mod later;
mod layer;
mod policy;
mod pull_through;
mod registry;
mod repository;
mod template;

pub use answer::Output;
pub use exclusion::{ExclusionOutput, ListPullTimeUpdateExclusionsOutput};
pub use image::{
    BatchDeleteImageOutput, BatchGetImageOutput, DescribeImagesOutput, Image, ImageDetail, ImageFailure, ImageReferrer,
    ListImageReferrersOutput, ListImagesOutput, PutImageOutput,
};
pub use later::{
    BatchGetRepositoryScanningConfigurationOutput, DescribeImageReplicationStatusOutput,
    DescribeImageSigningStatusOutput, GetRegistryScanningConfigurationOutput, ListReplicationBackfillsOutput,
    PutRegistryScanningConfigurationOutput, PutReplicationConfigurationOutput, RegistryScanningConfiguration,
    RepositoryScanningConfiguration, RepositoryScanningConfigurationFailure,
};
pub use layer::{
    BatchCheckLayerAvailabilityOutput, CompleteLayerUploadOutput, GetDownloadUrlForLayerOutput,
    InitiateLayerUploadOutput, Layer, LayerFailure, UploadLayerPartOutput,
};
pub use policy::{RegistryPolicyOutput, RepositoryPolicyOutput};
pub use pull_through::{
    DeletedPullThroughCacheRule, DescribePullThroughCacheRulesOutput, PullThroughCacheRule,
    UpdatedPullThroughCacheRule, ValidatedPullThroughCacheRule,
};
pub use registry::{
    AccountSettingOutput, AuthorizationData, DescribeRegistryOutput, GetAuthorizationTokenOutput,
    ReplicationConfiguration,
};
pub use repository::{
    DescribeRepositoriesOutput, ImageScanningConfiguration, ListTagsForResourceOutput,
    PutImageScanningConfigurationOutput, PutImageTagMutabilityOutput, Repository, RepositoryOutput,
};
pub use template::{
    DescribeRepositoryCreationTemplatesOutput, RepositoryCreationTemplate, RepositoryCreationTemplateOutput,
};
