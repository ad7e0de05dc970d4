//! Lines in which jobs wait: an account's, for each destination.

use crate::oci::AccountId;

/// Lanes that one look at a queue finds; the next one begins behind the last of them.
pub const MAX_LANES: u32 = 1_000;

/// Jobs of one account for one destination: these wait in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    name: String,
    /// When its first job may be taken, from now on; not positive if that is now.
    pub due_in_ms: i64,
}

impl Lane {
    pub(super) const fn new(name: String, due_in_ms: i64) -> Self {
        Self { name, due_in_ms }
    }

    pub fn name_of(account: Option<AccountId>, destination: &str) -> String {
        format!("{}/{destination}", account.map(|account| account.to_string()).unwrap_or_default())
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Text of the account; empty for the registry's own jobs.
    pub fn account(&self) -> &str {
        self.name.split_once('/').map_or("", |(account, _)| account)
    }

    /// Empty where its jobs depend on none.
    pub fn destination(&self) -> &str {
        self.name.split_once('/').map_or("", |(_, destination)| destination)
    }

    #[cfg(test)]
    pub(crate) fn for_tests(name: &str, due_in_ms: i64) -> Self {
        Self { name: name.to_owned(), due_in_ms }
    }
}
