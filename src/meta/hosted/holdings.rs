//! How much was pushed, to a repository or to all of an account.

use super::{RepositoryId, from_sql};
use crate::meta::{Error, Meta};
use crate::oci::AccountId;

/// Repositories that are pulled through hold nothing: what is kept of them is the cache's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    pub repositories: u64,
    pub images: u64,
    /// Of manifests and blobs. What several repositories have counts for each.
    pub bytes: u64,
}

impl Meta {
    pub async fn repository_holdings(&self, repository: RepositoryId) -> Result<Holdings, Error> {
        let (images, manifests) = self.sum("manifest", "= $1", repository.0).await?;
        let (_, blobs) = self.sum("blob_link", "= $1", repository.0).await?;
        Ok(Holdings { repositories: 1, images, bytes: manifests.saturating_add(blobs) })
    }

    pub async fn account_holdings(&self, account: AccountId) -> Result<Holdings, Error> {
        let own = "IN (SELECT id FROM repository WHERE account = $1 AND upstream IS NULL)";
        let (images, manifests) = self.sum("manifest", own, account.as_str()).await?;
        let (_, blobs) = self.sum("blob_link", own, account.as_str()).await?;
        let repositories: i64 = sqlx::query_scalar(
            "SELECT CAST(COUNT(*) AS BIGINT) FROM repository WHERE account = $1 AND upstream IS NULL",
        )
        .bind(account.as_str())
        .fetch_one(&self.pool)
        .await
        .map_err(Error::Query)?;
        Ok(Holdings { repositories: from_sql(repositories), images, bytes: manifests.saturating_add(blobs) })
    }

    /// Rows and their bytes.
    async fn sum<'q>(
        &self,
        table: &str,
        repositories: &str,
        of: impl sqlx::Encode<'q, sqlx::Any> + sqlx::Type<sqlx::Any> + 'q,
    ) -> Result<(u64, u64), Error> {
        let statement = format!(
            "SELECT CAST(COUNT(*) AS BIGINT), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM {table} \
             WHERE repository_id {repositories}"
        );
        let (rows, bytes): (i64, i64) = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(of)
            .fetch_one(&self.pool)
            .await
            .map_err(Error::Query)?;
        Ok((from_sql(rows), from_sql(bytes)))
    }
}
