//! Manifests, by tag and by digest.
//!
//! A tag is answered from what upstream last said of it, as `freshness` allows; a digest never changes, so its bytes are
//! served without asking anyone, in a repository that refers to them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::PullThrough;
use super::Repository;
use super::freshness::Rules;
use super::kept::{Kept, declared_type};
use super::perishable::{Confirmed, Question, Served};
use crate::action::Want;
use crate::config::OnNotFound;
use crate::meta::{LinkKind, Speaker, TagRow, now_ms};
use crate::oci::{AcceptSet, Digest, MediaType, Reference, RepositoryName, Tag};
use crate::registry::{Answer, Body};
use crate::registry::{Error, Object};
use crate::storage::OriginId;
use crate::telemetry::{CacheOutcome, ObjectKind};
use crate::upstream::{self, Upstream};

/// Manifests are at most this long (distribution-spec, "Pushing manifests": registries take at least 4 MiB).
pub(super) const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// "What does this tag mean?"
#[derive(Clone)]
pub(super) struct TagQuestion {
    kept: Arc<Kept>,
    repository: Repository,
    tag: Tag,
    accept: AcceptSet,
    /// With `Body`, a tag that is not known is asked for with GET: one request brings the answer and the manifest.
    want: Want,
}

/// What a tag means.
#[derive(Clone, Debug)]
pub(super) struct Meaning {
    digest: Digest,
    media_type: MediaType,
    size: Option<u64>,
}

impl PullThrough {
    pub(in crate::registry) async fn read_manifest(
        &self,
        repository: Repository,
        reference: Reference,
        accept: AcceptSet,
        want: Want,
    ) -> Result<Answer, Error> {
        match reference {
            Reference::Tag(tag) => self.read_tag(repository, tag, accept, want).await,
            Reference::Digest(digest) => {
                let (body, outcome) = self.read_digest(&repository, digest, None, want).await?;
                self.count(ObjectKind::Manifest, &repository, outcome);
                Ok(Answer { body, upstream: Some(repository.upstream), outcome: Some(outcome), staleness: None })
            }
        }
    }

    async fn read_tag(&self, repository: Repository, tag: Tag, accept: AcceptSet, want: Want) -> Result<Answer, Error> {
        let object = || Object::Manifest(repository.local.clone(), Reference::Tag(tag.clone()));
        let kept = self.kept.clone();
        let question = TagQuestion { kept, repository: repository.clone(), tag: tag.clone(), accept, want };
        let served = self.tags.get(&question).await;
        let served = served.map_err(|error| Error::from_upstream(object(), error))?;
        match self.answer_tag(&repository, served, want).await {
            // The manifest that the tag meant was not kept and is gone upstream: the tag has moved since (C31).
            Err(Error::Unknown(_)) => {
                let served = self.tags.renew(&question).await;
                let served = served.map_err(|error| Error::from_upstream(object(), error))?;
                self.answer_tag(&repository, served, want).await
            }
            answered => answered,
        }
    }

    async fn answer_tag(&self, repository: &Repository, served: Served<Meaning>, want: Want) -> Result<Answer, Error> {
        let Served { value: Meaning { digest, media_type, size }, outcome, staleness } = served;
        self.count(ObjectKind::Tag, repository, outcome);
        let (body, outcome) = match size.filter(|_| want == Want::Head) {
            Some(told) => {
                // What is kept has a length of its own, whatever upstream's HEAD said.
                let kept = self.find_manifest(repository, digest, Some(&media_type)).await.ok().flatten();
                let size = Some(kept.map_or(told, |(_, bytes)| bytes.len() as u64));
                (Body::Manifest { digest, media_type, size, bytes: None }, outcome)
            }
            None => {
                let (body, fetched) = self.read_digest(repository, digest, Some(&media_type), want).await?;
                (body, if outcome == CacheOutcome::Hit { fetched } else { outcome })
            }
        };
        let upstream = Some(repository.upstream.clone());
        Ok(Answer { body, upstream, outcome: Some(outcome), staleness })
    }

    /// `told` is the media type that a tag's answer said; else the repository's link or the document itself says it.
    async fn read_digest(
        &self,
        repository: &Repository,
        digest: Digest,
        told: Option<&MediaType>,
        want: Want,
    ) -> Result<(Body, CacheOutcome), Error> {
        let object = || Object::Manifest(repository.local.clone(), Reference::Digest(digest));
        let (media_type, bytes, outcome) = match self.find_manifest(repository, digest, told).await? {
            Some((media_type, bytes)) => (media_type, bytes, CacheOutcome::Hit),
            None => {
                let fetched = self.kept.fetch_manifest(repository, digest).await;
                let (manifest, outcome) = fetched.map_err(|error| Error::from_upstream(object(), error))?;
                (manifest.media_type, manifest.bytes, outcome)
            }
        };
        let size = Some(bytes.len() as u64);
        let bytes = (want == Want::Body).then_some(bytes);
        Ok((Body::Manifest { digest, media_type, size, bytes }, outcome))
    }

    /// What is kept of the manifest, if the repository may serve it.
    async fn find_manifest(
        &self,
        repository: &Repository,
        digest: Digest,
        told: Option<&MediaType>,
    ) -> Result<Option<(MediaType, Bytes)>, Error> {
        let object = || Object::Manifest(repository.local.clone(), Reference::Digest(digest));
        let kept = &self.kept;
        if !kept.rights.claim(repository, LinkKind::Manifest, &digest).await.covers_kept() {
            return Ok(None);
        }
        let bytes = kept.cache.read(&digest, MAX_MANIFEST_BYTES).await;
        let Some(bytes) = bytes.map_err(|error| Error::from_cache(object(), error))? else { return Ok(None) };
        let media_type = match told.filter(|told| !told.as_str().is_empty()) {
            Some(told) => told.clone(),
            None => {
                let link = kept.link(&repository.local, &digest).await;
                declared_type(link.as_ref().map(|link| &link.media_type), &bytes)
            }
        };
        Ok(Some((media_type, bytes)))
    }

