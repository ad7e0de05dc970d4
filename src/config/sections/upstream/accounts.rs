//! `accounts` of an upstream: the registries that have it.

use crate::config::reading::{Kind, Shape, Written};
use crate::oci::AccountId;

/// `accounts`: those that an upstream is there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamAccounts {
    All,
    These(Vec<AccountId>),
}

const ALL_ACCOUNTS: &str = "*";

/// An element of the list. `None` is every account.
pub const ACCOUNT_OR_ALL: Kind<Option<AccountId>> =
    Kind::written(Shape::Texts, account_or_all, |account| match account {
        Some(account) => Written::text(account),
        None => Written::text(ALL_ACCOUNTS),
    });

impl UpstreamAccounts {
    pub fn of(elements: Vec<Option<AccountId>>) -> Self {
        let accounts: Option<Vec<_>> = elements.into_iter().collect();
        accounts.map_or(Self::All, Self::These)
    }

    pub fn written(&self) -> Written {
        match self {
            Self::All => Written::texts(&[ALL_ACCOUNTS]),
            Self::These(accounts) => Written::texts(accounts),
        }
    }
}

fn account_or_all(text: &str) -> Result<Option<AccountId>, String> {
    if text == ALL_ACCOUNTS {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| format!("{text:?} is no account: write twelve digits, or \"*\" for every account"))
}
