//! Blobs: config, layers, whatever manifests refer to.

use super::PullThrough;
use super::Repository;
use crate::action::Want;
use crate::cache::{self, Origin};
use crate::meta::{Link, LinkKind};
use crate::oci::{Digest, MediaType};
use crate::registry::{Answer, Body};
use crate::registry::{Error, Object};
use crate::telemetry::{CacheOutcome, ObjectKind};
use crate::upstream;

/// A repository's right to serve a blob.
struct Right {
    /// Bytes, if anyone told.
    size: Option<u64>,
    /// Upstream was asked just now.
    asked: bool,
}

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
        let Right { size: expected, asked } = self.may_serve(&repository, &digest).await.map_err(upstream_error)?;
        if want == Want::Head {
            let found = kept.cache.kept(&digest, expected).await.map_err(cache_error)?;
            let (size, outcome) = match &found {
                Some(blob) => (blob.size(), blob.outcome()),
                None if asked => (expected, CacheOutcome::Miss),
                None => {
                    let size = self.ask_size(&repository, &digest).await.map_err(upstream_error)?;
                    (size.or(expected), CacheOutcome::Miss)
                }
            };
            self.count(ObjectKind::Blob, &repository, outcome);
            let body = Body::BlobHead { digest, size };
            return Ok(Answer { body, upstream: Some(repository.upstream), outcome: Some(outcome), staleness: None });
        }
        let source = Origin::Upstream(repository.upstream.source(repository.remote.clone(), digest));
        let blob = match kept.cache.fetch(source, expected).await {
            Ok(blob) => blob,
            Err(error) => {
                if let cache::Error::Upstream(refusal) = &error {
                    kept.note(&repository, &digest, refusal);
                }
                return Err(cache_error(error));
            }
        };
        let outcome = blob.outcome();
        self.count(ObjectKind::Blob, &repository, outcome);
        let upstream = Some(repository.upstream);
        Ok(Answer { body: Body::Blob(blob), upstream, outcome: Some(outcome), staleness: None })
    }

    /// Whether the repository refers to the blob, or its upstream says that it has it. What is kept for another repository
    /// is not served here before that.
    async fn may_serve(&self, repository: &Repository, digest: &Digest) -> Result<Right, upstream::Error> {
        let kept = &self.kept;
        if let Some(refusal) = kept.refusal(repository, digest) {
            return Err(refusal);
        }
        match kept.link(&repository.local, digest).await {
            Some(link) => Ok(Right { size: link.size, asked: false }),
            None => Ok(Right { size: self.ask_size(repository, digest).await?, asked: true }),
        }
    }

    /// Asks upstream for the blob's size and notes that the repository has it.
    async fn ask_size(&self, repository: &Repository, digest: &Digest) -> Result<Option<u64>, upstream::Error> {
        let kept = &self.kept;
        match repository.upstream.blob_head(&repository.remote, digest).await {
            Ok(size) => {
                let link = Link { digest: *digest, kind: LinkKind::Blob, media_type: MediaType::new(""), size };
                kept.add_links(&repository.local, vec![link]).await;
                Ok(size)
            }
            Err(error) => {
                kept.note(repository, digest, &error);
                Err(error)
            }
        }
    }
}
