//! The policies that apply, from the database, kept compiled for moments.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::iam::{Document, Kind, Principal, RegistryScope};
use super::needs::About;
use crate::auth::Known;
use crate::ecr::{AccountSettingName, Word};
use crate::iam::ManagedPolicy;
use crate::memory::{self, Map};
use crate::meta::{self, DocumentKind, Meta, PrincipalId, RepositorySettings};
use crate::oci::{AccountId, QualifiedName};

/// A change by another process that was not announced is seen after this.
pub(super) const REMEMBERED: Duration = Duration::from_secs(3);

/// What a byte of a document's text weighs when it is compiled, about.
const COMPILED: usize = 10;

/// What a managed policy weighs.
const MANAGED_BYTES: usize = 4 << 10;

/// No stored document is larger.
pub(super) const MAX_DOCUMENT_BYTES: usize = 64 << 10;

pub(super) struct Library {
    meta: Meta,
    /// By ARN, each with the count of changes that it was asked for at.
    rights: Map<String, (u64, Arc<Rights>)>,
    /// Counts changes. What was read before one is kept under the count before it, and not found after it.
    changes: AtomicU64,
    repositories: Map<(u64, QualifiedName), Arc<Facts>>,
    registries: Map<(u64, AccountId), Arc<RegistryFacts>>,
    nobody: Rights,
}

/// A principal with its own policies.
pub(super) struct Rights {
    /// Of whom it was found out. A request may bring what the principal was before a change.
    of: Option<(PrincipalId, BTreeMap<String, String>)>,
    pub(super) principal: Principal,
    pub(super) policies: Vec<(String, Document)>,
    /// That these point to, about.
    bytes: usize,
}

/// What a repository says of itself.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) exists: bool,
    /// What it is pulled through from.
    pub(super) upstream: Option<String>,
    pub(super) policy: Option<Document>,
    pub(super) tags: Vec<(String, String)>,
    /// That these point to, about.
    bytes: usize,
}

/// What holds for the whole registry.
pub(super) struct RegistryFacts {
    pub(super) policy: Option<Document>,
    pub(super) scope: RegistryScope,
    /// That the policy points to, about.
    bytes: usize,
}

impl Library {
    pub(super) fn new(meta: Meta) -> Self {
        Self {
            meta,
            rights: Map::expiring(
                memory::Kind::PrincipalPolicies,
                REMEMBERED,
                |arn: &String, (_, rights): &(_, Arc<Rights>)| size_of::<Rights>() + arn.len() + rights.bytes,
            ),
            changes: AtomicU64::new(0),
            repositories: Map::expiring(
                memory::Kind::RepositoryPolicies,
                REMEMBERED,
                |(_, name), facts: &Arc<Facts>| size_of::<Facts>() + name.name.as_str().len() + facts.bytes,
            ),
            registries: Map::expiring(memory::Kind::RegistryPolicies, REMEMBERED, |_, facts: &Arc<RegistryFacts>| {
                size_of::<RegistryFacts>() + facts.bytes
            }),
            nobody: Rights { of: None, principal: Principal::anonymous(), policies: Vec::new(), bytes: 0 },
        }
    }

    /// Policies, users or roles are others now.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Somebody without a name.
    pub(super) fn nobody(&self) -> &Rights {
        &self.nobody
    }

    pub(super) async fn rights(&self, known: &Known) -> Result<Arc<Rights>, meta::Error> {
        let (id, changes) = (known.row().id, self.changes());
        if let Some((at, rights)) = self.rights.get(known.arn())
            && at == changes
            && rights.of.as_ref().is_some_and(|(of, tags)| *of == id && *tags == known.row().tags)
        {
            return Ok(rights);
        }
        let principal = match known.role() {
            None => Principal::from_arn(known.arn()),
            Some((role, session)) => Principal::session(&role, session),
        };
        let principal = principal.unwrap_or_else(|error| {
            tracing::error!(%error, "a principal's name cannot be read; it is treated as anonymous");
            Principal::anonymous()
        });
        let tags = known.row().tags.iter();
        let principal = tags.fold(principal, |principal, (key, value)| principal.with_tag(key, value));
        let mut policies = Vec::new();
        let mut bytes = 2 * known.bytes();
        for (name, text) in self.meta.principal_policies(id).await? {
            bytes += name.len() + size_of::<(String, Document)>() + (text.len() * COMPILED).max(MANAGED_BYTES);
            let document = match ManagedPolicy::named(&name).filter(|_| text.is_empty()) {
                Some(preset) => preset.document(),
                None => Document::parse(Kind::Identity, &text, MAX_DOCUMENT_BYTES),
            };
            match document {
                Ok(document) => policies.push((name, document)),
                Err(error) => {
                    tracing::error!(%error, principal = known.arn(), policy = name, "a policy cannot be read: it allows nothing");
                    policies.push((name, nothing()));
                }
            }
        }
        let rights = Arc::new(Rights { of: Some((id, known.row().tags.clone())), principal, policies, bytes });
        self.rights.insert(known.arn().to_owned(), (changes, rights.clone()));
        Ok(rights)
    }

