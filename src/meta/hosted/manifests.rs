//! Manifests, what they refer to, and what refers to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::references::Reference;
use super::tags::note_move;
use super::{RepositoryId, digest, from_sql, to_sql};
use crate::meta::database::{Writing, twice};
use crate::meta::last_known::{Fact, Question, Topic};
use crate::meta::scope::Scope;
use crate::meta::table::{Column, rows};
use crate::meta::{Error, ListTurn, Meta};
use crate::oci::{self, Digest, MediaType, Tag};

/// What a descriptor of a referrer costs beside its annotations, about.
const DESCRIPTOR_BYTES: u64 = 512;

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

/// What a repository's setting says of a tag, once it is made.
type IsImmutable = dyn Fn(Option<&str>, &Tag) -> bool + Send + Sync;

/// Tags to be made or moved.
#[derive(Clone)]
pub struct TagWrites {
    pub tags: Vec<Tag>,
    /// Whether a tag, once made, cannot be moved, in a repository of which this is set.
    pub is_immutable: Arc<IsImmutable>,
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
    /// The repository is gone.
    NoRepository,
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

/// Bounds of one page.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    pub rows: u32,
    /// Of annotations, and some for each row.
    pub bytes: u64,
}

/// A manifest whose subject is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferrerRow {
    pub digest: Digest,
    pub media_type: MediaType,
    pub size: u64,
    pub artifact_type: Option<String>,
    /// A JSON object of texts.
    pub annotations: String,
}

impl Meta {
    pub async fn put_manifest(
        &self,
        repository: RepositoryId,
        manifest: &NewManifest,
        tags: &TagWrites,
        principal: &str,
        now_ms: i64,
    ) -> Result<Put, Error> {
        let found = self.find_references(repository, &manifest.references).await?;
        if let Some(refused) = found.refusal(&manifest.references) {
            return Ok(refused);
        }
        twice(|| self.store_manifest(repository, manifest, tags, principal, now_ms)).await
    }

