//! Faults about what a registry as a whole has: its policy, pull-through rules, templates, exclusions, signing.

use super::super::prefix::Prefix;
use super::answer::Fault;
use super::exception::Exception;
use crate::oci::AccountId;

impl Fault {
    pub fn registry_policy_not_found(registry: &AccountId) -> Self {
        Self::new(
            Exception::RegistryPolicyNotFound,
            format!("Registry policy does not exist in the registry with id '{registry}'"),
        )
    }

    pub fn pull_through_cache_rule_not_found(prefix: &Prefix, registry: &AccountId) -> Self {
        Self::new(
            Exception::PullThroughCacheRuleNotFound,
            format!(
                "The pull through cache rule with ecrRepositoryPrefix '{prefix}' does not exist in the registry with id '{registry}'"
            ),
        )
    }

    pub fn pull_through_cache_rule_already_exists(prefix: &Prefix, registry: &AccountId) -> Self {
        Self::new(
            Exception::PullThroughCacheRuleAlreadyExists,
            format!(
                "A pull through cache rule with ecrRepositoryPrefix '{prefix}' already exists in the registry with id '{registry}'"
            ),
        )
    }

    pub fn unsupported_upstream_registry(url: &str) -> Self {
        Self::new(
            Exception::UnsupportedUpstreamRegistry,
            format!("The upstream registry '{url}' is not one that this registry pulls through from"),
        )
    }

    pub fn secret_not_found(arn: &str) -> Self {
        Self::new(Exception::SecretNotFound, format!("The secret '{arn}' does not exist"))
    }

    pub fn unable_to_access_secret(arn: &str) -> Self {
        Self::new(Exception::UnableToAccessSecret, format!("The secret '{arn}' cannot be read"))
    }

    /// `why` begins with "its secret".
    pub fn secret_of_others(arn: &str, why: &str) -> Self {
        let why = why.strip_prefix("its secret ").unwrap_or(why);
        Self::new(Exception::UnableToAccessSecret, format!("The secret '{arn}' {why}"))
    }

    pub fn unable_to_decrypt_secret_value(arn: &str) -> Self {
        Self::new(
            Exception::UnableToDecryptSecretValue,
            format!("The secret '{arn}' has no value of the form {{\"username\": …, \"accessToken\": …}}"),
        )
    }

    pub fn template_not_found(prefix: &Prefix, registry: &AccountId) -> Self {
        Self::new(
            Exception::TemplateNotFound,
            format!(
                "The repository creation template with prefix '{prefix}' does not exist in the registry with id '{registry}'"
            ),
        )
    }

    pub fn template_already_exists(prefix: &Prefix, registry: &AccountId) -> Self {
        Self::new(
            Exception::TemplateAlreadyExists,
            format!(
                "A repository creation template with prefix '{prefix}' already exists in the registry with id '{registry}'"
            ),
        )
    }

    pub fn exclusion_not_found(principal: &str) -> Self {
        Self::new(
            Exception::ExclusionNotFound,
            format!("There is no pull time update exclusion of the principal '{principal}'"),
        )
    }

    pub fn exclusion_already_exists(principal: &str) -> Self {
        Self::new(
            Exception::ExclusionAlreadyExists,
            format!("The principal '{principal}' already has a pull time update exclusion"),
        )
    }

    pub fn signing_configuration_not_found(registry: &AccountId) -> Self {
        Self::new(
            Exception::SigningConfigurationNotFound,
            format!("Signing configuration does not exist in the registry with id '{registry}'"),
        )
    }

    pub fn replication_backfill_not_found(registry: &AccountId) -> Self {
        Self::new(
            Exception::ReplicationBackfillNotFound,
            format!("The replication backfill does not exist in the registry with id '{registry}'"),
        )
    }
}
