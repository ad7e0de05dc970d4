//! Images that were pulled through, kept among the images of a registry: facts only, their bytes are the cache's.

use std::sync::Arc;

use bytes::Bytes;

use super::manifests::read;
use super::{Hosted, templates};
use crate::ecr::AppliedFor;
use crate::meta::{Put, RepositoryId, RepositoryRow, TagWrites, now_ms};
use crate::oci::{Digest, MediaType, QualifiedName, Reference, Tag};
use crate::registry::Error;
use crate::telemetry::Draft;

/// A manifest that a client got from an upstream's repository.
pub(in crate::registry) struct PulledManifest {
    /// Those that are known to mean it.
    pub tags: Vec<Tag>,
    pub digest: Digest,
    pub media_type: MediaType,
    pub content: Bytes,
}

/// Who pulls, and the record of a repository that this makes.
#[derive(Clone, Copy)]
pub(in crate::registry) struct Puller<'a> {
    pub(in crate::registry) principal: &'a str,
    pub(in crate::registry) making: Option<&'a Draft>,
}

impl Hosted {
    /// The repository that has the image from now on. `None` where it has none: a repository of one's own has the name, or the manifest
    /// is of a kind that is not listed.
    pub(in crate::registry) async fn keep_pulled(
        &self,
        name: &QualifiedName,
        upstream: &str,
        manifest: PulledManifest,
        puller: Puller<'_>,
    ) -> Result<Option<RepositoryId>, Error> {
        let (this, name, upstream) = (self.clone(), name.clone(), upstream.to_owned());
        let (principal, making) = (puller.principal.to_owned(), puller.making.cloned());
        self.carry_out(async move {
            let Some(id) = this.make_pulled(&name, &upstream, making.as_ref()).await? else { return Ok(None) };
            if this.is_kept(id, &manifest).await? {
                return Ok(Some(id));
            }
            if !this.has_pulled_room(manifest.content.len() as u64).await? {
                return Ok(None);
            }
            let PulledManifest { tags, digest, media_type, content } = manifest;
            let max_references = this.inner.settings.max_references;
            let Ok(manifest) = read(digest, Some(media_type), content, false, max_references) else { return Ok(None) };
            // Upstream decides what its tags mean.
            let tags = TagWrites { tags, is_immutable: Arc::new(|_, _| false) };
            let put = this.meta.put_manifest(id, &manifest, &tags, &principal, now_ms()).await?;
            this.inner.remembered.changed(id);
            if put == Put::Stored {
                return Ok(Some(id));
            }
            tracing::debug!(repository = %name, %digest, ?put, "what was pulled is not listed: it does not fit what is");
            Ok(None)
        })
        .await
    }

    async fn is_kept(&self, id: RepositoryId, manifest: &PulledManifest) -> Result<bool, Error> {
        let meta = &self.meta;
        for tag in &manifest.tags {
            if meta.tag_digest(id, tag).await? != Some(manifest.digest) {
                return Ok(false);
            }
        }
        let is_tagged = !manifest.tags.is_empty();
        Ok(is_tagged || meta.manifest(id, &Reference::Digest(manifest.digest)).await?.is_some())
    }

    /// The repository, made if it is missing. A template says how it is set up.
    async fn make_pulled(
        &self,
        name: &QualifiedName,
        upstream: &str,
        making: Option<&Draft>,
    ) -> Result<Option<RepositoryId>, Error> {
        let meta = &self.meta;
        if let Some(row) = meta.repository_row(name).await? {
            return Ok(of_upstream(row));
        }
        let settings = templates::settings_for(meta, name, AppliedFor::PullThroughCache).await?.unwrap_or_default();
        let mut record = making.map(Draft::begin);
        if let Some(record) = &mut record {
            record.says(&format!("pulled through from {upstream}"));
        }
        let made = meta.add_repository(name, Some(upstream), &settings, now_ms()).await?;
        // Somebody else may have been faster.
        if let Some(record) = record {
            if made.is_some() { record.done() } else { record.withdraw() }
        }
        Ok(meta.repository_row(name).await?.and_then(of_upstream))
    }
}

fn of_upstream(row: RepositoryRow) -> Option<RepositoryId> {
    row.upstream.is_some().then_some(row.id)
}
