//! Manifests, what they refer to, and what refers to them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::tags::note_move;
use super::{RepositoryId, digest, from_sql, to_sql};
use crate::meta::database::Writing;
use crate::meta::{Error, Meta};
use crate::oci::{self, Digest, MediaType, Tag};

/// A manifest to be stored. What it refers to has been read from its bytes.
#[derive(Clone, Debug)]
pub struct NewManifest {
    pub digest: Digest,
    pub media_type: MediaType,
    pub artifact_type: Option<String>,
    pub subject: Option<Digest>,
    pub annotations: BTreeMap<String, String>,
    pub content: Bytes,
    pub references: Vec<Reference>,
}

/// One thing that a manifest refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub digest: Digest,
    /// Bytes, as the manifest says.
    pub size: u64,
    pub is_manifest: bool,
    /// Whether it must be there.
    pub required: bool,
}

/// A tag to be made or moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagWrite {
    pub tag: Tag,
    /// Once made it cannot be moved.
    pub immutable: bool,
}

/// What came of storing a manifest. Unless it is `Stored`, nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    Stored,
    /// What it refers to is not in the repository.
    Missing(Vec<Digest>),
    /// What it refers to has so many bytes.
    WrongSize {
        digest: Digest,
        size: u64,
    },
    /// The tag stands for another manifest and cannot be moved.
    Immutable(Tag),
}

/// What came of removing a manifest. Unless it is `Gone`, nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// With these tags.
    Gone(Vec<Tag>),
    /// There is no such manifest or tag, or an index has the manifest as a child.
    Nothing,
    /// These tags would go with it, and are not among those that may.
    WouldTake(Vec<Tag>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestRow {
    pub digest: Digest,
    pub media_type: MediaType,
    pub content: Bytes,
}

/// A manifest whose subject is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferrerRow {
    pub digest: Digest,
    pub media_type: MediaType,
    pub size: u64,
    pub artifact_type: Option<String>,
    pub annotations: BTreeMap<String, String>,
}

impl Meta {
    pub async fn put_manifest(
        &self,
        repository: RepositoryId,
        manifest: &NewManifest,
        tags: &[TagWrite],
        principal: &str,
        now_ms: i64,
    ) -> Result<Put, Error> {
        let mut writing = self.write().await?;
        if let Some(refused) = check_references(&mut writing, repository, &manifest.references, now_ms).await? {
            return Ok(refused);
        }
        insert_manifest(&mut writing, repository, manifest, now_ms).await?;
        for TagWrite { tag, immutable } in tags {
            let before: Option<String> =
                sqlx::query_scalar("SELECT digest FROM tag WHERE repository_id = $1 AND name = $2")
                    .bind(repository.0)
                    .bind(tag.as_str())
                    .fetch_optional(writing.connection())
                    .await
                    .map_err(Error::Query)?;
            let after = manifest.digest.to_string();
            if before.as_ref() == Some(&after) {
                continue;
            }
            if *immutable && before.is_some() {
                return Ok(Put::Immutable(tag.clone()));
            }
            sqlx::query(
                "INSERT INTO tag (repository_id, name, digest, pushed_at_ms) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (repository_id, name) DO UPDATE SET digest = excluded.digest, \
                 pushed_at_ms = excluded.pushed_at_ms",
            )
            .bind(repository.0)
            .bind(tag.as_str())
            .bind(after.as_str())
            .bind(now_ms)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
            let (before, after) = (before.as_deref(), Some(after.as_str()));
            note_move(&mut writing, repository, tag.as_str(), before, after, principal, now_ms).await?;
        }
        writing.commit().await?;
        Ok(Put::Stored)
    }

