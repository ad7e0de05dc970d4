//! The closed list of all that the control plane can be asked, and what authorization needs to know of each.

use super::fault::Fault;
use super::input::{
    BatchCheckLayerAvailability, BatchDeleteImage, BatchGetImage, CompleteLayerUpload, CreatePullThroughCacheRule,
    CreateRepository, CreateRepositoryCreationTemplate, DeleteRepository, DeleteRepositoryCreationTemplate,
    DescribeImages, DescribePullThroughCacheRules, DescribeRepositories, DescribeRepositoryCreationTemplates,
    GetAccountSetting, GetAuthorizationToken, GetDownloadUrlForLayer, LaterOperation, ListImageReferrers, ListImages,
    ListPullTimeUpdateExclusions, ListTagsForResource, Members, PullThroughCacheRuleKey, PullTimeUpdateExclusion,
    PutAccountSetting, PutImage, PutImageScanningConfiguration, PutImageTagMutability, PutRegistryPolicy,
    RepositoryTarget, SetRepositoryPolicy, TagResource, UntagResource, UpdatePullThroughCacheRule,
    UpdateRepositoryCreationTemplate, UploadLayerPart,
};
use super::operation_name::OperationName;
use super::page::Selection;
use crate::oci::{AccountId, RepositoryName};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    GetAuthorizationToken(GetAuthorizationToken),
    DescribeRegistry,
    GetAccountSetting(GetAccountSetting),
    PutAccountSetting(PutAccountSetting),

    CreateRepository(CreateRepository),
    DescribeRepositories(DescribeRepositories),
    DeleteRepository(DeleteRepository),
    PutImageTagMutability(PutImageTagMutability),
    PutImageScanningConfiguration(PutImageScanningConfiguration),

    TagResource(TagResource),
    UntagResource(UntagResource),
    ListTagsForResource(ListTagsForResource),

    DescribeImages(DescribeImages),
    ListImages(ListImages),
    BatchGetImage(BatchGetImage),
    BatchDeleteImage(BatchDeleteImage),
    PutImage(PutImage),
    ListImageReferrers(ListImageReferrers),

    BatchCheckLayerAvailability(BatchCheckLayerAvailability),
    InitiateLayerUpload(RepositoryTarget),
    UploadLayerPart(UploadLayerPart),
    CompleteLayerUpload(CompleteLayerUpload),
    GetDownloadUrlForLayer(GetDownloadUrlForLayer),

    SetRepositoryPolicy(SetRepositoryPolicy),
    GetRepositoryPolicy(RepositoryTarget),
    DeleteRepositoryPolicy(RepositoryTarget),
    PutRegistryPolicy(PutRegistryPolicy),
    GetRegistryPolicy,
    DeleteRegistryPolicy,

    CreatePullThroughCacheRule(CreatePullThroughCacheRule),
    DescribePullThroughCacheRules(DescribePullThroughCacheRules),
    UpdatePullThroughCacheRule(UpdatePullThroughCacheRule),
    ValidatePullThroughCacheRule(PullThroughCacheRuleKey),
    DeletePullThroughCacheRule(PullThroughCacheRuleKey),

    CreateRepositoryCreationTemplate(CreateRepositoryCreationTemplate),
    UpdateRepositoryCreationTemplate(UpdateRepositoryCreationTemplate),
    DeleteRepositoryCreationTemplate(DeleteRepositoryCreationTemplate),
    DescribeRepositoryCreationTemplates(DescribeRepositoryCreationTemplates),

    RegisterPullTimeUpdateExclusion(PullTimeUpdateExclusion),
    DeregisterPullTimeUpdateExclusion(PullTimeUpdateExclusion),
    ListPullTimeUpdateExclusions(ListPullTimeUpdateExclusions),

    Later(LaterOperation),
}

