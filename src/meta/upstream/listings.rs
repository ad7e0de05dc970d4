//! Lists of tags and referrers, as upstream last gave them.

use bytes::Bytes;

use super::{Speaker, repository_id};
use crate::meta::scope::Scope;
use crate::meta::{Error, Meta};
use crate::oci::RepositoryName;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pub body: Bytes,
    /// When upstream last said so.
    pub checked_at_ms: i64,
}

impl Meta {
    pub async fn listing(&self, repository: &RepositoryName, name: &str) -> Result<Option<Listing>, Error> {
        let row: Option<(Vec<u8>, i64)> = sqlx::query_as(
            "SELECT listing.body, listing.checked_at_ms FROM upstream_listing AS listing \
             JOIN upstream_repository AS repository ON repository.id = listing.repository_id WHERE repository.name = $1 AND listing.name = $2",
        )
        .bind(repository.as_str())
        .bind(name)
        .fetch_optional(&self.pool)
        .await
        .map_err(Error::Query)?;
        Ok(row.map(|(body, checked_at_ms)| Listing { body: body.into(), checked_at_ms }))
    }

    /// Nothing is written where the upstream has moved since it was asked.
    pub async fn put_listing(
        &self,
        repository: &RepositoryName,
        name: &str,
        listing: &Listing,
        speaker: Option<Speaker<'_>>,
    ) -> Result<(), Error> {
        let mut transaction = self.write(Scope::Rows).await?;
        if let Some(speaker) = speaker
            && !transaction.is_still(speaker).await?
        {
            return Ok(());
        }
        let repository_id = repository_id(transaction.connection(), repository).await?;
        sqlx::query(
            "INSERT INTO upstream_listing (repository_id, name, body, checked_at_ms) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (repository_id, name) DO UPDATE SET body = excluded.body, \
             checked_at_ms = excluded.checked_at_ms",
        )
        .bind(repository_id)
        .bind(name)
        .bind(listing.body.to_vec())
        .bind(listing.checked_at_ms)
        .execute(transaction.connection())
        .await
        .map_err(Error::Query)?;
        transaction.commit().await
    }

    /// Forgets a list that upstream no longer has, or does not give.
    pub async fn remove_listing(&self, repository: &RepositoryName, name: &str) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        sqlx::query(
            "DELETE FROM upstream_listing WHERE name = $2 \
             AND repository_id = (SELECT id FROM upstream_repository WHERE name = $1)",
        )
        .bind(repository.as_str())
        .bind(name)
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?;
        writing.commit().await
    }
}
