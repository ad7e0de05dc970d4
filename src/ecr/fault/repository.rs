//! Faults about a repository, its policies and its resource tags.

use super::answer::Fault;
use super::exception::Exception;
use crate::oci::{AccountId, RepositoryName};

impl Fault {
    pub fn repository_not_found(name: &RepositoryName, registry: &AccountId) -> Self {
        Self::new(
            Exception::RepositoryNotFound,
            format!("The repository with name '{name}' does not exist in the registry with id '{registry}'"),
        )
    }

    pub fn repository_already_exists(name: &RepositoryName, registry: &AccountId) -> Self {
        Self::new(
            Exception::RepositoryAlreadyExists,
            format!("The repository with name '{name}' already exists in the registry with id '{registry}'"),
        )
    }

    pub fn repository_not_empty(name: &RepositoryName, registry: &AccountId) -> Self {
        Self::new(
            Exception::RepositoryNotEmpty,
            format!(
                "The repository with name '{name}' in registry with id '{registry}' cannot be deleted because it still contains images"
            ),
        )
    }

    pub fn repository_policy_not_found(name: &RepositoryName, registry: &AccountId) -> Self {
        Self::new(
            Exception::RepositoryPolicyNotFound,
            format!(
                "Repository policy does not exist for the repository with name '{name}' in the registry with id '{registry}'"
            ),
        )
    }

    /// Without `force`, a policy under which its author could not set another.
    pub fn repository_policy_locks_out() -> Self {
        Self::invalid_parameter(
            "PolicyText",
            "This policy would keep you from setting another repository policy; set force to set it all the same",
        )
    }

    pub fn lifecycle_policy_not_found(name: &RepositoryName, registry: &AccountId) -> Self {
        Self::new(
            Exception::LifecyclePolicyNotFound,
            format!(
                "Lifecycle policy does not exist for the repository with name '{name}' in the registry with id '{registry}'"
            ),
        )
    }

    pub fn lifecycle_policy_preview_not_found(name: &RepositoryName, registry: &AccountId) -> Self {
        Self::new(
            Exception::LifecyclePolicyPreviewNotFound,
            format!(
                "Lifecycle policy preview does not exist for the repository with name '{name}' in the registry with id '{registry}'"
            ),
        )
    }

    /// `Invalid parameter at '<member>'` with the exception that resource tags have of their own.
    pub fn invalid_tag_parameter(member: &str, detail: &str) -> Self {
        Self::new(
            Exception::InvalidTagParameter,
            format!("Invalid parameter at '{member}' failed to satisfy constraint: '{detail}'"),
        )
    }

    pub fn too_many_tags(most: usize) -> Self {
        Self::new(Exception::TooManyTags, format!("A repository has at most {most} tags"))
    }
}
