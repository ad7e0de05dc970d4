//! Blobs: config, layers, whatever manifests refer to.

use super::PullThrough;
use super::Repository;
use crate::action::Want;
use crate::cache::{self, Blob, Origin};
use crate::meta::LinkKind;
use crate::oci::Digest;
use crate::registry::{Answer, Body};
use crate::registry::{Error, Object};
use crate::telemetry::{CacheOutcome, ObjectKind};
use crate::upstream;

impl PullThrough {
    pub(in crate::registry) async fn read_blob(
        &self,
        repository: Repository,
        digest: Digest,
        want: Want,
    ) -> Result<Answer, Error> {
        let object = || Object::Blob(repository.local.clone(), digest);
        let upstream_error = |error| Error::from_upstream(object(), error);
        let cache_error = |error| Error::from_cache(object(), error);
        let kept = &self.kept;
        let source = repository.upstream.source(repository.remote.clone(), digest).on_behalf_of(repository.asker);
        let source = Origin::Upstream(source);
        let claim = kept.rights.claim(&repository, LinkKind::Blob, &digest).await;
        // The size that a manifest says is no more than a hint.
        let told = kept.link(&repository.local, &digest).await.and_then(|link| link.size);
        // What is kept, or coming, goes before what upstream refused.
        if let Some(blob) = kept.cache.present(&source, claim, told).await.map_err(cache_error)? {
            let outcome = blob.outcome();
            self.count(ObjectKind::Blob, &repository, outcome);
            let body = match want {
                Want::Head => Body::BlobHead { digest, size: blob.size() },
                Want::Body => Body::Blob(blob),
            };
            return Ok(Answer { body, upstream: Some(repository.upstream), outcome: Some(outcome), staleness: None });
        }
        if want == Want::Head {
            let size = kept.confirm_blob(&repository, digest).await.map_err(upstream_error)?.or(told);
            let outcome = CacheOutcome::Miss;
            self.count(ObjectKind::Blob, &repository, outcome);
            let body = Body::BlobHead { digest, size };
            return Ok(Answer { body, upstream: Some(repository.upstream), outcome: Some(outcome), staleness: None });
        }
        if let Some(refusal) = kept.refusal(&repository, LinkKind::Blob, &digest) {
            return Err(upstream_error(refusal));
        }
        let blob = self.fetch_blob(&repository, source, told).await.map_err(|error| match error {
            Failure::Upstream(error) => upstream_error(error),
            Failure::Cache(error) => cache_error(error),
        })?;
        let outcome = blob.outcome();
        self.count(ObjectKind::Blob, &repository, outcome);
        let upstream = Some(repository.upstream);
        Ok(Answer { body: Body::Blob(blob), upstream, outcome: Some(outcome), staleness: None })
    }

    /// Fetches the blob for the repository, or takes what its origin has sent, once upstream has confirmed that it is the
    /// repository's.
    async fn fetch_blob(&self, repository: &Repository, source: Origin, told: Option<u64>) -> Result<Blob, Failure> {
        let kept = &self.kept;
        let digest = *source.digest();
        for _ in 0..2 {
            let claim = || kept.rights.remembered(repository, LinkKind::Blob, &digest);
            let report = {
                let (kept, repository) = (kept.clone(), repository.clone());
                move || async move { kept.rights.note_sent(&repository, LinkKind::Blob, digest).await }
            };
            match kept.cache.fetch(source.clone(), claim, told, report).await {
                Ok(Some(blob)) => {
                    kept.rights.begin(repository, LinkKind::Blob, digest);
                    return Ok(blob);
                }
                // Somebody else's bytes are there.
                Ok(None) => {
                    kept.confirm_blob(repository, digest).await.map_err(Failure::Upstream)?;
                }
                Err(error) => {
                    if let cache::Error::Upstream(refusal) = &error {
                        kept.note(repository, LinkKind::Blob, &digest, refusal);
                    }
                    return Err(Failure::Cache(error));
                }
            }
        }
        Err(Failure::Cache(cache::Error::Stopped { digest }))
    }
}

enum Failure {
    Upstream(upstream::Error),
    Cache(cache::Error),
}
