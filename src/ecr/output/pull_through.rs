//! Answers about pull-through cache rules.

use serde::Serialize;

use super::super::page::NextToken;
use super::super::prefix::Prefix;
use super::super::timestamp::Timestamp;
use super::super::upstream_registry::UpstreamRegistry;
use crate::oci::AccountId;

/// A rule of a list, and the answer of creating one, which has no `updated_at`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PullThroughCacheRule {
    pub ecr_repository_prefix: Prefix,
    pub upstream_registry_url: String,
    pub created_at: Timestamp,
    pub registry_id: AccountId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_role_arn: Option<String>,
    pub upstream_repository_prefix: Prefix,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_registry: Option<UpstreamRegistry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdatedPullThroughCacheRule {
    pub ecr_repository_prefix: Prefix,
    pub registry_id: AccountId,
    pub updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_role_arn: Option<String>,
    pub upstream_repository_prefix: Prefix,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletedPullThroughCacheRule {
    pub ecr_repository_prefix: Prefix,
    pub upstream_registry_url: String,
    pub created_at: Timestamp,
    pub registry_id: AccountId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_role_arn: Option<String>,
    pub upstream_repository_prefix: Prefix,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidatedPullThroughCacheRule {
    pub ecr_repository_prefix: Prefix,
    pub registry_id: AccountId,
    pub upstream_registry_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_role_arn: Option<String>,
    pub upstream_repository_prefix: Prefix,
    pub is_valid: bool,
    /// Why not, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribePullThroughCacheRulesOutput {
    pub pull_through_cache_rules: Vec<PullThroughCacheRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<NextToken>,
}
