//! What tags meant when upstream was last asked.

use super::{Speaker, repository_id};
use crate::meta::scope::Scope;
use crate::meta::{Error, Meta};
use crate::oci::{AcceptSet, Digest, MediaType, RepositoryName, Tag};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRow {
    pub digest: Digest,
    pub media_type: MediaType,
    /// Bytes of the manifest, where upstream told.
    pub size: Option<u64>,
    /// When upstream last said so.
    pub checked_at_ms: i64,
}

impl Meta {
    pub async fn tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        accept: AcceptSet,
    ) -> Result<Option<TagRow>, Error> {
        let row: Option<(String, String, Option<i64>, i64)> = sqlx::query_as(
            "SELECT tag.digest, tag.media_type, tag.size, tag.checked_at_ms FROM upstream_tag AS tag \
             JOIN upstream_repository AS repository ON repository.id = tag.repository_id \
             WHERE repository.name = $1 AND tag.name = $2 AND tag.accept = $3",
        )
        .bind(repository.as_str())
        .bind(tag.as_str())
        .bind(i64::from(accept.bits()))
        .fetch_optional(&self.pool)
        .await
        .map_err(Error::Query)?;
        let Some((digest, media_type, size, checked_at_ms)) = row else { return Ok(None) };
        Ok(Some(TagRow {
            digest: digest.parse().map_err(|_| Error::Malformed { what: "a digest", text: digest })?,
            media_type: MediaType::new(&media_type),
            size: size.and_then(|size| u64::try_from(size).ok()),
            checked_at_ms,
        }))
    }

    /// Tags that mean the manifest, as far as upstream was asked; at most `limit`.
    pub async fn tags_of(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        accept: AcceptSet,
        limit: u32,
    ) -> Result<Vec<Tag>, Error> {
        let names: Vec<String> = sqlx::query_scalar(
            "SELECT tag.name FROM upstream_tag AS tag JOIN upstream_repository AS repository \
             ON repository.id = tag.repository_id \
             WHERE repository.name = $1 AND tag.digest = $2 AND tag.accept = $3 ORDER BY tag.name LIMIT $4",
        )
        .bind(repository.as_str())
        .bind(digest.to_string())
        .bind(i64::from(accept.bits()))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(Error::Query)?;
        names.into_iter().map(|text| text.parse().map_err(|_| Error::Malformed { what: "a tag", text })).collect()
    }

    /// What the upstream says that the tag means. Nothing is written where the upstream has moved since it was asked.
    pub async fn put_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        accept: AcceptSet,
        row: &TagRow,
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
            "INSERT INTO upstream_tag (repository_id, name, accept, digest, media_type, size, checked_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (repository_id, name, accept) DO UPDATE SET digest = excluded.digest, \
             media_type = excluded.media_type, size = excluded.size, checked_at_ms = excluded.checked_at_ms",
        )
        .bind(repository_id)
        .bind(tag.as_str())
        .bind(i64::from(accept.bits()))
        .bind(row.digest.to_string())
        .bind(row.media_type.as_str())
        .bind(row.size.and_then(|size| i64::try_from(size).ok()))
        .bind(row.checked_at_ms)
        .execute(transaction.connection())
        .await
        .map_err(Error::Query)?;
        transaction.commit().await
    }

    /// Forgets a tag that upstream no longer has, or does not give: what it meant to whoever accepts `accept`, or to anybody.
    pub async fn remove_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        accept: Option<AcceptSet>,
    ) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        sqlx::query(
            "DELETE FROM upstream_tag WHERE name = $2 AND ($3 < 0 OR accept = $3) \
             AND repository_id = (SELECT id FROM upstream_repository WHERE name = $1)",
        )
        .bind(repository.as_str())
        .bind(tag.as_str())
        .bind(accept.map_or(-1, |accept| i64::from(accept.bits())))
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?;
        writing.commit().await
    }
}
