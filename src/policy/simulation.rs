//! What somebody might do: the same decision, of a question that nobody asked.

use std::sync::Arc;

use super::authorizer::{Authorizer, resource_tags};
use super::iam::{Context, Decision, IdentityPolicy, Outcome, Policies, Question, Source, decide, explain};
use super::needs::About;
use super::viewer::Viewer;
use crate::auth::Known;
use crate::meta;
use crate::oci::QualifiedName;

/// What would be decided, and by which statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulated {
    pub is_allowed: bool,
    /// A statement says Deny.
    pub is_denied: bool,
    /// The first of them.
    pub matched: Vec<Statement>,
}

/// A statement that is about the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The name of the principal's policy; `None` is the policy of the repository or the registry.
    pub policy: Option<String>,
    /// Counts from 0.
    pub index: usize,
    pub sid: Option<String>,
}

/// Statements that a result names.
const MAX_MATCHED: usize = 20;

impl Authorizer {
    /// `context` holds all that conditions see. Of what is no repository of the principal's account only the principal's own policies
    /// speak: what another account's say is not for them to learn. What the policies of a repository or the registry say is told to a viewer who
    /// may read them; to others as much as the principal would learn from a refusal.
    pub async fn simulate(
        &self,
        viewer: &Viewer,
        known: &Known,
        action: &str,
        resource: &str,
        context: &Context<'_>,
    ) -> Result<Simulated, meta::Error> {
        let library = &self.inner.library;
        let rights = library.rights(known).await?;
        let account = resource.split(':').nth(4).and_then(|account| account.parse().ok());
        let account = account.unwrap_or(known.row().account);
        let is_own = account == known.row().account;
        let repository = repository(resource).filter(|_| is_own);
        let facts = match &repository {
            Some(name) => library.facts(name).await?,
            None => Arc::default(),
        };
        let registry = match (&repository, resource) {
            (None, resource) if resource != "*" || !is_own => None,
            _ => Some(library.registry(account).await?),
        };
        let mut context = context.clone();
        resource_tags(&mut context, "ecr", facts.tags.iter().map(|(key, value)| (key, value)));
        let question = Question::new(&rights.principal, action, resource, account, &context);
        let own: Vec<IdentityPolicy<'_>> =
            rights.policies.iter().map(|(name, document)| IdentityPolicy { name, document }).collect();
        let policies = Policies {
            identity: &own,
            registry: registry.as_ref().and_then(|registry| registry.policy.as_ref()),
            registry_scope: registry.as_ref().map(|registry| registry.scope).unwrap_or_default(),
            repository: facts.policy.as_ref(),
            public: self.inner.public.as_ref(),
            ..Policies::default()
        };
        let explained = explain(&policies, &question);
        let about = repository.map(|repository| {
            let upstream = facts.upstream.clone();
            About { repository, upstream, exists: facts.exists }
        });
        let reads_repository = match &about {
            Some(about) => viewer.may_read_policy(about).await?,
            None => false,
        };
        let reads_registry = registry.is_some() && viewer.may_read_registry_policy(account).await?;
        let is_told = |source: Source<'_>| match source {
            Source::Registry => reads_registry,
            Source::Repository | Source::Configuration => reads_repository,
            Source::Identity(_) | Source::Boundary | Source::Session | Source::Trust => true,
        };
        let decision = match explained.decision {
            Decision::Denied { by } if !is_told(by.source) => {
                let own = decide(&Policies { identity: &own, ..Policies::default() }, &question);
                if own.is_allowed() { explained.decision } else { own }
            }
            decision => decision,
        };
        let is_about =
            |outcome: &Outcome| matches!(outcome, Outcome::Matched | Outcome::MatchedRole | Outcome::MatchedAccount);
        let matched = explained.statements.iter().filter(|examined| is_about(&examined.outcome));
        let matched = matched.filter(|examined| is_told(examined.statement.source)).take(MAX_MATCHED).map(|examined| {
            let source = examined.statement.source;
            Statement {
                policy: source.identity().map(str::to_owned),
                index: examined.statement.statement,
                sid: examined.statement.sid.map(str::to_owned),
            }
        });
        Ok(Simulated {
            is_allowed: decision.is_allowed(),
            is_denied: matches!(decision, Decision::Denied { .. }),
            matched: matched.collect(),
        })
    }
}

/// The repository of this ARN, whatever the partition and the region.
fn repository(arn: &str) -> Option<QualifiedName> {
    let mut parts = arn.splitn(6, ':');
    let (Some("arn"), Some(partition), Some("ecr")) = (parts.next(), parts.next(), parts.next()) else { return None };
    let (_, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let name = resource.strip_prefix("repository/").filter(|_| partition.starts_with("aws"))?;
    Some(QualifiedName::new(account.parse().ok()?, name.parse().ok()?))
}
