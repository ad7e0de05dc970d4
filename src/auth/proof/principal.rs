//! Who a token speaks for, as the token carries it.

use serde::{Deserialize, Serialize};

const MAX_PRINCIPAL_CHARS: usize = 1024;
const ACCOUNT_DIGITS: usize = 12;

/// A principal as it was when the token was made. Serialized with one-letter names: it is part of every token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Principal {
    /// Its ARN or id.
    #[serde(rename = "p")]
    id: String,
    /// 12 digits.
    #[serde(rename = "a")]
    account: String,
    /// Raised when all that was handed out before is revoked: a token of an earlier epoch is no longer good. Comparing is
    /// the caller's, who has the principal's row.
    #[serde(rename = "r")]
    epoch: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalError {
    #[error("a principal's ARN or id has from 1 to {MAX_PRINCIPAL_CHARS} characters, none of them a control character")]
    Id,
    #[error("{0:?} is not an account: it must be {ACCOUNT_DIGITS} digits")]
    Account(String),
}

impl Principal {
    pub fn new(id: &str, account: &str, epoch: u64) -> Result<Self, PrincipalError> {
        if id.is_empty() || id.len() > MAX_PRINCIPAL_CHARS || id.chars().any(char::is_control) {
            return Err(PrincipalError::Id);
        }
        if account.len() != ACCOUNT_DIGITS || !account.bytes().all(|c| c.is_ascii_digit()) {
            return Err(PrincipalError::Account(account.chars().take(2 * ACCOUNT_DIGITS).collect()));
        }
        Ok(Self { id: id.to_owned(), account: account.to_owned(), epoch })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn account(&self) -> &str {
        &self.account
    }

    pub const fn epoch(&self) -> u64 {
        self.epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checked() {
        assert!(Principal::new("arn:aws:iam::123456789012:user/ci", "123456789012", 0).is_ok());
        for (id, account) in [
            ("", "123456789012"),
            ("a\nb", "123456789012"),
            ("a", "12345678901"),
            ("a", "1234567890123"),
            ("a", "12345678901x"),
            ("a", ""),
        ] {
            assert!(Principal::new(id, account, 0).is_err(), "{id} {account}");
        }
        assert_eq!(Principal::new(&"a".repeat(1025), "123456789012", 0), Err(PrincipalError::Id));
    }
}
