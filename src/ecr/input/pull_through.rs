//! Pull-through cache rules.

use super::super::fault::Fault;
use super::super::page::{PageKind, Selection};
use super::super::prefix::Prefix;
use super::super::upstream_registry::UpstreamRegistry;
use super::item::Item;
use super::members::Members;
use super::pattern::is_credential_arn;
use super::shape::{self, PageSize};
use crate::oci::AccountId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePullThroughCacheRule {
    pub rule: PullThroughCacheRuleKey,
    pub upstream_registry_url: String,
    pub upstream_registry: Option<UpstreamRegistry>,
    pub credential_arn: Option<String>,
    pub custom_role_arn: Option<String>,
    /// `ROOT` by default, and always for a rule whose own prefix is `ROOT`.
    pub upstream_repository_prefix: Prefix,
}

/// Which rule; all that deleting and validating are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullThroughCacheRuleKey {
    pub registry_id: Option<AccountId>,
    pub prefix: Prefix,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdatePullThroughCacheRule {
    pub rule: PullThroughCacheRuleKey,
    pub credential_arn: Option<String>,
    pub custom_role_arn: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribePullThroughCacheRules {
    pub registry_id: Option<AccountId>,
    pub rules: Selection<Prefix>,
}

impl PullThroughCacheRuleKey {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            registry_id: members.optional("registryId", shape::account_id)?,
            prefix: members.required("ecrRepositoryPrefix", shape::rule_prefix)?,
        })
    }
}

impl CreatePullThroughCacheRule {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        const UPSTREAM_PREFIX: &str = "upstreamRepositoryPrefix";
        let rule = PullThroughCacheRuleKey::read(members)?;
        let upstream_registry_url = members.required("upstreamRegistryUrl", Item::text)?;
        let upstream_registry = shape::word(members, "upstreamRegistry")?;
        let credential_arn = members.optional("credentialArn", credential_arn)?;
        let custom_role_arn = members.optional("customRoleArn", shape::custom_role_arn)?;
        let upstream_prefix = members.optional(UPSTREAM_PREFIX, shape::rule_prefix)?.unwrap_or_else(Prefix::root);
        if rule.prefix.is_root() && !upstream_prefix.is_root() {
            return Err(members.refuse(UPSTREAM_PREFIX, "Member must be ROOT when ecrRepositoryPrefix is ROOT"));
        }
        Ok(Self {
            rule,
            upstream_registry_url,
            upstream_registry,
            credential_arn,
            custom_role_arn,
            upstream_repository_prefix: upstream_prefix,
        })
    }
}

impl UpdatePullThroughCacheRule {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            rule: PullThroughCacheRuleKey::read(members)?,
            credential_arn: members.optional("credentialArn", credential_arn)?,
            custom_role_arn: members.optional("customRoleArn", shape::custom_role_arn)?,
        })
    }
}

impl DescribePullThroughCacheRules {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            registry_id: members.optional("registryId", shape::account_id)?,
            rules: shape::selection(
                members,
                "ecrRepositoryPrefixes",
                |item| item.list(1..=100, shape::rule_prefix),
                PageKind::PullThroughCacheRules,
                PageSize::USUAL,
            )?,
        })
    }
}

fn credential_arn(item: Item) -> Result<String, Fault> {
    const PATTERN: &str =
        r"^arn:aws(-\w+)*:secretsmanager:[a-zA-Z0-9-:]+:secret:ecr\-pullthroughcache\/[a-zA-Z0-9\/_+=.@-]+$";
    item.read(50..=612, PATTERN, |text| is_credential_arn(text).then(|| text.to_owned()))
}
