//! Forgetting what upstreams said, where somebody deletes what was kept of it.

use crate::meta::database::Writing;
use crate::meta::scope::Scope;
use crate::meta::{Change, Error, Meta};
use crate::oci::{Digest, RepositoryName};
use crate::storage::OriginId;

const ID: &str = "(SELECT id FROM upstream_repository WHERE name = $1)";

/// An upstream that says something, and where it was when it was asked.
#[derive(Clone, Copy, Debug)]
pub struct Speaker<'a> {
    pub name: &'a str,
    pub origin: OriginId,
}

impl Meta {
    /// A manifest, and the tags that meant it.
    pub async fn forget_upstream_image(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        for table in ["upstream_tag", "upstream_link", "upstream_right"] {
            let statement = format!("DELETE FROM {table} WHERE digest = $2 AND repository_id = {ID}");
            sqlx::query(sqlx::AssertSqlSafe(statement))
                .bind(repository.as_str())
                .bind(digest.to_string())
                .execute(writing.connection())
                .await
                .map_err(Error::Query)?;
        }
        writing.announce(Change::Pulled).await?;
        writing.commit().await
    }

    pub async fn forget_upstream_repository(&self, repository: &RepositoryName) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        // Who adds to it takes turns at its row.
        let lock = format!("SELECT id FROM upstream_repository WHERE name = $1{}", self.for_update());
        sqlx::query(sqlx::AssertSqlSafe(lock))
            .bind(repository.as_str())
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        for table in ["upstream_tag", "upstream_link", "upstream_right", "upstream_listing"] {
            let statement = format!("DELETE FROM {table} WHERE repository_id = {ID}");
            sqlx::query(sqlx::AssertSqlSafe(statement))
                .bind(repository.as_str())
                .execute(writing.connection())
                .await
                .map_err(Error::Query)?;
        }
        sqlx::query("DELETE FROM upstream_repository WHERE name = $1")
            .bind(repository.as_str())
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        writing.announce(Change::Pulled).await?;
        writing.commit().await
    }

    /// Notes where upstreams are, each by its name, and forgets what those said that were elsewhere before. Returns their names.
    pub async fn note_origins(&self, upstreams: &[(String, OriginId)]) -> Result<Vec<String>, Error> {
        const NOTE: &str = "INSERT INTO upstream_origin (name, origin) VALUES ($1, $2) \
                            ON CONFLICT (name) DO UPDATE SET origin = excluded.origin";
        let mut moved = Vec::new();
        let mut writing = self.write(Scope::Rows).await?;
        for (name, origin) in upstreams {
            let known: Option<String> = sqlx::query_scalar("SELECT origin FROM upstream_origin WHERE name = $1")
                .bind(name)
                .fetch_optional(writing.connection())
                .await
                .map_err(Error::Query)?;
            let origin = origin.to_string();
            if known.as_ref() == Some(&origin) {
                continue;
            }
            sqlx::query(NOTE).bind(name).bind(&origin).execute(writing.connection()).await.map_err(Error::Query)?;
            if known.is_some() {
                writing.forget_upstream(name).await?;
                moved.push(name.clone());
            }
        }
        writing.commit().await?;
        Ok(moved)
    }
}

impl Writing {
    /// Whether the upstream still is where it was asked; it is then until the transaction ends. Of one that is not noted nothing else is
    /// known. Asked before anything else is locked, as it is by whoever notes another place.
    pub(super) async fn is_still(&mut self, speaker: Speaker<'_>) -> Result<bool, Error> {
        let statement = format!("SELECT origin FROM upstream_origin WHERE name = $1{}", self.dialect.for_share());
        let noted: Option<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .bind(speaker.name)
            .fetch_optional(self.connection())
            .await
            .map_err(Error::Query)?;
        Ok(noted.is_none_or(|noted| noted == speaker.origin.to_string()))
    }

    /// All repositories whose names are below `prefix`: another upstream has the prefix now.
    pub(in crate::meta) async fn forget_upstream(&mut self, prefix: &str) -> Result<(), Error> {
        // Not LIKE, to which an underscore of the prefix would be any character.
        const BELOW: &str = "substr(name, 1, $2) = $1";
        let below = format!("{prefix}/");
        let length = i32::try_from(below.chars().count()).unwrap_or(i32::MAX);
        // Who adds to one of them takes turns at its row.
        let lock = format!("SELECT id FROM upstream_repository WHERE {BELOW} ORDER BY id{}", self.dialect.for_update());
        let mut statements = vec![lock];
        for table in ["upstream_tag", "upstream_link", "upstream_listing"] {
            statements.push(format!(
                "DELETE FROM {table} WHERE repository_id IN (SELECT id FROM upstream_repository WHERE {BELOW})"
            ));
        }
        statements.push(format!("DELETE FROM upstream_repository WHERE {BELOW}"));
        for statement in statements {
            sqlx::query(sqlx::AssertSqlSafe(statement))
                .bind(&below)
                .bind(length)
                .execute(self.connection())
                .await
                .map_err(Error::Query)?;
        }
        self.announce(Change::Pulled).await
    }
}
