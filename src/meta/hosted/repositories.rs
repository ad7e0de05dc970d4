//! Repositories of registries: one's own, and those that are pulled through.

use std::collections::BTreeMap;

use crate::meta::last_known::{Fact, Question, Topic};
use crate::meta::scope::Scope;
use crate::meta::{Change, DocumentKind, Error, ListTurn, Meta};
use crate::oci::{AccountId, QualifiedName, RepositoryName};

/// A repository's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryId(pub(in crate::meta) i64);

/// What can be set for each repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositorySettings {
    /// JSON; `None` is as the configuration says.
    pub mutability: Option<String>,
    pub scan_on_push: bool,
    /// JSON.
    pub encryption: Option<String>,
    /// A document of IAM's form.
    pub policy: Option<String>,
    pub resource_tags: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryRow {
    pub id: RepositoryId,
    pub name: RepositoryName,
    /// What it is pulled through from; `None` is a repository of one's own.
    pub upstream: Option<String>,
    pub created_at_ms: i64,
    pub settings: RepositorySettings,
}

/// One of the settings, to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryColumn {
    Mutability(Option<String>),
    ScanOnPush(bool),
    Policy(Option<String>),
}

type Columns = (i64, String, Option<String>, i64, Option<String>, i64, Option<String>, Option<String>, Option<String>);

const COLUMNS: &str = "id, name, upstream, created_at_ms, mutability, scan_on_push, encryption, policy, resource_tags";

impl RepositoryId {
    #[cfg(test)]
    pub(crate) fn for_tests(id: i64) -> Self {
        Self(id)
    }
}

impl Meta {
    /// A repository of one's own.
    pub async fn repository(&self, name: &QualifiedName) -> Result<Option<RepositoryId>, Error> {
        let statement = "SELECT id FROM repository WHERE account = $1 AND name = $2 AND upstream IS NULL";
        let (key, topic) = (format!("repository {name}"), topic(name));
        self.known(Question::new(key, topic, topic), || async {
            let id: Option<i64> = sqlx::query_scalar(statement)
                .bind(name.account.as_str())
                .bind(name.name.as_str())
                .fetch_optional(&self.pool)
                .await
                .map_err(Error::Query)?;
            Ok(id.map(RepositoryId))
        })
        .await
    }

    /// A new repository. `None` when there is one of this name already, or when a pull-through rule that came meanwhile would hide it.
    pub async fn add_repository(
        &self,
        name: &QualifiedName,
        upstream: Option<&str>,
        settings: &RepositorySettings,
        now_ms: i64,
    ) -> Result<Option<RepositoryId>, Error> {
        let mut writing = match upstream {
            None => self.write(Scope::Documents(name.account, DocumentKind::PullThroughRule)).await?,
            Some(_) => self.write(Scope::Rows).await?,
        };
        writing.changes(topic(name));
        if upstream.is_none() && writing.is_below_a_rule(name).await? {
            return Ok(None);
        }
        let id: Option<i64> = sqlx::query_scalar(
            "INSERT INTO repository (account, name, upstream, created_at_ms, mutability, scan_on_push, encryption, policy, resource_tags) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (account, name) DO NOTHING RETURNING id",
        )
        .bind(name.account.as_str())
        .bind(name.name.as_str())
        .bind(upstream)
        .bind(now_ms)
        .bind(settings.mutability.as_deref())
        .bind(i64::from(settings.scan_on_push))
        .bind(settings.encryption.as_deref())
        .bind(settings.policy.as_deref())
        .bind(json(&settings.resource_tags))
        .fetch_optional(writing.connection())
        .await
        .map_err(Error::Query)?;
        writing.commit().await?;
        Ok(id.map(RepositoryId))
    }

    pub async fn repository_row(&self, name: &QualifiedName) -> Result<Option<RepositoryRow>, Error> {
        let key = format!("repository row {name}");
        self.known(Question::new(key, topic(name), Topic::POLICIES), || self.ask_repository_row(name)).await
    }

