//! The number of an account, which is also that of its registry.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Twelve digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId([u8; 12]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an account is named by twelve digits, such as 123456789012")]
pub struct AccountIdError;

impl AccountId {
    pub fn as_str(&self) -> &str {
        // Digits, by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for AccountId {
    type Err = AccountIdError;

    fn from_str(text: &str) -> Result<Self, AccountIdError> {
        match text.as_bytes().try_into() {
            Ok(digits) if text.bytes().all(|c| c.is_ascii_digit()) => Ok(Self(digits)),
            _ => Err(AccountIdError),
        }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for AccountId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_digits() {
        assert_eq!("000000000000".parse::<AccountId>().unwrap().to_string(), "000000000000");
        for text in ["", "12345678901", "1234567890123", "12345678901a", "１23456789012", "-12345678901"] {
            assert_eq!(text.parse::<AccountId>(), Err(AccountIdError), "{text}");
        }
    }
}
