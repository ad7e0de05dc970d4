//! Uploads that have begun. Their bytes lie in the storage under the same id: in a file of the replica that holds the upload, and,
//! with a bucket, in pieces there, from which another replica can go on.

use std::collections::BTreeSet;

use super::{RepositoryId, digest, from_sql, to_sql};
use crate::meta::scope::Scope;
use crate::meta::table::{Column, rows};
use crate::meta::{Error, Meta};
use crate::oci::Digest;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRow {
    pub id: String,
    pub repository: RepositoryId,
    /// Of the digest that is expected: `sha256` or `sha512`.
    pub algorithm: String,
    /// The replica that goes on with it.
    pub holder: String,
    /// When somebody last went on with it.
    pub touched_at_ms: i64,
    /// Bytes that are in pieces.
    pub bytes: u64,
    /// Of these bytes.
    pub digest: Option<Digest>,
}

/// How many uploads may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadLimits {
    pub of_repository: u64,
    /// Of one principal, to one repository.
    pub of_client_there: u64,
    /// Of one principal, whatever the repositories.
    pub of_client: u64,
}

/// What came of beginning an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    Begun,
    TooManyInRepository,
    TooManyOfClientThere,
    TooManyOfClient,
    /// The repository is gone.
    NoRepository,
}

/// A part of an upload that lies in the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceRow {
    /// The place of its first byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    pub name: String,
}