    async fn ask_repository_row(&self, name: &QualifiedName) -> Result<Option<RepositoryRow>, Error> {
        let statement = format!("SELECT {COLUMNS} FROM repository WHERE account = $1 AND name = $2");
        let columns: Option<Columns> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(name.account.as_str())
            .bind(name.name.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::Query)?;
        columns.map(row).transpose()
    }

    /// In order of their names, after `last`.
    pub async fn repository_rows(
        &self,
        _turn: &ListTurn,
        account: AccountId,
        last: Option<&str>,
        limit: u32,
    ) -> Result<Vec<RepositoryRow>, Error> {
        let statement =
            format!("SELECT {COLUMNS} FROM repository WHERE account = $1 AND name > $2 ORDER BY name LIMIT $3");
        let rows: Vec<Columns> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(account.as_str())
            .bind(last.unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        rows.into_iter().map(row).collect()
    }

    /// Repositories of all registries that have a policy, with it, in order of accounts and names, after `last`.
    pub async fn repository_policies(
        &self,
        last: Option<&QualifiedName>,
        limit: u32,
    ) -> Result<Vec<(QualifiedName, String)>, Error> {
        let statement = "SELECT account, name, policy FROM repository \
             WHERE policy IS NOT NULL AND (account > $1 OR account = $1 AND name > $2) ORDER BY account, name LIMIT $3";
        let rows: Vec<(String, String, String)> = sqlx::query_as(statement)
            .bind(last.map_or("", |last| last.account.as_str()))
            .bind(last.map_or("", |last| last.name.as_str()))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        let row = |(account, name, policy): (String, String, String)| {
            let account = account.parse().map_err(|_| Error::Malformed { what: "an account", text: account })?;
            let name = name.parse().map_err(|_| Error::Malformed { what: "a repository", text: name })?;
            Ok((QualifiedName::new(account, name), policy))
        };
        rows.into_iter().map(row).collect()
    }

    /// False when there is no such repository any more.
    pub async fn change_repository(&self, id: RepositoryId, change: &RepositoryColumn) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Repository(id)).await?;
        let query = match change {
            RepositoryColumn::Mutability(text) => {
                sqlx::query("UPDATE repository SET mutability = $2 WHERE id = $1").bind(id.0).bind(text.clone())
            }
            RepositoryColumn::ScanOnPush(on) => {
                sqlx::query("UPDATE repository SET scan_on_push = $2 WHERE id = $1").bind(id.0).bind(i64::from(*on))
            }
            RepositoryColumn::Policy(text) => {
                sqlx::query("UPDATE repository SET policy = $2 WHERE id = $1").bind(id.0).bind(text.clone())
            }
        };
        let changed = query.execute(writing.connection()).await.map_err(Error::Query)?;
        if matches!(change, RepositoryColumn::Policy(_)) {
            writing.announce(Change::Policies).await?;
        }
        writing.commit().await?;
        Ok(changed.rows_affected() > 0)
    }

    /// Takes the policy away. What it was; `None` when there was none.
    pub async fn remove_repository_policy(&self, id: RepositoryId) -> Result<Option<String>, Error> {
        let mut writing = self.write(Scope::Repository(id)).await?;
        let policy: Option<Option<String>> = sqlx::query_scalar("SELECT policy FROM repository WHERE id = $1")
            .bind(id.0)
            .fetch_optional(writing.connection())
            .await
            .map_err(Error::Query)?;
        let Some(policy) = policy.flatten() else { return Ok(None) };
        let update = sqlx::query("UPDATE repository SET policy = NULL WHERE id = $1").bind(id.0);
        update.execute(writing.connection()).await.map_err(Error::Query)?;
        writing.announce(Change::Policies).await?;
        writing.commit().await?;
        Ok(Some(policy))
    }

    /// Changes the tags of the repository itself: `change` gets them as they are, and nobody changes them in between. `None` when there is
    /// no such repository any more; what `change` refuses changes nothing.
    pub async fn change_resource_tags<E>(
        &self,
        id: RepositoryId,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), E>,
    ) -> Result<Option<Result<(), E>>, Error> {
        let mut writing = self.write(Scope::Repository(id)).await?;
        let kept: Option<Option<String>> = sqlx::query_scalar("SELECT resource_tags FROM repository WHERE id = $1")
            .bind(id.0)
            .fetch_optional(writing.connection())
            .await
            .map_err(Error::Query)?;
        let Some(kept) = kept else { return Ok(None) };
        let mut tags = resource_tags(kept)?;
        if let Err(refused) = change(&mut tags) {
            return Ok(Some(Err(refused)));
        }
        let update = sqlx::query("UPDATE repository SET resource_tags = $2 WHERE id = $1").bind(id.0).bind(json(&tags));
        update.execute(writing.connection()).await.map_err(Error::Query)?;
        writing.announce(Change::Policies).await?;
        writing.commit().await?;
        Ok(Some(Ok(())))
    }

    /// Removes a repository with all that it refers to; what its manifests needed is reclaimed like anything that nobody needs.
    /// False when it holds manifests and `with_images` does not allow that.
    pub async fn remove_repository(&self, id: RepositoryId, with_images: bool) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Repository(id)).await?;
        // Uploads and links take no turn: from here on they find no repository.
        let lock = format!("SELECT id FROM repository WHERE id = $1{}", self.for_update());
        sqlx::query(sqlx::AssertSqlSafe(lock)).bind(id.0).execute(writing.connection()).await.map_err(Error::Query)?;
        let held: Option<i64> =
            sqlx::query_scalar("SELECT repository_id FROM manifest WHERE repository_id = $1 LIMIT 1")
                .bind(id.0)
                .fetch_optional(writing.connection())
                .await
                .map_err(Error::Query)?;
        if held.is_some() && !with_images {
            return Ok(false);
        }
        for statement in [
            "DELETE FROM upload_piece WHERE upload_id IN (SELECT id FROM upload WHERE repository_id = $1)",
            "DELETE FROM upload WHERE repository_id = $1",
            "DELETE FROM tag WHERE repository_id = $1",
            "DELETE FROM tag_move WHERE repository_id = $1",
            "DELETE FROM manifest_reference WHERE repository_id = $1",
            "DELETE FROM manifest WHERE repository_id = $1",
            "DELETE FROM blob_link WHERE repository_id = $1",
            "DELETE FROM repository WHERE id = $1",
        ] {
            sqlx::query(statement).bind(id.0).execute(writing.connection()).await.map_err(Error::Query)?;
        }
        writing.announce(Change::Policies).await?;
        writing.commit().await?;
        Ok(true)
    }
}