/// What an operation is about, for the resource of an IAM decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The registry as a whole: `*` in IAM.
    Registry,
    Repository(&'a RepositoryName),
    /// Each of them must be allowed. Never empty.
    Repositories(&'a [RepositoryName]),
    /// Every repository of the registry: `repository/*` in IAM.
    AllRepositories,
}

impl Operation {
    /// `target` is the value of `X-Amz-Target`. Whoever read the body has bounded it, by
    /// [`OperationName::max_body_bytes`].
    pub fn parse(target: &str, body: &[u8]) -> Result<Self, Fault> {
        let name = OperationName::of_target(target)?;
        Self::read(name, &mut Members::of_body(body)?)
    }

    fn read(name: OperationName, members: &mut Members) -> Result<Self, Fault> {
        use OperationName as Name;
        Ok(match name {
            Name::GetAuthorizationToken => Self::GetAuthorizationToken(GetAuthorizationToken::read(members)?),
            Name::DescribeRegistry => Self::DescribeRegistry,
            Name::GetAccountSetting => Self::GetAccountSetting(GetAccountSetting::read(members)?),
            Name::PutAccountSetting => Self::PutAccountSetting(PutAccountSetting::read(members)?),

            Name::CreateRepository => Self::CreateRepository(CreateRepository::read(members)?),
            Name::DescribeRepositories => Self::DescribeRepositories(DescribeRepositories::read(members)?),
            Name::DeleteRepository => Self::DeleteRepository(DeleteRepository::read(members)?),
            Name::PutImageTagMutability => Self::PutImageTagMutability(PutImageTagMutability::read(members)?),
            Name::PutImageScanningConfiguration => {
                Self::PutImageScanningConfiguration(PutImageScanningConfiguration::read(members)?)
            }

            Name::TagResource => Self::TagResource(TagResource::read(members)?),
            Name::UntagResource => Self::UntagResource(UntagResource::read(members)?),
            Name::ListTagsForResource => Self::ListTagsForResource(ListTagsForResource::read(members)?),

            Name::DescribeImages => Self::DescribeImages(DescribeImages::read(members)?),
            Name::ListImages => Self::ListImages(ListImages::read(members)?),
            Name::BatchGetImage => Self::BatchGetImage(BatchGetImage::read(members)?),
            Name::BatchDeleteImage => Self::BatchDeleteImage(BatchDeleteImage::read(members)?),
            Name::PutImage => Self::PutImage(PutImage::read(members)?),
            Name::ListImageReferrers => Self::ListImageReferrers(ListImageReferrers::read(members)?),

            Name::BatchCheckLayerAvailability => {
                Self::BatchCheckLayerAvailability(BatchCheckLayerAvailability::read(members)?)
            }
            Name::InitiateLayerUpload => Self::InitiateLayerUpload(RepositoryTarget::read(members)?),
            Name::UploadLayerPart => Self::UploadLayerPart(UploadLayerPart::read(members)?),
            Name::CompleteLayerUpload => Self::CompleteLayerUpload(CompleteLayerUpload::read(members)?),
            Name::GetDownloadUrlForLayer => Self::GetDownloadUrlForLayer(GetDownloadUrlForLayer::read(members)?),

            Name::SetRepositoryPolicy => Self::SetRepositoryPolicy(SetRepositoryPolicy::read(members)?),
            Name::GetRepositoryPolicy => Self::GetRepositoryPolicy(RepositoryTarget::read(members)?),
            Name::DeleteRepositoryPolicy => Self::DeleteRepositoryPolicy(RepositoryTarget::read(members)?),
            Name::PutRegistryPolicy => Self::PutRegistryPolicy(PutRegistryPolicy::read(members)?),
            Name::GetRegistryPolicy => Self::GetRegistryPolicy,
            Name::DeleteRegistryPolicy => Self::DeleteRegistryPolicy,

            Name::CreatePullThroughCacheRule => {
                Self::CreatePullThroughCacheRule(CreatePullThroughCacheRule::read(members)?)
            }
            Name::DescribePullThroughCacheRules => {
                Self::DescribePullThroughCacheRules(DescribePullThroughCacheRules::read(members)?)
            }
            Name::UpdatePullThroughCacheRule => {
                Self::UpdatePullThroughCacheRule(UpdatePullThroughCacheRule::read(members)?)
            }
            Name::ValidatePullThroughCacheRule => {
                Self::ValidatePullThroughCacheRule(PullThroughCacheRuleKey::read(members)?)
            }
            Name::DeletePullThroughCacheRule => {
                Self::DeletePullThroughCacheRule(PullThroughCacheRuleKey::read(members)?)
            }

            Name::CreateRepositoryCreationTemplate => {
                Self::CreateRepositoryCreationTemplate(CreateRepositoryCreationTemplate::read(members)?)
            }
            Name::UpdateRepositoryCreationTemplate => {
                Self::UpdateRepositoryCreationTemplate(UpdateRepositoryCreationTemplate::read(members)?)
            }
            Name::DeleteRepositoryCreationTemplate => {
                Self::DeleteRepositoryCreationTemplate(DeleteRepositoryCreationTemplate::read(members)?)
            }
            Name::DescribeRepositoryCreationTemplates => {
                Self::DescribeRepositoryCreationTemplates(DescribeRepositoryCreationTemplates::read(members)?)
            }

            Name::RegisterPullTimeUpdateExclusion => {
                Self::RegisterPullTimeUpdateExclusion(PullTimeUpdateExclusion::read(members)?)
            }
            Name::DeregisterPullTimeUpdateExclusion => {
                Self::DeregisterPullTimeUpdateExclusion(PullTimeUpdateExclusion::read(members)?)
            }
            Name::ListPullTimeUpdateExclusions => {
                Self::ListPullTimeUpdateExclusions(ListPullTimeUpdateExclusions::read(members)?)
            }

            Name::PutLifecyclePolicy
            | Name::GetLifecyclePolicy
            | Name::DeleteLifecyclePolicy
            | Name::StartLifecyclePolicyPreview
            | Name::GetLifecyclePolicyPreview
            | Name::PutRegistryScanningConfiguration
            | Name::GetRegistryScanningConfiguration
            | Name::BatchGetRepositoryScanningConfiguration
            | Name::StartImageScan
            | Name::DescribeImageScanFindings
            | Name::PutReplicationConfiguration
            | Name::DescribeImageReplicationStatus
            | Name::StartReplicationBackfill
            | Name::DescribeReplicationBackfillResults
            | Name::ListReplicationBackfills
            | Name::StopReplicationBackfill
            | Name::PutSigningConfiguration
            | Name::GetSigningConfiguration
            | Name::DeleteSigningConfiguration
            | Name::DescribeImageSigningStatus
            | Name::UpdateImageStorageClass => Self::Later(LaterOperation::read(name, members)?),
        })
    }

    pub const fn operation_name(&self) -> OperationName {
        use OperationName as Name;
        match self {
            Self::GetAuthorizationToken(_) => Name::GetAuthorizationToken,
            Self::DescribeRegistry => Name::DescribeRegistry,
            Self::GetAccountSetting(_) => Name::GetAccountSetting,
            Self::PutAccountSetting(_) => Name::PutAccountSetting,
            Self::CreateRepository(_) => Name::CreateRepository,
            Self::DescribeRepositories(_) => Name::DescribeRepositories,
            Self::DeleteRepository(_) => Name::DeleteRepository,
            Self::PutImageTagMutability(_) => Name::PutImageTagMutability,
            Self::PutImageScanningConfiguration(_) => Name::PutImageScanningConfiguration,
            Self::TagResource(_) => Name::TagResource,
            Self::UntagResource(_) => Name::UntagResource,
            Self::ListTagsForResource(_) => Name::ListTagsForResource,
            Self::DescribeImages(_) => Name::DescribeImages,
            Self::ListImages(_) => Name::ListImages,
            Self::BatchGetImage(_) => Name::BatchGetImage,
            Self::BatchDeleteImage(_) => Name::BatchDeleteImage,
            Self::PutImage(_) => Name::PutImage,
            Self::ListImageReferrers(_) => Name::ListImageReferrers,
            Self::BatchCheckLayerAvailability(_) => Name::BatchCheckLayerAvailability,
            Self::InitiateLayerUpload(_) => Name::InitiateLayerUpload,
            Self::UploadLayerPart(_) => Name::UploadLayerPart,
            Self::CompleteLayerUpload(_) => Name::CompleteLayerUpload,
            Self::GetDownloadUrlForLayer(_) => Name::GetDownloadUrlForLayer,
            Self::SetRepositoryPolicy(_) => Name::SetRepositoryPolicy,
            Self::GetRepositoryPolicy(_) => Name::GetRepositoryPolicy,
            Self::DeleteRepositoryPolicy(_) => Name::DeleteRepositoryPolicy,
            Self::PutRegistryPolicy(_) => Name::PutRegistryPolicy,
            Self::GetRegistryPolicy => Name::GetRegistryPolicy,
            Self::DeleteRegistryPolicy => Name::DeleteRegistryPolicy,
            Self::CreatePullThroughCacheRule(_) => Name::CreatePullThroughCacheRule,
            Self::DescribePullThroughCacheRules(_) => Name::DescribePullThroughCacheRules,
            Self::UpdatePullThroughCacheRule(_) => Name::UpdatePullThroughCacheRule,
            Self::ValidatePullThroughCacheRule(_) => Name::ValidatePullThroughCacheRule,
            Self::DeletePullThroughCacheRule(_) => Name::DeletePullThroughCacheRule,
            Self::CreateRepositoryCreationTemplate(_) => Name::CreateRepositoryCreationTemplate,
            Self::UpdateRepositoryCreationTemplate(_) => Name::UpdateRepositoryCreationTemplate,
            Self::DeleteRepositoryCreationTemplate(_) => Name::DeleteRepositoryCreationTemplate,
            Self::DescribeRepositoryCreationTemplates(_) => Name::DescribeRepositoryCreationTemplates,
            Self::RegisterPullTimeUpdateExclusion(_) => Name::RegisterPullTimeUpdateExclusion,
            Self::DeregisterPullTimeUpdateExclusion(_) => Name::DeregisterPullTimeUpdateExclusion,
            Self::ListPullTimeUpdateExclusions(_) => Name::ListPullTimeUpdateExclusions,
            Self::Later(later) => later.name,
        }
    }

    pub fn name(&self) -> &'static str {
        self.operation_name().name()
    }

    pub const fn iam_action(&self) -> &'static str {
        self.operation_name().iam_action()
    }

    pub fn is_write(&self) -> bool {
        self.operation_name().is_write()
    }

    pub fn resource(&self) -> Resource<'_> {
        if let Some(repository) = self.repository() {
            return Resource::Repository(repository);
        }
        match self {
            Self::DescribeRepositories(input) => match &input.repositories {
                Selection::Named(names) => repositories(names),
                Selection::All(_) => Resource::AllRepositories,
            },
            Self::Later(later) if !later.repositories.is_empty() => repositories(&later.repositories),
            _ => Resource::Registry,
        }
    }

    /// The registry that the request names; `None` is the caller's own.
    pub fn registry_id(&self) -> Option<&AccountId> {
        if let Some(target) = self.target() {
            return target.registry_id.as_ref();
        }
        match self {
            Self::TagResource(TagResource { resource, .. })
            | Self::UntagResource(UntagResource { resource, .. })
            | Self::ListTagsForResource(ListTagsForResource { resource }) => Some(&resource.account),
            Self::DescribeRepositories(input) => input.registry_id.as_ref(),
            Self::DescribePullThroughCacheRules(input) => input.registry_id.as_ref(),
            Self::CreatePullThroughCacheRule(CreatePullThroughCacheRule { rule, .. })
            | Self::UpdatePullThroughCacheRule(UpdatePullThroughCacheRule { rule, .. })
            | Self::ValidatePullThroughCacheRule(rule)
            | Self::DeletePullThroughCacheRule(rule) => rule.registry_id.as_ref(),
            Self::Later(later) => later.registry_id.as_ref(),
            _ => None,
        }
    }

    /// The one repository that it is about.
    fn repository(&self) -> Option<&RepositoryName> {
        if let Some(target) = self.target() {
            return Some(&target.name);
        }
        match self {
            Self::TagResource(TagResource { resource, .. })
            | Self::UntagResource(UntagResource { resource, .. })
            | Self::ListTagsForResource(ListTagsForResource { resource }) => Some(&resource.name),
            _ => None,
        }
    }

    const fn target(&self) -> Option<&RepositoryTarget> {
        Some(match self {
            Self::CreateRepository(input) => &input.repository,
            Self::DeleteRepository(input) => &input.repository,
            Self::PutImageTagMutability(input) => &input.repository,
            Self::PutImageScanningConfiguration(input) => &input.repository,
            Self::DescribeImages(input) => &input.repository,
            Self::ListImages(input) => &input.repository,
            Self::BatchGetImage(input) => &input.repository,
            Self::BatchDeleteImage(input) => &input.repository,
            Self::PutImage(input) => &input.repository,
            Self::ListImageReferrers(input) => &input.repository,
            Self::BatchCheckLayerAvailability(input) => &input.repository,
            Self::UploadLayerPart(input) => &input.repository,
            Self::CompleteLayerUpload(input) => &input.repository,
            Self::GetDownloadUrlForLayer(input) => &input.repository,
            Self::SetRepositoryPolicy(input) => &input.repository,
            Self::InitiateLayerUpload(target)
            | Self::GetRepositoryPolicy(target)
            | Self::DeleteRepositoryPolicy(target) => target,
            _ => return None,
        })
    }
}

fn repositories(names: &[RepositoryName]) -> Resource<'_> {
    match names {
        [one] => Resource::Repository(one),
        names => Resource::Repositories(names),
    }
}
