//! Finding what nobody needs any more, in small steps.
//!
//! A blob goes in three: a repository that has not wanted it for a while and whose manifests do not refer to it loses it; a
//! blob that no repository has is condemned; one that is still condemned a while later is removed, with its row held. What is
//! found is read without anyone waiting, a page at a time; what is changed is looked at again, in short transactions. A blob is referred to
//! whatever the manifest takes it for: an index may have blobs as entries.

use std::future::Future;

use super::{RepositoryId, digest, from_sql};
use crate::meta::scope::Scope;
use crate::meta::table::{Column, rows};
use crate::meta::{Error, Meta};
use crate::oci::Digest;

/// A blob that nobody needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condemned {
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    pub condemned_at_ms: i64,
}

/// A repository's right to a blob that it does not use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgottenLink {
    pub repository: RepositoryId,
    pub digest: Digest,
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
             AND manifest_reference.target = blob_link.digest))) \
             AND NOT EXISTS (SELECT 1 FROM pulled_blob WHERE pulled_blob.digest = blob.digest)",
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

    /// Blobs that repositories have, that no manifest of theirs refers to, and that have not been wanted since `before_ms`: in
    /// order, after `last`. Nobody waits for this; what it finds is looked at again when it is taken away.
    pub async fn forgotten_links(
        &self,
        last: Option<&ForgottenLink>,
        before_ms: i64,
        limit: u32,
    ) -> Result<Vec<ForgottenLink>, Error> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT repository_id, digest FROM blob_link AS link WHERE (repository_id, digest) > ($1, $2) \
             AND wanted_at_ms < $3 AND NOT EXISTS (SELECT 1 FROM manifest_reference \
             WHERE manifest_reference.repository_id = link.repository_id AND manifest_reference.target = link.digest) \
             ORDER BY repository_id, digest LIMIT $4",
        )
        .bind(last.map_or(i64::MIN, |link| link.repository.0))
        .bind(last.map(|link| link.digest.to_string()).unwrap_or_default())
        .bind(before_ms)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(Error::Query)?;
        rows.into_iter()
            .map(|(id, text)| Ok(ForgottenLink { repository: RepositoryId(id), digest: digest(text)? }))
            .collect()
    }

    /// Takes these blobs from their repositories, where that still holds. Returns how many.
    pub async fn unlink_forgotten(&self, links: &[ForgottenLink], before_ms: i64) -> Result<u64, Error> {
        let mut gone = 0;
        for links in links.chunk_by(|one, next| one.repository == next.repository) {
            let Some(repository) = links.first().map(|link| link.repository) else { continue };
            let digests: Vec<_> = links.iter().map(|link| (link.digest.to_string(),)).collect();
            let mut writing = self.write(Scope::Repository(repository)).await?;
            let statement = format!(
                "DELETE FROM blob_link WHERE repository_id = $1 AND wanted_at_ms < $2 \
                 AND digest IN (SELECT digest FROM {} AS forgotten) \
                 AND NOT EXISTS (SELECT 1 FROM manifest_reference WHERE manifest_reference.repository_id = $1 \
                 AND manifest_reference.target = blob_link.digest)",
                self.dialect.table(3, &[Column::Text("digest")])
            );
            gone += sqlx::query(sqlx::AssertSqlSafe(statement))
                .bind(repository.0)
                .bind(before_ms)
                .bind(rows(&digests))
                .execute(writing.connection())
                .await
                .map_err(Error::Query)?
                .rows_affected();
            writing.commit().await?;
        }
        Ok(gone)
    }

    /// Blobs that no repository has and nobody has claimed since `before_ms`, in order, after `last`.
    pub async fn unneeded_blobs(
        &self,
        last: Option<&Digest>,
        before_ms: i64,
        limit: u32,
    ) -> Result<Vec<Digest>, Error> {
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT digest FROM blob WHERE digest > $1 AND condemned_at_ms IS NULL AND claimed_at_ms < $2 \
             AND NOT EXISTS (SELECT 1 FROM blob_link WHERE blob_link.digest = blob.digest) \
             AND NOT EXISTS (SELECT 1 FROM pulled_blob WHERE pulled_blob.digest = blob.digest) ORDER BY digest LIMIT $3",
        )
        .bind(last.map(ToString::to_string).unwrap_or_default())
        .bind(before_ms)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(Error::Query)?;
        rows.into_iter().map(digest).collect()
    }

    /// Condemns these blobs, where nobody needs them still.
    pub async fn condemn_blobs(&self, blobs: &[Digest], before_ms: i64, now_ms: i64) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        for blob in blobs {
            sqlx::query(
                "UPDATE blob SET condemned_at_ms = $2 WHERE digest = $1 AND condemned_at_ms IS NULL AND claimed_at_ms < $3 \
                 AND NOT EXISTS (SELECT 1 FROM blob_link WHERE blob_link.digest = $1) \
                 AND NOT EXISTS (SELECT 1 FROM pulled_blob WHERE pulled_blob.digest = $1)",
            )
            .bind(blob.to_string())
            .bind(now_ms)
            .bind(before_ms)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        }
        writing.commit().await
    }

    /// Blobs that were condemned before `before_ms`, longest first, after `last`.
    pub async fn condemned_blobs(
        &self,
        last: Option<&Condemned>,
        before_ms: i64,
        limit: u32,
    ) -> Result<Vec<Condemned>, Error> {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT digest, size, condemned_at_ms FROM blob WHERE condemned_at_ms IS NOT NULL AND condemned_at_ms < $1 \
             AND (condemned_at_ms, digest) > ($2, $3) ORDER BY condemned_at_ms, digest LIMIT $4",
        )
        .bind(before_ms)
        .bind(last.map_or(i64::MIN, |last| last.condemned_at_ms))
        .bind(last.map(|last| last.digest.to_string()).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(Error::Query)?;
        rows.into_iter()
            .map(|(text, size, condemned_at_ms)| {
                Ok(Condemned { digest: digest(text)?, size: from_sql(size), condemned_at_ms })
            })
            .collect()
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
        let mut writing = self.write(Scope::Rows).await?;
        let select = format!("SELECT digest FROM blob WHERE digest = $1 AND condemned_at_ms < $2{}", self.for_update());
        let held: Option<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(select))
            .bind(blob.to_string())
            .bind(before_ms)
            .fetch_optional(writing.connection())
            .await
            .map_err(Error::Query)?;
        let wanted = "SELECT size FROM blob WHERE digest = $1 AND (EXISTS (SELECT 1 FROM blob_link WHERE blob_link.digest = $1) \
                      OR EXISTS (SELECT 1 FROM pulled_blob WHERE pulled_blob.digest = $1))";
        let wanted: Option<i64> = sqlx::query_scalar(wanted)
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

    /// Removes bytes that no row knows, by `remove`, while their row is held, which is there only for that: whoever brings the blob waits,
    /// and brings it after that. False when there is a row.
    pub async fn remove_orphan<E, F>(
        &self,
        digest: &Digest,
        remove: impl FnOnce() -> F,
    ) -> Result<Result<bool, E>, Error>
    where
        F: Future<Output = Result<(), E>>,
    {
        let mut writing = self.write(Scope::Rows).await?;
        let insert = "INSERT INTO blob (digest, size, claimed_at_ms) VALUES ($1, 0, 0) ON CONFLICT (digest) DO NOTHING";
        let held = sqlx::query(insert).bind(digest.to_string()).execute(writing.connection()).await;
        if held.map_err(Error::Query)?.rows_affected() == 0 {
            return Ok(Ok(false));
        }
        let removed = remove().await;
        // The row goes with the transaction that is given up.
        drop(writing);
        Ok(removed.map(|()| true))
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
