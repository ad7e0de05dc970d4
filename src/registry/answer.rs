//! What the registry answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::cache::Blob;
use crate::oci::{Digest, MediaType, Tag};
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
    },
    Repositories {
        names: Vec<String>,
        more: bool,
    },
}

/// How old an answer is, and why nothing newer came.
#[derive(Clone, Debug)]
pub struct Staleness {
    /// Time since upstream last confirmed it.
    pub age: Duration,
    /// Why upstream did not confirm it now; `None` while it is being asked behind the answer.
    pub reason: Option<String>,
}
