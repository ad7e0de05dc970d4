//! Manifests as the control plane lists them: with their tags, sizes and times.

use std::collections::HashMap;

use super::manifests::{Removed, parse_tag, remove_manifest};
use super::tags::note_move;
use super::{RepositoryId, digest, from_sql};
use crate::meta::scope::Scope;
use crate::meta::{Error, ListTurn, Meta};
use crate::oci::{Digest, MediaType, Tag};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRow {
    pub digest: Digest,
    pub media_type: MediaType,
    pub artifact_type: Option<String>,
    pub subject: Option<Digest>,
    /// Bytes of the manifest and of the blobs that it refers to; of an index, those of its largest child.
    pub size: u64,
    pub pushed_at_ms: i64,
    pub pulled_at_ms: Option<i64>,
    /// In order.
    pub tags: Vec<Tag>,
}

type Columns = (String, String, Option<String>, Option<String>, i64, i64, Option<i64>);

/// Whether a manifest has tags.
const HAS_TAG: &str =
    "EXISTS (SELECT 1 FROM tag WHERE tag.repository_id = manifest.repository_id AND tag.digest = manifest.digest)";

impl Meta {
    pub async fn image(&self, repository: RepositoryId, wanted: &Digest) -> Result<Option<ImageRow>, Error> {
        let statement = format!("{} WHERE repository_id = $1 AND digest = $2", select());
        let columns: Option<Columns> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(repository.0)
            .bind(wanted.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::Query)?;
        let Some(columns) = columns else { return Ok(None) };
        let mut tags = self.tags_within(repository, &columns.0, &columns.0).await?;
        image(columns, &mut tags).map(Some)
    }

    /// In order of their digests, after `last`; with `tagged` only those that have tags, or have none.
    pub async fn images(
        &self,
        _turn: &ListTurn,
        repository: RepositoryId,
        last: Option<&Digest>,
        tagged: Option<bool>,
        limit: u32,
    ) -> Result<Vec<ImageRow>, Error> {
        let only = match tagged {
            None => String::new(),
            Some(true) => format!(" AND {HAS_TAG}"),
            Some(false) => format!(" AND NOT {HAS_TAG}"),
        };
        let statement = format!("{} WHERE repository_id = $1 AND digest > $2{only} ORDER BY digest LIMIT $3", select());
        let rows: Vec<Columns> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(repository.0)
            .bind(last.map(ToString::to_string).unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        // Between images without tags there may be any number with tags, which are not wanted.
        let mut tags = match (rows.first(), rows.last()) {
            (Some(first), Some(last)) if tagged != Some(false) => {
                self.tags_within(repository, &first.0, &last.0).await?
            }
            _ => HashMap::new(),
        };
        rows.into_iter().map(|columns| image(columns, &mut tags)).collect()
    }

    /// Manifests without tags, in order, after `last`.
    pub async fn untagged_manifests(
        &self,
        _turn: &ListTurn,
        repository: RepositoryId,
        last: Option<&Digest>,
        limit: u32,
    ) -> Result<Vec<Digest>, Error> {
        let statement = format!(
            "SELECT digest FROM manifest WHERE repository_id = $1 AND digest > $2 AND NOT {HAS_TAG} \
             ORDER BY digest LIMIT $3"
        );
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .bind(repository.0)
            .bind(last.map(ToString::to_string).unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        rows.into_iter().map(digest).collect()
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

    /// Indexes of the repository that have the manifest as a child, in order.
    pub async fn indexes_of(&self, repository: RepositoryId, child: &Digest, limit: u32) -> Result<Vec<Digest>, Error> {
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT digest FROM manifest_reference \
             WHERE repository_id = $1 AND target = $2 AND kind = 'manifest' ORDER BY digest LIMIT $3",
        )
        .bind(repository.0)
        .bind(child.to_string())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(Error::Query)?;
        rows.into_iter().map(digest).collect()
    }

    /// Removes a manifest with its tags, of which all are among those that may go; or one tag, and the manifest only if that was its last.
    pub async fn delete_image(
        &self,
        repository: RepositoryId,
        wanted: &Digest,
        tag: Option<&Tag>,
        may_go: &[Tag],
        principal: &str,
        now_ms: i64,
    ) -> Result<Removed, Error> {
        let mut writing = self.write(Scope::Repository(repository)).await?;
        let text = wanted.to_string();
        if let Some(tag) = tag {
            let gone = sqlx::query("DELETE FROM tag WHERE repository_id = $1 AND name = $2 AND digest = $3")
                .bind(repository.0)
                .bind(tag.as_str())
                .bind(text.as_str())
                .execute(writing.connection())
                .await
                .map_err(Error::Query)?
                .rows_affected();
            if gone == 0 {
                return Ok(Removed::Nothing);
            }
            note_move(&mut writing, repository, tag.as_str(), Some(&text), None, principal, now_ms).await?;
            let others: Option<String> =
                sqlx::query_scalar("SELECT name FROM tag WHERE repository_id = $1 AND digest = $2 LIMIT 1")
                    .bind(repository.0)
                    .bind(text.as_str())
                    .fetch_optional(writing.connection())
                    .await
                    .map_err(Error::Query)?;
            if others.is_some() {
                writing.commit().await?;
                return Ok(Removed::Gone(vec![tag.clone()]));
            }
        }
        let index: Option<String> = sqlx::query_scalar(
            "SELECT digest FROM manifest_reference \
             WHERE repository_id = $1 AND target = $2 AND kind = 'manifest' LIMIT 1",
        )
        .bind(repository.0)
        .bind(text.as_str())
        .fetch_optional(writing.connection())
        .await
        .map_err(Error::Query)?;
        if index.is_some() {
            return Ok(Removed::Nothing);
        }
        let removed = remove_manifest(&mut writing, repository, wanted, may_go, principal, now_ms).await?;
        let Removed::Gone(tags) = removed else { return Ok(removed) };
        writing.commit().await?;
        Ok(Removed::Gone(tag.map_or(tags, |tag| vec![tag.clone()])))
    }

    /// Tags of the manifests from `first` to `last`, in order.
    async fn tags_within(
        &self,
        repository: RepositoryId,
        first: &str,
        last: &str,
    ) -> Result<HashMap<String, Vec<Tag>>, Error> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT digest, name FROM tag WHERE repository_id = $1 AND digest >= $2 AND digest <= $3 \
             ORDER BY digest, name",
        )
        .bind(repository.0)
        .bind(first)
        .bind(last)
        .fetch_all(&self.pool)
        .await
        .map_err(Error::Query)?;
        let mut tags: HashMap<String, Vec<Tag>> = HashMap::new();
        for (digest, name) in rows {
            tags.entry(digest).or_default().push(parse_tag(name)?);
        }
        Ok(tags)
    }
}

