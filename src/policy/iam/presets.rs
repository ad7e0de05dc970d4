//! Identity policies that come with the program: what AWS's managed policies of ECR allow, and pulling through besides.

use super::document::{Document, Kind};
use super::error::DocumentError;
use crate::iam::ManagedPolicy;

impl ManagedPolicy {
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
