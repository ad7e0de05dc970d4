//! The users of a registry, as an operator looks at them and changes them, whether anybody serves or not.

use std::net::IpAddr;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::build;
use super::error::Error;
use super::identities;
use crate::auth::{AccessKey, Directory, Enrolment, Identity, Known, Means};
use crate::config::Settings;
use crate::meta::{Meta, PrincipalKind, PrincipalRow};
use crate::oci::{AccountId, QualifiedName, RepositoryName};
use crate::policy::{About, Ask, Authorizer, Circumstances, Document, Kind, On, Preset};

/// Opened for one command.
pub struct Users {
    meta: Meta,
    enrolment: Enrolment,
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
    pub async fn open(settings: Settings) -> Result<Self, Error> {
        std::fs::create_dir_all(&settings.data)
            .map_err(|source| Error::FirstUser { path: settings.data.clone(), source })?;
        let meta = build::meta(&settings).await?;
        let keyring = identities::keyring(&settings).await?;
        let enrolment = Enrolment::new(meta.clone(), keyring, settings.auth.account);
        Ok(Self { meta, enrolment, settings })
    }

    pub async fn list(&self) -> Result<Value, Error> {
        let mut users = Vec::new();
        for row in self.enrolment.all().await? {
            let policies = self.meta.principal_policies(row.id).await?;
            let keys = self.meta.access_keys(row.id).await?;
            users.push(json!({
                "arn": Known::new(row.clone()).arn(),
                "declared": row.declared,
                "has_password": row.password.is_some(),
                "policies": policies.into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
                "access_keys": keys.into_iter().map(|(id, _)| id).collect::<Vec<_>>(),
            }));
        }
        Ok(Value::Array(users))
    }

    /// A user that is there already is no error; one of the configuration is.
    pub async fn create(&self, account: Option<AccountId>, name: &str) -> Result<PrincipalRow, Error> {
        let account = account.unwrap_or(self.settings.auth.account);
        if let Some(row) = self.meta.principal(&account, PrincipalKind::User, name).await? {
            return changeable(row);
        }
        self.enrolment.put(account, PrincipalKind::User, name, false).await?;
        self.user(Some(account), name).await
    }

    /// One that can be changed here.
    pub async fn user(&self, account: Option<AccountId>, name: &str) -> Result<PrincipalRow, Error> {
        self.any_user(account, name).await.and_then(changeable)
    }

    /// One of the configuration, too.
    pub async fn any_user(&self, account: Option<AccountId>, name: &str) -> Result<PrincipalRow, Error> {
        let account = account.unwrap_or(self.settings.auth.account);
        let row = self.meta.principal(&account, PrincipalKind::User, name).await?;
        row.ok_or_else(|| Error::NoUser(name.to_owned()))
    }

    pub async fn remove(&self, user: &PrincipalRow) -> Result<(), Error> {
        self.meta.remove_principal(user.id).await?;
        Ok(())
    }

    pub async fn make_access_key(&self, user: &PrincipalRow) -> Result<AccessKey, Error> {
        Ok(self.enrolment.make_access_key(user.id).await?)
    }

    /// False when there was none.
    pub async fn remove_access_key(&self, id: &str) -> Result<bool, Error> {
        Ok(self.meta.remove_access_key(id).await?)
    }

    pub async fn put_password(&self, user: &PrincipalRow, password: &str) -> Result<(), Error> {
        Ok(self.enrolment.put_password(user.id, password).await?)
    }

    /// `document` is empty for a policy that comes with the program.
    pub async fn put_policy(&self, user: &PrincipalRow, name: &str, document: &str) -> Result<(), Error> {
        if Preset::named(name).is_none() {
            Document::parse(Kind::Identity, document, identities::MAX_POLICY_BYTES)
                .map_err(|source| Error::Policy { user: user.name.clone(), name: name.to_owned(), source })?;
        }
        Ok(self.meta.put_principal_policy(user.id, &(name.to_owned(), document.to_owned())).await?)
    }

    /// False when there was none.
    pub async fn remove_policy(&self, user: &PrincipalRow, name: &str) -> Result<bool, Error> {
        Ok(self.meta.remove_principal_policy(user.id, name).await?)
    }

    /// Every token that the user was given is worthless from now on.
    pub async fn revoke(&self, user: &PrincipalRow) -> Result<(), Error> {
        Ok(self.meta.revoke_tokens(user.id).await?)
    }

    /// Which statement decides, and what became of the others.
    pub async fn explain(&self, question: Question) -> Result<Value, Error> {
        let identity = if question.principal == "anonymous" {
            Identity::anonymous()
        } else {
            let known = Directory::new(self.meta.clone()).by_arn(&question.principal).await?;
            Identity::known(known.ok_or(Error::NoUser(question.principal))?, Means::Nothing)
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
        let ask = Ask { action: &question.action, on, tag: question.tag.as_deref() };
        Ok(authorizer.explain(&identity, ask, &circumstances).await?)
    }
}

fn changeable(row: PrincipalRow) -> Result<PrincipalRow, Error> {
    if row.declared { Err(Error::Declared(row.name)) } else { Ok(row) }
}