/// A repository that is pulled through has no blobs of its own: their sizes are those that its manifests say.
fn select() -> String {
    let told = "SELECT MAX(link.size) FROM upstream_link AS link \
                JOIN upstream_repository AS source ON source.id = link.repository_id \
                JOIN repository ON repository.id = part.repository_id AND repository.upstream IS NOT NULL \
                WHERE source.name IN (repository.name, repository.account || '/' || repository.name) AND link.digest = part.target";
    let blobs = |of: &str| {
        format!(
            "COALESCE((SELECT SUM(COALESCE(blob_link.size, ({told}), 0)) FROM manifest_reference AS part LEFT JOIN blob_link \
             ON blob_link.repository_id = part.repository_id AND blob_link.digest = part.target \
             WHERE part.repository_id = {of}.repository_id AND part.digest = {of}.digest AND part.kind = 'blob'), 0)"
        )
    };
    let (own, of_child) = (blobs("manifest"), blobs("child"));
    format!(
        "SELECT digest, media_type, artifact_type, subject, CAST(COALESCE(\
         (SELECT MAX(child.size + {of_child}) FROM manifest_reference AS entry JOIN manifest AS child \
         ON child.repository_id = entry.repository_id AND child.digest = entry.target \
         WHERE entry.repository_id = manifest.repository_id AND entry.digest = manifest.digest \
         AND entry.kind = 'manifest'), manifest.size + {own}) AS BIGINT), pushed_at_ms, pulled_at_ms FROM manifest"
    )
}

fn image(columns: Columns, tags: &mut HashMap<String, Vec<Tag>>) -> Result<ImageRow, Error> {
    let (text, media_type, artifact_type, subject, size, pushed_at_ms, pulled_at_ms) = columns;
    Ok(ImageRow {
        tags: tags.remove(&text).unwrap_or_default(),
        digest: digest(text)?,
        media_type: MediaType::new(&media_type),
        artifact_type,
        subject: subject.map(digest).transpose()?,
        size: from_sql(size),
        pushed_at_ms,
        pulled_at_ms,
    })
}
