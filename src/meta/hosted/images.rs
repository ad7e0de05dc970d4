//! Manifests as the control plane lists them: with their tags, sizes and times.

use super::{RepositoryId, digest, from_sql};
use crate::meta::{Error, Meta};
use crate::oci::{Digest, MediaType, Tag};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRow {
    pub digest: Digest,
    pub media_type: MediaType,
    pub artifact_type: Option<String>,
    pub subject: Option<Digest>,
    /// Bytes of the manifest and of the blobs that it refers to.
    pub size: u64,
    pub pushed_at_ms: i64,
    pub pulled_at_ms: Option<i64>,
    /// In order.
    pub tags: Vec<Tag>,
}

type Columns = (String, String, Option<String>, Option<String>, i64, i64, Option<i64>);

const SELECT: &str = "SELECT digest, media_type, artifact_type, subject, \
     CAST(size + COALESCE((SELECT SUM(blob_link.size) FROM manifest_reference JOIN blob_link \
     ON blob_link.repository_id = manifest_reference.repository_id AND blob_link.digest = manifest_reference.target \
     WHERE manifest_reference.repository_id = manifest.repository_id AND manifest_reference.digest = manifest.digest \
     AND manifest_reference.kind = 'blob'), 0) AS BIGINT), pushed_at_ms, pulled_at_ms FROM manifest";

impl Meta {
    pub async fn image(&self, repository: RepositoryId, wanted: &Digest) -> Result<Option<ImageRow>, Error> {
        let statement = format!("{SELECT} WHERE repository_id = $1 AND digest = $2");
        let columns: Option<Columns> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(repository.0)
            .bind(wanted.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::Query)?;
        match columns {
            Some(columns) => self.with_tags(repository, columns).await.map(Some),
            None => Ok(None),
        }
    }

    /// In order of their digests, after `last`; with `tagged` only those that have tags, or have none.
    pub async fn images(
        &self,
        repository: RepositoryId,
        last: Option<&Digest>,
        tagged: Option<bool>,
        limit: u32,
    ) -> Result<Vec<ImageRow>, Error> {
        let exists =
            "(SELECT 1 FROM tag WHERE tag.repository_id = manifest.repository_id AND tag.digest = manifest.digest)";
        let only = match tagged {
            None => String::new(),
            Some(true) => format!(" AND EXISTS {exists}"),
            Some(false) => format!(" AND NOT EXISTS {exists}"),
        };
        let statement = format!("{SELECT} WHERE repository_id = $1 AND digest > $2{only} ORDER BY digest LIMIT $3");
        let rows: Vec<Columns> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(repository.0)
            .bind(last.map(ToString::to_string).unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        let mut images = Vec::with_capacity(rows.len());
        for columns in rows {
            images.push(self.with_tags(repository, columns).await?);
        }
        Ok(images)
    }

    /// The manifest that a tag stands for.
    pub async fn tag_digest(&self, repository: RepositoryId, tag: &Tag) -> Result<Option<Digest>, Error> {
        let found: Option<String> = sqlx::query_scalar("SELECT digest FROM tag WHERE repository_id = $1 AND name = $2")
            .bind(repository.0)
            .bind(tag.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::Query)?;
        found.map(digest).transpose()
    }

    async fn with_tags(&self, repository: RepositoryId, columns: Columns) -> Result<ImageRow, Error> {
        let (text, media_type, artifact_type, subject, size, pushed_at_ms, pulled_at_ms) = columns;
        let names: Vec<String> =
            sqlx::query_scalar("SELECT name FROM tag WHERE repository_id = $1 AND digest = $2 ORDER BY name")
                .bind(repository.0)
                .bind(text.as_str())
                .fetch_all(&self.pool)
                .await
                .map_err(Error::Query)?;
        let tag = |text: String| text.parse().map_err(|_| Error::Malformed { what: "a tag", text });
        Ok(ImageRow {
            digest: digest(text)?,
            media_type: MediaType::new(&media_type),
            artifact_type,
            subject: subject.map(digest).transpose()?,
            size: from_sql(size),
            pushed_at_ms,
            pulled_at_ms,
            tags: names.into_iter().map(tag).collect::<Result<_, _>>()?,
        })
    }
}
