//! A blob's bytes, from any offset.

use std::sync::Arc;

use bytes::Bytes;

use super::Upstream;
use super::error::Error;
use crate::oci::{ByteRange, Digest, RepositoryName};

/// Where a blob can be had. Cheap to clone.
#[derive(Clone)]
pub struct Source {
    upstream: Arc<Upstream>,
    repository: RepositoryName,
    digest: Digest,
}

/// A body that is arriving.
pub struct Stream {
    /// Offset in the blob of the next byte.
    pub start: u64,
    /// Size of the whole blob in bytes, if upstream said it.
    pub total: Option<u64>,
}

impl Source {
    pub(super) fn new(upstream: Arc<Upstream>, repository: RepositoryName, digest: Digest) -> Self {
        Self { upstream, repository, digest }
    }

    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Opens the blob from byte `start` to its end. Waits for a place below `max_fetches`, tries the endpoints in order,
    /// checks `Content-Range` against `start` and `expected_total`; skips what an upstream without ranges sends before
    /// `start`.
    pub async fn open(&self, start: u64, expected_total: Option<u64>) -> Result<Stream, Error> {
        unimplemented!("{start} {expected_total:?} {}", self.repository)
    }

    /// Opens one range only, for what is not going to be kept.
    pub async fn open_range(&self, range: ByteRange) -> Result<Stream, Error> {
        unimplemented!("{range:?}")
    }
}

impl Stream {
    /// The next bytes, or `None` at the end of the body. Fails when nothing comes for the stall timeout, or when the body
    /// ends before its announced length.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        unimplemented!()
    }
}
