//! Who a token speaks for, as the token carries it.

use serde::{Deserialize, Serialize};

use super::unix_time::UnixTime;

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
    /// Those who lent it what they had, by their ids and epochs: when one of them is revoked or gone, so is what was lent.
    #[serde(rename = "v", default, skip_serializing_if = "Vec::is_empty")]
    lenders: Vec<(String, u64)>,
    /// When the token was given that this one was exchanged for, or the first of several in a row.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    since: Option<UnixTime>,
}

/// Lenders in a row.
const MAX_LENDERS: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalError {
    #[error("a principal's ARN or id has from 1 to {MAX_PRINCIPAL_CHARS} characters, none of them a control character")]
    Id,
    #[error("{0:?} is not an account: it must be {ACCOUNT_DIGITS} digits")]
    Account(String),
    #[error("a session is of a session of a session, more than {MAX_LENDERS} times: begin with a user's key")]
    Lenders,
}

impl Principal {
    pub fn new(id: &str, account: &str, epoch: u64) -> Result<Self, PrincipalError> {
        if id.is_empty() || id.len() > MAX_PRINCIPAL_CHARS || id.chars().any(char::is_control) {
            return Err(PrincipalError::Id);
        }
        if account.len() != ACCOUNT_DIGITS || !account.bytes().all(|c| c.is_ascii_digit()) {
            return Err(PrincipalError::Account(account.chars().take(2 * ACCOUNT_DIGITS).collect()));
        }
        Ok(Self { id: id.to_owned(), account: account.to_owned(), epoch, lenders: Vec::new(), since: None })
    }

    /// The same, lent by these.
    pub fn lent_by(mut self, lenders: Vec<(String, u64)>) -> Result<Self, PrincipalError> {
        if lenders.len() > MAX_LENDERS {
            return Err(PrincipalError::Lenders);
        }
        self.lenders = lenders;
        Ok(self)
    }

    pub fn lenders(&self) -> &[(String, u64)] {
        &self.lenders
    }

    /// The same, proven by what was given at this time.
    #[must_use]
    pub fn proven(self, since: Option<UnixTime>) -> Self {
        Self { since, ..self }
    }

    pub const fn since(&self) -> Option<UnixTime> {
        self.since
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
        let principal = Principal::new("a", "123456789012", 1).unwrap();
        let json = serde_json::to_string(&principal).unwrap();
        assert_eq!(json, r#"{"p":"a","a":"123456789012","r":1}"#, "tokens that were given out before can be read");
        assert_eq!(serde_json::from_str::<Principal>(&json).unwrap(), principal);
        let lent = principal.clone().lent_by(vec![("b".to_owned(), 2)]).unwrap();
        assert_eq!(serde_json::from_str::<Principal>(&serde_json::to_string(&lent).unwrap()).unwrap(), lent);
        let later = principal.clone().proven(Some(UnixTime::from_seconds(7)));
        assert_eq!(serde_json::from_str::<Principal>(&serde_json::to_string(&later).unwrap()).unwrap(), later);
        assert_eq!(principal.lent_by(vec![("b".to_owned(), 2); 9]), Err(PrincipalError::Lenders));
        assert_eq!(Principal::new(&"a".repeat(1025), "123456789012", 0), Err(PrincipalError::Id));
    }
}
