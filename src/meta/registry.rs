//! What holds for a whole registry: documents of a few kinds, by name.

use super::accounts::Made;
use super::changes::Change;
use super::database::{Meta, Writing};
use super::error::Error;
use super::last_known::{Fact, Question, Topic};
use super::scope::Scope;
use crate::oci::{AccountId, QualifiedName};

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

/// A pull-through rule that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewRule<'a> {
    pub account: AccountId,
    /// Of the document.
    pub name: &'a str,
    /// Repositories at this path and below are the upstream's from then on. `None` where only those are that nobody has pushed.
    pub path: Option<&'a str>,
    /// As the cache knows the upstream.
    pub upstream: &'a str,
    pub document: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MadeRule {
    New,
    IsThere,
    TooMany,
    /// It lies below this rule's prefix.
    Below(String),
    Hides(Hidden),
}

/// A repository that a rule's prefix would give to the rule's upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    pub repository: String,
    /// The one that it is of; `None` where it was pushed.
    pub upstream: Option<String>,
}

type Columns = (String, String, i64, i64);

/// That a registry has no policy is known as well.
impl Fact for Option<DocumentRow> {
    fn is_kept(&self) -> bool {
        true
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.as_ref().map_or(0, |row| row.name.len() + row.document.len())
    }
}

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
        // What is announced is known; what is not is asked for.
        if !matches!(kind.change(), Some(Change::Policies)) {
            return self.ask_document(account, kind, name).await;
        }
        let key = format!("document {account} {} {name}", kind.name());
        let question = Question::new(key, Topic::POLICIES, Topic::POLICIES);
        self.known(question, || self.ask_document(account, kind, name)).await
    }

    async fn ask_document(
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
        let made = writing.make_document(account, kind, name, text, most, now_ms).await?;
        if made == Made::New(()) {
            writing.commit().await?;
        }
        Ok(made)
    }

    /// A new pull-through rule, of a registry that then has `most`, at the most. What was kept of another upstream of this name is forgotten
    /// with it. Whoever makes a repository takes turns with this ([`Self::add_repository`]): none is hidden by a rule that came meanwhile.
    pub async fn make_rule(&self, rule: NewRule<'_>, most: u64, now_ms: i64) -> Result<MadeRule, Error> {
        let NewRule { account, name, path, upstream, document } = rule;
        let kind = DocumentKind::PullThroughRule;
        let mut writing = self.write(Scope::Documents(account, kind)).await?;
        if let Some(path) = path {
            if let Some(other) = writing.rule_above(account, path).await? {
                return Ok(MadeRule::Below(other));
            }
            if let Some(hidden) = writing.hidden_below(account, path, upstream).await? {
                return Ok(MadeRule::Hides(hidden));
            }
        }
        match writing.make_document(account, kind, name, document, most, now_ms).await? {
            Made::New(()) => {}
            Made::TooMany => return Ok(MadeRule::TooMany),
            Made::IsThere | Made::NoOwner => return Ok(MadeRule::IsThere),
        }
        writing.forget_upstream(upstream).await?;
        writing.commit().await?;
        Ok(MadeRule::New)
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
    /// To be committed if it is new.
    async fn make_document(
        &mut self,
        account: AccountId,
        kind: DocumentKind,
        name: &str,
        text: &str,
        most: u64,
        now_ms: i64,
    ) -> Result<Made<()>, Error> {
        let count =
            "SELECT CAST(COUNT(*) AS BIGINT) FROM registry_document WHERE account = $1 AND kind = $2 AND name <> $3";
        let others: i64 = sqlx::query_scalar(count)
            .bind(account.as_str())
            .bind(kind.name())
            .bind(name)
            .fetch_one(self.connection())
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
        .execute(self.connection())
        .await
        .map_err(Error::Query)?;
        if made.rows_affected() == 0 {
            return Ok(Made::IsThere);
        }
        if u64::try_from(others).unwrap_or_default() >= most {
            return Ok(Made::TooMany);
        }
        self.announce_document(kind).await?;
        Ok(Made::New(()))
    }

    /// A repository at this path or below that was pushed, or that is another upstream's.
    async fn hidden_below(&mut self, account: AccountId, path: &str, upstream: &str) -> Result<Option<Hidden>, Error> {
        // Not LIKE, to which an underscore of the path would be any character.
        let row: Option<(String, Option<String>)> = sqlx::query_as(
            "SELECT name, upstream FROM repository WHERE account = $1 AND (upstream IS NULL OR upstream <> $5) \
             AND (name = $2 OR substr(name, 1, $4) = $3) ORDER BY name LIMIT 1",
        )
        .bind(account.as_str())
        .bind(path)
        .bind(format!("{path}/"))
        .bind(i32::try_from(path.chars().count() + 1).unwrap_or(i32::MAX))
        .bind(upstream)
        .fetch_optional(self.connection())
        .await
        .map_err(Error::Query)?;
        Ok(row.map(|(repository, upstream)| Hidden { repository, upstream }))
    }

    /// A rule whose prefix is a beginning of this path, and not all of it.
    async fn rule_above(&mut self, account: AccountId, path: &str) -> Result<Option<String>, Error> {
        sqlx::query_scalar(
            "SELECT name FROM registry_document WHERE account = $1 AND kind = $2 AND name || '/' = substr($3, 1, length(name) + 1) \
             ORDER BY name LIMIT 1",
        )
        .bind(account.as_str())
        .bind(DocumentKind::PullThroughRule.name())
        .bind(path)
        .fetch_optional(self.connection())
        .await
        .map_err(Error::Query)
    }

    /// Whether a rule has this path for its prefix, or a beginning of it.
    pub(super) async fn is_below_a_rule(&mut self, name: &QualifiedName) -> Result<bool, Error> {
        let rule: Option<String> = sqlx::query_scalar(
            "SELECT name FROM registry_document WHERE account = $1 AND kind = $2 \
             AND (name = $3 OR name || '/' = substr($4, 1, length(name) + 1)) LIMIT 1",
        )
        .bind(name.account.as_str())
        .bind(DocumentKind::PullThroughRule.name())
        .bind(name.name.as_str())
        .bind(name.name.as_str())
        .fetch_optional(self.connection())
        .await
        .map_err(Error::Query)?;
        Ok(rule.is_some())
    }

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
