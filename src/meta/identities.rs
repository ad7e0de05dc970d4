//! Users and roles, their keys and their policies.

use std::collections::BTreeMap;

use super::accounts::Made;
use super::changes::Change;
use super::database::{Meta, Writing};
use super::error::Error;
use super::last_known::{Fact, Question, Topic};
use super::scope::Scope;
use crate::oci::AccountId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrincipalId(pub(super) i64);

impl PrincipalId {
    /// The number of the row.
    pub const fn number(self) -> i64 {
        self.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    User,
    Role,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalRow {
    pub id: PrincipalId,
    pub account: AccountId,
    pub kind: PrincipalKind,
    pub name: String,
    /// Stands in the configuration.
    pub declared: bool,
    /// Tokens of an earlier epoch are revoked.
    pub epoch: u64,
    pub tags: BTreeMap<String, String>,
    /// What argon2id made of the password, if there is one.
    pub password: Option<String>,
    pub password_at_ms: Option<i64>,
    /// The policy that says who may assume the role.
    pub trust: Option<String>,
    pub description: Option<String>,
    /// Seconds.
    pub longest_session_s: Option<u32>,
    pub created_at_ms: i64,
}

/// A principal as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPrincipal {
    pub account: AccountId,
    pub kind: PrincipalKind,
    pub name: String,
    pub declared: bool,
    pub tags: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKeyRow {
    pub id: String,
    pub principal: PrincipalId,
    /// The secret, sealed with the key file.
    pub sealed: String,
    pub created_at_ms: i64,
    /// One that is not is believed by nobody. A key is made active.
    pub is_active: bool,
}

/// An access key as lists have it, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKeyInfo {
    pub id: String,
    pub created_at_ms: i64,
    pub is_active: bool,
}

/// The name of a policy, and its text.
pub type NamedPolicy = (String, String);

pub(super) type Columns = (
    i64,
    String,
    String,
    String,
    i64,
    i64,
    String,
    Option<String>,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<i64>,
    i64,
);

pub(super) const COLUMNS: &str = "principal.id, account, kind, name, declared, epoch, tags, password, password_at_ms, trust, description, \
     longest_session_s, created_at_ms";

impl Fact for Option<PrincipalRow> {
    fn is_kept(&self) -> bool {
        self.is_some()
    }

    fn bytes(&self) -> usize {
        let Some(PrincipalRow { name, tags, password, trust, description, .. }) = self else { return 0 };
        let tags = tags.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let texts = [password, trust, description].into_iter().flatten().map(String::len).sum::<usize>();
        size_of::<Self>() + name.len() + tags + texts
    }
}

/// Of a principal that is there.
impl Fact for Vec<NamedPolicy> {
    fn is_kept(&self) -> bool {
        true
    }

    fn bytes(&self) -> usize {
        self.iter().map(|(name, text)| size_of::<NamedPolicy>() + name.len() + text.len()).sum()
    }
}

impl PrincipalKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Role => "role",
        }
    }
}

