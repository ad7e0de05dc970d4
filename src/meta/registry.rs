//! What holds for a whole registry: documents of a few kinds, by name.

use super::accounts::Made;
use super::changes::Change;
use super::database::{Meta, Writing};
use super::error::Error;
use super::scope::Scope;
use crate::oci::AccountId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DocumentKind {
    /// The registry's policy. There is one, without a name.
    RegistryPolicy,
    /// Account settings, by name.
    Setting,
    /// Repository creation templates, by prefix.
    Template,
    /// Pull-through rules, by prefix.
    PullThroughRule,
    /// Principals whose pulls do not count as use, by ARN.
    PullTimeExclusion,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentRow {
    pub name: String,
    /// JSON.
    pub document: String,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

type Columns = (String, String, i64, i64);

impl DocumentKind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::RegistryPolicy => "policy",
            Self::Setting => "setting",
            Self::Template => "template",
            Self::PullThroughRule => "rule",
            Self::PullTimeExclusion => "exclusion",
        }
    }

    /// What changes with one, of what is remembered.
    const fn change(self) -> Option<Change> {
        match self {
            Self::RegistryPolicy | Self::Setting => Some(Change::Policies),
            Self::PullThroughRule => Some(Change::Rules),
            Self::PullTimeExclusion => Some(Change::Exclusions),
            Self::Template => None,
        }
    }
}

impl Meta {
    pub async fn document(
        &self,
        account: AccountId,
        kind: DocumentKind,
        name: &str,
    ) -> Result<Option<DocumentRow>, Error> {
        let row: Option<Columns> = sqlx::query_as(
            "SELECT name, document, created_at_ms, updated_at_ms FROM registry_document WHERE account = $1 AND kind = $2 AND name = $3",
        )
        .bind(account.as_str())
        .bind(kind.name())
        .bind(name)
        .fetch_optional(&self.pool)
        .await
        .map_err(Error::Query)?;
        Ok(row.map(document))
    }

    /// In order of their names, after `last`.
    pub async fn documents(
        &self,
        account: AccountId,
        kind: DocumentKind,
        last: Option<&str>,
        limit: u32,
    ) -> Result<Vec<DocumentRow>, Error> {
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT name, document, created_at_ms, updated_at_ms FROM registry_document \
             WHERE account = $1 AND kind = $2 AND ($3 = 1 OR name > $4) ORDER BY name LIMIT $5",
        )
        .bind(account.as_str())
        .bind(kind.name())
        .bind(i64::from(last.is_none()))
        .bind(last.unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(Error::Query)?;
        Ok(rows.into_iter().map(document).collect())
    }

    /// Of all registries, in order of accounts and names.
    pub async fn documents_of_all(
        &self,
        kind: DocumentKind,
        limit: u32,
    ) -> Result<Vec<(AccountId, DocumentRow)>, Error> {
        let rows: Vec<(String, String, String, i64, i64)> = sqlx::query_as(
            "SELECT account, name, document, created_at_ms, updated_at_ms FROM registry_document \
             WHERE kind = $1 ORDER BY account, name LIMIT $2",
        )
        .bind(kind.name())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(Error::Query)?;
        let row = |(account, name, text, created_at_ms, updated_at_ms): (String, _, _, _, _)| {
            let account = account.parse().map_err(|_| Error::Malformed { what: "an account", text: account })?;
            Ok((account, document((name, text, created_at_ms, updated_at_ms))))
        };
        rows.into_iter().map(row).collect()
    }

    #[cfg(test)]
    pub async fn add_document(
        &self,
        account: AccountId,
        kind: DocumentKind,
        name: &str,
        text: &str,
        now_ms: i64,
    ) -> Result<bool, Error> {
        Ok(self.make_document(account, kind, name, text, u64::MAX, now_ms).await? == Made::New(()))
    }

