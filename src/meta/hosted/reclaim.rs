//! Finding what nobody needs any more, in small steps.
//!
//! A blob goes in three: a repository that has not wanted it for a while and whose manifests do not refer to it loses it; a
//! blob that no repository has is condemned; one that is still condemned a while later is removed, with its row held.

use std::future::Future;

use super::{digest, from_sql};
use crate::meta::{Error, Meta};
use crate::oci::Digest;

/// A blob that nobody needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condemned {
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// What could be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reclaimable {
    pub blobs: u64,
    pub bytes: u64,
    pub uploads: u64,
}

impl Meta {
    /// What nobody needs and nobody has needed since `before_ms`, and uploads that have been idle since `idle_before_ms`.
    pub async fn reclaimable(&self, before_ms: i64, idle_before_ms: i64) -> Result<Reclaimable, Error> {
        let (blobs, bytes): (i64, i64) = sqlx::query_as(
            "SELECT CAST(COUNT(*) AS BIGINT), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM blob \
             WHERE claimed_at_ms < $1 AND NOT EXISTS (SELECT 1 FROM blob_link WHERE blob_link.digest = blob.digest \
             AND (blob_link.wanted_at_ms >= $1 OR EXISTS (SELECT 1 FROM manifest_reference \
             WHERE manifest_reference.repository_id = blob_link.repository_id \
             AND manifest_reference.target = blob_link.digest AND manifest_reference.kind = 'blob')))",
        )
        .bind(before_ms)
        .fetch_one(&self.pool)
        .await
        .map_err(Error::Query)?;
        let uploads: i64 = sqlx::query_scalar("SELECT CAST(COUNT(*) AS BIGINT) FROM upload WHERE touched_at_ms < $1")
            .bind(idle_before_ms)
            .fetch_one(&self.pool)
            .await
            .map_err(Error::Query)?;
        Ok(Reclaimable { blobs: from_sql(blobs), bytes: from_sql(bytes), uploads: from_sql(uploads) })
    }

    /// Takes blobs from repositories whose manifests do not refer to them and that have not wanted them since `before_ms`.
    /// Returns how many; at most `limit`.
    pub async fn unlink_forgotten(&self, before_ms: i64, limit: u32) -> Result<u64, Error> {
        let mut writing = self.write().await?;
        let gone = sqlx::query(
            "DELETE FROM blob_link WHERE wanted_at_ms < $1 AND (repository_id, digest) IN (SELECT repository_id, digest \
             FROM blob_link AS link WHERE link.wanted_at_ms < $1 AND NOT EXISTS (SELECT 1 FROM manifest_reference \
             WHERE manifest_reference.repository_id = link.repository_id AND manifest_reference.target = link.digest \
             AND manifest_reference.kind = 'blob') LIMIT $2)",
        )
        .bind(before_ms)
        .bind(i64::from(limit))
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?
        .rows_affected();
        writing.commit().await?;
        Ok(gone)
    }

    /// Condemns blobs that no repository has and nobody has claimed since `before_ms`. Returns how many; at most `limit`.
    pub async fn condemn_blobs(&self, before_ms: i64, now_ms: i64, limit: u32) -> Result<u64, Error> {
        let mut writing = self.write().await?;
        let condemned = sqlx::query(
            "UPDATE blob SET condemned_at_ms = $2 WHERE condemned_at_ms IS NULL AND claimed_at_ms < $1 AND digest IN \
             (SELECT digest FROM blob AS one WHERE one.condemned_at_ms IS NULL AND one.claimed_at_ms < $1 AND NOT EXISTS \
             (SELECT 1 FROM blob_link WHERE blob_link.digest = one.digest) LIMIT $3)",
        )
        .bind(before_ms)
        .bind(now_ms)
        .bind(i64::from(limit))
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?
        .rows_affected();
        writing.commit().await?;
        Ok(condemned)
    }

    /// Blobs that were condemned before `before_ms`.
    pub async fn condemned_blobs(&self, before_ms: i64, limit: u32) -> Result<Vec<Condemned>, Error> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT digest, size FROM blob WHERE condemned_at_ms < $1 ORDER BY condemned_at_ms, digest LIMIT $2",
        )
        .bind(before_ms)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(Error::Query)?;
        rows.into_iter().map(|(text, size)| Ok(Condemned { digest: digest(text)?, size: from_sql(size) })).collect()
    }

    /// Removes a condemned blob: its bytes by `remove`, while its row is held, then the row. False when somebody needs it
    /// after all. When `remove` fails the row stays, and it is tried again later.
    pub async fn reclaim_blob<E, F>(
        &self,
        blob: &Digest,
        before_ms: i64,
        remove: impl FnOnce() -> F,
    ) -> Result<Result<bool, E>, Error>
    where
        F: Future<Output = Result<(), E>>,
    {
        let mut writing = self.write().await?;
        let select = format!("SELECT digest FROM blob WHERE digest = $1 AND condemned_at_ms < $2{}", self.for_update());
        let held: Option<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(select))
            .bind(blob.to_string())
            .bind(before_ms)
            .fetch_optional(writing.connection())
            .await
            .map_err(Error::Query)?;
        let wanted: Option<i64> = sqlx::query_scalar("SELECT repository_id FROM blob_link WHERE digest = $1 LIMIT 1")
            .bind(blob.to_string())
            .fetch_optional(writing.connection())
            .await
            .map_err(Error::Query)?;
        if held.is_none() || wanted.is_some() {
            return Ok(Ok(false));
        }
        if let Err(error) = remove().await {
            return Ok(Err(error));
        }
        sqlx::query("DELETE FROM blob WHERE digest = $1")
            .bind(blob.to_string())
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        writing.commit().await?;
        Ok(Ok(true))
    }

    /// Whether bytes of this digest belong to a blob, or may come to.
    pub async fn is_blob(&self, digest: &Digest) -> Result<bool, Error> {
        let found: Option<i64> = sqlx::query_scalar("SELECT size FROM blob WHERE digest = $1")
            .bind(digest.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::Query)?;
        Ok(found.is_some())
    }
}
