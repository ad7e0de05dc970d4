//! Takes the policies that apply from the database, keeps them compiled for moments, and asks them.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::denied::Denied;
use super::iam::{
    Context, Decision, Document, IdentityPolicy, Kind, Moment, Policies, Preset, Principal, Question, RegistryScope,
    decide, explain,
};
use super::permit::Permit;
use crate::action::Action;
use crate::auth::{Access, AccessAction, Identity, Known, Recent, ResourceType, Who};
use crate::config::AuthSettings;
use crate::ecr::{AccountSettingName, Word};
use crate::meta::{self, DocumentKind, Meta};
use crate::oci::RepositoryName;

/// A change by another process is seen after this.
const REMEMBERED: Duration = Duration::from_secs(3);

const MAX_REMEMBERED: u64 = 10_000;

/// What a client sent is matched against patterns only so far.
const MAX_USER_AGENT_BYTES: usize = 512;

/// No stored document is larger.
const MAX_DOCUMENT_BYTES: usize = 64 << 10;

/// Cheap to clone.
#[derive(Clone)]
pub struct Authorizer {
    inner: Arc<Inner>,
}

struct Inner {
    meta: Meta,
    settings: AuthSettings,
    /// By ARN.
    rights: moka::sync::Cache<String, Arc<Rights>>,
    /// Counts changes. What was read before one is kept under the count before it, and not found after it.
    changes: AtomicU64,
    repositories: moka::sync::Cache<(u64, RepositoryName), Arc<Facts>>,
    registry: moka::sync::Cache<u64, Arc<RegistryFacts>>,
    nobody: Rights,
    /// What was allowed a moment ago, in the same circumstances.
    allowed: Recent<()>,
}

/// A principal with its own policies.
struct Rights {
    principal: Principal,
    policies: Vec<(String, Document)>,
}

/// What a repository says of itself.
#[derive(Default)]
struct Facts {
    policy: Option<Document>,
    tags: Vec<(String, String)>,
}

/// What holds for the whole registry.
struct RegistryFacts {
    policy: Option<Document>,
    scope: RegistryScope,
}

/// What a request is about, by the name that policies know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct About {
    pub repository: RepositoryName,
    /// The upstream that it belongs to.
    pub upstream: Option<String>,
    /// Whether there is such a repository; what belongs to an upstream is taken to be there.
    pub exists: bool,
}

/// One action on one thing.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Ask<'a> {
    /// As `ecr:PutImage`.
    pub action: &'a str,
    /// `None` is the registry.
    pub about: Option<&'a About>,
    pub tag: Option<&'a str>,
}

/// What conditions can look at.
#[derive(Clone, Debug)]
pub struct Circumstances {
    pub source: Option<IpAddr>,
    /// Over TLS.
    pub secure: bool,
    pub user_agent: Option<String>,
    pub now: SystemTime,
}

/// What somebody may see of a list.
#[derive(Clone)]
pub struct Viewer(Option<(Authorizer, Identity, Circumstances)>);

impl Authorizer {
    pub fn new(settings: AuthSettings, meta: Meta) -> Self {
        let inner = Inner {
            meta,
            settings,
            rights: moka::sync::Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(REMEMBERED).build(),
            changes: AtomicU64::new(0),
            repositories: moka::sync::Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(REMEMBERED).build(),
            registry: moka::sync::Cache::builder().max_capacity(1).time_to_live(REMEMBERED).build(),
            allowed: Recent::new(MAX_REMEMBERED, REMEMBERED),
            nobody: Rights { principal: Principal::anonymous(), policies: Vec::new() },
        };
        Self { inner: Arc::new(inner) }
    }

    /// The name of a repository in policies.
    pub fn arn(&self, about: Option<&About>) -> String {
        let AuthSettings { account, region, .. } = &self.inner.settings;
        match about {
            Some(about) => format!("arn:aws:ecr:{region}:{account}:repository/{}", about.repository),
            None => "*".to_owned(),
        }
    }

