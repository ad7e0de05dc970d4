//! Uploads that have begun. Their bytes lie in the storage under the same id.

use super::RepositoryId;
use crate::meta::{Error, Meta};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRow {
    pub id: String,
    pub repository: RepositoryId,
    /// Of the digest that is expected: `sha256` or `sha512`.
    pub algorithm: String,
    /// The replica that has its bytes.
    pub holder: String,
}

impl Meta {
    pub async fn begin_upload(&self, upload: &UploadRow, now_ms: i64) -> Result<(), Error> {
        let mut writing = self.write().await?;
        sqlx::query(
            "INSERT INTO upload (id, repository_id, algorithm, holder, touched_at_ms) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(upload.id.as_str())
        .bind(upload.repository.0)
        .bind(upload.algorithm.as_str())
        .bind(upload.holder.as_str())
        .bind(now_ms)
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?;
        writing.commit().await
    }

    pub async fn upload(&self, id: &str) -> Result<Option<UploadRow>, Error> {
        let row: Option<(i64, String, String)> =
            sqlx::query_as("SELECT repository_id, algorithm, holder FROM upload WHERE id = $1")
                .bind(id)
                .fetch_optional(&self.pool)
                .await
                .map_err(Error::Query)?;
        Ok(row.map(|(repository, algorithm, holder)| UploadRow {
            id: id.to_owned(),
            repository: RepositoryId(repository),
            algorithm,
            holder,
        }))
    }

    /// The upload is in use: it does not expire for a while.
    pub async fn touch_upload(&self, id: &str, now_ms: i64) -> Result<(), Error> {
        self.change_upload("UPDATE upload SET touched_at_ms = $2 WHERE id = $1", id, Some(now_ms)).await.map(|_| ())
    }

    /// False when there was none.
    pub async fn end_upload(&self, id: &str) -> Result<bool, Error> {
        self.change_upload("DELETE FROM upload WHERE id = $1", id, None).await
    }

    /// Uploads of this holder that nobody has touched since `before_ms`.
    pub async fn idle_uploads(&self, holder: &str, before_ms: i64, limit: u32) -> Result<Vec<String>, Error> {
        let statement =
            "SELECT id FROM upload WHERE holder = $1 AND touched_at_ms < $2 ORDER BY touched_at_ms LIMIT $3";
        sqlx::query_scalar(statement)
            .bind(holder)
            .bind(before_ms)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)
    }

    async fn change_upload(&self, statement: &'static str, id: &str, now_ms: Option<i64>) -> Result<bool, Error> {
        let mut writing = self.write().await?;
        let mut query = sqlx::query(statement).bind(id);
        if let Some(now_ms) = now_ms {
            query = query.bind(now_ms);
        }
        let changed = query.execute(writing.connection()).await.map_err(Error::Query)?.rows_affected();
        writing.commit().await?;
        Ok(changed > 0)
    }
}
