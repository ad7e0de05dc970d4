//! The decision (AWS's policy evaluation logic for one account and for two).
//!
//! A matching Deny anywhere ends it. Then, by who asks:
//!
//! - The root user of the owning account may do everything.
//! - Within the account one Allow is enough: of an identity policy, or of the repository's or registry's policy. What an identity
//!   policy allows must also be allowed by the permissions boundary and the session policy, where there are such. What a resource's
//!   policy allows to a role must too; what it allows to a user, to a session by its own ARN or to everyone need not. What it allows to
//!   the account only lets the account's identity policies decide.
//! - From another account both sides must allow: the identity's within its limits, and the repository's or registry's, by any name.
//! - What the configuration makes public is allowed to everybody, of whatever account.
//! - Who has no account (anonymous askers, services, people of an identity provider) needs only the resource's side.
//!
//! `ecr:GetAuthorizationToken` has no resource whose policy could speak, so only the identity's side counts, its denials included.
//!
//! Assuming a role takes both sides in any case ([`decide_assumption`]): the asker's policies, and the role's trust policy.
//!
//! A document in the wrong place errs on the safe side: without a principal its Deny is for everyone and its Allow for nobody.

use std::ops::ControlFlow;

use super::decision::{Citation, Decision, Grant, Missing, Source};
use super::document::Document;
use super::grantee_set::Named;
use super::principal::PrincipalKind;
use super::question::Question;
use super::statement::{Effect, Miss, Statement};
use super::work;

/// All policies that apply to a question.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policies<'a> {
    /// Of the asker, in its own account.
    pub identity: &'a [IdentityPolicy<'a>],
    /// Limits what identity policies allow.
    pub boundary: Option<&'a Document>,
    /// Limits what a session may do of what its role may.
    pub session: Option<&'a Document>,
    pub registry: Option<&'a Document>,
    pub registry_scope: RegistryScope,
    pub repository: Option<&'a Document>,
    /// What everybody may do, whichever account they are of.
    pub public: Option<&'a Document>,
    /// Of the role that is asked for.
    pub trust: Option<&'a Document>,
}

#[derive(Clone, Copy, Debug)]
pub struct IdentityPolicy<'a> {
    pub name: &'a str,
    pub document: &'a Document,
}

/// The account setting `REGISTRY_POLICY_SCOPE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RegistryScope {
    /// The registry policy counts only for replication, pull-through and creation on push.
    V1,
    #[default]
    V2,
}

/// What one statement said.
#[derive(Clone, Copy, Debug)]
pub(super) enum Heard<'a> {
    Matched(Named),
    Missed(Miss<'a>),
    /// The document does not count for this action.
    NotAsked,
}

/// Nothing is allowed that is not decided: what was not compared may have been a Deny.
pub(super) const TOO_MUCH: Decision<'static> = Decision::NotAllowed { missing: Missing::Patience };

/// In lower case.
const IDENTITY_ONLY: &str = "ecr:getauthorizationtoken";
const REGISTRY_V1: [&str; 3] = ["ecr:batchimportupstreamimage", "ecr:createrepository", "ecr:replicateimage"];

pub fn decide<'a>(policies: &Policies<'a>, question: &Question<'_>) -> Decision<'a> {
    count(policies, question).map_or(TOO_MUCH, |tally| tally.decision(policies, question))
}

/// May the asker assume the role that the question is about? What its trust policy allows to anybody is worth nothing without an Allow of
/// the asker's own, even within an account: whoever writes trust policies gives no rights by that alone.
pub fn decide_assumption<'a>(policies: &Policies<'a>, question: &Question<'_>) -> Decision<'a> {
    count(policies, question).map_or(TOO_MUCH, |tally| tally.assumption(policies))
}

fn count<'a>(policies: &Policies<'a>, question: &Question<'_>) -> Option<Tally<'a>> {
    let mut tally = Tally::default();
    let _ = work::bounded(|| {
        hear(policies, question, |citation, statement, heard| {
            tally.count(citation, statement, heard);
            if tally.denied.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    })?;
    Some(tally)
}

/// Asks every statement that applies, in a fixed order, until `tell` has heard enough.
pub(super) fn hear<'a>(
    policies: &Policies<'a>,
    question: &Question<'_>,
    mut tell: impl FnMut(Citation<'a>, &'a Statement, Heard<'a>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let limited = policies.boundary.is_some();
    let identity = policies.identity.iter().map(|policy| (Source::Identity(policy.name), policy.document));
    let others = [
        (Source::Boundary, policies.boundary),
        (Source::Session, policies.session),
        (Source::Registry, policies.registry),
        (Source::Repository, policies.repository),
        (Source::Configuration, policies.public),
        (Source::Trust, policies.trust),
    ];
    let others = others.into_iter().filter_map(|(source, document)| Some((source, document?)));
    for (source, document) in identity.chain(others) {
        let counts = counts(source, policies.registry_scope, question);
        for (index, statement) in document.statements().iter().enumerate() {
            let citation = Citation { source, statement: index, sid: statement.sid() };
            let heard = if counts { ask(source, statement, question, limited) } else { Heard::NotAsked };
            tell(citation, statement, heard)?;
        }
    }
    ControlFlow::Continue(())
}

fn ask<'a>(source: Source<'_>, statement: &'a Statement, question: &Question<'_>, limited: bool) -> Heard<'a> {
    match statement.examine(question, limited) {
        Ok(_) if source.is_resource() && !statement.names_grantees() && statement.effect() == Effect::Allow => {
            Heard::Missed(Miss::Principal)
        }
        Ok(named) => Heard::Matched(named),
        Err(miss) => Heard::Missed(miss),
    }
}