    /// May they do this on the data plane? `about` is the repository that the action is about, and `source` the one that a mount
    /// takes from; a mount from a repository that may not be read is taken for a plain upload, as it is where there is none.
    pub async fn authorize(
        &self,
        identity: Identity,
        mut action: Action,
        about: Option<&About>,
        source: Option<&About>,
        circumstances: &Circumstances,
    ) -> Result<Permit<Action>, Denied> {
        match identity.who {
            Who::Open { push } => {
                if !push && action.writes() {
                    return Err(Denied::Listener(action.iam_name().unwrap_or("writing")));
                }
                return Ok(Permit { identity, action, viewer: Viewer::of_all(), because: String::new() });
            }
            Who::Anonymous | Who::Known(_) => {}
        }
        if let Some(name) = action.iam_name() {
            // Whoever may see nothing sees an empty list.
            if !matches!(action, Action::ListRepositories { .. }) {
                let tag = action.tag();
                self.ask(&identity, Ask { action: name, about, tag }, circumstances).await?;
                if action.writes() && about.is_some_and(|about| !about.exists) {
                    let create = Ask { action: "ecr:CreateRepository", about, tag: None };
                    self.ask(&identity, create, circumstances).await?;
                }
                if about.is_some_and(|about| about.upstream.is_some()) {
                    let import = Ask { action: "ecr:BatchImportUpstreamImage", about, tag };
                    self.ask(&identity, import, circumstances).await?;
                }
            }
        }
        // Asked last: who may not anyhow is not sent for another token.
        if let Some(needed) = missing_in_token(&identity, &action) {
            return Err(Denied::Token(needed));
        }
        if let Action::StartUpload { start, .. } = &mut action
            && start.mount.is_some()
        {
            let read = Ask { action: "ecr:GetDownloadUrlForLayer", about: source, tag: None };
            if source.is_none() || self.ask(&identity, read, circumstances).await.is_err() {
                start.mount = None;
            }
        }
        let viewer = Viewer(Some((self.clone(), identity.clone(), circumstances.clone())));
        Ok(Permit { identity, action, viewer, because: String::new() })
    }

