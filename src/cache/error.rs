//! Why a blob cannot be had.

use std::sync::Arc;

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
    #[error("the fetch of {digest} was stopped before its end")]
    Stopped { digest: Digest },
}
