//! The list of all repositories, wherever they belong.

use super::database::Meta;
use super::error::Error;

impl Meta {
    /// Names of repositories that hold something, in order, after `last`.
    pub async fn repositories(&self, last: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
        // Each part stops by itself, so that a page costs a page.
        sqlx::query_scalar(
            "SELECT name FROM (SELECT name FROM upstream_repository WHERE name > $1 ORDER BY name LIMIT $2) AS upstreams \
             UNION SELECT name FROM (SELECT name FROM repository WHERE name > $1 ORDER BY name LIMIT $2) AS hosted \
             ORDER BY name LIMIT $2",
        )
        .bind(last.unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(Error::Query)
    }
}