    async fn store_manifest(
        &self,
        repository: RepositoryId,
        manifest: &NewManifest,
        tags: &TagWrites,
        principal: &str,
        now_ms: i64,
    ) -> Result<Put, Error> {
        let mut writing = self.write(Scope::Repository(repository)).await?;
        writing.only_adds(tags.tags.iter().map(|tag| topic_of_tag(repository, tag)));
        let mutability: Option<Option<String>> = sqlx::query_scalar("SELECT mutability FROM repository WHERE id = $1")
            .bind(repository.0)
            .fetch_optional(writing.connection())
            .await
            .map_err(Error::Query)?;
        let Some(mutability) = mutability else { return Ok(Put::NoRepository) };
        let found = writing.want_references(repository, &manifest.references, now_ms).await?;
        if let Some(refused) = found.refusal(&manifest.references) {
            return Ok(refused);
        }
        insert_manifest(&mut writing, repository, manifest, now_ms).await?;
        for tag in &tags.tags {
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
            if before.is_some() && (tags.is_immutable)(mutability.as_deref(), tag) {
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
        let here = Topic::of("repository", repository.0);
        let tag = reference.tag().map_or(here, |tag| topic_of_tag(repository, tag));
        let key = format!("manifest {} {reference}", repository.0);
        self.known(Question::new(key, here, tag), || self.ask_manifest(repository, reference)).await
    }

    async fn ask_manifest(
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

    /// Manifests whose subject is this one, in order of their digests, after `last`: no more than `most`, but one at least.
    /// Whether others follow.
    pub async fn referrers(
        &self,
        _turn: &ListTurn,
        repository: RepositoryId,
        subject: &Digest,
        artifact_type: Option<&str>,
        last: Option<&str>,
        most: Most,
    ) -> Result<(Vec<ReferrerRow>, bool), Error> {
        const WHERE: &str = "FROM manifest WHERE repository_id = $1 AND subject = $2 AND digest > $3 \
                             AND ($4 = '' OR artifact_type = $4) ORDER BY digest LIMIT $5";
        // How long they are is looked at first: what does not fit is never in memory.
        let lengths = format!("SELECT CAST(octet_length(annotations) AS BIGINT) {WHERE}");
        let lengths: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(lengths))
            .bind(repository.0)
            .bind(subject.to_string())
            .bind(last.unwrap_or_default())
            .bind(artifact_type.unwrap_or_default())
            .bind(i64::from(most.rows) + 1)
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        let mut bytes = 0;
        let fits = |length: &&i64| {
            bytes += from_sql(**length).saturating_add(DESCRIPTOR_BYTES);
            bytes <= most.bytes
        };
        let fit = lengths.iter().take(most.rows as usize).take_while(fits).count().max(1).min(lengths.len());
        let rows = format!("SELECT digest, media_type, size, artifact_type, annotations {WHERE}");
        let rows: Vec<(String, String, i64, Option<String>, String)> = sqlx::query_as(sqlx::AssertSqlSafe(rows))
            .bind(repository.0)
            .bind(subject.to_string())
            .bind(last.unwrap_or_default())
            .bind(artifact_type.unwrap_or_default())
            .bind(i64::try_from(fit).unwrap_or(i64::MAX))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        let row = |(text, media_type, size, artifact_type, annotations): (_, String, _, _, String)| {
            Ok(ReferrerRow {
                digest: digest(text)?,
                media_type: MediaType::new(&media_type),
                size: from_sql(size),
                artifact_type,
                annotations,
            })
        };
        Ok((rows.into_iter().map(row).collect::<Result<_, Error>>()?, lengths.len() > fit))
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
        let mut writing = self.write(Scope::Repository(repository)).await?;
        let removed = remove_manifest(&mut writing, repository, digest, may_go, principal, now_ms).await?;
        if let Removed::Gone(_) = removed {
            writing.commit().await?;
        }
        Ok(removed)
    }

    /// Notes when manifests were pulled.
    pub async fn put_pulls(&self, pulls: &[(RepositoryId, Digest, i64)]) -> Result<(), Error> {
        // Each manifest once, in the same order from every replica: they do not wait for each other in a circle.
        let mut latest: BTreeMap<(i64, String), i64> = BTreeMap::new();
        for (repository, digest, pulled_at_ms) in pulls {
            let kept = latest.entry((repository.0, digest.to_string())).or_insert(*pulled_at_ms);
            *kept = (*kept).max(*pulled_at_ms);
        }
        let latest: Vec<_> = latest.into_iter().map(|((repository, digest), at)| (repository, digest, at)).collect();
        let latest = rows(&latest);
        twice(|| self.write_pulls(&latest)).await
    }

    async fn write_pulls(&self, pulls: &str) -> Result<(), Error> {
        let table = self
            .dialect
            .table(1, &[Column::Number("repository_id"), Column::Text("digest"), Column::Number("pulled_at_ms")]);
        let mut writing = self.write(Scope::Rows).await?;
        if !self.for_update().is_empty() {
            let lock = format!(
                "SELECT digest FROM manifest WHERE (repository_id, digest) IN \
                 (SELECT repository_id, digest FROM {table} AS pulled) ORDER BY repository_id, digest{}",
                self.for_update()
            );
            let lock = sqlx::query(sqlx::AssertSqlSafe(lock)).bind(pulls);
            lock.execute(writing.connection()).await.map_err(Error::Query)?;
        }
        let update = format!(
            "UPDATE manifest SET pulled_at_ms = pulled.pulled_at_ms FROM {table} AS pulled \
             WHERE manifest.repository_id = pulled.repository_id AND manifest.digest = pulled.digest \
             AND (manifest.pulled_at_ms IS NULL OR manifest.pulled_at_ms < pulled.pulled_at_ms)"
        );
        let update = sqlx::query(sqlx::AssertSqlSafe(update)).bind(pulls);
        update.execute(writing.connection()).await.map_err(Error::Query)?;
        writing.commit().await
    }
}

/// What a tag stands for.
fn topic_of_tag(repository: RepositoryId, tag: &Tag) -> Topic {
    Topic::of("tag", (repository.0, tag.as_str()))
}

impl Fact for Option<ManifestRow> {
    const IS_MANIFEST: bool = true;

    fn is_kept(&self) -> bool {
        self.is_some()
    }

    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, |row| row.content.len())
    }
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
    writing.insert_references(repository, &text, &manifest.references).await
}
