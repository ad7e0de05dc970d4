//! Repositories that are pulled through, as repositories of a registry.
//!
//! What is pulled is written down as an image, in a repository that the first pull makes (with a template for
//! `PULL_THROUGH_CACHE`, if there is one). So it is listed, described, tagged and guarded by policies like what was pushed. Whether a kept
//! answer may be served is not decided by this: that is the cache's to know.

use std::time::Duration;

use super::error::Error;
use super::hosted::{Hosted, PulledManifest, Puller};
use super::names;
use super::pull_through::PullThrough;
use crate::memory::{self, Map};
use crate::meta::{Meta, RepositoryId, RepositoryRow};
use crate::oci::{AcceptSet, Digest, QualifiedName, Reference, Tag};

/// What was written down a moment ago. Another process may have deleted it since.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Tags of one image that are written down with it.
const MAX_TAGS: u32 = 100;

/// How long a client waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Pulled {
    meta: Meta,
    hosted: Hosted,
    /// `None` is what cannot be written down.
    written: Map<(QualifiedName, Reference), (Digest, Option<RepositoryId>)>,
}

impl Pulled {
    pub(super) fn new(meta: Meta, hosted: Hosted) -> Self {
        let beyond = |(name, reference): &(QualifiedName, Reference), _: &_| {
            let tag = if let Reference::Tag(tag) = reference { tag.as_str().len() } else { 0 };
            name.name.as_str().len() + tag
        };
        let written = Map::expiring(memory::Kind::Pulled, REMEMBERED, beyond);
        Self { meta, hosted, written }
    }

    /// Writes an image down, if it is not, and that it was pulled. A client gets its answer whatever comes of this.
    pub(super) async fn note(&self, repository: &names::Repository, manifest: PulledManifest, puller: Puller<'_>) {
        let digest = manifest.digest;
        let reference = manifest.tags.first().map_or(Reference::Digest(digest), |tag| Reference::Tag(tag.clone()));
        let key = (repository.own.clone(), reference);
        let id = match self.written.get(&key) {
            Some((written, id)) if written == digest => id,
            _ => {
                let id = self.write(repository, manifest, puller).await;
                self.written.insert(key, (digest, id));
                id
            }
        };
        if let Some(id) = id {
            self.hosted.note_pull(repository.own.account, id, digest, puller.principal).await;
        }
    }

    /// A client was told what a tag means. If it gets the manifest by its digest next, the image has the tag.
    pub(super) fn note_meaning(&self, repository: &names::Repository, tag: &Tag, digest: Digest) {
        let by_tag = (repository.own.clone(), Reference::Tag(tag.clone()));
        if self.written.get(&by_tag).is_none_or(|(written, _)| written != digest) {
            self.written.remove(&(repository.own.clone(), Reference::Digest(digest)));
        }
    }

    async fn write(
        &self,
        repository: &names::Repository,
        mut manifest: PulledManifest,
        puller: Puller<'_>,
    ) -> Option<RepositoryId> {
        if manifest.tags.is_empty() {
            manifest.tags = self.tags_of(repository, &manifest.digest).await;
        }
        let (own, digest, tags) = (&repository.own, manifest.digest, manifest.tags.clone());
        let id = self.keep(repository, manifest, puller).await;
        for tag in tags {
            self.written.insert((own.clone(), Reference::Tag(tag)), (digest, id));
        }
        id
    }

    async fn tags_of(&self, repository: &names::Repository, digest: &Digest) -> Vec<Tag> {
        let tags = self.meta.tags_of(&repository.local, digest, AcceptSet::current(), MAX_TAGS).await;
        tags.unwrap_or_else(|error| {
            if error.unavailable().is_none() {
                tracing::warn!(%error, repository = %repository.own, "the tags of what was pulled cannot be read; it is listed without");
            }
            Vec::new()
        })
    }

    async fn keep(
        &self,
        repository: &names::Repository,
        manifest: PulledManifest,
        puller: Puller<'_>,
    ) -> Option<RepositoryId> {
        let upstream = repository.upstream.name().as_str();
        let hosted = self.hosted.on_behalf_of(repository.asker);
        let kept = hosted.keep_pulled(&repository.own, upstream, manifest, puller);
        match tokio::time::timeout(PATIENCE, kept).await {
            Ok(Ok(id)) => id,
            Ok(Err(Error::Meta(error))) if error.unavailable().is_some() => None,
            Ok(Err(error)) => {
                tracing::warn!(%error, repository = %repository.own, "what was pulled is not listed: it cannot be written down");
                None
            }
            // It goes on behind this.
            Err(_) => None,
        }
    }

    /// Forgets what upstream said of an image that is deleted, so that it is asked when the image is pulled again.
    pub(super) async fn forget_image(
        &self,
        pull_through: &PullThrough,
        repository: &names::Repository,
        digest: &Digest,
    ) -> Result<(), crate::meta::Error> {
        self.meta.forget_upstream_image(&repository.local, digest).await?;
        pull_through.forget_all();
        self.written.clear();
        Ok(())
    }

    /// What is written down is looked up again: some of it was deleted.
    pub(super) fn forget_written(&self) {
        self.written.clear();
    }

    /// Forgets all that upstream said of a repository that is deleted.
    pub(super) async fn forget_repository(
        &self,
        pull_through: &PullThrough,
        repository: Option<&names::Repository>,
        row: &RepositoryRow,
    ) -> Result<(), crate::meta::Error> {
        self.hosted.repository_is_gone(row.id);
        self.written.clear();
        if let Some(repository) = repository {
            self.meta.forget_upstream_repository(&repository.local).await?;
            pull_through.forget_all();
        }
        Ok(())
    }
}
