//! Images of repositories that are pulled through leave the database by age and by size, and the repositories with their last image: only
//! the list of what was pulled is shorter then, and what is served does not depend on it.

use std::collections::BTreeMap;

use super::repositories::resource_tags;
use super::{RepositoryId, from_sql};
use crate::meta::scope::Scope;
use crate::meta::{Change, Error, Meta};
use crate::oci::QualifiedName;

/// A repository that is pulled through and has no image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BareRepository {
    pub id: RepositoryId,
    pub name: QualifiedName,
    pub policy: Option<String>,
    pub resource_tags: BTreeMap<String, String>,
}

const BARE: &str = "upstream IS NOT NULL AND created_at_ms < $1 \
                    AND NOT EXISTS (SELECT 1 FROM manifest WHERE manifest.repository_id = repository.id)";

/// Images that are looked up at once; each is removed in a transaction of its own.
const BATCH: u32 = 200;

const OF_UPSTREAMS: &str =
    "FROM manifest JOIN repository ON repository.id = manifest.repository_id WHERE repository.upstream IS NOT NULL";

/// Id, account, name, policy and tags of a repository.
type BareColumns = (i64, String, String, Option<String>, Option<String>);

impl Meta {
    /// Bytes of the manifests in repositories that are pulled through.
    pub async fn pulled_images_bytes(&self) -> Result<u64, Error> {
        let statement = format!("SELECT CAST(COALESCE(SUM(manifest.size), 0) AS BIGINT) {OF_UPSTREAMS}");
        let bytes: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&self.pool).await.map_err(Error::Query)?;
        Ok(from_sql(bytes))
    }

    /// Removes those that were pulled longest ago: all from before `before_ms`, and others until `bytes` are free; at most some hundreds.
    /// Returns how many bytes that freed, and the repository of each.
    pub async fn trim_pulled_images(&self, before_ms: i64, bytes: u64) -> Result<(u64, Vec<RepositoryId>), Error> {
        let statement = format!(
            "SELECT manifest.repository_id, manifest.digest, manifest.size, \
             COALESCE(manifest.pulled_at_ms, manifest.pushed_at_ms) AS used_at_ms {OF_UPSTREAMS} \
             ORDER BY used_at_ms, manifest.repository_id, manifest.digest LIMIT {BATCH}"
        );
        let oldest: Vec<(i64, String, i64, i64)> =
            sqlx::query_as(sqlx::AssertSqlSafe(statement)).fetch_all(&self.pool).await.map_err(Error::Query)?;
        let (mut freed, mut removed) = (0, Vec::new());
        for (repository, digest, size, used_at_ms) in oldest {
            if used_at_ms >= before_ms && freed >= bytes {
                break;
            }
            let mut writing = self.write(Scope::Repository(RepositoryId(repository))).await?;
            for statement in [
                "DELETE FROM tag_move WHERE repository_id = $1 AND name IN \
                 (SELECT name FROM tag WHERE repository_id = $1 AND digest = $2)",
                "DELETE FROM tag WHERE repository_id = $1 AND digest = $2",
                "DELETE FROM manifest_reference WHERE repository_id = $1 AND digest = $2",
                "DELETE FROM manifest WHERE repository_id = $1 AND digest = $2",
            ] {
                sqlx::query(statement)
                    .bind(repository)
                    .bind(digest.as_str())
                    .execute(writing.connection())
                    .await
                    .map_err(Error::Query)?;
            }
            writing.commit().await?;
            freed += from_sql(size);
            removed.push(RepositoryId(repository));
        }
        Ok((freed, removed))
    }

    /// Repositories that are pulled through and have no image, made before `before_ms`: some hundreds, in order, after `last`.
    pub async fn bare_repositories(
        &self,
        before_ms: i64,
        last: Option<RepositoryId>,
    ) -> Result<Vec<BareRepository>, Error> {
        let statement = format!(
            "SELECT id, account, name, policy, resource_tags FROM repository WHERE {BARE} AND id > $2 ORDER BY id LIMIT {BATCH}"
        );
        let rows: Vec<BareColumns> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(before_ms)
            .bind(last.map_or(0, |last| last.0))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        let bare = |(id, account, name, policy, tags): (_, String, String, _, _)| {
            let account = account.parse().map_err(|_| Error::Malformed { what: "an account", text: account })?;
            let name = name.parse().map_err(|_| Error::Malformed { what: "a repository's name", text: name })?;
            let name = QualifiedName::new(account, name);
            Ok(BareRepository { id: RepositoryId(id), name, policy, resource_tags: resource_tags(tags)? })
        };
        rows.into_iter().map(bare).collect()
    }

    /// Removes one of them, unless it has an image by now, or another policy or other tags.
    pub async fn remove_bare_repository(&self, bare: &BareRepository, before_ms: i64) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Repository(bare.id)).await?;
        let statement =
            format!("SELECT policy, resource_tags FROM repository WHERE {BARE} AND id = $2{}", self.for_update());
        let now: Option<(Option<String>, Option<String>)> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(before_ms)
            .bind(bare.id.0)
            .fetch_optional(writing.connection())
            .await
            .map_err(Error::Query)?;
        let Some((policy, tags)) = now else { return Ok(false) };
        if policy != bare.policy || resource_tags(tags)? != bare.resource_tags {
            return Ok(false);
        }
        for statement in [
            "DELETE FROM tag_move WHERE repository_id = $1",
            "DELETE FROM blob_link WHERE repository_id = $1",
            "DELETE FROM repository WHERE id = $1",
        ] {
            sqlx::query(statement).bind(bare.id.0).execute(writing.connection()).await.map_err(Error::Query)?;
        }
        writing.announce(Change::Policies).await?;
        writing.commit().await?;
        Ok(true)
    }
}
