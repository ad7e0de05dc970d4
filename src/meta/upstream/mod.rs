//! What upstreams said when they were last asked.

mod forget;
mod links;
mod listings;
mod pulled;
mod rights;
mod tags;
mod trim;

pub use forget::Speaker;
pub use links::{Link, LinkKind};
pub use listings::Listing;
pub use pulled::Fetch;
pub use tags::TagRow;
pub use trim::UpstreamLimits;

use super::Error;
use super::pool::Statement;
use crate::oci::RepositoryName;

/// The repository's row, made if it is missing.
async fn repository_id(connection: Statement<'_>, name: &RepositoryName) -> Result<i64, Error> {
    sqlx::query_scalar(
        "INSERT INTO upstream_repository (name) VALUES ($1) \
         ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id",
    )
    .bind(name.as_str())
    .fetch_one(connection)
    .await
    .map_err(Error::Query)
}
