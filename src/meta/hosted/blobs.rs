//! Blobs, and which repositories have them.
//!
//! Whoever brings a blob claims its row before the bytes are put in their place; whoever removes one holds its row while the
//! bytes go (`reclaim.rs`). So a blob that was acknowledged is there, whatever happens at the same time.

use super::{RepositoryId, from_sql, to_sql};
use crate::meta::last_known::{Fact, Question, Topic};
use crate::meta::scope::Scope;
use crate::meta::{Error, Meta};
use crate::oci::Digest;

/// A repository's right to a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobLink {
    /// Bytes.
    pub size: u64,
    pub wanted_at_ms: i64,
    pub claim: Claim,
}

/// When somebody last brought a blob's bytes, or said that they are to stay: another one each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim(pub(in crate::meta) i64);

/// A blob that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlobRow {
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    pub claim: Claim,
    pub is_lost: bool,
}

/// What came of taking a blob out of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlinked {
    Gone,
    NotThere,
    /// A manifest of the repository refers to it.
    InUse,
}

impl Fact for Option<BlobLink> {
    fn is_kept(&self) -> bool {
        self.is_some()
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

impl Meta {
    pub async fn blob_link(&self, repository: RepositoryId, digest: &Digest) -> Result<Option<BlobLink>, Error> {
        let (key, topic) = (format!("blob {} {digest}", repository.0), Topic::of("repository", repository.0));
        self.known(Question::new(key, topic, topic), || self.ask_blob_link(repository, digest)).await
    }

    async fn ask_blob_link(&self, repository: RepositoryId, digest: &Digest) -> Result<Option<BlobLink>, Error> {
        let row: Option<(i64, i64, i64)> = sqlx::query_as(
            "SELECT blob_link.size, blob_link.wanted_at_ms, blob.claimed_at_ms FROM blob_link JOIN blob ON blob.digest = blob_link.digest \
                 WHERE blob_link.repository_id = $1 AND blob_link.digest = $2 AND blob.lost_at_ms IS NULL",
        )
        .bind(repository.0)
        .bind(digest.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(Error::Query)?;
        let link = |(size, wanted_at_ms, claim)| BlobLink { size: from_sql(size), wanted_at_ms, claim: Claim(claim) };
        Ok(row.map(link))
    }

    /// Somebody looked whether the blob is there, and will refer to it: for a while it is not taken for forgotten.
    pub async fn want_blob(&self, repository: RepositoryId, digest: &Digest, now_ms: i64) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        sqlx::query("UPDATE blob_link SET wanted_at_ms = $3 WHERE repository_id = $1 AND digest = $2")
            .bind(repository.0)
            .bind(digest.to_string())
            .bind(now_ms)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        writing.commit().await
    }

    /// Announces that a blob's verified bytes are about to be put in their place. One that was lost is lost until they are.
    pub async fn claim_blob(&self, digest: &Digest, size: u64, now_ms: i64) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        sqlx::query(
            "INSERT INTO blob (digest, size, claimed_at_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (digest) DO UPDATE SET claimed_at_ms = CASE WHEN blob.claimed_at_ms < excluded.claimed_at_ms \
             THEN excluded.claimed_at_ms ELSE blob.claimed_at_ms + 1 END, condemned_at_ms = NULL",
        )
        .bind(digest.to_string())
        .bind(to_sql(size))
        .bind(now_ms)
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?;
        writing.commit().await
    }

    /// The blob's bytes were found damaged or gone: it is not there for anyone until it is pushed again. Nothing happens when somebody has
    /// brought them since: who found out says which claim they were of.
    pub async fn lose_blob(&self, digest: &Digest, claim: Claim, now_ms: i64) -> Result<(), Error> {
        let lost = self.set_blob_aside(digest, claim, now_ms, async || Ok::<(), std::convert::Infallible>(())).await?;
        lost.map(|_| ()).map_err(|never| match never {})
    }

    /// The same, with `set_aside` moving the bytes away while the row is held, so that whoever brings them anew does so after that. False
    /// when somebody has brought them since.
    pub async fn set_blob_aside<E>(
        &self,
        digest: &Digest,
        claim: Claim,
        now_ms: i64,
        set_aside: impl AsyncFnOnce() -> Result<(), E>,
    ) -> Result<Result<bool, E>, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let lose = "UPDATE blob SET lost_at_ms = COALESCE(lost_at_ms, $3) WHERE digest = $1 AND claimed_at_ms = $2";
        let lost = sqlx::query(lose)
            .bind(digest.to_string())
            .bind(claim.0)
            .bind(now_ms)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        if lost.rows_affected() == 0 {
            return Ok(Ok(false));
        }
        if let Err(error) = set_aside().await {
            return Ok(Err(error));
        }
        writing.commit().await?;
        Ok(Ok(true))
    }

