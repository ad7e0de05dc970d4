//! The prefix of repository names that a pull-through rule or a repository creation template is for.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::oci::RepositoryName;

/// A repository name, perhaps with a slash after it, or `ROOT` for all names that no other prefix claims. Two prefixes
/// that differ only in the last slash claim the same names; compare [`Prefix::path`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a prefix is the name of a repository, perhaps with a slash after it, or ROOT")]
pub struct PrefixError;

const ROOT: &str = "ROOT";

impl Prefix {
    pub fn root() -> Self {
        Self(ROOT.to_owned())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0 == ROOT
    }

    /// Without a slash at the end; `None` for `ROOT`.
    pub fn path(&self) -> Option<&str> {
        (!self.is_root()).then(|| self.0.strip_suffix('/').unwrap_or(&self.0))
    }

    /// The part of `name` after the prefix and a slash; all of it for `ROOT`.
    pub fn rest<'a>(&self, name: &'a str) -> Option<&'a str> {
        match self.path() {
            None => Some(name),
            Some(path) => name.strip_prefix(path)?.strip_prefix('/').filter(|rest| !rest.is_empty()),
        }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// How long a prefix may be depends on what it is for; only its form is checked here.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let path = text.strip_suffix('/').unwrap_or(text);
        // A slash may make a template's prefix one character longer than a name.
        if text == ROOT || path.parse::<RepositoryName>().is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(PrefixError)
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for good in ["ROOT", "a", "a/", "docker-hub/library", "a.b/"] {
            assert_eq!(good.parse::<Prefix>().map(|prefix| prefix.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "/", "root/Root", "Root", "ROOT/", "a//", "/a", "a-", "*"] {
            assert_eq!(bad.parse::<Prefix>(), Err(PrefixError), "{bad}");
        }
        assert_eq!("a/".parse::<Prefix>().unwrap().path(), Some("a"));
        assert_eq!(Prefix::root().path(), None);
    }

    #[test]
    fn rest_of_a_name() {
        for (prefix, name, rest) in [
            ("ROOT", "a/b", Some("a/b")),
            ("a", "a/b", Some("b")),
            ("a/", "a/b/c", Some("b/c")),
            ("a", "ab/c", None),
            ("a", "a", None),
        ] {
            assert_eq!(prefix.parse::<Prefix>().unwrap().rest(name), rest, "{prefix} {name}");
        }
    }
}
