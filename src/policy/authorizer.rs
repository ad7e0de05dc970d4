//! Asks the policies that apply: which those are is the library's to know.

use std::sync::Arc;

use super::circumstances::{Circumstances, surroundings};
use super::denied::Denied;
use super::iam::{
    Context, Decision, Document, DocumentError, IdentityPolicy, Policies, Principal, Question, decide, explain,
};
use super::library::{Facts, Library, MAX_REMEMBERED, REMEMBERED};
use super::permit::Permit;
use super::public;
use crate::action::Action;
use crate::auth::{Access, AccessAction, Identity, Known, Recent, ResourceType, Who};
use crate::config::{AuthSettings, RepositorySettings};
use crate::ecr::Said;
use crate::meta::{self, Meta};
use crate::oci::{AccountId, QualifiedName};

/// Cheap to clone.
#[derive(Clone)]
pub struct Authorizer {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) library: Library,
    settings: AuthSettings,
    pub(super) public: Option<Document>,
    /// What was allowed a moment ago, in the same circumstances.
    allowed: Recent<()>,
}

/// What a request is about, by the name that policies know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct About {
    pub repository: QualifiedName,
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
    pub on: On<'a>,
    /// Of an image.
    pub tag: Option<&'a str>,
    /// What else conditions can look at in the request.
    pub said: &'a [Said],
}

/// What an action is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum On<'a> {
    /// The registry of this account.
    Registry(AccountId),
    Repository(&'a About),
}

/// What somebody may see of a list, and have besides what they asked for.
#[derive(Clone)]
pub struct Viewer(pub(super) Option<(Authorizer, Identity, Circumstances)>);

impl<'a> Ask<'a> {
    pub const fn new(action: &'a str, on: On<'a>) -> Self {
        Self { action, on, tag: None, said: &[] }
    }

    pub const fn tagged(self, tag: Option<&'a str>) -> Self {
        Self { tag, ..self }
    }
}