    /// The blob's bytes are as they should be, though they were lost before: what was read of them at the old claim is forgotten.
    pub async fn find_blob(&self, digest: &Digest, claim: Claim) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let find = "UPDATE blob SET lost_at_ms = NULL, claimed_at_ms = claimed_at_ms + 1 \
                    WHERE digest = $1 AND claimed_at_ms = $2";
        sqlx::query(find)
            .bind(digest.to_string())
            .bind(claim.0)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        writing.commit().await
    }

    /// Gives the repository a blob whose bytes are in their place, and ends the upload that brought it. False when the blob
    /// was taken for forgotten and removed since it was claimed.
    pub async fn link_blob(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        size: u64,
        upload: Option<&str>,
        now_ms: i64,
    ) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        if !writing.claim_again(digest, now_ms).await? {
            return Ok(false);
        }
        insert_link(&mut writing, repository, digest, size, now_ms).await?;
        if let Some(upload) = upload {
            writing.end_upload(upload).await?;
        }
        writing.commit().await?;
        Ok(true)
    }

    /// Gives the repository a blob that another has. `None` when `from` does not have it, or when nobody has it.
    pub async fn mount_blob(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        from: Option<RepositoryId>,
        now_ms: i64,
    ) -> Result<Option<u64>, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        // The row is taken first: from here on nobody removes the bytes.
        let size: Option<i64> = sqlx::query_scalar(
            "UPDATE blob SET claimed_at_ms = CASE WHEN claimed_at_ms < $2 THEN $2 ELSE claimed_at_ms + 1 END, \
             condemned_at_ms = NULL WHERE digest = $1 AND lost_at_ms IS NULL AND EXISTS \
             (SELECT 1 FROM blob_link WHERE blob_link.digest = $1 AND ($3 = 0 OR repository_id = $4)) RETURNING size",
        )
        .bind(digest.to_string())
        .bind(now_ms)
        .bind(i64::from(from.is_some()))
        .bind(from.map_or(0, |from| from.0))
        .fetch_optional(writing.connection())
        .await
        .map_err(Error::Query)?;
        let Some(size) = size.map(from_sql) else { return Ok(None) };
        insert_link(&mut writing, repository, digest, size, now_ms).await?;
        writing.commit().await?;
        Ok(Some(size))
    }

    /// Blobs in order of their digests, after `last`.
    pub async fn blobs(&self, last: Option<&Digest>, limit: u32) -> Result<Vec<StoredBlobRow>, Error> {
        let statement =
            "SELECT digest, size, claimed_at_ms, lost_at_ms FROM blob WHERE digest > $1 ORDER BY digest LIMIT $2";
        let rows: Vec<(String, i64, i64, Option<i64>)> = sqlx::query_as(statement)
            .bind(last.map(ToString::to_string).unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        rows.into_iter()
            .map(|(text, size, claim, lost)| {
                let (digest, claim) = (super::digest(text)?, Claim(claim));
                Ok(StoredBlobRow { digest, size: from_sql(size), claim, is_lost: lost.is_some() })
            })
            .collect()
    }

    /// Whether any repository has the blob, or it was pulled from an upstream, and it is not lost.
    pub async fn is_linked(&self, digest: &Digest) -> Result<bool, Error> {
        let statement = "SELECT size FROM blob WHERE digest = $1 AND lost_at_ms IS NULL AND \
                         (EXISTS (SELECT 1 FROM blob_link WHERE blob_link.digest = $1) OR \
                         EXISTS (SELECT 1 FROM pulled_blob WHERE pulled_blob.digest = $1))";
        let found: Option<i64> = sqlx::query_scalar(statement)
            .bind(digest.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::Query)?;
        Ok(found.is_some())
    }

    /// Whether a manifest of the repository refers to the blob.
    pub async fn is_referred_to(&self, repository: RepositoryId, digest: &Digest) -> Result<bool, Error> {
        let found: Option<String> = sqlx::query_scalar(
            "SELECT digest FROM manifest_reference \
             WHERE repository_id = $1 AND target = $2 AND kind = 'blob' LIMIT 1",
        )
        .bind(repository.0)
        .bind(digest.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(Error::Query)?;
        Ok(found.is_some())
    }

    /// A manifest of the repository that refers to the blob, of at most so many bytes.
    pub async fn manifest_with_blob(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        most_bytes: u64,
    ) -> Result<Option<Vec<u8>>, Error> {
        sqlx::query_scalar(
            "SELECT manifest.content FROM manifest_reference JOIN manifest \
             ON manifest.repository_id = manifest_reference.repository_id AND manifest.digest = manifest_reference.digest \
             WHERE manifest_reference.repository_id = $1 AND target = $2 AND kind = 'blob' AND manifest.size <= $3 LIMIT 1",
        )
        .bind(repository.0)
        .bind(digest.to_string())
        .bind(to_sql(most_bytes))
        .fetch_optional(&self.pool)
        .await
        .map_err(Error::Query)
    }

    /// Takes a blob out of a repository, unless one of its manifests refers to it.
    pub async fn unlink_blob(&self, repository: RepositoryId, digest: &Digest) -> Result<Unlinked, Error> {
        let mut writing = self.write(Scope::Repository(repository)).await?;
        let gone = sqlx::query(
            "DELETE FROM blob_link WHERE repository_id = $1 AND digest = $2 AND NOT EXISTS \
             (SELECT 1 FROM manifest_reference WHERE repository_id = $1 AND target = $2)",
        )
        .bind(repository.0)
        .bind(digest.to_string())
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?
        .rows_affected();
        writing.commit().await?;
        if gone > 0 {
            return Ok(Unlinked::Gone);
        }
        Ok(if self.blob_link(repository, digest).await?.is_some() { Unlinked::InUse } else { Unlinked::NotThere })
    }
}

impl crate::meta::database::Writing {
    /// Takes the row of a blob whose bytes have come. False when it is gone: the blob was taken for forgotten since it was claimed.
    pub(in crate::meta) async fn claim_again(&mut self, digest: &Digest, now_ms: i64) -> Result<bool, Error> {
        // Its bytes were verified a moment ago: whatever was said of them before does not hold.
        let claim = "UPDATE blob SET claimed_at_ms = CASE WHEN claimed_at_ms < $2 THEN $2 ELSE claimed_at_ms + 1 END, \
                     condemned_at_ms = NULL, lost_at_ms = NULL WHERE digest = $1";
        let claimed = sqlx::query(claim)
            .bind(digest.to_string())
            .bind(now_ms)
            .execute(self.connection())
            .await
            .map_err(Error::Query)?;
        Ok(claimed.rows_affected() > 0)
    }
}

async fn insert_link(
    writing: &mut crate::meta::database::Writing,
    repository: RepositoryId,
    digest: &Digest,
    size: u64,
    now_ms: i64,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO blob_link (repository_id, digest, size, wanted_at_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (repository_id, digest) DO UPDATE SET wanted_at_ms = excluded.wanted_at_ms",
    )
    .bind(repository.0)
    .bind(digest.to_string())
    .bind(to_sql(size))
    .bind(now_ms)
    .execute(writing.connection())
    .await
    .map_err(Error::Query)?;
    Ok(())
}
