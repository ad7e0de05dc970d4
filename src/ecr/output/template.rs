//! Answers about repository creation templates.

use serde::Serialize;

use super::super::applied_for::AppliedFor;
use super::super::encryption::EncryptionConfiguration;
use super::super::mutability::TagMutability;
use super::super::page::NextToken;
use super::super::prefix::Prefix;
use super::super::resource_tag::ResourceTag;
use super::super::timestamp::Timestamp;
use crate::oci::AccountId;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryCreationTemplate {
    pub prefix: Prefix,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub encryption_configuration: EncryptionConfiguration,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_tags: Vec<ResourceTag>,
    #[serde(flatten)]
    pub tag_mutability: TagMutability,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle_policy: Option<String>,
    pub applied_for: Vec<AppliedFor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_role_arn: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryCreationTemplateOutput {
    pub registry_id: AccountId,
    pub repository_creation_template: RepositoryCreationTemplate,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeRepositoryCreationTemplatesOutput {
    pub registry_id: AccountId,
    pub repository_creation_templates: Vec<RepositoryCreationTemplate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<NextToken>,
}
