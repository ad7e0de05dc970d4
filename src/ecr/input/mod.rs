//! What each operation is given, read from the JSON of its request.
//!
//! [`Members`] hands out the members of an object one by one as [`Item`]s, which know their path; `shape` reads the
//! shapes that many operations share; then one file for each group of operations has their inputs as structs and reads
//! them. A member that no operation knows is passed over, and `null` is the same as absent, as AWS does. Every limit of
//! the model is checked here, so that a value which exists is within it.
//!
//! *Never* here: whether what an input names exists, or whether the caller may do it.

mod item;
mod members;

mod pattern;
mod shape;

mod exclusion;
mod image;
mod later;
mod layer;
mod policy;
mod pull_through;
mod registry;
mod repository;
mod resource_tag;
mod template;

pub(super) use members::Members;

pub use exclusion::{ListPullTimeUpdateExclusions, PullTimeUpdateExclusion};
pub use image::{
    BatchDeleteImage, BatchGetImage, DescribeImages, ImageFilter, ListImageReferrers, ListImages, PutImage,
};
pub use later::LaterOperation;
pub use layer::{BatchCheckLayerAvailability, CompleteLayerUpload, GetDownloadUrlForLayer, UploadLayerPart};
pub use policy::{PutRegistryPolicy, SetRepositoryPolicy};
pub use pull_through::{
    CreatePullThroughCacheRule, DescribePullThroughCacheRules, PullThroughCacheRuleKey, UpdatePullThroughCacheRule,
};
pub use registry::{GetAccountSetting, GetAuthorizationToken, PutAccountSetting};
pub use repository::{
    CreateRepository, DeleteRepository, DescribeRepositories, PutImageScanningConfiguration, PutImageTagMutability,
    RepositoryTarget,
};
pub use resource_tag::{ListTagsForResource, TagResource, UntagResource};
pub use template::{
    CreateRepositoryCreationTemplate, DeleteRepositoryCreationTemplate, DescribeRepositoryCreationTemplates,
    TemplateSettings, UpdateRepositoryCreationTemplate,
};
