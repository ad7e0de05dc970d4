//! Forgetting what upstreams said, where somebody deletes what was kept of it.

use crate::meta::{Change, Error, Meta};
use crate::oci::{Digest, RepositoryName};

const ID: &str = "(SELECT id FROM upstream_repository WHERE name = $1)";

impl Meta {
    /// A manifest, and the tags that meant it.
    pub async fn forget_upstream_image(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Error> {
        let mut writing = self.write().await?;
        for table in ["upstream_tag", "upstream_link"] {
            let statement = format!("DELETE FROM {table} WHERE digest = $2 AND repository_id = {ID}");
            sqlx::query(sqlx::AssertSqlSafe(statement))
                .bind(repository.as_str())
                .bind(digest.to_string())
                .execute(writing.connection())
                .await
                .map_err(Error::Query)?;
        }
        writing.announce(Change::Pulled).await?;
        writing.commit().await
    }

    pub async fn forget_upstream_repository(&self, repository: &RepositoryName) -> Result<(), Error> {
        let mut writing = self.write().await?;
        // Who adds to it takes turns at its row.
        let lock = format!("SELECT id FROM upstream_repository WHERE name = $1{}", self.for_update());
        sqlx::query(sqlx::AssertSqlSafe(lock))
            .bind(repository.as_str())
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        for table in ["upstream_tag", "upstream_link", "upstream_listing"] {
            let statement = format!("DELETE FROM {table} WHERE repository_id = {ID}");
            sqlx::query(sqlx::AssertSqlSafe(statement))
                .bind(repository.as_str())
                .execute(writing.connection())
                .await
                .map_err(Error::Query)?;
        }
        sqlx::query("DELETE FROM upstream_repository WHERE name = $1")
            .bind(repository.as_str())
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        writing.announce(Change::Pulled).await?;
        writing.commit().await
    }
}