    pub(super) fn count(&self, kind: ObjectKind, repository: &Repository, outcome: CacheOutcome) {
        self.kept.metrics.cache_request(kind, repository.upstream.name().as_str(), outcome);
    }
}

impl TagQuestion {
    /// Makes sure that the manifest to which a tag has moved can be had, where that to which it points here is kept: HEAD may work
    /// where GET is limited, and then the old meaning is worth more than the new one. `None` where upstream does not have it by its
    /// digest: the tag has moved again.
    async fn moved(&self, known: &Meaning, found: Meaning, left: Duration) -> Result<Option<Meaning>, upstream::Error> {
        if known.digest == found.digest || !self.is_kept(&known.digest).await || self.is_kept(&found.digest).await {
            return Ok(Some(found));
        }
        // A fetch that takes longer goes on, and the next question finds what it has brought.
        let fetched = tokio::time::timeout(left, self.kept.fetch_manifest(&self.repository, found.digest)).await;
        match fetched {
            Ok(Ok((manifest, _))) => Ok(Some(Meaning { size: Some(manifest.bytes.len() as u64), ..found })),
            Ok(Err(error)) if error.is_not_found() => Ok(None),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let (upstream, kind) = (self.repository.upstream.name().clone(), upstream::ErrorKind::TimedOut);
                Err(upstream::Error { upstream, kind })
            }
        }
    }

    async fn is_kept(&self, digest: &Digest) -> bool {
        let claim = self.kept.rights.claim(&self.repository, LinkKind::Manifest, digest).await;
        claim.covers_kept() && self.kept.cache.contains(digest)
    }
}

impl Question for TagQuestion {
    type Key = (OriginId, RepositoryName, Tag, AcceptSet);
    type Value = Meaning;

    fn key(&self) -> Self::Key {
        (self.repository.upstream.origin(), self.repository.local.clone(), self.tag.clone(), self.accept)
    }

    fn upstream(&self) -> &Upstream {
        &self.repository.upstream
    }

    fn rules(&self) -> Rules {
        Rules::of(self.upstream().settings())
    }

    fn keeps_what_upstream_lost(&self) -> bool {
        self.upstream().settings().on_not_found == OnNotFound::Keep
    }

    fn bytes(&self) -> usize {
        self.repository.bytes() + self.tag.as_str().len()
    }

    fn value_bytes(meaning: &Meaning) -> usize {
        meaning.media_type.as_str().len()
    }

    async fn recall(&self) -> Option<Confirmed<Meaning>> {
        let row = match self.kept.meta.tag(&self.repository.local, &self.tag, self.accept).await {
            Ok(row) => row?,
            Err(error) => {
                tracing::warn!(%error, repository = %self.repository.local, tag = %self.tag, "a tag cannot be read");
                return None;
            }
        };
        let TagRow { digest, media_type, size, checked_at_ms } = row;
        Some(Confirmed { value: Meaning { digest, media_type, size }, checked_at_ms, short_lived: false })
    }

    /// HEAD costs no pull at Docker Hub, so it is what asks again; a tag that is not known and whose manifest is wanted is
    /// asked for with GET.
    async fn ask(&self, known: Option<Meaning>) -> Result<Confirmed<Meaning>, upstream::Error> {
        let reference = Reference::Tag(self.tag.clone());
        let Repository { upstream, remote, local, .. } = &self.repository;
        let settings = upstream.settings();
        let deadline = if known.is_some() { settings.revalidate_timeout } else { settings.patience() };
        let (began, mut meaning) = (Instant::now(), None);
        if known.is_some() || self.want == Want::Head {
            let head = upstream.manifest_head(remote, &reference, self.accept, deadline).await?;
            meaning = head.digest.map(|digest| Meaning { digest, media_type: head.media_type, size: head.size });
            meaning = match (&known, meaning) {
                (Some(known), Some(found)) => {
                    self.moved(known, found, deadline.saturating_sub(began.elapsed())).await?
                }
                (_, meaning) => meaning,
            };
        }
        let meaning = match meaning {
            Some(meaning) => meaning,
            None => {
                let received = upstream.manifest(remote, &reference, self.accept, deadline).await?;
                let manifest = &received.value;
                self.kept.keep_manifest(&self.repository, manifest).await;
                let size = Some(manifest.bytes.len() as u64);
                Meaning { digest: manifest.digest, media_type: manifest.media_type.clone(), size }
            }
        };
        let Meaning { digest, media_type, size } = meaning.clone();
        let row = TagRow { digest, media_type, size, checked_at_ms: now_ms() };
        let meta = self.kept.meta.on_behalf_of(self.repository.asker);
        let speaker = Some(Speaker { name: upstream.name().as_str(), origin: upstream.origin() });
        if let Err(error) = meta.put_tag(local, &self.tag, self.accept, &row, speaker).await {
            tracing::warn!(%error, repository = %local, tag = %self.tag, "a tag cannot be written; it lasts until the next start");
        }
        Ok(Confirmed { value: meaning, checked_at_ms: row.checked_at_ms, short_lived: false })
    }

    async fn forget(&self, refusal: &upstream::Error) {
        // What is not there in these types may be there in others.
        let accept = Some(self.accept).filter(|_| refusal.is_not_found());
        if let Err(error) = self.kept.meta.remove_tag(&self.repository.local, &self.tag, accept).await {
            tracing::warn!(%error, repository = %self.repository.local, tag = %self.tag, "a tag cannot be forgotten");
        }
    }
}
