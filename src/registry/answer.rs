//! What the registry answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::cache::Blob;
use crate::oci::{Digest, MediaType, Reference, RepositoryName, Tag, UploadId};
use crate::telemetry::CacheOutcome;
use crate::upstream::Upstream;

/// An answer, and what the access log says about it.
pub struct Answer {
    pub body: Body,
    pub upstream: Option<Arc<Upstream>>,
    pub outcome: Option<CacheOutcome>,
    /// Set when the answer is past its time.
    pub staleness: Option<Staleness>,
}

pub enum Body {
    Pong,
    Manifest {
        digest: Digest,
        media_type: MediaType,
        size: Option<u64>,
        bytes: Option<Bytes>,
    },
    Blob(Blob),
    /// The client fetches it from there, within a short time.
    Elsewhere {
        digest: Digest,
        /// Bytes.
        size: u64,
        url: String,
    },
    /// A blob of which only the description was asked.
    BlobHead {
        digest: Digest,
        size: Option<u64>,
    },
    Tags {
        name: String,
        tags: Vec<Tag>,
        more: bool,
    },
    /// An OCI index.
    Referrers {
        index: Bytes,
        filtered: bool,
        /// The last entry of this page, if others follow.
        next: Option<Digest>,
    },
    Repositories {
        names: Vec<String>,
        /// Where the list goes on, and with how many on its next page, if it does.
        next: Option<(String, u32)>,
    },
    /// So many bytes of an upload have come.
    Upload {
        repository: RepositoryName,
        id: UploadId,
        bytes: u64,
        state: UploadState,
    },
    UploadCancelled,
    /// A blob that was pushed or mounted.
    BlobPushed {
        repository: RepositoryName,
        digest: Digest,
    },
    ManifestPushed {
        repository: RepositoryName,
        /// As the client named it.
        reference: Reference,
        digest: Digest,
        subject: Option<Digest>,
        tags: Vec<Tag>,
    },
    Deleted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadState {
    /// It was asked for.
    Known,
    Started,
    Appended,
}

/// How old an answer is, and why nothing newer came.
#[derive(Clone, Debug)]
pub struct Staleness {
    /// Time since upstream last confirmed it.
    pub age: Duration,
    /// Why upstream did not confirm it now; `None` while it is being asked behind the answer.
    pub reason: Option<String>,
}
