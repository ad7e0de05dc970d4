//! Asks the policies that apply: which those are is the library's to know, which rights an operation needs that of `needs`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::circumstances::{Circumstances, surroundings};
use super::denied::Denied;
use super::iam::{
    Context, Decision, Document, DocumentError, IdentityPolicy, Kind, Moment, Policies, Question, Source, counted,
    decide, decide_assumption, explain,
};
use super::library::{Facts, Library, MAX_DOCUMENT_BYTES, REMEMBERED, RegistryFacts};
use super::needs::{About, Asked, Need, Offer, On, name_in_tokens, of_action, sight};
use super::permit::Permit;
use super::public;
use super::viewer::Viewer;
use crate::auth::{Access, Identity, Known, Recent, Who};
use crate::config::{AuthSettings, RepositorySettings};
use crate::ecr::{repositories_arn, repository_arn};
use crate::iam::ManagedPolicy;
use crate::memory;
use crate::meta::{self, Meta, RepositorySettings as StoredSettings};
use crate::turns::Asker;

/// What mends a registry policy that locks everybody out.
const REGISTRY_POLICY: [&str; 3] = [GET_REGISTRY_POLICY, "ecr:PutRegistryPolicy", "ecr:DeleteRegistryPolicy"];

/// What mends such a policy of a repository. Deleting the repository is not among it: whoever may take the policy away may do so first.
const REPOSITORY_POLICY: [&str; 3] = [GET_REPOSITORY_POLICY, "ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy"];

pub(super) const GET_REGISTRY_POLICY: &str = "ecr:GetRegistryPolicy";
pub(super) const GET_REPOSITORY_POLICY: &str = "ecr:GetRepositoryPolicy";

/// Cheap to clone.
#[derive(Clone)]
pub struct Authorizer {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) library: Library,
    settings: AuthSettings,
    pub(super) public: Option<Document>,
    /// The statement that allowed it a moment ago, in the same circumstances.
    allowed: Recent<Arc<str>>,
}

