//! What the registry has: bytes, and which repository may serve them.
//!
//! A cached object is answered only in a repository that refers to it. The right comes from a manifest of that repository,
//! or from its upstream, which is asked before something kept for another repository is served.

use std::sync::Arc;
use std::time::Duration;

use super::Repository;
use super::single_flight::SingleFlight;
use crate::cache::BlobCache;
use crate::meta::{Link, LinkKind, Meta, now_ms};
use crate::oci::{AcceptSet, Digest, Manifest, MediaType, Reference, RepositoryName};
use crate::telemetry::{CacheOutcome, Metrics};
use crate::upstream::{Error, ManifestBody};

use tokio_util::task::TaskTracker;

/// Links in memory: which repository may serve which digest.
const MAX_LINKS: u64 = 200_000;

/// Refusals in memory.
const MAX_REFUSALS: u64 = 10_000;

type Key = (RepositoryName, Digest);

pub(super) struct Kept {
    pub(super) cache: BlobCache,
    pub(super) meta: Meta,
    pub(super) metrics: Metrics,
    links: moka::sync::Cache<Key, Arc<Link>>,
    /// What upstream refused, and when.
    refusals: moka::sync::Cache<Key, (Error, i64)>,
    manifests: SingleFlight<Key, ManifestBody>,
}

impl Kept {
    pub(super) fn new(cache: BlobCache, meta: Meta, metrics: Metrics, tasks: TaskTracker) -> Self {
        Self {
            cache,
            meta,
            metrics,
            links: moka::sync::Cache::new(MAX_LINKS),
            refusals: moka::sync::Cache::new(MAX_REFUSALS),
            manifests: SingleFlight::new(tasks),
        }
    }

    /// The repository's right to serve the object, if it has one.
    pub(super) async fn link(&self, repository: &RepositoryName, digest: &Digest) -> Option<Arc<Link>> {
        let key = (repository.clone(), *digest);
        if let Some(link) = self.links.get(&key) {
            return Some(link);
        }
        match self.meta.link(repository, digest).await {
            Ok(link) => link.map(|link| {
                let link = Arc::new(link);
                self.links.insert(key, link.clone());
                link
            }),
            Err(error) => {
                tracing::warn!(%error, %repository, "links cannot be read; upstream is asked instead");
                None
            }
        }
    }

    pub(super) fn forget_all(&self) {
        self.links.invalidate_all();
    }

    pub(super) async fn add_links(&self, repository: &RepositoryName, links: Vec<Link>) {
        if let Err(error) = self.meta.put_links(repository, &links).await {
            tracing::warn!(%error, %repository, "links cannot be written; upstream will be asked again after a restart");
        }
        for link in links {
            self.links.insert((repository.clone(), link.digest), Arc::new(link));
        }
    }

    /// Upstream's refusal of the object, if it is recent.
    pub(super) fn refusal(&self, repository: &Repository, digest: &Digest) -> Option<Error> {
        let (error, at_ms) = self.refusals.get(&(repository.local.clone(), *digest))?;
        let age = Duration::from_millis(u64::try_from(now_ms().saturating_sub(at_ms)).unwrap_or_default());
        (age < repository.upstream.settings().negative_ttl).then_some(error)
    }

    /// Remembers a refusal for a short time; failures are not remembered.
    pub(super) fn note(&self, repository: &Repository, digest: &Digest, error: &Error) {
        if error.is_answer() {
            self.refusals.insert((repository.local.clone(), *digest), (error.clone(), now_ms()));
        }
    }

    /// Fetches a manifest by its digest and keeps it; one fetch for everyone who asks meanwhile.
    pub(super) async fn fetch_manifest(
        self: &Arc<Self>,
        repository: &Repository,
        digest: Digest,
    ) -> Result<(ManifestBody, CacheOutcome), Error> {
        if let Some(refusal) = self.refusal(repository, &digest) {
            return Err(refusal);
        }
        let pending = self.manifests.ask(&(repository.local.clone(), digest), repository.upstream.name(), || {
            let (this, repository) = (self.clone(), repository.clone());
            async move {
                let Repository { upstream, remote, .. } = &repository;
                let reference = Reference::Digest(digest);
                let deadline = upstream.settings().patience();
                let fetched = upstream.manifest(remote, &reference, AcceptSet::current(), deadline).await;
                match &fetched {
                    Ok(manifest) => this.keep_manifest(&repository, manifest).await,
                    Err(error) => this.note(&repository, &digest, error),
                }
                fetched
            }
        });
        let outcome = pending.outcome;
        Ok((pending.answer().await?, outcome))
    }

    /// Keeps a manifest, and the right of its repository to what it refers to.
    pub(super) async fn keep_manifest(&self, repository: &Repository, manifest: &ManifestBody) {
        self.cache.keep(manifest.digest, manifest.bytes.clone()).await;
        let mut links = vec![Link {
            digest: manifest.digest,
            kind: LinkKind::Manifest,
            media_type: manifest.media_type.clone(),
            size: Some(manifest.bytes.len() as u64),
        }];
        if let Ok(document) = Manifest::parse(&manifest.bytes) {
            links.extend(document.blobs.into_iter().map(|blob| Link {
                digest: blob.digest,
                kind: LinkKind::Blob,
                media_type: blob.media_type,
                // Schema 1 tells no sizes.
                size: Some(blob.size).filter(|_| !manifest.media_type.is_schema1()),
            }));
            links.extend(document.manifests.into_iter().map(|child| Link {
                digest: child.digest,
                // An entry of unknown type may be a blob; one that is asked for as a manifest becomes a manifest's.
                kind: if child.media_type.is_manifest() { LinkKind::Manifest } else { LinkKind::Blob },
                media_type: child.media_type,
                size: Some(child.size),
            }));
        }
        self.add_links(&repository.local, links).await;
    }
}

/// What a manifest's bytes say that they are, where nothing else does.
pub(super) fn declared_type(link: &MediaType, bytes: &[u8]) -> MediaType {
    if !link.as_str().is_empty() {
        return link.clone();
    }
    let declared = Manifest::parse(bytes).ok().and_then(|manifest| manifest.media_type);
    declared.unwrap_or_else(MediaType::oci_manifest)
}
