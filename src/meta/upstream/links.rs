//! Which repositories refer to which bytes.

use std::collections::{BTreeMap, HashSet};

use super::repository_id;
use crate::meta::scope::Scope;
use crate::meta::table::{Column, rows};
use crate::meta::{Error, Meta};
use crate::oci::{Digest, MediaType, RepositoryName};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkKind {
    Manifest,
    Blob,
}

/// A link that is there is noted again once in this time.
const NOTED_FOR_MS: i64 = 24 * 60 * 60 * 1000;

/// Links that are written in one transaction, so that nobody waits for long.
const STEP: usize = 250;

/// An object that a manifest or list of a repository names. It says what the object would be; it is no right to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub digest: Digest,
    pub kind: LinkKind,
    pub media_type: MediaType,
    /// Bytes, where a descriptor or upstream told.
    pub size: Option<u64>,
}

const COLUMNS: [Column; 4] =
    [Column::Text("digest"), Column::Text("kind"), Column::Text("media_type"), Column::Number("size")];

impl LinkKind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Blob => "blob",
        }
    }
}

impl Meta {
    pub async fn link(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Link>, Error> {
        let row: Option<(String, String, Option<i64>)> = sqlx::query_as(
            "SELECT link.kind, link.media_type, link.size FROM upstream_link AS link \
             JOIN upstream_repository AS repository ON repository.id = link.repository_id WHERE repository.name = $1 AND link.digest = $2",
        )
        .bind(repository.as_str())
        .bind(digest.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(Error::Query)?;
        Ok(row.map(|(kind, media_type, size)| Link {
            digest: *digest,
            kind: if kind == "manifest" { LinkKind::Manifest } else { LinkKind::Blob },
            media_type: MediaType::new(&media_type),
            size: size.and_then(|size| u64::try_from(size).ok()),
        }))
    }

    /// Adds links, some hundreds at a time. One that is there already is brought up to date: a manifest stays a manifest, and a known
    /// size is not forgotten. Of several to the same object, a manifest's counts, else the last. What was noted in the last day, and says
    /// the same, is not written.
    pub async fn put_links(&self, repository: &RepositoryName, links: &[Link], now_ms: i64) -> Result<(), Error> {
        let mut unique: BTreeMap<String, &Link> = BTreeMap::new();
        for link in links {
            let kept = unique.entry(link.digest.to_string()).or_insert(link);
            if kept.kind == link.kind || link.kind == LinkKind::Manifest {
                *kept = link;
            }
        }
        let values = unique.into_iter().map(|(digest, link)| {
            let size = link.size.and_then(|size| i64::try_from(size).ok());
            (digest, link.kind.as_str(), link.media_type.as_str(), size)
        });
        for step in values.collect::<Vec<_>>().chunks(STEP) {
            let noted = self.noted_links(repository, step, now_ms).await?;
            let new: Vec<_> = step.iter().filter(|link| !noted.contains(&link.0)).collect();
            if !new.is_empty() {
                self.write_links(repository, rows(&new), now_ms).await?;
            }
        }
        Ok(())
    }

    /// Those of which nothing has to be written. Each is looked up by its key: joined, SQLite reads all of the repository's links for each.
    async fn noted_links(
        &self,
        repository: &RepositoryName,
        links: &[(String, &str, &str, Option<i64>)],
        now_ms: i64,
    ) -> Result<HashSet<String>, Error> {
        let statement = format!(
            "SELECT added.digest FROM {} AS added WHERE EXISTS (SELECT 1 FROM upstream_link AS link \
             WHERE link.repository_id = (SELECT id FROM upstream_repository WHERE name = $1) AND link.digest = added.digest \
             AND link.noted_at_ms > $3 AND (link.kind = 'manifest' OR link.kind = added.kind) \
             AND (added.media_type = '' OR link.media_type = added.media_type) \
             AND (added.size IS NULL OR link.size = added.size))",
            self.dialect.table(2, &COLUMNS)
        );
        let digests: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .bind(repository.as_str())
            .bind(rows(links))
            .bind(now_ms.saturating_sub(NOTED_FOR_MS))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        Ok(digests.into_iter().collect())
    }

    async fn write_links(&self, repository: &RepositoryName, links: String, now_ms: i64) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        // Whoever adds to the repository takes turns at its row.
        let repository_id = repository_id(writing.connection(), repository).await?;
        let statement = format!(
            "INSERT INTO upstream_link (repository_id, digest, kind, media_type, size, noted_at_ms) \
             SELECT $1, digest, kind, media_type, size, $3 FROM {} AS added WHERE true ORDER BY digest \
             ON CONFLICT (repository_id, digest) DO UPDATE SET \
             kind = CASE WHEN upstream_link.kind = 'manifest' THEN upstream_link.kind ELSE excluded.kind END, \
             media_type = CASE WHEN excluded.media_type = '' THEN upstream_link.media_type ELSE excluded.media_type END, \
             size = COALESCE(excluded.size, upstream_link.size), noted_at_ms = excluded.noted_at_ms",
            self.dialect.table(2, &COLUMNS)
        );
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(repository_id)
            .bind(links)
            .bind(now_ms)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        writing.commit().await
    }

    /// Takes back a repository's right: upstream says that it no longer has the object there.
    pub async fn remove_link(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        sqlx::query(
            "DELETE FROM upstream_link WHERE digest = $2 AND repository_id = (SELECT id FROM upstream_repository WHERE name = $1)",
        )
        .bind(repository.as_str())
        .bind(digest.to_string())
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?;
        writing.commit().await
    }
}