impl Authorizer {
    /// The error says what cannot be made public.
    pub fn new(settings: AuthSettings, repositories: &[RepositorySettings], meta: Meta) -> Result<Self, DocumentError> {
        let allowed = Recent::new(memory::Kind::Decisions, REMEMBERED, |_, reason: &Arc<str>| reason.len());
        let public = public::document(repositories, settings.account)?;
        let inner = Inner { library: Library::new(meta), public, allowed, settings };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The name that policies compare.
    pub fn arn(&self, on: On<'_>) -> String {
        match on {
            On::Registry(_) => "*".to_owned(),
            On::Repository(About { repository, .. }) => {
                repository_arn(&self.inner.settings.region, &repository.account, &repository.name).to_string()
            }
            On::Below(below) => repositories_arn(&self.inner.settings.region, &below.account, &below.prefix),
            On::Principal(subject) | On::Assumed(subject) => subject.arn.clone(),
        }
    }

    /// Asks for all that the request needs. The token's access is checked last, so that a caller whom policies deny is not sent to fetch a
    /// wider token.
    pub async fn authorize<A: Asked>(
        &self,
        identity: Identity,
        mut asked: A,
        circumstances: &Circumstances,
    ) -> Result<Permit<A>, Denied> {
        let asker = asker(&identity, circumstances);
        if let Who::Open { push } = identity.who {
            if asked.is_write() && !push {
                let needs = asked.needs();
                let action = needs.first().map_or("writing", |need| need.action).to_owned();
                return Err(Denied::Listener(action));
            }
            return Ok(Permit { identity, asked, viewer: Viewer::of_all(), because: Arc::default(), asker });
        }
        if let Some(layer) = &identity.layer
            && asked.layer().as_ref() != Some(&**layer)
        {
            return Err(Denied::OtherLayer);
        }
        let mut because: Option<Arc<str>> = None;
        for need in asked.needs() {
            let allowed = self.ask(&identity, &need, circumstances).await?;
            because.get_or_insert(allowed);
        }
        let home = self.inner.settings.account;
        let accesses = asked.access(home);
        if let Some(missing) = accesses.first().filter(|_| !accesses.iter().any(|access| is_carried(&identity, access)))
        {
            return Err(Denied::Token(missing.clone()));
        }
        let is_given = match asked.offer(home) {
            Some(offer) => self.is_given(&identity, offer, circumstances).await?,
            None => false,
        };
        if !is_given {
            asked.decline();
        }
        let viewer = Viewer::new(self.clone(), identity.clone(), circumstances.clone());
        Ok(Permit { identity, asked, viewer, because: because.unwrap_or_default(), asker })
    }

    async fn is_given(
        &self,
        identity: &Identity,
        offer: Offer<'_>,
        circumstances: &Circumstances,
    ) -> Result<bool, meta::Error> {
        if !is_carried(identity, &offer.access) {
            return Ok(false);
        }
        for need in &offer.needs {
            if !self.is_allowed(identity, need, circumstances).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The part of the access that a token is asked for that it may carry, to this repository.
    pub async fn grant(
        &self,
        identity: &Identity,
        access: &Access,
        about: &About,
        circumstances: &Circumstances,
    ) -> Result<Access, meta::Error> {
        let mut actions = Vec::new();
        for action in &access.actions {
            let mut is_allowed = true;
            for need in of_action(*action, about) {
                is_allowed &= self.is_allowed(identity, &need, circumstances).await?;
            }
            if is_allowed {
                actions.push(*action);
            }
        }
        Ok(Access { actions, name: name_in_tokens(self.inner.settings.account, about), ..access.clone() })
    }

    /// Policies of a principal, a repository or a registry are others now, or tags that they look at.
    pub fn policies_changed(&self) {
        self.inner.library.changed();
    }

    /// Whether a repository's new policy, by itself, denies this to somebody in the same circumstances.
    pub(super) async fn would_be_denied(
        &self,
        known: &Known,
        action: &str,
        about: &About,
        policy: &Document,
        circumstances: &Circumstances,
    ) -> Result<bool, meta::Error> {
        let library = &self.inner.library;
        let (rights, facts) = (library.rights(known).await?, library.facts(&about.repository).await?);
        let need = Need::new(action, On::Repository(about));
        let (context, resource) = (context(&need, &facts, circumstances), self.arn(need.on));
        let question = Question::new(&rights.principal, action, &resource, about.repository.account, &context);
        let policies = Policies { repository: Some(policy), ..Policies::default() };
        Ok(matches!(decide(&policies, &question), Decision::Denied { .. }))
    }

    /// The statement that decides, and what became of the others: for people.
    pub async fn explain(
        &self,
        identity: &Identity,
        need: &Need<'_>,
        circumstances: &Circumstances,
    ) -> Result<serde_json::Value, meta::Error> {
        let mut explanation = serde_json::Value::Null;
        self.consult(identity, (need, need.action, None), circumstances, |policies, question| {
            let explained = explain(policies, question);
            explanation = serde_json::json!({ "decision": explained.decision, "statements": explained.statements, "text": explained.to_string() });
        })
        .await?;
        Ok(explanation)
    }

    pub(super) async fn is_allowed(
        &self,
        identity: &Identity,
        need: &Need<'_>,
        circumstances: &Circumstances,
    ) -> Result<bool, meta::Error> {
        match self.ask(identity, need, circumstances).await {
            Ok(_) => Ok(true),
            Err(Denied::Unavailable(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// In words, the statement that allows it.
    pub(super) async fn ask(
        &self,
        identity: &Identity,
        need: &Need<'_>,
        circumstances: &Circumstances,
    ) -> Result<Arc<str>, Denied> {
        let changes = self.inner.library.changes();
        let row = match &identity.who {
            Who::Known(known) => Some((known.row().id, &known.row().tags)),
            Who::Open { .. } | Who::Anonymous => None,
        };
        let Circumstances { source, secure, user_agent, .. } = circumstances;
        let same = (changes, identity.name(), row, identity.issued_at, need, source, secure, user_agent);
        if let Some(because) = self.inner.allowed.get(&same) {
            return Ok(because);
        }
        let because = match self.decide(identity, need, need.action, circumstances).await {
            Err(denied @ Denied::Policy { .. }) => match need.or {
                Some(other) => self.decide(identity, need, other, circumstances).await.map_err(|_| denied)?,
                None => return Err(denied),
            },
            decided => decided?,
        };
        self.inner.allowed.insert(&same, because.clone());
        Ok(because)
    }

    async fn decide(
        &self,
        identity: &Identity,
        need: &Need<'_>,
        action: &str,
        circumstances: &Circumstances,
    ) -> Result<Arc<str>, Denied> {
        let mut decided = None;
        self.consult(identity, (need, action, None), circumstances, |policies, question| {
            let decision = match need.on {
                On::Assumed(_) => decide_assumption(policies, question),
                On::Registry(_) | On::Repository(_) | On::Below(_) | On::Principal(_) => decide(policies, question),
            };
            let told = if decision.is_allowed() { String::new() } else { told(policies, question, &decision) };
            decided = Some((decision.is_allowed(), decision.to_string(), told));
        })
        .await?;
        let (is_allowed, why, told) = decided.unwrap_or_default();
        if is_allowed {
            return Ok(why.into());
        }
        let principal = match &identity.who {
            Who::Known(known) => Some(known.arn().to_owned()),
            Who::Open { .. } | Who::Anonymous => None,
        };
        Err(Denied::Policy { principal, action: action.to_owned(), resource: self.arn(need.on), why, told })
    }

    /// Whether a repository is in the lists that somebody sees, whose row was just read, and what that cost. Nobody is told why not.
    pub(super) async fn sees(
        &self,
        identity: &Identity,
        about: &About,
        settings: &StoredSettings,
        circumstances: &Circumstances,
    ) -> Result<(bool, u64), meta::Error> {
        let (need, facts) = (sight(about), self.inner.library.facts_of(about, settings));
        let mut seen = (false, 0);
        self.consult(identity, (&need, need.action, Some(facts)), circumstances, |policies, question| {
            seen = counted(|| decide(policies, question).is_allowed());
        })
        .await?;
        Ok(seen)
    }

    /// What is not known of the repository is read.
    async fn consult(
        &self,
        identity: &Identity,
        (need, action, known): (&Need<'_>, &str, Option<Arc<Facts>>),
        circumstances: &Circumstances,
        answer: impl FnOnce(&Policies<'_>, &Question<'_>),
    ) -> Result<(), meta::Error> {
        let library = &self.inner.library;
        let rights = match &identity.who {
            Who::Known(known) => Some(library.rights(known).await?),
            Who::Open { .. } | Who::Anonymous => None,
        };
        let rights = rights.as_deref().unwrap_or_else(|| library.nobody());
        let (mut facts, mut registry, mut trust) = (Arc::<Facts>::default(), None::<Arc<RegistryFacts>>, None);
        let account = match need.on {
            On::Repository(about) => {
                facts = match known {
                    Some(facts) => facts,
                    None => library.facts(&about.repository).await?,
                };
                registry = Some(library.registry(about.repository.account).await?);
                about.repository.account
            }
            On::Registry(account) => {
                registry = Some(library.registry(account).await?);
                account
            }
            On::Below(below) => {
                registry = Some(library.registry(below.account).await?);
                below.account
            }
            On::Principal(subject) => subject.account,
            On::Assumed(subject) => {
                trust = subject.trust.as_deref().and_then(|text| trust_policy(text, &subject.arn));
                subject.account
            }
        };
        let mut context = context(need, &facts, circumstances);
        if let Some(issued_at) = identity.issued_at {
            let seconds = u64::try_from(issued_at.seconds()).unwrap_or_default();
            context.add("aws:TokenIssueTime", Moment::from(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)));
        }
        let resource = self.arn(need.on);
        let question = match need.on {
            On::Below(_) => {
                Question::new(&rights.principal, action, resource.trim_end_matches('*'), account, &context).about_many()
            }
            _ => Question::new(&rights.principal, action, &resource, account, &context),
        };
        debug_assert!(question.has_known_keys_only(), "a key that policies may not name: {context:?}");
        let identities: Vec<IdentityPolicy<'_>> =
            rights.policies.iter().map(|(name, document)| IdentityPolicy { name, document }).collect();
        // Neither policy can keep administrators of its account from mending it.
        let is_administrator = rights.policies.iter().any(|(name, _)| name == ManagedPolicy::Administrator.name())
            && matches!(&identity.who, Who::Known(known) if known.row().account == account);
        let mends = |actions: &[&str]| is_administrator && actions.contains(&action);
        let resource_policies = match &registry {
            Some(registry) => Policies {
                registry: registry.policy.as_ref().filter(|_| !mends(&REGISTRY_POLICY)),
                registry_scope: registry.scope,
                repository: facts.policy.as_ref().filter(|_| !mends(&REPOSITORY_POLICY)),
                public: self.inner.public.as_ref(),
                ..Policies::default()
            },
            None => Policies { trust: trust.as_ref(), ..Policies::default() },
        };
        answer(&Policies { identity: &identities, ..resource_policies }, &question);
        Ok(())
    }
}

/// A user or role takes its turns from wherever it comes, all its sessions together; others are known by their address.
fn asker(identity: &Identity, circumstances: &Circumstances) -> Asker {
    match (&identity.who, circumstances.source) {
        (Who::Known(_), _) => Asker::principal(&identity.client()),
        (Who::Open { .. } | Who::Anonymous, Some(source)) => Asker::address(source),
        (Who::Open { .. } | Who::Anonymous, None) => Asker::work("requests from nowhere"),
    }
}

/// As whoever asks learns why not. What the policies of a registry, a repository or a role say is told to those who may read them; to others
/// the refusal is the same whether there are such policies, or such a repository, or not.
fn told(policies: &Policies<'_>, question: &Question<'_>, decision: &Decision<'_>) -> String {
    let reading = match decision {
        Decision::Denied { by } if by.source == Source::Registry => question.other(GET_REGISTRY_POLICY, "*"),
        _ => question.other(GET_REPOSITORY_POLICY, question.resource()),
    };
    if policies.trust.is_none() && decide(policies, &reading).is_allowed() {
        return decision.to_string();
    }
    let own = Policies { registry: None, repository: None, public: None, trust: None, ..*policies };
    let own = if policies.trust.is_some() { decide_assumption(&own, question) } else { decide(&own, question) };
    if own.is_allowed() { "denied by the policy of what it is about".to_owned() } else { own.to_string() }
}

/// Whether a bearer token carries the access; other credentials carry all that their principal may do.
fn is_carried(identity: &Identity, needed: &Access) -> bool {
    use crate::auth::AccessAction::All;
    let Some(carried) = identity.access.as_deref() else { return true };
    carried.iter().any(|given| {
        let carries = |action| given.actions.contains(action) || given.actions.contains(&All);
        given.kind == needed.kind && given.name == needed.name && needed.actions.iter().all(carries)
    })
}

fn trust_policy(text: &str, role: &str) -> Option<Document> {
    match Document::parse(Kind::Trust, text, MAX_DOCUMENT_BYTES) {
        Ok(document) => Some(document),
        Err(error) => {
            tracing::error!(%error, role, "a trust policy cannot be read: nobody may assume the role");
            None
        }
    }
}

/// All that conditions can look at.
fn context<'a>(need: &'a Need<'_>, facts: &'a Facts, circumstances: &'a Circumstances) -> Context<'a> {
    let mut context = Context::with_capacity(8 + 2 * facts.tags.len() + need.said.len());
    surroundings(&mut context, circumstances);
    for (key, values) in &need.said {
        context.add_all(key.as_str(), values.iter().map(String::as_str));
    }
    if let Some(tag) = need.tag {
        context.add("entrepot:ImageTag", tag);
    }
    match need.on {
        On::Registry(_) | On::Below(_) => {}
        On::Repository(about) => {
            resource_tags(&mut context, "ecr", facts.tags.iter().map(|(key, value)| (key, value)));
            if let Some(upstream) = &about.upstream {
                context.add("entrepot:Upstream", upstream.as_str());
            }
        }
        On::Principal(subject) | On::Assumed(subject) => resource_tags(&mut context, "iam", &subject.tags),
    }
    context
}

/// Adds the tags of what is asked about, under both names that AWS has for them.
pub(super) fn resource_tags<'a>(
    context: &mut Context<'a>,
    service: &str,
    tags: impl IntoIterator<Item = (&'a String, &'a String)>,
) {
    for (key, value) in tags {
        context.add(format!("aws:ResourceTag/{key}"), value.as_str());
        context.add(format!("{service}:ResourceTag/{key}"), value.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Means;
    use crate::meta::{NewPrincipal, PrincipalKind};

    /// Whoever may assume a role names its sessions: they are one asker.
    #[tokio::test]
    async fn a09_sessions_of_a_role_are_one_asker() {
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta::open(&folder.path().join("x.db")).await.unwrap();
        let account = "000000000000".parse().unwrap();
        let role = |name: &str| NewPrincipal {
            account,
            kind: PrincipalKind::Role,
            name: name.to_owned(),
            declared: false,
            tags: Default::default(),
        };
        let of = async |name: &str, session: &str, means| {
            let id = meta.put_principal(&role(name), 1).await.unwrap();
            let row = meta.principal_by_id(id).await.unwrap().unwrap();
            let identity = Identity::known(Arc::new(Known::in_role(row, session)), means);
            let circumstances =
                Circumstances { source: None, secure: false, user_agent: None, now: SystemTime::UNIX_EPOCH };
            asker(&identity, &circumstances)
        };
        let first = of("ci", "a", Means::Session).await;
        assert_eq!(first, of("ci", "b", Means::AuthorizationToken).await);
        assert_ne!(first, of("other", "a", Means::Session).await);
    }
}
