//! Asking another registry.
//!
//! An [`Upstream`] is one configured registry: its endpoints in order with a circuit breaker each, its credential, its
//! tokens, its limits. It answers questions about manifests, tags and referrers, and yields a [`Source`] of a blob's
//! bytes, from any offset. Blobs come over HTTP/1.1, a connection each; everything else may use HTTP/2.
//!
//! *Never* here: what an answer means for a client, anything that is kept beyond a token, a client's own headers.

mod error;
mod source;

pub use error::Error;
pub use error::ErrorKind;
pub use source::{Source, Stream};

use std::sync::Arc;
use std::time::Duration;

use crate::config::{UpstreamName, UpstreamSettings};
use crate::oci::{AcceptSet, Digest, MediaType, Reference, RepositoryName};
use crate::telemetry::Metrics;

pub struct Upstream {
    settings: UpstreamSettings,
}

/// What upstream says of a manifest without its bytes.
#[derive(Clone, Debug)]
pub struct ManifestHead {
    /// `None` where upstream does not tell it (C13): ask with GET.
    pub digest: Option<Digest>,
    pub media_type: MediaType,
    pub size: Option<u64>,
}

/// A manifest's exact bytes; the digest is computed from them and, where one was asked for or announced, holds.
#[derive(Clone, Debug)]
pub struct ManifestBody {
    pub digest: Digest,
    pub media_type: MediaType,
    pub bytes: bytes::Bytes,
}

impl Upstream {
    pub fn new(settings: UpstreamSettings, metrics: Metrics) -> Result<Arc<Self>, Error> {
        let _ = metrics;
        Ok(Arc::new(Self { settings }))
    }
    pub fn name(&self) -> &UpstreamName {
        &self.settings.name
    }
    pub fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }
    /// HEAD; does not count as a pull at Docker Hub. `deadline` bounds the whole, login and retries included.
    pub async fn manifest_head(
        &self,
        _repository: &RepositoryName,
        _reference: &Reference,
        _accept: AcceptSet,
        _deadline: Duration,
    ) -> Result<ManifestHead, Error> {
        unimplemented!()
    }
    pub async fn manifest(
        &self,
        _repository: &RepositoryName,
        _reference: &Reference,
        _accept: AcceptSet,
        _deadline: Duration,
    ) -> Result<ManifestBody, Error> {
        unimplemented!()
    }
    /// HEAD of a blob: its size where upstream tells it (C12).
    pub async fn blob_head(&self, _repository: &RepositoryName, _digest: &Digest) -> Result<Option<u64>, Error> {
        unimplemented!()
    }
    /// Every tag, over all of upstream's pages, in upstream's order.
    pub async fn tags(&self, _repository: &RepositoryName) -> Result<Vec<String>, Error> {
        unimplemented!()
    }
    /// The referrers API's index over all pages, or `None` where upstream has no such API.
    pub async fn referrers(
        &self,
        _repository: &RepositoryName,
        _subject: &Digest,
    ) -> Result<Option<bytes::Bytes>, Error> {
        unimplemented!()
    }
    pub fn source(self: &Arc<Self>, repository: RepositoryName, digest: Digest) -> Source {
        Source::new(self.clone(), repository, digest)
    }
}
