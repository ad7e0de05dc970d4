//! Blobs, and which repositories have them.
//!
//! Whoever brings a blob claims its row before the bytes are put in their place; whoever removes one holds its row while the
//! bytes go (`reclaim.rs`). So a blob that was acknowledged is there, whatever happens at the same time.

use super::{RepositoryId, from_sql, to_sql};
use crate::meta::{Error, Meta};
use crate::oci::Digest;

/// A repository's right to a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobLink {
    /// Bytes.
    pub size: u64,
    pub wanted_at_ms: i64,
}

/// A blob that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlobRow {
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// What came of taking a blob out of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlinked {
    Gone,
    NotThere,
    /// A manifest of the repository refers to it.
    InUse,
}

impl Meta {
    pub async fn blob_link(&self, repository: RepositoryId, digest: &Digest) -> Result<Option<BlobLink>, Error> {
        let row: Option<(i64, i64)> = sqlx::query_as(
            "SELECT blob_link.size, blob_link.wanted_at_ms FROM blob_link JOIN blob ON blob.digest = blob_link.digest \
                 WHERE blob_link.repository_id = $1 AND blob_link.digest = $2 AND blob.lost_at_ms IS NULL",
        )
        .bind(repository.0)
        .bind(digest.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(Error::Query)?;
        Ok(row.map(|(size, wanted_at_ms)| BlobLink { size: from_sql(size), wanted_at_ms }))
    }

    /// Somebody looked whether the blob is there, and will refer to it: for a while it is not taken for forgotten.
    pub async fn want_blob(&self, repository: RepositoryId, digest: &Digest, now_ms: i64) -> Result<(), Error> {
        let mut writing = self.write().await?;
        sqlx::query("UPDATE blob_link SET wanted_at_ms = $3 WHERE repository_id = $1 AND digest = $2")
            .bind(repository.0)
            .bind(digest.to_string())
            .bind(now_ms)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        writing.commit().await
    }

    /// Announces that a blob's verified bytes are about to be put in their place.
    pub async fn claim_blob(&self, digest: &Digest, size: u64, now_ms: i64) -> Result<(), Error> {
        let mut writing = self.write().await?;
        sqlx::query(
            "INSERT INTO blob (digest, size, claimed_at_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (digest) DO UPDATE SET claimed_at_ms = excluded.claimed_at_ms, condemned_at_ms = NULL, \
             lost_at_ms = NULL",
        )
        .bind(digest.to_string())
        .bind(to_sql(size))
        .bind(now_ms)
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?;
        writing.commit().await
    }

    /// The blob's bytes are damaged or gone: it is not there for anyone until it is pushed again.
    pub async fn lose_blob(&self, digest: &Digest, now_ms: i64) -> Result<(), Error> {
        let mut writing = self.write().await?;
        sqlx::query("UPDATE blob SET lost_at_ms = $2 WHERE digest = $1 AND lost_at_ms IS NULL")
            .bind(digest.to_string())
            .bind(now_ms)
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
        let mut writing = self.write().await?;
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
        let mut writing = self.write().await?;
        // The row is taken first: from here on nobody removes the bytes.
        let size: Option<i64> = sqlx::query_scalar(
            "UPDATE blob SET claimed_at_ms = $2, condemned_at_ms = NULL WHERE digest = $1 AND lost_at_ms IS NULL AND EXISTS \
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
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT digest, size FROM blob WHERE digest > $1 ORDER BY digest LIMIT $2")
                .bind(last.map(ToString::to_string).unwrap_or_default())
                .bind(i64::from(limit))
                .fetch_all(&self.pool)
                .await
                .map_err(Error::Query)?;
        rows.into_iter()
            .map(|(text, size)| Ok(StoredBlobRow { digest: super::digest(text)?, size: from_sql(size) }))
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

    /// Takes a blob out of a repository, unless one of its manifests refers to it.
    pub async fn unlink_blob(&self, repository: RepositoryId, digest: &Digest) -> Result<Unlinked, Error> {
        let mut writing = self.write().await?;
        let gone = sqlx::query(
            "DELETE FROM blob_link WHERE repository_id = $1 AND digest = $2 AND NOT EXISTS \
             (SELECT 1 FROM manifest_reference WHERE repository_id = $1 AND target = $2 AND kind = 'blob')",
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
        let claimed = sqlx::query("UPDATE blob SET claimed_at_ms = $2, condemned_at_ms = NULL WHERE digest = $1")
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
