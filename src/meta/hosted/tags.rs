//! Tags of pushed manifests, and their history.

use super::{RepositoryId, digest};
use crate::meta::database::Writing;
use crate::meta::scope::Scope;
use crate::meta::{Error, ListTurn, Meta};
use crate::oci::{Digest, Tag};

/// One time that a tag was made, moved or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagMove {
    pub before: Option<Digest>,
    pub after: Option<Digest>,
    pub moved_at_ms: i64,
    pub principal: String,
}

impl Meta {
    /// Tags in order, after `last`.
    pub async fn tags(
        &self,
        _turn: &ListTurn,
        repository: RepositoryId,
        last: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Tag>, Error> {
        let names: Vec<String> =
            sqlx::query_scalar("SELECT name FROM tag WHERE repository_id = $1 AND name > $2 ORDER BY name LIMIT $3")
                .bind(repository.0)
                .bind(last.unwrap_or_default())
                .bind(i64::from(limit))
                .fetch_all(&self.pool)
                .await
                .map_err(Error::Query)?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Tags in order, after `last`, with the manifests that they stand for.
    pub async fn tags_with_digests(
        &self,
        _turn: &ListTurn,
        repository: RepositoryId,
        last: Option<&Tag>,
        limit: u32,
    ) -> Result<Vec<(Tag, Digest)>, Error> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT name, digest FROM tag WHERE repository_id = $1 AND name > $2 ORDER BY name LIMIT $3",
        )
        .bind(repository.0)
        .bind(last.map(Tag::as_str).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(Error::Query)?;
        rows.into_iter()
            .map(|(text, found)| {
                let tag = text.parse().map_err(|_| Error::Malformed { what: "a tag", text })?;
                Ok((tag, digest(found)?))
            })
            .collect()
    }

    /// False when there is no such tag.
    pub async fn delete_tag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        principal: &str,
        now_ms: i64,
    ) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Repository(repository)).await?;
        let before: Option<String> =
            sqlx::query_scalar("DELETE FROM tag WHERE repository_id = $1 AND name = $2 RETURNING digest")
                .bind(repository.0)
                .bind(tag.as_str())
                .fetch_optional(writing.connection())
                .await
                .map_err(Error::Query)?;
        if let Some(before) = &before {
            note_move(&mut writing, repository, tag.as_str(), Some(before), None, principal, now_ms).await?;
        }
        writing.commit().await?;
        Ok(before.is_some())
    }

    /// The newest moves of a tag first.
    pub async fn tag_history(&self, repository: RepositoryId, tag: &Tag, limit: u32) -> Result<Vec<TagMove>, Error> {
        let rows: Vec<(Option<String>, Option<String>, i64, String)> = sqlx::query_as(
            "SELECT before, after, moved_at_ms, principal FROM tag_move \
             WHERE repository_id = $1 AND name = $2 ORDER BY id DESC LIMIT $3",
        )
        .bind(repository.0)
        .bind(tag.as_str())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(Error::Query)?;
        rows.into_iter()
            .map(|(before, after, moved_at_ms, principal)| {
                let [before, after] = [before, after].map(|text| text.map(digest).transpose());
                Ok(TagMove { before: before?, after: after?, moved_at_ms, principal })
            })
            .collect()
    }
}

pub(super) async fn note_move(
    writing: &mut Writing,
    repository: RepositoryId,
    tag: &str,
    before: Option<&str>,
    after: Option<&str>,
    principal: &str,
    now_ms: i64,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO tag_move (repository_id, name, before, after, moved_at_ms, principal) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(repository.0)
    .bind(tag)
    .bind(before)
    .bind(after)
    .bind(now_ms)
    .bind(principal)
    .execute(writing.connection())
    .await
    .map_err(Error::Query)?;
    Ok(())
}