impl Meta {
    /// The principal's row; made if it is missing, changed if it is there. Epochs begin with the time, so that a token of a
    /// principal who was removed is never of one who is made later with the same name. Who was made otherwise and now stands in
    /// the configuration is another: the old one's tokens end, and what only roles have goes.
    pub async fn put_principal(&self, new: &NewPrincipal, now_ms: i64) -> Result<PrincipalId, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let tags = serde_json::to_string(&new.tags).unwrap_or_else(|_| "{}".to_owned());
        let id = sqlx::query_scalar(
            "INSERT INTO principal (account, kind, name, declared, epoch, tags, created_at_ms) VALUES ($1, $2, $3, $4, $6, $5, $6) \
             ON CONFLICT (account, kind, name) DO UPDATE SET declared = excluded.declared, tags = excluded.tags, \
             epoch = CASE WHEN excluded.declared > principal.declared THEN principal.epoch + 1 ELSE principal.epoch END, \
             trust = CASE WHEN excluded.declared > principal.declared THEN NULL ELSE principal.trust END, \
             description = CASE WHEN excluded.declared > principal.declared THEN NULL ELSE principal.description END, \
             longest_session_s = \
                 CASE WHEN excluded.declared > principal.declared THEN NULL ELSE principal.longest_session_s END \
             RETURNING id",
        )
        .bind(new.account.as_str())
        .bind(new.kind.name())
        .bind(new.name.as_str())
        .bind(i64::from(new.declared))
        .bind(tags)
        .bind(now_ms)
        .fetch_one(writing.connection())
        .await
        .map_err(Error::Query)?;
        writing.announce(Change::Principals).await?;
        writing.commit().await?;
        Ok(PrincipalId(id))
    }

    pub async fn principal(
        &self,
        account: &AccountId,
        kind: PrincipalKind,
        name: &str,
    ) -> Result<Option<PrincipalRow>, Error> {
        let key = format!("principal {account} {} {name}", kind.name());
        let question = Question::new(key, Topic::PRINCIPALS, Topic::PRINCIPALS);
        self.known(question, || self.ask_principal(account, kind, name)).await
    }

    async fn ask_principal(
        &self,
        account: &AccountId,
        kind: PrincipalKind,
        name: &str,
    ) -> Result<Option<PrincipalRow>, Error> {
        let statement = format!("SELECT {COLUMNS} FROM principal WHERE account = $1 AND kind = $2 AND name = $3");
        let row: Option<Columns> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(account.as_str())
            .bind(kind.name())
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::Query)?;
        row.map(principal).transpose()
    }

    pub async fn principal_by_id(&self, id: PrincipalId) -> Result<Option<PrincipalRow>, Error> {
        let statement = format!("SELECT {COLUMNS} FROM principal WHERE id = $1");
        let row: Option<Columns> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(id.0)
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::Query)?;
        row.map(principal).transpose()
    }

    /// In order of account, kind and name, after `last`.
    pub async fn principals(&self, last: Option<&PrincipalRow>, limit: u32) -> Result<Vec<PrincipalRow>, Error> {
        let statement = format!(
            "SELECT {COLUMNS} FROM principal WHERE (account, kind, name) > ($1, $2, $3) ORDER BY account, kind, name LIMIT $4"
        );
        let rows: Vec<Columns> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(last.map_or("", |last| last.account.as_str()))
            .bind(last.map_or("", |last| last.kind.name()))
            .bind(last.map_or("", |last| last.name.as_str()))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        rows.into_iter().map(principal).collect()
    }

    /// Removes a principal with its keys and policies. False when there was none.
    pub async fn remove_principal(&self, id: PrincipalId) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Principal(id)).await?;
        let mut removed = 0;
        for statement in [
            "DELETE FROM access_key WHERE principal_id = $1",
            "DELETE FROM principal_policy WHERE principal_id = $1",
            "DELETE FROM principal WHERE id = $1",
        ] {
            let done = sqlx::query(statement).bind(id.0).execute(writing.connection()).await.map_err(Error::Query)?;
            removed = done.rows_affected();
        }
        writing.announce(Change::Principals).await?;
        writing.commit().await?;
        Ok(removed > 0)
    }

    /// A new key of a principal who then has `most` of them, at the most.
    pub async fn make_access_key(&self, key: &AccessKeyRow, most: usize) -> Result<Made<()>, Error> {
        let mut writing = self.write(Scope::Principal(key.principal)).await?;
        if !writing.has_principal(key.principal).await? {
            return Ok(Made::NoOwner);
        }
        let count = "SELECT COUNT(*) FROM access_key WHERE principal_id = $1";
        let count: i64 = sqlx::query_scalar(count)
            .bind(key.principal.0)
            .fetch_one(writing.connection())
            .await
            .map_err(Error::Query)?;
        if usize::try_from(count).unwrap_or_default() >= most {
            return Ok(Made::TooMany);
        }
        let insert = "INSERT INTO access_key (id, principal_id, sealed, created_at_ms) VALUES ($1, $2, $3, $4) \
                      ON CONFLICT (id) DO NOTHING";
        let made = sqlx::query(insert)
            .bind(key.id.as_str())
            .bind(key.principal.0)
            .bind(key.sealed.as_str())
            .bind(key.created_at_ms)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        if made.rows_affected() == 0 {
            return Ok(Made::IsThere);
        }
        writing.announce(Change::Principals).await?;
        writing.commit().await?;
        Ok(Made::New(()))
    }

    /// A key of the configuration. One that is there already gets the new secret.
    pub async fn put_access_key(&self, key: &AccessKeyRow) -> Result<(), Error> {
        let mut writing = self.write(Scope::Principal(key.principal)).await?;
        sqlx::query(
            "INSERT INTO access_key (id, principal_id, sealed, created_at_ms) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (id) DO UPDATE SET principal_id = excluded.principal_id, sealed = excluded.sealed, is_active = 1",
        )
        .bind(key.id.as_str())
        .bind(key.principal.0)
        .bind(key.sealed.as_str())
        .bind(key.created_at_ms)
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?;
        writing.announce(Change::Principals).await?;
        writing.commit().await
    }

    pub async fn access_key(&self, id: &str) -> Result<Option<AccessKeyRow>, Error> {
        let row: Option<(i64, String, i64, i64)> =
            sqlx::query_as("SELECT principal_id, sealed, created_at_ms, is_active FROM access_key WHERE id = $1")
                .bind(id)
                .fetch_optional(&self.pool)
                .await
                .map_err(Error::Query)?;
        let key = |(principal, sealed, created_at_ms, is_active)| AccessKeyRow {
            id: id.to_owned(),
            principal: PrincipalId(principal),
            sealed,
            created_at_ms,
            is_active: is_active != 0,
        };
        Ok(row.map(key))
    }

    /// A principal's keys, in order of their ids.
    pub async fn access_keys(&self, principal: PrincipalId) -> Result<Vec<AccessKeyInfo>, Error> {
        let rows: Vec<(String, i64, i64)> =
            sqlx::query_as("SELECT id, created_at_ms, is_active FROM access_key WHERE principal_id = $1 ORDER BY id")
                .bind(principal.0)
                .fetch_all(&self.pool)
                .await
                .map_err(Error::Query)?;
        let info = |(id, created_at_ms, is_active)| AccessKeyInfo { id, created_at_ms, is_active: is_active != 0 };
        Ok(rows.into_iter().map(info).collect())
    }

    /// False when there was none.
    pub async fn remove_access_key(&self, id: &str) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let done = sqlx::query("DELETE FROM access_key WHERE id = $1")
            .bind(id)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        writing.announce(Change::Principals).await?;
        writing.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// In order of their names.
    pub async fn principal_policies(&self, principal: PrincipalId) -> Result<Vec<NamedPolicy>, Error> {
        let question = Question::new(format!("policies {}", principal.0), Topic::PRINCIPALS, Topic::PRINCIPALS);
        self.known(question, || async {
            sqlx::query_as("SELECT name, document FROM principal_policy WHERE principal_id = $1 ORDER BY name")
                .bind(principal.0)
                .fetch_all(&self.pool)
                .await
                .map_err(Error::Query)
        })
        .await
    }

    /// A policy of a principal who then has `most` of them, at the most. One of the name that is there gets the new document.
    pub async fn put_principal_policy(
        &self,
        principal: PrincipalId,
        policy: &NamedPolicy,
        most: usize,
    ) -> Result<Made<()>, Error> {
        let mut writing = self.write(Scope::Principal(principal)).await?;
        if !writing.has_principal(principal).await? {
            return Ok(Made::NoOwner);
        }
        let others = "SELECT COUNT(*) FROM principal_policy WHERE principal_id = $1 AND name <> $2";
        let others: i64 = sqlx::query_scalar(others)
            .bind(principal.0)
            .bind(policy.0.as_str())
            .fetch_one(writing.connection())
            .await
            .map_err(Error::Query)?;
        if usize::try_from(others).unwrap_or_default() >= most {
            return Ok(Made::TooMany);
        }
        writing.put_principal_policy(principal, policy).await?;
        writing.announce(Change::Principals).await?;
        writing.commit().await?;
        Ok(Made::New(()))
    }

    /// These are all the policies that the principal has.
    pub async fn replace_principal_policies(
        &self,
        principal: PrincipalId,
        policies: &[NamedPolicy],
    ) -> Result<(), Error> {
        let mut writing = self.write(Scope::Principal(principal)).await?;
        sqlx::query("DELETE FROM principal_policy WHERE principal_id = $1")
            .bind(principal.0)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        for policy in policies {
            writing.put_principal_policy(principal, policy).await?;
        }
        writing.announce(Change::Principals).await?;
        writing.commit().await
    }

    /// False when there was none.
    pub async fn remove_principal_policy(&self, principal: PrincipalId, name: &str) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let done = sqlx::query("DELETE FROM principal_policy WHERE principal_id = $1 AND name = $2")
            .bind(principal.0)
            .bind(name)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        writing.announce(Change::Principals).await?;
        writing.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}