    /// May they do this on the control plane?
    pub async fn authorize_all<A>(
        &self,
        identity: Identity,
        action: A,
        asks: &[Ask<'_>],
        circumstances: &Circumstances,
    ) -> Result<Permit<A>, Denied> {
        let mut because = String::new();
        for ask in asks {
            self.ask(&identity, *ask, circumstances).await?;
            if because.is_empty() {
                self.consult(&identity, *ask, circumstances, |policies, question| {
                    because = decide(policies, question).to_string();
                })
                .await?;
            }
        }
        let viewer = Viewer(Some((self.clone(), identity.clone(), circumstances.clone())));
        Ok(Permit { identity, action, viewer, because })
    }

    /// What of the access that a token is asked for may be given.
    pub async fn grant(
        &self,
        identity: &Identity,
        access: &Access,
        about: Option<&About>,
        circumstances: &Circumstances,
    ) -> Result<Access, Denied> {
        let mut granted = Vec::new();
        for action in &access.actions {
            let needed: &[&'static str] = match (access.kind, action) {
                (ResourceType::Registry, _) => &["ecr:DescribeRepositories"],
                (_, AccessAction::Pull) => &["ecr:BatchGetImage"],
                (_, AccessAction::Push) => &["ecr:InitiateLayerUpload"],
                (_, AccessAction::Delete) => &["ecr:BatchDeleteImage"],
                (_, AccessAction::All) => &["ecr:BatchGetImage", "ecr:InitiateLayerUpload", "ecr:BatchDeleteImage"],
            };
            let mut allowed = true;
            for name in needed {
                match self.ask(identity, Ask { action: name, about, tag: None }, circumstances).await {
                    Ok(()) => {}
                    Err(Denied::Unavailable(error)) => return Err(error.into()),
                    Err(_) => allowed = false,
                }
            }
            if allowed {
                granted.push(*action);
            }
        }
        Ok(Access { actions: granted, ..access.clone() })
    }

    /// A repository's policy or tags, or the registry's policy, are others now.
    pub fn policies_changed(&self) {
        self.inner.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether a repository's new policy, by itself, denies this to somebody.
    pub fn would_be_denied(&self, known: &Known, action: &str, repository: &RepositoryName, policy: &Document) -> bool {
        let Ok(principal) = Principal::from_arn(known.arn()) else { return false };
        let about = About { repository: repository.clone(), upstream: None, exists: true };
        let (resource, context) = (self.arn(Some(&about)), Context::new());
        let question = Question::new(&principal, action, &resource, self.inner.settings.account, &context);
        let policies = Policies { repository: Some(policy), ..Policies::default() };
        matches!(decide(&policies, &question), Decision::Denied { .. })
    }

    /// Which statement decides, and what became of the others: for people.
    pub async fn explain(
        &self,
        identity: &Identity,
        ask: Ask<'_>,
        circumstances: &Circumstances,
    ) -> Result<serde_json::Value, meta::Error> {
        let mut explanation = serde_json::Value::Null;
        self.consult(identity, ask, circumstances, |policies, question| {
            let explained = explain(policies, question);
            explanation = serde_json::json!({ "decision": explained.decision, "statements": explained.statements, "text": explained.to_string() });
        })
        .await?;
        Ok(explanation)
    }

    async fn ask(&self, identity: &Identity, ask: Ask<'_>, circumstances: &Circumstances) -> Result<(), Denied> {
        let changes = self.inner.changes.load(Ordering::Acquire);
        let same =
            (changes, identity.name(), ask, circumstances.source, circumstances.secure, &circumstances.user_agent);
        if self.inner.allowed.get(&same).is_some() {
            return Ok(());
        }
        let mut why = None;
        self.consult(identity, ask, circumstances, |policies, question| {
            why = match decide(policies, question) {
                Decision::Allowed { .. } => None,
                refused => Some(refused.to_string()),
            };
        })
        .await?;
        let Some(why) = why else {
            self.inner.allowed.insert(&same, ());
            return Ok(());
        };
        let principal = match &identity.who {
            Who::Known(known) => Some(known.arn().to_owned()),
            Who::Open { .. } | Who::Anonymous => None,
        };
        Err(Denied::Policy { principal, action: ask.action.to_owned(), resource: self.arn(ask.about), why })
    }

    async fn consult(
        &self,
        identity: &Identity,
        ask: Ask<'_>,
        circumstances: &Circumstances,
        answer: impl FnOnce(&Policies<'_>, &Question<'_>),
    ) -> Result<(), meta::Error> {
        let rights = match &identity.who {
            Who::Known(known) => Some(self.rights(known).await?),
            Who::Open { .. } | Who::Anonymous => None,
        };
        let rights = rights.as_deref().unwrap_or(&self.inner.nobody);
        let facts = match ask.about {
            Some(About { repository, upstream: None, .. }) => self.facts(repository).await?,
            // What belongs to an upstream has no policy of its own.
            _ => Arc::default(),
        };
        let registry = self.registry_facts().await?;
        let context = context(ask, &facts, circumstances);
        let resource = self.arn(ask.about);
        let account = self.inner.settings.account;
        let question = Question::new(&rights.principal, ask.action, &resource, account, &context);
        let identity: Vec<IdentityPolicy<'_>> =
            rights.policies.iter().map(|(name, document)| IdentityPolicy { name, document }).collect();
        let policies = Policies {
            identity: &identity,
            registry: registry.policy.as_ref(),
            registry_scope: registry.scope,
            repository: facts.policy.as_ref(),
            ..Policies::default()
        };
        answer(&policies, &question);
        Ok(())
    }

    async fn rights(&self, known: &Known) -> Result<Arc<Rights>, meta::Error> {
        let id = known.row().id;
        if let Some(rights) = self.inner.rights.get(known.arn()) {
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
        for (name, text) in self.inner.meta.principal_policies(id).await? {
            let document = match Preset::named(&name).filter(|_| text.is_empty()) {
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
        let rights = Arc::new(Rights { principal, policies });
        self.inner.rights.insert(known.arn().to_owned(), rights.clone());
        Ok(rights)
    }

    async fn facts(&self, name: &RepositoryName) -> Result<Arc<Facts>, meta::Error> {
        let key = (self.inner.changes.load(Ordering::Acquire), name.clone());
        if let Some(facts) = self.inner.repositories.get(&key) {
            return Ok(facts);
        }
        // That there is none is not remembered: a push may make it at any moment, with a policy.
        let Some(row) = self.inner.meta.repository_row(name).await? else { return Ok(Arc::default()) };
        let facts = Arc::new(Facts {
            policy: row.settings.policy.map(|text| stored(Kind::Repository, &text, name.as_str())),
            tags: row.settings.resource_tags.into_iter().collect(),
        });
        self.inner.repositories.insert(key, facts.clone());
        Ok(facts)
    }

    async fn registry_facts(&self) -> Result<Arc<RegistryFacts>, meta::Error> {
        let key = self.inner.changes.load(Ordering::Acquire);
        if let Some(facts) = self.inner.registry.get(&key) {
            return Ok(facts);
        }
        let policy = self.inner.meta.document(DocumentKind::RegistryPolicy, "").await?;
        let scope = AccountSettingName::RegistryPolicyScope;
        let scope = self.inner.meta.document(DocumentKind::Setting, scope.word()).await?;
        let is_v1 = scope.is_some_and(|row| row.document == "V1");
        let facts = Arc::new(RegistryFacts {
            policy: policy.map(|row| stored(Kind::Registry, &row.document, "the registry")),
            scope: if is_v1 { RegistryScope::V1 } else { RegistryScope::V2 },
        });
        self.inner.registry.insert(key, facts.clone());
        Ok(facts)
    }
}

impl Viewer {
    /// Somebody who sees everything.
    pub const fn of_all() -> Self {
        Self(None)
    }

    /// Whether a repository is in the lists that they see.
    pub async fn may_see(&self, about: &About) -> Result<bool, meta::Error> {
        let Some((authorizer, identity, circumstances)) = &self.0 else { return Ok(true) };
        let ask = Ask { action: "ecr:DescribeRepositories", about: Some(about), tag: None };
        match authorizer.ask(identity, ask, circumstances).await {
            Ok(()) => Ok(true),
            Err(Denied::Unavailable(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }
}

fn context<'a>(ask: Ask<'a>, facts: &'a Facts, circumstances: &'a Circumstances) -> Context<'a> {
    let now = Moment::from(circumstances.now);
    let seconds = circumstances.now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut context = Context::with_capacity(8 + 2 * facts.tags.len());
    context.add("aws:SecureTransport", circumstances.secure);
    context.add("aws:CurrentTime", now);
    context.add("aws:EpochTime", seconds as f64);
    if let Some(source) = circumstances.source {
        context.add("aws:SourceIp", source);
    }
    if let Some(agent) = &circumstances.user_agent {
        let end = agent.floor_char_boundary(MAX_USER_AGENT_BYTES);
        context.add("aws:UserAgent", agent.get(..end).unwrap_or_default());
    }
    for (key, value) in &facts.tags {
        context.add(format!("aws:ResourceTag/{key}"), value.as_str());
        context.add(format!("ecr:ResourceTag/{key}"), value.as_str());
    }
    if let Some(tag) = ask.tag {
        context.add("entrepot:ImageTag", tag);
    }
    if let Some(upstream) = ask.about.and_then(|about| about.upstream.as_deref()) {
        context.add("entrepot:Upstream", upstream);
    }
    context
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

/// What the token that was shown would have to be for.
fn missing_in_token(identity: &Identity, action: &Action) -> Option<Access> {
    let access = identity.access.as_deref()?;
    let (kind, name, needed) = match (action, action.repository()) {
        (Action::Ping, _) => return None,
        (_, None) => (ResourceType::Registry, "catalog".to_owned(), AccessAction::All),
        (Action::DeleteManifest { .. } | Action::DeleteBlob { .. }, Some(name)) => {
            (ResourceType::Repository, name.path.to_string(), AccessAction::Delete)
        }
        (_, Some(name)) => {
            let needed = if action.writes() { AccessAction::Push } else { AccessAction::Pull };
            (ResourceType::Repository, name.path.to_string(), needed)
        }
    };
    let covers = |given: &Access| {
        given.kind == kind
            && given.name == name
            && (given.actions.contains(&needed) || given.actions.contains(&AccessAction::All))
    };
    (!access.iter().any(covers)).then(|| Access { kind, class: None, name, actions: vec![needed] })
}