    pub async fn manifest(
        &self,
        repository: RepositoryId,
        reference: &oci::Reference,
    ) -> Result<Option<ManifestRow>, Error> {
        let query = match reference {
            oci::Reference::Digest(digest) => sqlx::query_as(
                "SELECT digest, media_type, content FROM manifest WHERE repository_id = $1 AND digest = $2",
            )
            .bind(repository.0)
            .bind(digest.to_string()),
            oci::Reference::Tag(tag) => sqlx::query_as(
                "SELECT manifest.digest, manifest.media_type, manifest.content FROM tag JOIN manifest \
                 ON manifest.repository_id = tag.repository_id AND manifest.digest = tag.digest \
                 WHERE tag.repository_id = $1 AND tag.name = $2",
            )
            .bind(repository.0)
            .bind(tag.as_str().to_owned()),
        };
        let row: Option<(String, String, Vec<u8>)> = query.fetch_optional(&self.pool).await.map_err(Error::Query)?;
        row.map(|(text, media_type, content)| {
            Ok(ManifestRow { digest: digest(text)?, media_type: MediaType::new(&media_type), content: content.into() })
        })
        .transpose()
    }

    /// Manifests whose subject is this one, in order of their digests, after `last`.
    pub async fn referrers(
        &self,
        repository: RepositoryId,
        subject: &Digest,
        artifact_type: Option<&str>,
        last: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ReferrerRow>, Error> {
        let rows: Vec<(String, String, i64, Option<String>, String)> = sqlx::query_as(
            "SELECT digest, media_type, size, artifact_type, annotations FROM manifest \
             WHERE repository_id = $1 AND subject = $2 AND digest > $3 AND ($4 = '' OR artifact_type = $4) \
             ORDER BY digest LIMIT $5",
        )
        .bind(repository.0)
        .bind(subject.to_string())
        .bind(last.unwrap_or_default())
        .bind(artifact_type.unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(Error::Query)?;
        rows.into_iter()
            .map(|(text, media_type, size, artifact_type, annotations)| {
                Ok(ReferrerRow {
                    digest: digest(text)?,
                    media_type: MediaType::new(&media_type),
                    size: from_sql(size),
                    artifact_type,
                    annotations: serde_json::from_str(&annotations).unwrap_or_default(),
                })
            })
            .collect()
    }

    /// Removes a manifest and its tags, of which all are among those that may go.
    pub async fn delete_manifest(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        may_go: &[Tag],
        principal: &str,
        now_ms: i64,
    ) -> Result<Removed, Error> {
        let mut writing = self.write().await?;
        let removed = remove_manifest(&mut writing, repository, digest, may_go, principal, now_ms).await?;
        if let Removed::Gone(_) = removed {
            writing.commit().await?;
        }
        Ok(removed)
    }

    /// Notes when manifests were pulled.
    pub async fn put_pulls(&self, pulls: &[(RepositoryId, Digest, i64)]) -> Result<(), Error> {
        let mut writing = self.write().await?;
        for (repository, digest, pulled_at_ms) in pulls {
            sqlx::query(
                "UPDATE manifest SET pulled_at_ms = $3 WHERE repository_id = $1 AND digest = $2 \
                 AND (pulled_at_ms IS NULL OR pulled_at_ms < $3)",
            )
            .bind(repository.0)
            .bind(digest.to_string())
            .bind(*pulled_at_ms)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        }
        writing.commit().await
    }
}

/// Says that everything referred to is wanted, so that it stays; what is not there, or has another size, is told.
async fn check_references(
    writing: &mut Writing,
    repository: RepositoryId,
    references: &[Reference],
    now_ms: i64,
) -> Result<Option<Put>, Error> {
    let mut missing = Vec::new();
    for reference in references {
        let text = reference.digest.to_string();
        let size: Option<i64> = if reference.is_manifest {
            sqlx::query_scalar("SELECT size FROM manifest WHERE repository_id = $1 AND digest = $2")
                .bind(repository.0)
                .bind(text)
                .fetch_optional(writing.connection())
                .await
        } else {
            sqlx::query_scalar(
                "UPDATE blob_link SET wanted_at_ms = $3 WHERE repository_id = $1 AND digest = $2 AND EXISTS \
                 (SELECT 1 FROM blob WHERE blob.digest = $2 AND blob.lost_at_ms IS NULL) RETURNING size",
            )
            .bind(repository.0)
            .bind(text)
            .bind(now_ms)
            .fetch_optional(writing.connection())
            .await
        }
        .map_err(Error::Query)?;
        match size.map(from_sql) {
            Some(size) if size != reference.size => {
                return Ok(Some(Put::WrongSize { digest: reference.digest, size }));
            }
            Some(_) => {}
            None if reference.required => missing.push(reference.digest),
            None => {}
        }
    }
    Ok(Some(Put::Missing(missing)).filter(|put| !matches!(put, Put::Missing(missing) if missing.is_empty())))
}

/// Unless the manifest is gone, the transaction must not be committed.
pub(super) async fn remove_manifest(
    writing: &mut Writing,
    repository: RepositoryId,
    digest: &Digest,
    may_go: &[Tag],
    principal: &str,
    now_ms: i64,
) -> Result<Removed, Error> {
    let text = digest.to_string();
    let mut names: Vec<String> =
        sqlx::query_scalar("DELETE FROM tag WHERE repository_id = $1 AND digest = $2 RETURNING name")
            .bind(repository.0)
            .bind(text.as_str())
            .fetch_all(writing.connection())
            .await
            .map_err(Error::Query)?;
    names.sort_unstable();
    let tags: Vec<Tag> = names.into_iter().map(parse_tag).collect::<Result<_, _>>()?;
    let others: Vec<Tag> = tags.iter().filter(|tag| !may_go.contains(tag)).cloned().collect();
    if !others.is_empty() {
        return Ok(Removed::WouldTake(others));
    }
    for tag in &tags {
        note_move(writing, repository, tag.as_str(), Some(&text), None, principal, now_ms).await?;
    }
    let statements = [
        "DELETE FROM manifest_reference WHERE repository_id = $1 AND digest = $2",
        "DELETE FROM manifest WHERE repository_id = $1 AND digest = $2",
    ];
    let mut gone = 0;
    for statement in statements {
        let query = sqlx::query(statement).bind(repository.0).bind(text.as_str());
        gone = query.execute(writing.connection()).await.map_err(Error::Query)?.rows_affected();
    }
    Ok(if gone > 0 { Removed::Gone(tags) } else { Removed::Nothing })
}

pub(super) fn parse_tag(text: String) -> Result<Tag, Error> {
    text.parse().map_err(|_| Error::Malformed { what: "a tag", text })
}

async fn insert_manifest(
    writing: &mut Writing,
    repository: RepositoryId,
    manifest: &NewManifest,
    now_ms: i64,
) -> Result<(), Error> {
    let text = manifest.digest.to_string();
    let annotations = serde_json::to_string(&manifest.annotations).unwrap_or_else(|_| "{}".to_owned());
    sqlx::query(
        "INSERT INTO manifest (repository_id, digest, media_type, artifact_type, subject, annotations, size, content, \
         pushed_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (repository_id, digest) DO UPDATE SET pushed_at_ms = excluded.pushed_at_ms",
    )
    .bind(repository.0)
    .bind(text.as_str())
    .bind(manifest.media_type.as_str())
    .bind(manifest.artifact_type.as_deref())
    .bind(manifest.subject.map(|subject| subject.to_string()))
    .bind(annotations)
    .bind(to_sql(manifest.content.len() as u64))
    .bind(manifest.content.to_vec())
    .bind(now_ms)
    .execute(writing.connection())
    .await
    .map_err(Error::Query)?;
    for reference in &manifest.references {
        sqlx::query(
            "INSERT INTO manifest_reference (repository_id, digest, target, kind) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
        )
        .bind(repository.0)
        .bind(text.as_str())
        .bind(reference.digest.to_string())
        .bind(if reference.is_manifest { "manifest" } else { "blob" })
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?;
    }
    Ok(())
}
