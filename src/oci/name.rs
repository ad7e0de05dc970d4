//! A repository's name (distribution-spec, "Pulling manifests").
//!
//! `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`, at most 256 characters, as in ECR. Docker takes
//! at most 255 for the name and the registry's host together.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub const MAX_NAME_CHARS: usize = 256;

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName(Arc<str>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a repository name has at most {MAX_NAME_CHARS} characters")]
    TooLong,
    #[error(
        "{0:?} is not a repository name: components of lower-case letters and digits, joined inside by '.', '_', '__' or dashes, separated by '/'"
    )]
    Malformed(String),
}

impl RepositoryName {
    /// A name under a prefix, as this registry knows it. It may be longer than what a client may write.
    pub fn under(prefix: &str, name: &Self) -> Self {
        // Every request comes by here more than once, and `format!` costs several times as much.
        let mut whole = String::with_capacity(prefix.len() + 1 + name.0.len());
        whole.push_str(prefix);
        whole.push('/');
        whole.push_str(&name.0);
        Self(whole.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() > MAX_NAME_CHARS {
            return Err(NameError::TooLong);
        }
        if text.split('/').all(is_component) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Malformed(text.to_owned()))
        }
    }
}

/// Alphanumeric runs joined by one separator each: `.`, `_`, `__` or any number of dashes.
fn is_component(text: &str) -> bool {
    let is_alphanumeric = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = text.as_bytes();
    let is_bounded = bytes.first().is_some_and(is_alphanumeric) && bytes.last().is_some_and(is_alphanumeric);
    is_bounded && bytes.split(is_alphanumeric).all(joins)
}

/// Nothing stands between two characters of a run.
fn joins(between: &[u8]) -> bool {
    matches!(between, b"." | b"_" | b"__") || between.iter().all(|c| *c == b'-')
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        for good in [
            "a",
            "library/nginx",
            "a/b/c/d/e",
            "a-b",
            "a--b",
            "a---b",
            "a_b",
            "a__b",
            "a.b",
            "0/blobs/manifests/tags",
            "a.b-c__d",
        ] {
            assert!(good.parse::<RepositoryName>().is_ok(), "{good}");
        }
        for bad in [
            "", "/", "a/", "/a", "a//b", "A", "a___b", "a..b", "a._b", "-a", "a-", "a.", "ä", "a b", "a:b", "a@b",
            "..", "a/../b", "%2f",
        ] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad}");
        }
        assert!("a".repeat(256).parse::<RepositoryName>().is_ok());
        assert_eq!("a".repeat(257).parse::<RepositoryName>(), Err(NameError::TooLong));
    }
}
