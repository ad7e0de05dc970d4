//! The names of the operations of `AmazonEC2ContainerRegistry_V20150921`, and the IAM action of each.

use super::fault::Fault;
use super::words::{Word, words};

words! {
    /// The word is the operation's name with the prefix of IAM actions.
    pub enum OperationName {
        BatchCheckLayerAvailability = "ecr:BatchCheckLayerAvailability",
        BatchDeleteImage = "ecr:BatchDeleteImage",
        BatchGetImage = "ecr:BatchGetImage",
        BatchGetRepositoryScanningConfiguration = "ecr:BatchGetRepositoryScanningConfiguration",
        CompleteLayerUpload = "ecr:CompleteLayerUpload",
        CreatePullThroughCacheRule = "ecr:CreatePullThroughCacheRule",
        CreateRepository = "ecr:CreateRepository",
        CreateRepositoryCreationTemplate = "ecr:CreateRepositoryCreationTemplate",
        DeleteLifecyclePolicy = "ecr:DeleteLifecyclePolicy",
        DeletePullThroughCacheRule = "ecr:DeletePullThroughCacheRule",
        DeleteRegistryPolicy = "ecr:DeleteRegistryPolicy",
        DeleteRepository = "ecr:DeleteRepository",
        DeleteRepositoryCreationTemplate = "ecr:DeleteRepositoryCreationTemplate",
        DeleteRepositoryPolicy = "ecr:DeleteRepositoryPolicy",
        DeleteSigningConfiguration = "ecr:DeleteSigningConfiguration",
        DeregisterPullTimeUpdateExclusion = "ecr:DeregisterPullTimeUpdateExclusion",
        DescribeImageReplicationStatus = "ecr:DescribeImageReplicationStatus",
        DescribeImageScanFindings = "ecr:DescribeImageScanFindings",
        DescribeImageSigningStatus = "ecr:DescribeImageSigningStatus",
        DescribeImages = "ecr:DescribeImages",
        DescribePullThroughCacheRules = "ecr:DescribePullThroughCacheRules",
        DescribeRegistry = "ecr:DescribeRegistry",
        DescribeReplicationBackfillResults = "ecr:DescribeReplicationBackfillResults",
        DescribeRepositories = "ecr:DescribeRepositories",
        DescribeRepositoryCreationTemplates = "ecr:DescribeRepositoryCreationTemplates",
        GetAccountSetting = "ecr:GetAccountSetting",
        GetAuthorizationToken = "ecr:GetAuthorizationToken",
        GetDownloadUrlForLayer = "ecr:GetDownloadUrlForLayer",
        GetLifecyclePolicy = "ecr:GetLifecyclePolicy",
        GetLifecyclePolicyPreview = "ecr:GetLifecyclePolicyPreview",
        GetRegistryPolicy = "ecr:GetRegistryPolicy",
        GetRegistryScanningConfiguration = "ecr:GetRegistryScanningConfiguration",
        GetRepositoryPolicy = "ecr:GetRepositoryPolicy",
        GetSigningConfiguration = "ecr:GetSigningConfiguration",
        InitiateLayerUpload = "ecr:InitiateLayerUpload",
        ListImageReferrers = "ecr:ListImageReferrers",
        ListImages = "ecr:ListImages",
        ListPullTimeUpdateExclusions = "ecr:ListPullTimeUpdateExclusions",
        ListReplicationBackfills = "ecr:ListReplicationBackfills",
        ListTagsForResource = "ecr:ListTagsForResource",
        PutAccountSetting = "ecr:PutAccountSetting",
        PutImage = "ecr:PutImage",
        PutImageScanningConfiguration = "ecr:PutImageScanningConfiguration",
        PutImageTagMutability = "ecr:PutImageTagMutability",
        PutLifecyclePolicy = "ecr:PutLifecyclePolicy",
        PutRegistryPolicy = "ecr:PutRegistryPolicy",
        PutRegistryScanningConfiguration = "ecr:PutRegistryScanningConfiguration",
        PutReplicationConfiguration = "ecr:PutReplicationConfiguration",
        PutSigningConfiguration = "ecr:PutSigningConfiguration",
        RegisterPullTimeUpdateExclusion = "ecr:RegisterPullTimeUpdateExclusion",
        SetRepositoryPolicy = "ecr:SetRepositoryPolicy",
        StartImageScan = "ecr:StartImageScan",
        StartLifecyclePolicyPreview = "ecr:StartLifecyclePolicyPreview",
        StartReplicationBackfill = "ecr:StartReplicationBackfill",
        StopReplicationBackfill = "ecr:StopReplicationBackfill",
        TagResource = "ecr:TagResource",
        UntagResource = "ecr:UntagResource",
        UpdateImageStorageClass = "ecr:UpdateImageStorageClass",
        UpdatePullThroughCacheRule = "ecr:UpdatePullThroughCacheRule",
        UpdateRepositoryCreationTemplate = "ecr:UpdateRepositoryCreationTemplate",
        UploadLayerPart = "ecr:UploadLayerPart",
        ValidatePullThroughCacheRule = "ecr:ValidatePullThroughCacheRule",
    }
}

