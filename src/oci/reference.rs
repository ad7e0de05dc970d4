//! What names a manifest within a repository: a tag or a digest (distribution-spec, "Pulling manifests").

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::digest::{Digest, DigestError};

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    Tag(Tag),
    Digest(Digest),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("{0:?} is not a tag: up to 128 letters, digits, '_', '.' and '-', not beginning with '.' or '-'")]
    BadTag(String),
    #[error(transparent)]
    BadDigest(#[from] DigestError),
}

impl Tag {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag under which clients without the referrers API keep the referrers of `subject`
    /// (distribution-spec, "Referrers tag schema").
    pub fn of_referrers(subject: &Digest) -> Self {
        let mut text = format!("{}-{}", subject.algorithm().name(), subject.hex());
        text.truncate(128);
        Self(text.into())
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let well_formed = (1..=128).contains(&text.len())
            && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c))
            && !text.starts_with(['.', '-']);
        if well_formed { Ok(Self(text.into())) } else { Err(ReferenceError::BadTag(text.to_owned())) }
    }
}

impl Reference {
    pub fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Tag(tag) => Some(tag),
            Self::Digest(_) => None,
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.contains(':') { Ok(Self::Digest(text.parse()?)) } else { Ok(Self::Tag(text.parse()?)) }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_makes_it_a_digest() {
        assert!(matches!("latest".parse(), Ok(Reference::Tag(_))));
        assert!(matches!(format!("sha256:{}", "a".repeat(64)).parse(), Ok(Reference::Digest(_))));
        assert!(matches!("sha256:zz".parse::<Reference>(), Err(ReferenceError::BadDigest(_))));
    }

    #[test]
    fn tags() {
        for good in ["latest", "1.2.3", "_x", "A-b_C.d", &"a".repeat(128)] {
            assert!(good.parse::<Tag>().is_ok(), "{good}");
        }
        for bad in ["", ".x", "-x", "a/b", "a b", "ü", &"a".repeat(129)] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }
}
