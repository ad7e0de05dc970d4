//! Repositories that the configuration makes public, as a document that policies are asked with.

use super::iam::{Document, DocumentError, Kind};
use crate::config::RepositorySettings;
use crate::oci::AccountId;

/// What pulling needs, and looking what there is to pull.
const ACTIONS: [&str; 7] = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:BatchImportUpstreamImage",
    "ecr:DescribeImages",
    "ecr:DescribeRepositories",
    "ecr:GetDownloadUrlForLayer",
    "ecr:ListImages",
];

/// `None` where nothing is public.
pub(super) fn document(
    repositories: &[RepositorySettings],
    home: AccountId,
) -> Result<Option<Document>, DocumentError> {
    let public = repositories.iter().filter(|repository| repository.public);
    let resources: Vec<String> = public
        .map(|repository| {
            format!("arn:aws:ecr:*:{}:repository/{}", repository.account.unwrap_or(home), repository.name)
        })
        .collect();
    if resources.is_empty() {
        return Ok(None);
    }
    let text = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Principal": "*", "Action": ACTIONS, "Resource": resources }],
    });
    Document::parse(Kind::Registry, &text.to_string(), usize::MAX).map(Some)
}
