//! Which repository may serve which kept object.
//!
//! Two things must hold. The origin has confirmed that *this repository* has the object: it has answered for it here, to a HEAD or
//! by sending it. And the origin has *sent the bytes* once, here or to another replica: bytes that another origin sent, or that
//! somebody pushed, are never served in its name, whatever it says that it has. That a manifest names a digest is neither.

use super::Repository;
use crate::cache::Claim;
use crate::memory::{self, Map};
use crate::meta::{LinkKind, Meta, now_ms};
use crate::oci::{Digest, RepositoryName};
use crate::storage::OriginId;

pub(super) struct Rights {
    meta: Meta,
    confirmed: Map<(OriginId, RepositoryName, LinkKind, Digest), ()>,
    sent: Map<(OriginId, Digest), ()>,
}

impl Rights {
    pub(super) fn new(meta: Meta) -> Self {
        let confirmed = Map::new(memory::Kind::Confirmed, |(_, repository, ..): &(_, RepositoryName, _, _), ()| {
            repository.as_str().len()
        });
        Self { meta, confirmed, sent: Map::new(memory::Kind::Sent, |_, ()| 0) }
    }

    /// The repository's claim to an object that is kept here, or may be. A database that fails costs a question to upstream.
    pub(super) async fn claim(&self, repository: &Repository, kind: LinkKind, digest: &Digest) -> Claim {
        let remembered = self.remembered(repository, kind, digest);
        if remembered.covers_kept() {
            return remembered;
        }
        self.recall(repository, kind, digest, remembered).await.unwrap_or_else(|error| {
            tracing::warn!(%error, repository = %repository.local, "rights cannot be read; upstream is asked instead");
            remembered
        })
    }

    /// As [`Self::claim`], as far as it is in memory: after it has been asked once, it can only have become stronger there.
    pub(super) fn remembered(&self, repository: &Repository, kind: LinkKind, digest: &Digest) -> Claim {
        Claim {
            confirmed: self.confirmed.contains_key(&confirmed_key(repository, kind, digest)),
            sent: self.sent.contains_key(&(repository.upstream.origin(), *digest)),
        }
    }

    async fn recall(
        &self,
        repository: &Repository,
        kind: LinkKind,
        digest: &Digest,
        mut claim: Claim,
    ) -> Result<Claim, crate::meta::Error> {
        let origin = repository.upstream.origin();
        if repository.upstream.settings().offline {
            // Nobody is asked any more, and its URLs may be forgotten: what was kept for the repository is its own.
            let is_kept = self.meta.has_kept_right(&repository.local, digest, kind).await?;
            if is_kept {
                self.confirmed.insert(confirmed_key(repository, kind, digest), ());
                self.sent.insert((origin, *digest), ());
            }
            return Ok(Claim { confirmed: is_kept, sent: is_kept });
        }
        if !claim.confirmed && self.meta.has_right(&repository.local, digest, kind, origin).await? {
            self.confirmed.insert(confirmed_key(repository, kind, digest), ());
            claim.confirmed = true;
        }
        if !claim.sent && self.meta.has_sent(origin, digest).await? {
            self.sent.insert((origin, *digest), ());
            claim.sent = true;
        }
        Ok(claim)
    }

    /// Upstream says that the repository has the object.
    pub(super) async fn confirm(&self, repository: &Repository, kind: LinkKind, digest: Digest) {
        self.confirmed.insert(confirmed_key(repository, kind, &digest), ());
        self.put(repository, kind, digest, false).await;
    }

    /// Upstream has begun to send the object; that it was the right one is noted when it was.
    pub(super) fn begin(&self, repository: &Repository, kind: LinkKind, digest: Digest) {
        self.confirmed.insert(confirmed_key(repository, kind, &digest), ());
    }

    /// Upstream has sent the object in answer to a question for the repository, and its bytes were verified.
    pub(super) async fn note_sent(&self, repository: &Repository, kind: LinkKind, digest: Digest) {
        self.sent.insert((repository.upstream.origin(), digest), ());
        self.confirmed.insert(confirmed_key(repository, kind, &digest), ());
        self.put(repository, kind, digest, true).await;
    }

    pub(super) fn forget_all(&self) {
        self.confirmed.clear();
    }

    async fn put(&self, repository: &Repository, kind: LinkKind, digest: Digest, sent: bool) {
        let origin = repository.upstream.origin();
        let meta = self.meta.on_behalf_of(repository.asker);
        if let Err(error) = meta.put_right(&repository.local, &digest, kind, origin, sent, now_ms()).await {
            tracing::warn!(%error, repository = %repository.local, "rights cannot be written; upstream is asked again after a restart");
        }
    }
}

fn confirmed_key(
    repository: &Repository,
    kind: LinkKind,
    digest: &Digest,
) -> (OriginId, RepositoryName, LinkKind, Digest) {
    (repository.upstream.origin(), repository.local.clone(), kind, *digest)
}
