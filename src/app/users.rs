//! The users of a registry, as an operator looks at them and changes them, whether anybody serves or not.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::build;
use super::error::Error;
use super::existing::Existing;
use super::policies::{self, Doubt};
use crate::accounts::Accounts;
use crate::auth::{Directory, Enrolment, Identity, Known, Means};
use crate::config::Settings;
use crate::ecr::repository_arn;
use crate::meta::{DocumentKind, Meta};
use crate::oci::{AccountId, QualifiedName, RepositoryName};
use crate::policy::{About, Authorizer, Circumstances, Need, On};
use crate::telemetry::{Caller, Entry, Metrics};

/// Opened for one command.
pub struct Users {
    meta: Meta,
    accounts: Accounts,
    settings: Settings,
}

/// What is asked of `policy explain`.
pub struct Question {
    /// An ARN, or `anonymous`.
    pub principal: String,
    /// As `ecr:PutImage`.
    pub action: String,
    /// `None` is that of `auth.account`.
    pub registry: Option<AccountId>,
    pub repository: Option<RepositoryName>,
    pub tag: Option<String>,
    pub source: Option<IpAddr>,
}

impl Users {
    pub async fn open(existing: &Existing) -> Result<Self, Error> {
        let settings = existing.settings().clone();
        let meta = existing.meta().await?;
        let keyring = existing.keyring().await?;
        let enrolment = Enrolment::new(meta.clone(), keyring, settings.auth.account);
        let accounts = Accounts::new(meta.clone(), enrolment, settings.auth.password_min_length);
        Ok(Self { meta, accounts, settings })
    }

    /// For changes.
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The account that is meant where none is named.
    pub const fn account(&self) -> AccountId {
        self.settings.auth.account
    }

    /// Begins the record of a change that an operator makes, who may do everything.
    pub fn record(&self, action: &str, resource: String) -> Result<Entry, Error> {
        record(&self.settings, action, resource)
    }

    pub async fn list(&self) -> Result<Value, Error> {
        let mut users = Vec::new();
        for row in self.accounts.all().await? {
            let policies = self.accounts.policies(&row).await?;
            let keys = self.accounts.access_keys(&row).await?;
            users.push(json!({
                "arn": Known::new(row.clone()).arn(),
                "declared": row.declared,
                "has_password": row.password.is_some(),
                "policies": policies.into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
                "access_keys": keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(),
                "inactive_access_keys": keys.iter().filter(|key| !key.is_active).map(|key| key.id.as_str()).collect::<Vec<_>>(),
            }));
        }
        Ok(Value::Array(users))
    }

    /// The policy that the registry had, if it had one. A service that runs beside this sees it within seconds.
    pub async fn delete_registry_policy(&self, registry: AccountId) -> Result<Option<String>, Error> {
        let record = self.record("ecr:DeleteRegistryPolicy", format!("registry {registry}"))?;
        let removed = self.meta.remove_document(registry, DocumentKind::RegistryPolicy, "").await?;
        ended(record, removed.is_some());
        Ok(removed.map(|row| row.document))
    }

    /// The policy that the repository had, if there is one with a policy.
    pub async fn delete_repository_policy(&self, name: &QualifiedName) -> Result<Option<String>, Error> {
        let arn = repository_arn(&self.settings.auth.region, &name.account, &name.name).to_string();
        let record = self.record("ecr:DeleteRepositoryPolicy", arn)?;
        let removed = match self.meta.repository_row(name).await? {
            Some(row) => self.meta.remove_repository_policy(row.id).await?,
            None => None,
        };
        ended(record, removed.is_some());
        Ok(removed)
    }

    /// Stored policies that would be refused if they were written now.
    pub async fn doubts(&self) -> Result<Vec<Doubt>, Error> {
        Ok(policies::doubts(&self.meta).await?)
    }

    /// Which statement decides, and what became of the others.
    pub async fn explain(&self, question: Question) -> Result<Value, Error> {
        let identity = if question.principal == "anonymous" {
            Identity::anonymous()
        } else {
            let known = Directory::new(self.meta.clone()).by_arn(&question.principal).await?;
            Identity::known(known.ok_or(Error::NoPrincipal(question.principal))?, Means::Nothing)
        };
        let authorizer = Authorizer::new(self.settings.auth.clone(), &self.settings.repositories, self.meta.clone())
            .map_err(Error::Public)?;
        let account = question.registry.unwrap_or(self.settings.auth.account);
        let about = question.repository.map(|repository| {
            let of = |upstream: &&crate::config::UpstreamSettings| {
                repository.as_str().strip_prefix(upstream.name.as_str()).is_some_and(|rest| rest.starts_with('/'))
            };
            let upstream = self.settings.upstreams.iter().find(of).map(|upstream| upstream.name.to_string());
            About { repository: QualifiedName::new(account, repository), upstream, exists: true }
        });
        let circumstances =
            Circumstances { source: question.source, secure: true, user_agent: None, now: SystemTime::now() };
        let on = about.as_ref().map_or(On::Registry(account), On::Repository);
        let need = Need::new(&question.action, on).tagged(question.tag.as_deref());
        Ok(authorizer.explain(&identity, &need, &circumstances).await?)
    }
}

/// Begins the record of a change that an operator makes by a command.
pub(super) fn record(settings: &Settings, action: &str, resource: String) -> Result<Entry, Error> {
    let caller = Caller {
        request_id: format!("{:016x}", fastrand::u64(..)),
        source: "local".to_owned(),
        principal: operator(),
        means: "command",
    };
    let because = Arc::from("an operator's command");
    Ok(build::audit(settings, &Metrics::new()?)?.allowed(caller, action, resource, &because))
}

/// Ends the record of a policy that was to be removed.
fn ended(record: Entry, was_there: bool) {
    if was_there { record.done() } else { record.failed("NoPolicy") }
}

/// The system's user who runs the command.
fn operator() -> String {
    let uid =
        std::fs::metadata("/proc/self").map_or_else(|_| "unknown".to_owned(), |process| process.uid().to_string());
    format!("operator (uid {uid})")
}