    /// A new document of a registry that then has `most` of the kind, at the most.
    pub async fn make_document(
        &self,
        account: AccountId,
        kind: DocumentKind,
        name: &str,
        text: &str,
        most: u64,
        now_ms: i64,
    ) -> Result<Made<()>, Error> {
        let mut writing = self.write(Scope::Documents(account, kind)).await?;
        let count =
            "SELECT CAST(COUNT(*) AS BIGINT) FROM registry_document WHERE account = $1 AND kind = $2 AND name <> $3";
        let others: i64 = sqlx::query_scalar(count)
            .bind(account.as_str())
            .bind(kind.name())
            .bind(name)
            .fetch_one(writing.connection())
            .await
            .map_err(Error::Query)?;
        let made = sqlx::query(
            "INSERT INTO registry_document (account, kind, name, document, created_at_ms, updated_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (account, kind, name) DO NOTHING",
        )
        .bind(account.as_str())
        .bind(kind.name())
        .bind(name)
        .bind(text)
        .bind(now_ms)
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?;
        if made.rows_affected() == 0 {
            return Ok(Made::IsThere);
        }
        if u64::try_from(others).unwrap_or_default() >= most {
            return Ok(Made::TooMany);
        }
        writing.announce_document(kind).await?;
        writing.commit().await?;
        Ok(Made::New(()))
    }

    /// Changes a document that is there: `change` gets it as it is and says how it is to be, and nobody changes it in between. `None`
    /// when there is none; what `change` refuses changes nothing.
    pub async fn change_document<E>(
        &self,
        account: AccountId,
        kind: DocumentKind,
        name: &str,
        now_ms: i64,
        change: impl FnOnce(&DocumentRow) -> Result<String, E>,
    ) -> Result<Option<Result<DocumentRow, E>>, Error> {
        let mut writing = self.write(Scope::Documents(account, kind)).await?;
        let row: Option<Columns> = sqlx::query_as(
            "SELECT name, document, created_at_ms, updated_at_ms FROM registry_document WHERE account = $1 AND kind = $2 AND name = $3",
        )
        .bind(account.as_str())
        .bind(kind.name())
        .bind(name)
        .fetch_optional(writing.connection())
        .await
        .map_err(Error::Query)?;
        let Some(row) = row.map(document) else { return Ok(None) };
        let text = match change(&row) {
            Ok(text) => text,
            Err(refused) => return Ok(Some(Err(refused))),
        };
        sqlx::query(
            "UPDATE registry_document SET document = $4, updated_at_ms = $5 WHERE account = $1 AND kind = $2 AND name = $3",
        )
        .bind(account.as_str())
        .bind(kind.name())
        .bind(name)
        .bind(text.as_str())
        .bind(now_ms)
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?;
        writing.announce_document(kind).await?;
        writing.commit().await?;
        Ok(Some(Ok(DocumentRow { document: text, updated_at_ms: now_ms, ..row })))
    }

    /// Whatever was there before.
    pub async fn put_document(
        &self,
        account: AccountId,
        kind: DocumentKind,
        name: &str,
        text: &str,
        now_ms: i64,
    ) -> Result<(), Error> {
        let mut writing = self.write(Scope::Documents(account, kind)).await?;
        sqlx::query(
            "INSERT INTO registry_document (account, kind, name, document, created_at_ms, updated_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (account, kind, name) DO UPDATE SET document = excluded.document, \
             updated_at_ms = excluded.updated_at_ms",
        )
        .bind(account.as_str())
        .bind(kind.name())
        .bind(name)
        .bind(text)
        .bind(now_ms)
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?;
        writing.announce_document(kind).await?;
        writing.commit().await
    }

    /// What was there.
    pub async fn remove_document(
        &self,
        account: AccountId,
        kind: DocumentKind,
        name: &str,
    ) -> Result<Option<DocumentRow>, Error> {
        let mut writing = self.write(Scope::Documents(account, kind)).await?;
        let row: Option<Columns> = sqlx::query_as(
            "DELETE FROM registry_document WHERE account = $1 AND kind = $2 AND name = $3 \
             RETURNING name, document, created_at_ms, updated_at_ms",
        )
        .bind(account.as_str())
        .bind(kind.name())
        .bind(name)
        .fetch_optional(writing.connection())
        .await
        .map_err(Error::Query)?;
        writing.announce_document(kind).await?;
        writing.commit().await?;
        Ok(row.map(document))
    }
}

impl Writing {
    async fn announce_document(&mut self, kind: DocumentKind) -> Result<(), Error> {
        match kind.change() {
            Some(change) => self.announce(change).await,
            None => Ok(()),
        }
    }
}

fn document((name, document, created_at_ms, updated_at_ms): Columns) -> DocumentRow {
    DocumentRow { name, document, created_at_ms, updated_at_ms }
}
