//! Why the registry cannot do what was asked.

use std::fmt;

use crate::oci::{Digest, Reference, RepositoryName, Tag, UploadId};
use crate::policy::Denied;
use crate::{cache, upstream};

/// What a failed request was about.
#[derive(Clone, Debug)]
pub enum Object {
    Manifest(RepositoryName, Reference),
    Blob(RepositoryName, Digest),
    Tags(RepositoryName),
    Referrers(RepositoryName, Digest),
    Upload(RepositoryName, UploadId),
    /// A blob whose repository no longer matters.
    Content(Digest),
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Name(#[from] super::NameError),
    #[error("{found}{0} does not exist", found = ecr_not_found(.0))]
    Unknown(Object),
    #[error(
        "{repository} is cached from upstream {upstream}: it can be read, but nothing can be pushed to it or deleted"
    )]
    ReadOnly { repository: RepositoryName, upstream: String },
    #[error(
        "{repository} holds what was pulled through from {upstream}, which is not asked any more: it can be read; to push to this name, \
         delete the repository first"
    )]
    Leftover { repository: RepositoryName, upstream: String },
    #[error("{object} cannot be had: {source}")]
    Upstream { object: Object, source: upstream::Error },
    #[error("{object} cannot be had: {source}")]
    Cache { object: Object, source: cache::Error },
    #[error("the database failed: {0}")]
    Meta(#[from] crate::meta::Error),
    #[error("what was pushed cannot be read or written: {0}")]
    Storage(#[from] crate::storage::Error),
    #[error(
        "{object} is not here: no such repository of one's own, and the default upstream does not give it: {reason}"
    )]
    NotOurs { object: Object, reason: String },
    #[error("{object} was pushed with {expected} bytes, but {} are here: the disk lost it; push it again", found.unwrap_or_default())]
    Damaged { object: Object, expected: u64, found: Option<u64> },
    #[error(
        "{0} was removed as forgotten while it was being pushed: push it again; `hosted.grace` must be longer than a push takes"
    )]
    Forgotten(Object),
    #[error("there is no repository {0}, and pushing makes none here (`hosted.create_on_push`)")]
    NotCreated(RepositoryName),
    #[error("the repository was made by another request at the same moment: try again")]
    MadeMeanwhile,
    #[error("there is no upload {id} to {repository}: it has ended, was cancelled, or expired; begin another")]
    NoSuchUpload { repository: RepositoryName, id: UploadId },
    #[error(
        "upload {id} to {repository} began at another replica, which has its bytes: clients must stay with one while they push"
    )]
    UploadElsewhere { repository: RepositoryName, id: UploadId },
    #[error("{what} has {limit} uploads under way already (`{key}`): end or cancel some, or push again later")]
    TooManyUploads { what: String, limit: u64, key: &'static str },
    #[error("another request is writing to upload {id} of {repository}")]
    UploadBusy { repository: RepositoryName, id: UploadId },
    #[error("upload {id} to {repository} goes on at byte {at}")]
    OutOfOrder { repository: RepositoryName, id: UploadId, at: u64 },
    #[error(transparent)]
    BrokenOff(super::BrokenOff),
    #[error("the bytes of {object} are {found}")]
    WrongDigest { object: Object, found: Digest },
    #[error("{object} has {found} bytes where {told} were announced")]
    WrongSize { object: Object, told: u64, found: u64 },
    #[error("the manifest is longer than {limit} bytes (`hosted.max_manifest`)")]
    ManifestTooLong { limit: u64 },
    #[error("{object} is no manifest that can be kept: {reason}")]
    ManifestInvalid { object: Object, reason: String },
    #[error("{object} refers to what is not in its repository: {}", list(missing))]
    MissingReferences { object: Object, missing: Vec<Digest> },
    #[error(
        "The image tag '{tag}' already exists in the '{repository}' repository and cannot be overwritten because the tag is immutable."
    )]
    ImmutableTag { repository: RepositoryName, tag: Tag },
    #[error("{0}")]
    QuotaExceeded(super::hosted::Exceeded),
    #[error(transparent)]
    Denied(Denied),
    #[error("tags come to the image of {0} faster than it can be deleted: try again")]
    TagsChange(RepositoryName),
    #[error("{0} is referred to by a manifest of its repository; delete that first")]
    InUse(Object),
}

/// ECR's sentence for an image that is not there, which scripts look for.
const fn ecr_not_found(object: &Object) -> &'static str {
    match object {
        Object::Manifest(..) => "Requested image not found: ",
        _ => "",
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unavailable(error) => Self::Meta(error),
            denied => Self::Denied(denied),
        }
    }
}

impl From<super::BrokenOff> for Error {
    fn from(broken_off: super::BrokenOff) -> Self {
        match broken_off {
            super::BrokenOff::Denied(denied) => denied.into(),
            broken_off => Self::BrokenOff(broken_off),
        }
    }
}

/// As many as a message can bear.
fn list(digests: &[Digest]) -> String {
    let mut text = digests.iter().take(10).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if digests.len() > 10 {
        text += &format!(" and {} more", digests.len() - 10);
    }
    text
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest(repository, Reference::Tag(tag)) => write!(f, "manifest {repository}:{tag}"),
            Self::Manifest(repository, Reference::Digest(digest)) => write!(f, "manifest {repository}@{digest}"),
            Self::Blob(repository, digest) => write!(f, "blob {repository}@{digest}"),
            Self::Tags(repository) => write!(f, "the tags of {repository}"),
            Self::Upload(repository, id) => write!(f, "upload {id} to {repository}"),
            Self::Content(digest) => write!(f, "blob {digest}"),
            Self::Referrers(repository, digest) => write!(f, "the referrers of {repository}@{digest}"),
        }
    }
}

impl Error {
    /// Gives an upstream's error its object; "not there" becomes an answer of ours.
    pub(in crate::registry) fn from_upstream(object: Object, source: upstream::Error) -> Self {
        match source.kind {
            upstream::ErrorKind::NotFound => Self::Unknown(object),
            _ => Self::Upstream { object, source },
        }
    }

    /// What the default upstream refuses, or cannot say, of a name that could be of one's own.
    pub(in crate::registry) fn of_unclaimed(self) -> Self {
        match self {
            Self::Upstream { object, source } => Self::NotOurs { object, reason: source.to_string() },
            error => error,
        }
    }

    pub fn from_cache(object: Object, source: cache::Error) -> Self {
        match source {
            cache::Error::Upstream(source) => Self::from_upstream(object, source),
            source => Self::Cache { object, source },
        }
    }
}
