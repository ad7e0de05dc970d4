//! What the registry has of upstreams: bytes, and what their manifests say of each other.

use std::sync::Arc;
use std::time::Duration;

use super::Repository;
use super::rights::Rights;
use super::single_flight::SingleFlight;
use crate::cache::BlobCache;
use crate::memory::{self, Map};
use crate::meta::{Link, LinkKind, Meta, now_ms};
use crate::oci::{AcceptSet, Digest, Manifest, MediaType, Reference, RepositoryName};
use crate::storage::OriginId;
use crate::telemetry::{CacheOutcome, Metrics};
use crate::upstream::{Error, ManifestBody};

use tokio_util::task::TaskTracker;

/// Objects of one manifest or list of which it is noted what the manifest says of them. Images have some hundreds; of what is not noted,
/// upstream tells the type and the size.
const MAX_LINKS_OF_ONE: usize = 1_000;

type Key = (RepositoryName, Digest);

/// A refusal is of one origin, repository and kind: what is no blob may be a manifest.
type RefusalKey = (OriginId, RepositoryName, LinkKind, Digest);

pub(super) struct Kept {
    pub(super) cache: BlobCache,
    pub(super) meta: Meta,
    pub(super) metrics: Metrics,
    pub(super) rights: Rights,
    links: Map<Key, Arc<Link>>,
    /// What upstream refused, and when.
    refusals: Map<RefusalKey, (Error, i64)>,
    manifests: SingleFlight<(OriginId, RepositoryName, Digest), ManifestBody>,
    /// Whether a blob is there: the size in bytes where upstream tells.
    confirmations: SingleFlight<(OriginId, RepositoryName, Digest), Option<u64>>,
}

impl Kept {
    pub(super) fn new(cache: BlobCache, meta: Meta, metrics: Metrics, tasks: TaskTracker) -> Self {
        Self {
            cache,
            rights: Rights::new(meta.clone()),
            meta,
            metrics,
            links: Map::new(memory::Kind::Links, |(repository, _), link| {
                repository.as_str().len() + size_of::<Link>() + link.media_type.as_str().len()
            }),
            refusals: Map::new(memory::Kind::Refusals, |(_, repository, ..), (error, _)| {
                repository.as_str().len() + error.text_bytes()
            }),
            manifests: SingleFlight::new(tasks.clone()),
            confirmations: SingleFlight::new(tasks),
        }
    }

    /// What the repository's manifests and lists say of the object.
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
        self.links.clear();
        self.rights.forget_all();
    }

    pub(super) async fn add_links(&self, repository: &Repository, mut links: Vec<Link>) {
        links.truncate(MAX_LINKS_OF_ONE);
        let (meta, repository) = (self.meta.on_behalf_of(repository.asker), &repository.local);
        if let Err(error) = meta.put_links(repository, &links, now_ms()).await {
            tracing::warn!(%error, %repository, "links cannot be written; upstream will be asked again after a restart");
        }
        for link in links {
            self.links.insert((repository.clone(), link.digest), Arc::new(link));
        }
    }

    /// Upstream's refusal of the object, if it is recent.
    pub(super) fn refusal(&self, repository: &Repository, kind: LinkKind, digest: &Digest) -> Option<Error> {
        let (error, at_ms) = self.refusals.get(&refusal_key(repository, kind, digest))?;
        let age = Duration::from_millis(u64::try_from(now_ms().saturating_sub(at_ms)).unwrap_or_default());
        (age < repository.upstream.settings().negative_ttl).then_some(error)
    }

    /// Remembers a refusal for a short time; failures are not remembered.
    pub(super) fn note(&self, repository: &Repository, kind: LinkKind, digest: &Digest, error: &Error) {
        if error.is_answer() {
            self.refusals.insert(refusal_key(repository, kind, digest), (error.clone(), now_ms()));
        }
    }

    /// Asks upstream whether the repository has the blob, and notes that it has; one question for everyone who asks meanwhile.
    /// Returns its size in bytes, where upstream tells it.
    pub(super) async fn confirm_blob(
        self: &Arc<Self>,
        repository: &Repository,
        digest: Digest,
    ) -> Result<Option<u64>, Error> {
        if let Some(refusal) = self.refusal(repository, LinkKind::Blob, &digest) {
            return Err(refusal);
        }
        let key = (repository.upstream.origin(), repository.local.clone(), digest);
        let pending = self.confirmations.ask(&key, repository.upstream.name(), || {
            let (this, repository) = (self.clone(), repository.clone());
            async move {
                let answered = repository.upstream.blob_head(&repository.remote, &digest).await;
                match &answered {
                    Ok(_) => this.rights.confirm(&repository, LinkKind::Blob, digest).await,
                    Err(error) => this.note(&repository, LinkKind::Blob, &digest, error),
                }
                answered
            }
        });
        pending.answer().await
    }

    /// Fetches a manifest by its digest and keeps it; one fetch for everyone who asks meanwhile.
    pub(super) async fn fetch_manifest(
        self: &Arc<Self>,
        repository: &Repository,
        digest: Digest,
    ) -> Result<(ManifestBody, CacheOutcome), Error> {
        if let Some(refusal) = self.refusal(repository, LinkKind::Manifest, &digest) {
            return Err(refusal);
        }
        let key = (repository.upstream.origin(), repository.local.clone(), digest);
        let pending = self.manifests.ask(&key, repository.upstream.name(), || {
            let (this, repository) = (self.clone(), repository.clone());
            async move {
                let Repository { upstream, remote, .. } = &repository;
                let reference = Reference::Digest(digest);
                let deadline = upstream.settings().patience();
                let fetched = upstream.manifest(remote, &reference, AcceptSet::current(), deadline).await;
                match &fetched {
                    Ok(received) => this.keep_manifest(&repository, &received.value).await,
                    Err(error) => this.note(&repository, LinkKind::Manifest, &digest, error),
                }
                fetched.map(|received| received.value)
            }
        });
        let outcome = pending.outcome;
        Ok((pending.answer().await?, outcome))
    }

    /// Keeps a manifest that upstream has sent, and what it says of what it refers to.
    pub(super) async fn keep_manifest(&self, repository: &Repository, manifest: &ManifestBody) {
        self.cache.keep(manifest.digest, manifest.bytes.clone()).await;
        self.rights.note_sent(repository, LinkKind::Manifest, manifest.digest).await;
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
        self.add_links(repository, links).await;
    }
}

fn refusal_key(repository: &Repository, kind: LinkKind, digest: &Digest) -> RefusalKey {
    (repository.upstream.origin(), repository.local.clone(), kind, *digest)
}

/// What a manifest's bytes say that they are, where nothing else does.
pub(super) fn declared_type(link: Option<&MediaType>, bytes: &[u8]) -> MediaType {
    if let Some(link) = link.filter(|link| !link.as_str().is_empty()) {
        return link.clone();
    }
    let declared = Manifest::parse(bytes).ok().and_then(|manifest| manifest.media_type);
    declared.unwrap_or_else(MediaType::oci_manifest)
}