fn counts(source: Source<'_>, scope: RegistryScope, question: &Question<'_>) -> bool {
    match (source, scope) {
        (Source::Identity(_) | Source::Boundary | Source::Session | Source::Trust, _) => true,
        (source, _) if source.is_resource() && question.action() == IDENTITY_ONLY => false,
        (Source::Registry, RegistryScope::V1) => REGISTRY_V1.contains(&question.action()),
        (Source::Registry, RegistryScope::V2) | (Source::Repository | Source::Configuration, _) => true,
    }
}

/// The first matching statement of each sort.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally<'a> {
    denied: Option<Citation<'a>>,
    identity: Option<Citation<'a>>,
    boundary: Option<Citation<'a>>,
    session: Option<Citation<'a>>,
    direct: Option<Citation<'a>>,
    to_role: Option<Citation<'a>>,
    to_account: Option<Citation<'a>>,
    public: Option<Citation<'a>>,
}

impl<'a> Tally<'a> {
    pub fn count(&mut self, citation: Citation<'a>, statement: &Statement, heard: Heard<'_>) {
        let Heard::Matched(named) = heard else { return };
        let slot = match (statement.effect(), citation.source, named) {
            (Effect::Deny, _, _) => &mut self.denied,
            (Effect::Allow, Source::Identity(_), _) => &mut self.identity,
            (Effect::Allow, Source::Boundary, _) => &mut self.boundary,
            (Effect::Allow, Source::Session, _) => &mut self.session,
            (Effect::Allow, Source::Configuration, _) => &mut self.public,
            (Effect::Allow, Source::Registry | Source::Repository | Source::Trust, Named::Directly) => &mut self.direct,
            (Effect::Allow, Source::Registry | Source::Repository | Source::Trust, Named::Role) => &mut self.to_role,
            (Effect::Allow, Source::Registry | Source::Repository | Source::Trust, Named::Account) => {
                &mut self.to_account
            }
        };
        slot.get_or_insert(citation);
    }

    pub fn decision(&self, policies: &Policies<'_>, question: &Question<'_>) -> Decision<'a> {
        if let Some(by) = self.denied {
            return Decision::Denied { by };
        }
        if let Some(by) = self.public {
            return Decision::Allowed { by: Grant::Resource(by) };
        }
        let granted = match question.principal().account() {
            Some(account) if question.action() == IDENTITY_ONLY || account == question.resource_account() => {
                self.within_account(policies, question)
            }
            Some(_) => self.across_accounts(policies, question),
            None if question.action() == IDENTITY_ONLY => Err(Missing::Identity),
            None => self.direct.map(Grant::Resource).ok_or(Missing::Resource),
        };
        match granted {
            Ok(by) => Decision::Allowed { by },
            Err(missing) => Decision::NotAllowed { missing },
        }
    }

    fn assumption(&self, policies: &Policies<'_>) -> Decision<'a> {
        if let Some(by) = self.denied {
            return Decision::Denied { by };
        }
        let granted = match (self.identity, self.direct.or(self.to_role).or(self.to_account)) {
            // Who may assume nothing does not learn which roles there are.
            (None, _) => Err(Missing::Identity),
            (Some(_), None) => Err(Missing::Trust),
            (Some(identity), Some(resource)) => self.limits(policies).map(|()| Grant::Both { identity, resource }),
        };
        match granted {
            Ok(by) => Decision::Allowed { by },
            Err(missing) => Decision::NotAllowed { missing },
        }
    }

    fn within_account(&self, policies: &Policies<'_>, question: &Question<'_>) -> Result<Grant<'a>, Missing> {
        if question.principal().kind() == PrincipalKind::Root {
            return Ok(Grant::RootUser);
        }
        let limits = self.limits(policies);
        if let Some(by) = self.direct {
            return Ok(Grant::Resource(by));
        }
        match (self.to_role, self.identity) {
            (Some(by), _) if limits.is_ok() => Ok(Grant::Resource(by)),
            (_, Some(by)) => limits.map(|()| Grant::Identity(by)),
            (Some(by), None) => limits.map(|()| Grant::Resource(by)),
            (None, None) if self.to_account.is_some() || question.action() == IDENTITY_ONLY => Err(Missing::Identity),
            (None, None) => Err(Missing::Either),
        }
    }

    fn across_accounts(&self, policies: &Policies<'_>, question: &Question<'_>) -> Result<Grant<'a>, Missing> {
        let resource = self.direct.or(self.to_role).or(self.to_account);
        if question.principal().kind() == PrincipalKind::Root {
            return resource.map(Grant::Resource).ok_or(Missing::Resource);
        }
        match (self.identity, resource) {
            (Some(identity), Some(resource)) => self.limits(policies).map(|()| Grant::Both { identity, resource }),
            (Some(_), None) => Err(Missing::Resource),
            (None, Some(_)) => Err(Missing::Identity),
            (None, None) => Err(Missing::Both),
        }
    }

    fn limits(&self, policies: &Policies<'_>) -> Result<(), Missing> {
        if policies.boundary.is_some() && self.boundary.is_none() {
            return Err(Missing::Boundary);
        }
        if policies.session.is_some() && self.session.is_none() {
            return Err(Missing::Session);
        }
        Ok(())
    }
}
