//! The list of a registry's repositories, one's own and those of upstreams.

use super::database::Meta;
use super::error::Error;
use crate::oci::AccountId;

impl Meta {
    /// Their names, in order, after `last`.
    pub async fn repositories(&self, account: AccountId, last: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
        sqlx::query_scalar("SELECT name FROM repository WHERE account = $1 AND name > $2 ORDER BY name LIMIT $3")
            .bind(account.as_str())
            .bind(last.unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)
    }
}