impl Meta {
    /// `bytes` and `digest` of a new upload are not looked at: there are no pieces. Unless it has begun, nothing was changed.
    pub async fn begin_upload(
        &self,
        upload: &UploadRow,
        principal: &str,
        limits: UploadLimits,
    ) -> Result<Begun, Error> {
        let mut writing = self.write_in(&[Scope::Repository(upload.repository), Scope::Uploads(principal)]).await?;
        writing.only_adds([]);
        let repository: Option<i64> = sqlx::query_scalar("SELECT id FROM repository WHERE id = $1")
            .bind(upload.repository.0)
            .fetch_optional(writing.connection())
            .await
            .map_err(Error::Query)?;
        if repository.is_none() {
            return Ok(Begun::NoRepository);
        }
        let (here, of_client_here, of_client): (i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT CAST(COUNT(*) AS BIGINT) FROM upload WHERE repository_id = $1), \
             (SELECT CAST(COUNT(*) AS BIGINT) FROM upload WHERE repository_id = $1 AND principal = $2), \
             (SELECT CAST(COUNT(*) AS BIGINT) FROM upload WHERE principal = $2)",
        )
        .bind(upload.repository.0)
        .bind(principal)
        .fetch_one(writing.connection())
        .await
        .map_err(Error::Query)?;
        if from_sql(here) >= limits.of_repository {
            return Ok(Begun::TooManyInRepository);
        }
        if from_sql(of_client_here) >= limits.of_client_there {
            return Ok(Begun::TooManyOfClientThere);
        }
        if from_sql(of_client) >= limits.of_client {
            return Ok(Begun::TooManyOfClient);
        }
        sqlx::query(
            "INSERT INTO upload (id, repository_id, algorithm, holder, touched_at_ms, bytes, principal) \
             VALUES ($1, $2, $3, $4, $5, 0, $6)",
        )
        .bind(upload.id.as_str())
        .bind(upload.repository.0)
        .bind(upload.algorithm.as_str())
        .bind(upload.holder.as_str())
        .bind(upload.touched_at_ms)
        .bind(principal)
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?;
        writing.commit().await?;
        Ok(Begun::Begun)
    }

    /// Of these uploads, those that `holder` goes on with.
    pub async fn uploads_held(&self, holder: &str, ids: &[&str]) -> Result<BTreeSet<String>, Error> {
        let ids: Vec<_> = ids.iter().map(|id| (id,)).collect();
        let statement = format!(
            "SELECT id FROM upload WHERE holder = $1 AND id IN (SELECT id FROM {} AS asked)",
            self.dialect.table(2, &[Column::Text("id")])
        );
        let held: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .bind(holder)
            .bind(rows(&ids))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        Ok(held.into_iter().collect())
    }

    /// Uploads to the repository, and of the client, that nobody has touched since `before_ms`.
    pub async fn idle_uploads_of(
        &self,
        repository: RepositoryId,
        principal: &str,
        before_ms: i64,
        limit: u32,
    ) -> Result<Vec<String>, Error> {
        let statement = "SELECT id FROM upload WHERE (repository_id = $1 OR principal = $2) AND touched_at_ms < $3 \
                         ORDER BY touched_at_ms LIMIT $4";
        sqlx::query_scalar(statement)
            .bind(repository.0)
            .bind(principal)
            .bind(before_ms)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)
    }

    pub async fn upload(&self, id: &str) -> Result<Option<UploadRow>, Error> {
        let statement =
            "SELECT repository_id, algorithm, holder, touched_at_ms, bytes, digest FROM upload WHERE id = $1";
        let row: Option<(i64, String, String, i64, i64, Option<String>)> =
            sqlx::query_as(statement).bind(id).fetch_optional(&self.pool).await.map_err(Error::Query)?;
        let Some((repository, algorithm, holder, touched_at_ms, bytes, found)) = row else { return Ok(None) };
        Ok(Some(UploadRow {
            id: id.to_owned(),
            repository: RepositoryId(repository),
            algorithm,
            holder,
            touched_at_ms,
            bytes: from_sql(bytes),
            digest: found.map(digest).transpose()?,
        }))
    }

    /// A piece of the upload is in the bucket; `digest` is that of all its bytes up to the piece's end. False when another
    /// replica goes on with the upload, or nobody.
    pub async fn add_piece(
        &self,
        id: &str,
        holder: &str,
        piece: &PieceRow,
        digest: &Digest,
        now_ms: i64,
    ) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let ours = sqlx::query(
            "UPDATE upload SET bytes = $3, digest = $4, touched_at_ms = $5 WHERE id = $1 AND holder = $2 AND bytes = $6",
        )
        .bind(id)
        .bind(holder)
        .bind(to_sql(piece.start + piece.size))
        .bind(digest.to_string())
        .bind(now_ms)
        .bind(to_sql(piece.start))
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?
        .rows_affected();
        if ours == 0 {
            return Ok(false);
        }
        sqlx::query("INSERT INTO upload_piece (upload_id, start, size, name) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind(to_sql(piece.start))
            .bind(to_sql(piece.size))
            .bind(piece.name.as_str())
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        writing.commit().await?;
        Ok(true)
    }

    /// From now on `holder` goes on with the upload, and no other adds pieces.
    pub async fn take_over_upload(&self, id: &str, holder: &str, now_ms: i64) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        sqlx::query("UPDATE upload SET holder = $2, touched_at_ms = $3 WHERE id = $1")
            .bind(id)
            .bind(holder)
            .bind(now_ms)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        writing.commit().await
    }

    /// In order.
    pub async fn upload_pieces(&self, id: &str) -> Result<Vec<PieceRow>, Error> {
        let rows: Vec<(i64, i64, String)> =
            sqlx::query_as("SELECT start, size, name FROM upload_piece WHERE upload_id = $1 ORDER BY start")
                .bind(id)
                .fetch_all(&self.pool)
                .await
                .map_err(Error::Query)?;
        let piece = |(start, size, name)| PieceRow { start: from_sql(start), size: from_sql(size), name };
        Ok(rows.into_iter().map(piece).collect())
    }

    /// A part has come to the upload's end; `is_short` says that no other may follow it.
    pub async fn add_part(&self, id: &str, is_short: bool) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        sqlx::query(
            "UPDATE upload SET short_part = CASE WHEN short_part > 0 THEN 2 WHEN $2 = 1 THEN 1 ELSE 0 END WHERE id = $1",
        )
        .bind(id)
        .bind(i64::from(is_short))
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?;
        writing.commit().await
    }

    /// Whether a part was short and another followed it.
    pub async fn has_short_part(&self, id: &str) -> Result<bool, Error> {
        let found: Option<i64> = sqlx::query_scalar("SELECT short_part FROM upload WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::Query)?;
        Ok(found == Some(2))
    }

    /// The upload is in use: it does not expire for a while. False when there is none.
    pub async fn touch_upload(&self, id: &str, now_ms: i64) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let touched = sqlx::query("UPDATE upload SET touched_at_ms = $2 WHERE id = $1")
            .bind(id)
            .bind(now_ms)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        writing.commit().await?;
        Ok(touched.rows_affected() > 0)
    }

    /// Ends an upload that nobody has touched since `before_ms`. Returns the names of its pieces; `None` where somebody has, or where
    /// there is none.
    pub async fn end_idle_upload(&self, id: &str, before_ms: i64) -> Result<Option<Vec<String>>, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        // Its row is taken first: whoever touches it does so before, or finds it gone.
        let idle = sqlx::query("UPDATE upload SET touched_at_ms = touched_at_ms WHERE id = $1 AND touched_at_ms < $2")
            .bind(id)
            .bind(before_ms)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        if idle.rows_affected() == 0 {
            return Ok(None);
        }
        let pieces = sqlx::query_scalar("SELECT name FROM upload_piece WHERE upload_id = $1")
            .bind(id)
            .fetch_all(writing.connection())
            .await
            .map_err(Error::Query)?;
        writing.end_upload(id).await?;
        writing.commit().await?;
        Ok(Some(pieces))
    }

    /// False when there was none.
    pub async fn end_upload(&self, id: &str) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let ended = writing.end_upload(id).await?;
        writing.commit().await?;
        Ok(ended)
    }

    /// Uploads that nobody has touched since `before_ms`: those of one holder, or all.
    pub async fn idle_uploads(&self, holder: Option<&str>, before_ms: i64, limit: u32) -> Result<Vec<String>, Error> {
        let statement = "SELECT id FROM upload WHERE ($1 = 1 OR holder = $2) AND touched_at_ms < $3 \
                         ORDER BY touched_at_ms LIMIT $4";
        sqlx::query_scalar(statement)
            .bind(i64::from(holder.is_none()))
            .bind(holder.unwrap_or_default())
            .bind(before_ms)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)
    }
}

impl crate::meta::database::Writing {
    /// False when there was none.
    pub(super) async fn end_upload(&mut self, id: &str) -> Result<bool, Error> {
        let mut ended = 0;
        for statement in ["DELETE FROM upload_piece WHERE upload_id = $1", "DELETE FROM upload WHERE id = $1"] {
            ended =
                sqlx::query(statement).bind(id).execute(self.connection()).await.map_err(Error::Query)?.rows_affected();
        }
        Ok(ended > 0)
    }
}
