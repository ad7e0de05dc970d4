//! Identity policies that come with the program: what AWS's managed policies of ECR allow, and pulling through besides.

use super::document::{Document, Kind};
use super::error::DocumentError;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preset {
    /// Everything, users and their rights included.
    Administrator,
    /// Everything that registries do.
    FullAccess,
    /// Reads, pushes and no administration.
    PowerUser,
    ReadOnly,
    PullOnly,
}

impl Preset {
    pub const ALL: [Self; 5] = [Self::Administrator, Self::FullAccess, Self::PowerUser, Self::ReadOnly, Self::PullOnly];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Administrator => "Administrator",
            Self::FullAccess => "FullAccess",
            Self::PowerUser => "PowerUser",
            Self::ReadOnly => "ReadOnly",
            Self::PullOnly => "PullOnly",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    pub const fn text(self) -> &'static str {
        match self {
            Self::Administrator => ADMINISTRATOR,
            Self::FullAccess => FULL_ACCESS,
            Self::PowerUser => POWER_USER,
            Self::ReadOnly => READ_ONLY,
            Self::PullOnly => PULL_ONLY,
        }
    }

    /// A test holds that every preset parses.
    pub fn document(self) -> Result<Document, DocumentError> {
        Document::parse(Kind::Identity, self.text(), usize::MAX)
    }
}

const ADMINISTRATOR: &str =
    r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;

const FULL_ACCESS: &str =
    r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}]}"#;

const POWER_USER: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", "Action": [
  "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:BatchImportUpstreamImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
  "ecr:DescribeImageScanFindings", "ecr:DescribeRepositories", "ecr:GetAuthorizationToken", "ecr:GetDownloadUrlForLayer",
  "ecr:GetLifecyclePolicy", "ecr:GetLifecyclePolicyPreview", "ecr:GetRepositoryPolicy", "ecr:InitiateLayerUpload",
  "ecr:ListImages", "ecr:ListTagsForResource", "ecr:PutImage", "ecr:UploadLayerPart"]}]}"#;

const READ_ONLY: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", "Action": [
  "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:BatchImportUpstreamImage", "ecr:DescribeImages", "ecr:DescribeImageScanFindings",
  "ecr:DescribeRepositories", "ecr:GetAuthorizationToken", "ecr:GetDownloadUrlForLayer", "ecr:GetLifecyclePolicy",
  "ecr:GetLifecyclePolicyPreview", "ecr:GetRepositoryPolicy", "ecr:ListImages", "ecr:ListTagsForResource"]}]}"#;

const PULL_ONLY: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", "Action": [
  "ecr:BatchGetImage", "ecr:BatchImportUpstreamImage", "ecr:GetAuthorizationToken", "ecr:GetDownloadUrlForLayer"]}]}"#;