/// What a name means.
fn topic(name: &QualifiedName) -> Topic {
    Topic::of("name", (name.account.as_str(), name.name.as_str()))
}

/// That nobody has pushed to a name says whose it is.
impl Fact for Option<RepositoryId> {
    fn is_kept(&self) -> bool {
        true
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

impl Fact for Option<RepositoryRow> {
    fn is_kept(&self) -> bool {
        true
    }

    fn bytes(&self) -> usize {
        let Some(RepositoryRow { settings, .. }) = self else { return 0 };
        let texts = [&settings.mutability, &settings.encryption, &settings.policy];
        let tags = settings.resource_tags.iter().map(|(key, value)| key.len() + value.len());
        size_of::<Self>() + texts.into_iter().flatten().map(String::len).sum::<usize>() + tags.sum::<usize>()
    }
}

fn json(tags: &BTreeMap<String, String>) -> Option<String> {
    serde_json::to_string(tags).ok().filter(|_| !tags.is_empty())
}

pub(super) fn resource_tags(text: Option<String>) -> Result<BTreeMap<String, String>, Error> {
    let Some(text) = text else { return Ok(BTreeMap::new()) };
    serde_json::from_str(&text).map_err(|_| Error::Malformed { what: "a repository's tags", text })
}

fn row(columns: Columns) -> Result<RepositoryRow, Error> {
    let (id, name, upstream, created_at_ms, mutability, scan_on_push, encryption, policy, tags) = columns;
    let name = name.parse().map_err(|_| Error::Malformed { what: "a repository's name", text: name })?;
    let resource_tags = resource_tags(tags)?;
    let settings =
        RepositorySettings { mutability, scan_on_push: scan_on_push != 0, encryption, policy, resource_tags };
    Ok(RepositoryRow { id: RepositoryId(id), name, upstream, created_at_ms, settings })
}