const PREFIX: &str = "ecr:";

const TARGET_PREFIX: &str = "AmazonEC2ContainerRegistry_V20150921.";

/// A part of 20 MiB in base64, with room for the other members.
const MAX_PART_BODY_BYTES: usize = 28 << 20;

/// A manifest of 4 MiB, of which every character may be escaped with one more.
const MAX_MANIFEST_BODY_BYTES: usize = 9 << 20;

const MAX_BODY_BYTES: usize = 1 << 20;

impl OperationName {
    /// From the value of `X-Amz-Target`.
    pub fn of_target(target: &str) -> Result<Self, Fault> {
        target.strip_prefix(TARGET_PREFIX).and_then(Self::parse).ok_or_else(|| Fault::unknown_operation(target))
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|name| name.name() == text)
    }

    /// How large a body of this operation is worth reading.
    pub const fn max_body_bytes(self) -> usize {
        match self {
            Self::UploadLayerPart => MAX_PART_BODY_BYTES,
            Self::PutImage => MAX_MANIFEST_BODY_BYTES,
            _ => MAX_BODY_BYTES,
        }
    }

    /// As in `X-Amz-Target`, after the dot.
    pub fn name(self) -> &'static str {
        self.as_str().strip_prefix(PREFIX).unwrap_or_default()
    }

    /// The action that an IAM policy must allow.
    pub const fn iam_action(self) -> &'static str {
        match self {
            Self::ListImageReferrers => Self::BatchGetImage.as_str(),
            other => other.as_str(),
        }
    }

    /// Whether it changes what the registry holds or how it behaves.
    pub fn is_write(self) -> bool {
        !["Get", "Describe", "List", "BatchGet", "BatchCheck", "Validate"]
            .iter()
            .any(|reading| self.name().starts_with(reading))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_comes_back() {
        assert_eq!(OperationName::ALL.len(), 62);
        for name in OperationName::ALL {
            assert_eq!(OperationName::parse(name.name()), Some(*name));
            assert_eq!(format!("{name:?}"), name.name());
        }
        assert_eq!(OperationName::parse(""), None);
        assert_eq!(OperationName::parse("createrepository"), None);
    }

    #[test]
    fn reading_and_writing() {
        for (name, write) in [
            (OperationName::GetAuthorizationToken, false),
            (OperationName::BatchGetImage, false),
            (OperationName::BatchCheckLayerAvailability, false),
            (OperationName::BatchDeleteImage, true),
            (OperationName::ValidatePullThroughCacheRule, false),
            (OperationName::DeregisterPullTimeUpdateExclusion, true),
            (OperationName::PutImage, true),
            (OperationName::InitiateLayerUpload, true),
            (OperationName::CompleteLayerUpload, true),
            (OperationName::StartImageScan, true),
        ] {
            assert_eq!(name.is_write(), write, "{name}");
        }
        assert_eq!(OperationName::ListImageReferrers.iam_action(), "ecr:BatchGetImage");
        assert_eq!(OperationName::DeleteRepository.iam_action(), "ecr:DeleteRepository");
    }
}
