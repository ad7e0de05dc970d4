//! A repository among those of all registries: each account has a registry, and in it names of its own.

use std::fmt;

use super::account_id::AccountId;
use super::name::RepositoryName;

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QualifiedName {
    pub account: AccountId,
    pub name: RepositoryName,
}

impl QualifiedName {
    pub const fn new(account: AccountId, name: RepositoryName) -> Self {
        Self { account, name }
    }

    /// Another repository of the same registry.
    pub const fn beside(&self, name: RepositoryName) -> Self {
        Self { account: self.account, name }
    }
}

/// Messages go to those who have chosen the registry.
impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}
