//! Blobs that were pushed.

use super::{Hosted, Repository};
use crate::action::Want;
use crate::cache::{Blob, Version};
use crate::meta::{Claim, Unlinked, now_ms};
use crate::oci::Digest;
use crate::registry::{Answer, Body, Error, Object};
use crate::storage::Kept;

impl Hosted {
    pub(in crate::registry) async fn read_blob(
        &self,
        repository: &Repository,
        digest: Digest,
        want: Want,
        redirect: bool,
    ) -> Result<Answer, Error> {
        let object = || Object::Blob(repository.name.clone(), digest);
        let link = self.meta.blob_link(repository.id, &digest).await?;
        let Some(link) = link else { return Err(Error::Unknown(object())) };
        if want == Want::Head {
            self.note_interest(repository, digest, link.wanted_at_ms);
            return Ok(Answer::of(Body::BlobHead { digest, size: Some(link.size) }));
        }
        let damaged = async |found| {
            // From now on it is not there, so that clients push it again.
            self.meta.lose_blob(&digest, link.claim, now_ms()).await?;
            Err(Error::Damaged { object: object(), expected: link.size, found })
        };
        match self.inner.depot.open(&digest).await? {
            Kept::File(file, size) if size == link.size => {
                Ok(Answer::of(Body::Blob(Blob::of_file(digest, file, size))))
            }
            Kept::File(_, size) => damaged(Some(size)).await,
            Kept::Nowhere => damaged(None).await,
            Kept::Bucket(bucket) if redirect => {
                let signed = bucket.signed_url(&digest).await;
                Ok(Answer::of(Body::Elsewhere { digest, size: link.size, url: signed? }))
            }
            Kept::Bucket(bucket) => {
                let lost = self.when_lost(digest, link.claim);
                let version = Version { digest, size: link.size, claim: link.claim };
                let reached = self.inner.cache.reach(bucket, version, lost).await;
                let blob = reached.map_err(|error| Error::from_cache(object(), error))?;
                let outcome = Some(blob.outcome());
                Ok(Answer { outcome, ..Answer::of(Body::Blob(blob)) })
            }
        }
    }

    pub(in crate::registry) async fn delete_blob(
        &self,
        repository: &Repository,
        digest: Digest,
    ) -> Result<Answer, Error> {
        let object = || Object::Blob(repository.name.clone(), digest);
        match self.meta.unlink_blob(repository.id, &digest).await? {
            Unlinked::Gone => Ok(Answer::of(Body::Deleted)),
            Unlinked::NotThere => Err(Error::Unknown(object())),
            Unlinked::InUse => Err(Error::InUse(object())),
        }
    }

    /// What notes that the bucket does not have the blob any more, so that clients push it again. What they see of it meanwhile has no end.
    fn when_lost(&self, digest: Digest, claim: Claim) -> impl Fn() + Send + Sync + use<> {
        let (meta, tasks) = (self.meta.clone(), self.inner.tasks.clone());
        move || {
            let meta = meta.clone();
            tasks.spawn(async move {
                match meta.lose_blob(&digest, claim, now_ms()).await {
                    Ok(()) => tracing::error!(%digest, "the bucket has lost a blob, or has another in its place: push it again"),
                    Err(error) => tracing::error!(%error, %digest, "it was not noted that the bucket has lost a blob"),
                }
            });
        }
    }

    /// Who asks whether a blob is there is about to refer to it: it must not be taken for forgotten before they do.
    fn note_interest(&self, repository: &Repository, digest: Digest, wanted_at_ms: i64) {
        let grace_ms = i64::try_from(self.inner.settings.grace.as_millis()).unwrap_or(i64::MAX);
        let now_ms = now_ms();
        if now_ms.saturating_sub(wanted_at_ms) < grace_ms / 4 {
            return;
        }
        let (meta, repository) = (self.meta.clone(), repository.id);
        self.inner.tasks.spawn(async move {
            if let Err(error) = meta.want_blob(repository, &digest, now_ms).await
                && error.unavailable().is_none()
            {
                tracing::warn!(%error, %digest, "it was not noted that a blob is wanted");
            }
        });
    }
}
