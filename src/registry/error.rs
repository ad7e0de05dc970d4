//! Why the registry cannot do what was asked.

use std::fmt;

use crate::oci::{Digest, Reference, RepositoryName};
use crate::{cache, upstream};

/// What a failed request was about.
#[derive(Clone, Debug)]
pub enum Object {
    Manifest(RepositoryName, Reference),
    Blob(RepositoryName, Digest),
    Tags(RepositoryName),
    Referrers(RepositoryName, Digest),
    /// A blob whose repository no longer matters.
    Content(Digest),
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Name(#[from] super::NameError),
    #[error("{0} does not exist")]
    Unknown(Object),
    #[error(
        "{repository} is cached from upstream {upstream}: it can be read, but nothing can be pushed to it or deleted"
    )]
    ReadOnly { repository: RepositoryName, upstream: String },
    #[error("{object} cannot be had: {source}")]
    Upstream { object: Object, source: upstream::Error },
    #[error("{object} cannot be had: {source}")]
    Cache { object: Object, source: cache::Error },
    #[error("the list cannot be read: {0}")]
    Meta(#[from] crate::meta::Error),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest(repository, Reference::Tag(tag)) => write!(f, "manifest {repository}:{tag}"),
            Self::Manifest(repository, Reference::Digest(digest)) => write!(f, "manifest {repository}@{digest}"),
            Self::Blob(repository, digest) => write!(f, "blob {repository}@{digest}"),
            Self::Tags(repository) => write!(f, "the tags of {repository}"),
            Self::Content(digest) => write!(f, "blob {digest}"),
            Self::Referrers(repository, digest) => write!(f, "the referrers of {repository}@{digest}"),
        }
    }
}

impl Error {
    /// Gives an upstream's error its object; "not there" becomes an answer of ours.
    pub(super) fn from_upstream(object: Object, source: upstream::Error) -> Self {
        match source.kind {
            upstream::ErrorKind::NotFound => Self::Unknown(object),
            _ => Self::Upstream { object, source },
        }
    }

    pub(super) fn from_cache(object: Object, source: cache::Error) -> Self {
        match source {
            cache::Error::Upstream(source) => Self::from_upstream(object, source),
            source => Self::Cache { object, source },
        }
    }
}
