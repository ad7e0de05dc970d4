//! Asking about things that are no repositories: users and roles, which only policies of identities speak of, and the assuming of roles.

use super::authorizer::{Authorizer, Viewer};
use super::circumstances::{Circumstances, surroundings};
use super::denied::Denied;
use super::iam::{Context, Document, IdentityPolicy, Kind, Policies, Question, decide, decide_assumption};
use super::permit::Permit;
use crate::auth::{Identity, Who};
use crate::oci::AccountId;

/// One action on one thing.
#[derive(Clone, Copy, Debug)]
pub struct ResourceAsk<'a> {
    /// As `iam:CreateUser`.
    pub action: &'a str,
    /// Its ARN.
    pub arn: &'a str,
    /// Whose it is.
    pub account: AccountId,
    /// Keys that conditions can look at besides the circumstances, each with its values.
    pub context: &'a [(String, Vec<String>)],
}

/// Bytes of a policy that is kept.
const MAX_POLICY_BYTES: usize = 64 << 10;

impl Authorizer {
    /// May they do this to that? Without an ask nothing is needed but that it is known who they are.
    pub async fn authorize_on<A>(
        &self,
        identity: Identity,
        action: A,
        ask: Option<ResourceAsk<'_>>,
        circumstances: &Circumstances,
    ) -> Result<Permit<A>, Denied> {
        let because = match ask {
            Some(ask) => self.decide_on(&identity, ask, Side::Identity, circumstances).await?,
            None => String::new(),
        };
        let viewer = Viewer(Some((self.clone(), identity.clone(), circumstances.clone())));
        Ok(Permit { identity, action, viewer, because })
    }

    /// May they assume the role, which has this trust policy?
    pub async fn authorize_assumption<A>(
        &self,
        identity: Identity,
        action: A,
        ask: ResourceAsk<'_>,
        trust: Option<&str>,
        circumstances: &Circumstances,
    ) -> Result<Permit<A>, Denied> {
        let trust = trust.and_then(|text| match Document::parse(Kind::Trust, text, MAX_POLICY_BYTES) {
            Ok(document) => Some(document),
            Err(error) => {
                tracing::error!(%error, role = ask.arn, "a trust policy cannot be read: nobody may assume the role");
                None
            }
        });
        let because = self.decide_on(&identity, ask, Side::Both(trust.as_ref()), circumstances).await?;
        let viewer = Viewer(Some((self.clone(), identity.clone(), circumstances.clone())));
        Ok(Permit { identity, action, viewer, because })
    }

    /// Users, roles, or what they may do are others now.
    pub fn principals_changed(&self) {
        self.inner.library.changed();
    }

    async fn decide_on(
        &self,
        identity: &Identity,
        ask: ResourceAsk<'_>,
        side: Side<'_>,
        circumstances: &Circumstances,
    ) -> Result<String, Denied> {
        let (principal, why) = match &identity.who {
            Who::Open { .. } | Who::Anonymous => (None, "nobody is known who asks".to_owned()),
            Who::Known(known) => {
                let rights = self.inner.library.rights(known).await?;
                let mut context = Context::with_capacity(8 + ask.context.len());
                surroundings(&mut context, circumstances);
                for (key, values) in ask.context {
                    context.add_all(key.as_str(), values.iter().map(String::as_str));
                }
                let question = Question::new(&rights.principal, ask.action, ask.arn, ask.account, &context);
                let own: Vec<IdentityPolicy<'_>> =
                    rights.policies.iter().map(|(name, document)| IdentityPolicy { name, document }).collect();
                let policies = Policies { identity: &own, ..Policies::default() };
                let decision = match side {
                    Side::Identity => decide(&policies, &question),
                    Side::Both(trust) => decide_assumption(&Policies { trust, ..policies }, &question),
                };
                if decision.is_allowed() {
                    return Ok(decision.to_string());
                }
                (Some(known.arn().to_owned()), decision.to_string())
            }
        };
        Err(Denied::Policy { principal, action: ask.action.to_owned(), resource: ask.arn.to_owned(), why })
    }
}

/// Whose policies must allow it.
enum Side<'a> {
    Identity,
    Both(Option<&'a Document>),
}