impl Authorizer {
    /// The error says what cannot be made public.
    pub fn new(settings: AuthSettings, repositories: &[RepositorySettings], meta: Meta) -> Result<Self, DocumentError> {
        let allowed = Recent::new(MAX_REMEMBERED, REMEMBERED);
        let public = public::document(repositories, settings.account)?;
        let inner = Inner { library: Library::new(meta), public, allowed, settings };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(super) fn settings(&self) -> &AuthSettings {
        &self.inner.settings
    }

    /// The name that policies compare.
    pub fn arn(&self, on: On<'_>) -> String {
        match on {
            On::Registry(_) => "*".to_owned(),
            On::Repository(About { repository, .. }) => {
                let QualifiedName { account, name } = repository;
                format!("arn:aws:ecr:{}:{account}:repository/{name}", self.inner.settings.region)
            }
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
        // Without a repository it is the list of them: whoever may see nothing sees an empty one.
        if let (Some(name), Some(about)) = (action.iam_name(), about) {
            let (on, tag) = (On::Repository(about), action.tag());
            self.ask(&identity, Ask::new(name, on).tagged(tag), circumstances).await?;
            if action.writes() && !about.exists {
                self.ask(&identity, Ask::new("ecr:CreateRepository", on), circumstances).await?;
            }
            if about.upstream.is_some() {
                let import = Ask::new("ecr:BatchImportUpstreamImage", on).tagged(tag);
                self.ask(&identity, import, circumstances).await?;
            }
        }
        // Asked last: who may not anyhow is not sent for another token.
        let home = self.inner.settings.account;
        if let Some(needed) = missing_in_token(&identity, &action, about.map(|about| name_in_tokens(home, about))) {
            return Err(Denied::Token(needed));
        }
        if let Action::StartUpload { start, .. } = &mut action
            && let Some(mount) = &start.mount
        {
            // What is taken is a repository of one's own: an upstream's of the same name is another.
            let is_it =
                |source: &&About| source.upstream.is_none() && mount.from.as_ref() == Some(&source.repository.name);
            let is_in_token = |source: &&About| may_pull_by_token(&identity, &name_in_tokens(home, source));
            let may_read = match source.filter(is_it).filter(is_in_token) {
                Some(source) => {
                    let on = On::Repository(source);
                    let read = Ask::new("ecr:GetDownloadUrlForLayer", on);
                    self.ask(&identity, read, circumstances).await.is_ok()
                }
                None => false,
            };
            if !may_read {
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
            let allowed = self.decide(&identity, *ask, circumstances).await?;
            if because.is_empty() {
                because = allowed;
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
        on: On<'_>,
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
                match self.ask(identity, Ask::new(name, on), circumstances).await {
                    Ok(()) => {}
                    Err(Denied::Unavailable(error)) => return Err(error.into()),
                    Err(_) => allowed = false,
                }
            }
            if allowed {
                granted.push(*action);
            }
        }
        let name = match on {
            On::Repository(about) => name_in_tokens(self.inner.settings.account, about),
            On::Registry(_) => access.name.clone(),
        };
        Ok(Access { actions: granted, name, ..access.clone() })
    }

    /// Policies of a principal, a repository or a registry are others now, or tags that they look at.
    pub fn policies_changed(&self) {
        self.inner.library.changed();
    }

    /// Whether a repository's new policy, by itself, denies this to somebody.
    pub fn would_be_denied(&self, known: &Known, action: &str, repository: &QualifiedName, policy: &Document) -> bool {
        let Ok(principal) = Principal::from_arn(known.arn()) else { return false };
        let about = About { repository: repository.clone(), upstream: None, exists: true };
        let (resource, context) = (self.arn(On::Repository(&about)), Context::new());
        let question = Question::new(&principal, action, &resource, repository.account, &context);
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
        let changes = self.inner.library.changes();
        let same =
            (changes, identity.name(), ask, circumstances.source, circumstances.secure, &circumstances.user_agent);
        if self.inner.allowed.get(&same).is_some() {
            return Ok(());
        }
        self.decide(identity, ask, circumstances).await?;
        self.inner.allowed.insert(&same, ());
        Ok(())
    }

    /// In words, the statement that allows it.
    async fn decide(&self, identity: &Identity, ask: Ask<'_>, circumstances: &Circumstances) -> Result<String, Denied> {
        let (mut is_allowed, mut why) = (false, String::new());
        self.consult(identity, ask, circumstances, |policies, question| {
            let decision = decide(policies, question);
            (is_allowed, why) = (decision.is_allowed(), decision.to_string());
        })
        .await?;
        if is_allowed {
            return Ok(why);
        }
        let principal = match &identity.who {
            Who::Known(known) => Some(known.arn().to_owned()),
            Who::Open { .. } | Who::Anonymous => None,
        };
        Err(Denied::Policy { principal, action: ask.action.to_owned(), resource: self.arn(ask.on), why })
    }

    async fn consult(
        &self,
        identity: &Identity,
        ask: Ask<'_>,
        circumstances: &Circumstances,
        answer: impl FnOnce(&Policies<'_>, &Question<'_>),
    ) -> Result<(), meta::Error> {
        let rights = match &identity.who {
            Who::Known(known) => Some(self.inner.library.rights(known).await?),
            Who::Open { .. } | Who::Anonymous => None,
        };
        let rights = rights.as_deref().unwrap_or_else(|| self.inner.library.nobody());
        let (account, facts) = match ask.on {
            On::Repository(about) => (about.repository.account, self.inner.library.facts(&about.repository).await?),
            On::Registry(account) => (account, Arc::default()),
        };
        let registry = self.inner.library.registry(account).await?;
        let context = context(ask, &facts, circumstances);
        let resource = self.arn(ask.on);
        let question = Question::new(&rights.principal, ask.action, &resource, account, &context);
        let identity: Vec<IdentityPolicy<'_>> =
            rights.policies.iter().map(|(name, document)| IdentityPolicy { name, document }).collect();
        let policies = Policies {
            identity: &identity,
            registry: registry.policy.as_ref(),
            registry_scope: registry.scope,
            repository: facts.policy.as_ref(),
            public: self.inner.public.as_ref(),
            ..Policies::default()
        };
        answer(&policies, &question);
        Ok(())
    }
}

impl Viewer {
    /// Somebody who sees everything.
    pub const fn of_all() -> Self {
        Self(None)
    }

    /// Whether a repository is in the lists that they see.
    pub async fn may_see(&self, about: &About) -> Result<bool, meta::Error> {
        self.may(Ask::new("ecr:DescribeRepositories", On::Repository(about))).await
    }

    /// Whether an image that is not here is brought from upstream for them.
    pub async fn may_import(&self, about: &About, tag: Option<&str>) -> Result<bool, meta::Error> {
        self.may(Ask::new("ecr:BatchImportUpstreamImage", On::Repository(about)).tagged(tag)).await
    }

    async fn may(&self, ask: Ask<'_>) -> Result<bool, meta::Error> {
        let Some((authorizer, identity, circumstances)) = &self.0 else { return Ok(true) };
        match authorizer.ask(identity, ask, circumstances).await {
            Ok(()) => Ok(true),
            Err(Denied::Unavailable(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }
}

fn context<'a>(ask: Ask<'a>, facts: &'a Facts, circumstances: &'a Circumstances) -> Context<'a> {
    let mut context = Context::with_capacity(8 + 2 * facts.tags.len());
    surroundings(&mut context, circumstances);
    for (key, value) in &facts.tags {
        context.add(format!("aws:ResourceTag/{key}"), value.as_str());
        context.add(format!("ecr:ResourceTag/{key}"), value.as_str());
    }
    for (key, values) in ask.said {
        context.add_all(key.as_str(), values.iter().map(String::as_str));
    }
    if let Some(tag) = ask.tag {
        context.add("entrepot:ImageTag", tag);
    }
    if let On::Repository(About { upstream: Some(upstream), .. }) = ask.on {
        context.add("entrepot:Upstream", upstream.as_str());
    }
    context
}

/// The repository's name inside a token: the name that policies decide about, so that a path means the same whichever way an upstream
/// was chosen. Other registries' names carry their account (`111122223333:team/app`); `:` cannot occur in a repository name.
fn name_in_tokens(home: AccountId, about: &About) -> String {
    let QualifiedName { account, name } = &about.repository;
    if *account == home { name.to_string() } else { format!("{account}:{name}") }
}

/// The access that the token lacks. `repository` is the name inside tokens of the action's repository.
fn missing_in_token(identity: &Identity, action: &Action, repository: Option<String>) -> Option<Access> {
    let access = identity.access.as_deref()?;
    let (kind, name, needed) = match (action, repository) {
        (Action::Ping, _) => return None,
        (_, None) => (ResourceType::Registry, "catalog".to_owned(), AccessAction::All),
        (Action::DeleteManifest { .. } | Action::DeleteBlob { .. }, Some(name)) => {
            (ResourceType::Repository, name, AccessAction::Delete)
        }
        (_, Some(name)) => {
            let needed = if action.writes() { AccessAction::Push } else { AccessAction::Pull };
            (ResourceType::Repository, name, needed)
        }
    };
    (!covers(access, kind, &name, needed)).then(|| Access { kind, class: None, name, actions: vec![needed] })
}

/// Clients ask for the repository that they mount from in the same token; one that was not asked for is not read.
fn may_pull_by_token(identity: &Identity, name: &str) -> bool {
    let Some(access) = identity.access.as_deref() else { return true };
    covers(access, ResourceType::Repository, name, AccessAction::Pull)
}

fn covers(access: &[Access], kind: ResourceType, name: &str, needed: AccessAction) -> bool {
    access.iter().any(|given| {
        given.kind == kind
            && given.name == name
            && (given.actions.contains(&needed) || given.actions.contains(&AccessAction::All))
    })
}