    pub(super) async fn facts(&self, name: &QualifiedName) -> Result<Arc<Facts>, meta::Error> {
        let key = (self.changes(), name.clone());
        if let Some(facts) = self.repositories.get(&key) {
            return Ok(facts);
        }
        // That there is none is not remembered: a push or a pull may make it at any moment, with a policy.
        let Some(row) = self.meta.repository_row(name).await? else { return Ok(Arc::default()) };
        let facts = Arc::new(Facts::of(name, row.upstream.as_deref(), &row.settings));
        self.repositories.insert(key, facts.clone());
        Ok(facts)
    }

    /// Of a row that was just read, which is not read again.
    pub(super) fn facts_of(&self, about: &About, settings: &RepositorySettings) -> Arc<Facts> {
        let name = &about.repository;
        match self.repositories.get(&(self.changes(), name.clone())) {
            Some(facts) => facts,
            None => Arc::new(Facts::of(name, about.upstream.as_deref(), settings)),
        }
    }

    /// Of the registry of this account.
    pub(super) async fn registry(&self, account: AccountId) -> Result<Arc<RegistryFacts>, meta::Error> {
        let key = (self.changes(), account);
        if let Some(facts) = self.registries.get(&key) {
            return Ok(facts);
        }
        let policy = self.meta.document(account, DocumentKind::RegistryPolicy, "").await?;
        let scope = AccountSettingName::RegistryPolicyScope;
        let scope = self.meta.document(account, DocumentKind::Setting, scope.word()).await?;
        let is_v1 = scope.is_some_and(|row| row.document == "V1");
        let facts = Arc::new(RegistryFacts {
            bytes: policy.as_ref().map_or(0, |row| row.document.len() * COMPILED),
            policy: policy.map(|row| stored(Kind::Registry, &row.document, "the registry")),
            scope: if is_v1 { RegistryScope::V1 } else { RegistryScope::V2 },
        });
        self.registries.insert(key, facts.clone());
        Ok(facts)
    }
}

impl Facts {
    fn of(name: &QualifiedName, upstream: Option<&str>, settings: &RepositorySettings) -> Self {
        let policy = settings.policy.as_deref();
        let text = policy.map_or(0, str::len);
        let tags = settings.resource_tags.iter();
        let tags = tags.map(|(key, value)| 2 * size_of::<String>() + key.len() + value.len()).sum::<usize>();
        Self {
            bytes: text * COMPILED + tags + upstream.map_or(0, str::len),
            exists: true,
            upstream: upstream.map(str::to_owned),
            policy: policy.map(|text| stored(Kind::Repository, text, name.name.as_str())),
            tags: settings.resource_tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

/// A document that was checked when it was stored.
fn stored(kind: Kind, text: &str, of: &str) -> Document {
    Document::parse(kind, text, MAX_DOCUMENT_BYTES).unwrap_or_else(|error| {
        tracing::error!(%error, repository = of, "a policy cannot be read: everything is denied");
        denying(kind)
    })
}

/// What a resource's policy that cannot be read amounts to.
fn denying(kind: Kind) -> Document {
    let text =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:*","Resource":"*"}]}"#;
    parsed(kind, text)
}

/// What an identity's policy that cannot be read amounts to: it may have denied something.
fn nothing() -> Document {
    parsed(Kind::Identity, r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#)
}

fn parsed(kind: Kind, text: &str) -> Document {
    match Document::parse(kind, text, MAX_DOCUMENT_BYTES) {
        Ok(document) => document,
        Err(error) => unreachable!("{error}"),
    }
}
