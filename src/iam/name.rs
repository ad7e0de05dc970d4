//! Names that IAM gives: of users, roles, policies, sessions and keys.

use std::fmt;
use std::str::FromStr;

/// `MIN` to `MAX` of the characters that IAM allows in names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name<const MIN: usize, const MAX: usize>(String);

/// Of a user or a role.
pub type EntityName = Name<1, 64>;
pub type PolicyName = Name<1, 128>;
pub type SessionName = Name<2, 64>;

/// 16 to 128 letters, digits and underscores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKeyId(String);

/// In AWS's words, what the text does not satisfy.
pub(super) type Unsatisfied = String;

impl<const MIN: usize, const MAX: usize> Name<MIN, MAX> {
    pub fn parse(text: &str) -> Result<Self, Unsatisfied> {
        length(text, MIN, MAX)?;
        if text.bytes().all(|c| c.is_ascii_alphanumeric() || b"_+=,.@-".contains(&c)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(r"Member must satisfy regular expression pattern: [\w+=,.@-]+".to_owned())
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MIN: usize, const MAX: usize> FromStr for Name<MIN, MAX> {
    type Err = Unsatisfied;

    fn from_str(text: &str) -> Result<Self, Unsatisfied> {
        Self::parse(text)
    }
}

impl AccessKeyId {
    pub fn parse(text: &str) -> Result<Self, Unsatisfied> {
        length(text, 16, 128)?;
        if text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
            Ok(Self(text.to_owned()))
        } else {
            Err(r"Member must satisfy regular expression pattern: [\w]+".to_owned())
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Counts characters.
pub(super) fn length(text: &str, min: usize, max: usize) -> Result<(), Unsatisfied> {
    // No character is longer than four bytes: what is far too long is not counted.
    let count = if text.len() > 4 * max { usize::MAX } else { text.chars().count() };
    if count < min {
        Err(format!("Member must have length greater than or equal to {min}"))
    } else if count > max {
        Err(format!("Member must have length less than or equal to {max}"))
    } else {
        Ok(())
    }
}

impl<const MIN: usize, const MAX: usize> fmt::Display for Name<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for text in ["a", "A.b+c=d,e@f-g_h", &"x".repeat(64)] {
            assert_eq!(EntityName::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "a b", "a/b", "a:b", "*", "\u{e4}", "a\n", "<", &"x".repeat(65), &"x".repeat(1000)] {
            assert!(EntityName::parse(text).is_err(), "{text:?}");
        }
        assert!(PolicyName::parse(&"x".repeat(128)).is_ok() && PolicyName::parse(&"x".repeat(129)).is_err());
        assert!(SessionName::parse("ab").is_ok() && SessionName::parse("a").is_err());
        assert!(AccessKeyId::parse("AKIAABCDEFGHIJKL").is_ok());
        for text in ["AKIAABCDEFGHIJK", "AKIAABCDEFGHIJK-", &"A".repeat(129)] {
            assert!(AccessKeyId::parse(text).is_err(), "{text}");
        }
    }
}
