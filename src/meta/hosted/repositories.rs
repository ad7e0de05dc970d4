//! Repositories of one's own.

use crate::meta::{Error, Meta};
use crate::oci::RepositoryName;

/// A repository's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryId(pub(in crate::meta) i64);

impl RepositoryId {
    #[cfg(test)]
    pub(crate) fn for_tests(id: i64) -> Self {
        Self(id)
    }
}

impl Meta {
    pub async fn repository(&self, name: &RepositoryName) -> Result<Option<RepositoryId>, Error> {
        let id: Option<i64> = sqlx::query_scalar("SELECT id FROM repository WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::Query)?;
        Ok(id.map(RepositoryId))
    }

    /// The repository's row, made if it is missing.
    pub async fn create_repository(&self, name: &RepositoryName, now_ms: i64) -> Result<RepositoryId, Error> {
        let mut writing = self.write().await?;
        let id = sqlx::query_scalar(
            "INSERT INTO repository (name, created_at_ms) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id",
        )
        .bind(name.as_str())
        .bind(now_ms)
        .fetch_one(writing.connection())
        .await
        .map_err(Error::Query)?;
        writing.commit().await?;
        Ok(RepositoryId(id))
    }
}
