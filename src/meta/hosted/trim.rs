//! Images of repositories that are pulled through leave the database by age and by size: only the list of what was pulled is shorter then,
//! and what is served does not depend on it.

use super::{RepositoryId, from_sql};
use crate::meta::scope::Scope;
use crate::meta::{Error, Meta};

/// Images that are looked up at once; each is removed in a transaction of its own.
const BATCH: u32 = 200;

const OF_UPSTREAMS: &str =
    "FROM manifest JOIN repository ON repository.id = manifest.repository_id WHERE repository.upstream IS NOT NULL";

impl Meta {
    /// Bytes of the manifests in repositories that are pulled through.
    pub async fn pulled_images_bytes(&self) -> Result<u64, Error> {
        let statement = format!("SELECT CAST(COALESCE(SUM(manifest.size), 0) AS BIGINT) {OF_UPSTREAMS}");
        let bytes: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&self.pool).await.map_err(Error::Query)?;
        Ok(from_sql(bytes))
    }

    /// Removes those that were pulled longest ago: all from before `before_ms`, and others until `bytes` are free; at most some hundreds.
    /// Returns how many bytes that freed, and the repository of each.
    pub async fn trim_pulled_images(&self, before_ms: i64, bytes: u64) -> Result<(u64, Vec<RepositoryId>), Error> {
        let statement = format!(
            "SELECT manifest.repository_id, manifest.digest, manifest.size, \
             COALESCE(manifest.pulled_at_ms, manifest.pushed_at_ms) AS used_at_ms {OF_UPSTREAMS} \
             ORDER BY used_at_ms, manifest.repository_id, manifest.digest LIMIT {BATCH}"
        );
        let oldest: Vec<(i64, String, i64, i64)> =
            sqlx::query_as(sqlx::AssertSqlSafe(statement)).fetch_all(&self.pool).await.map_err(Error::Query)?;
        let (mut freed, mut removed) = (0, Vec::new());
        for (repository, digest, size, used_at_ms) in oldest {
            if used_at_ms >= before_ms && freed >= bytes {
                break;
            }
            let mut writing = self.write(Scope::Repository(RepositoryId(repository))).await?;
            for statement in [
                "DELETE FROM tag_move WHERE repository_id = $1 AND name IN \
                 (SELECT name FROM tag WHERE repository_id = $1 AND digest = $2)",
                "DELETE FROM tag WHERE repository_id = $1 AND digest = $2",
                "DELETE FROM manifest_reference WHERE repository_id = $1 AND digest = $2",
                "DELETE FROM manifest WHERE repository_id = $1 AND digest = $2",
            ] {
                sqlx::query(statement)
                    .bind(repository)
                    .bind(digest.as_str())
                    .execute(writing.connection())
                    .await
                    .map_err(Error::Query)?;
            }
            writing.commit().await?;
            freed += from_sql(size);
            removed.push(RepositoryId(repository));
        }
        Ok((freed, removed))
    }
}