impl Writing {
    async fn has_principal(&mut self, id: PrincipalId) -> Result<bool, Error> {
        let select = sqlx::query_scalar("SELECT id FROM principal WHERE id = $1").bind(id.0);
        let found: Option<i64> = select.fetch_optional(self.connection()).await.map_err(Error::Query)?;
        Ok(found.is_some())
    }

    async fn put_principal_policy(&mut self, principal: PrincipalId, policy: &NamedPolicy) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO principal_policy (principal_id, name, document) VALUES ($1, $2, $3) \
             ON CONFLICT (principal_id, name) DO UPDATE SET document = excluded.document",
        )
        .bind(principal.0)
        .bind(policy.0.as_str())
        .bind(policy.1.as_str())
        .execute(self.connection())
        .await
        .map_err(Error::Query)?;
        Ok(())
    }
}

pub(super) fn principal(columns: Columns) -> Result<PrincipalRow, Error> {
    let (
        id,
        account,
        kind,
        name,
        declared,
        epoch,
        tags,
        password,
        password_at_ms,
        trust,
        description,
        longest,
        created_at_ms,
    ) = columns;
    let account = account.parse().map_err(|_| Error::Malformed { what: "an account", text: account })?;
    let kind = match kind.as_str() {
        "user" => PrincipalKind::User,
        "role" => PrincipalKind::Role,
        _ => return Err(Error::Malformed { what: "a kind of principal", text: kind }),
    };
    let tags = serde_json::from_str(&tags).map_err(|_| Error::Malformed { what: "a principal's tags", text: tags })?;
    let epoch = u64::try_from(epoch).unwrap_or_default();
    Ok(PrincipalRow {
        id: PrincipalId(id),
        account,
        kind,
        name,
        declared: declared != 0,
        epoch,
        tags,
        password,
        password_at_ms,
        trust,
        description,
        longest_session_s: longest.and_then(|seconds| u32::try_from(seconds).ok()),
        created_at_ms,
    })
}
