//! Why a blob cannot be had.

use std::sync::Arc;
use std::time::Duration;

use crate::oci::Digest;
use crate::{storage, upstream};

/// Cloned to everyone who waits for the same fill.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Upstream(#[from] upstream::Error),
    #[error("upstream {upstream} sent bytes that are not {digest}: {detail}; nothing was kept")]
    Corrupt { upstream: String, digest: Digest, detail: String },
    #[error("{digest} cannot be read from disk: {source}")]
    Storage { digest: Digest, source: Arc<storage::Error> },
    #[error("{digest} cannot be had: {source}")]
    Bucket { digest: Digest, source: Arc<storage::Error> },
    #[error("the bucket no longer has {digest}: push it again")]
    Lost { digest: Digest },
    #[error("the fetch of {digest} was stopped before its end")]
    Stopped { digest: Digest },
    #[error("nothing more of {digest} comes from where it was asked for")]
    Stalled { digest: Digest },
    /// Told to nobody: there was nobody left, and whoever came since asks anew.
    #[error("nobody waited any more for {digest} when its turn to be fetched came")]
    Abandoned { digest: Digest },
}

impl Error {
    /// Asking again soon would bring the same.
    pub(super) fn is_answer(&self) -> bool {
        match self {
            Self::Upstream(error) => error.is_answer(),
            Self::Lost { .. } => true,
            _ => false,
        }
    }

    /// What came cannot be what was asked for.
    pub(super) fn is_misbehaviour(&self) -> bool {
        match self {
            Self::Upstream(error) => matches!(error.kind, upstream::ErrorKind::Misbehaved { .. }),
            Self::Bucket { source, .. } => source.is_beyond_the_end(),
            _ => false,
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Upstream(error) => error.retry_after(),
            _ => None,
        }
    }
}
