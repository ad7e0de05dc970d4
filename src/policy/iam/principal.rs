//! Who asks, as policies see them.
//!
//! A principal has names from the widest to the narrowest: its account, the role it assumed, itself. A policy may name any of them,
//! and what a name is worth differs (see `evaluate`). The condition keys that follow from the principal are made here once.

use super::arn;
use super::context::Context;
use crate::oci::AccountId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// The account itself.
    Root,
    User,
    /// Temporary credentials of a role.
    RoleSession,
    /// Temporary credentials that a user fetched for somebody else.
    FederatedUser,
    Service,
    /// Somebody that an identity provider vouches for and who has no account.
    Federated,
    Anonymous,
}

#[derive(Clone, Debug)]
pub struct Principal {
    kind: PrincipalKind,
    account: Option<AccountId>,
    /// The ARN; of a service and an identity provider its domain name; of nobody nothing.
    name: Box<str>,
    role: Option<Box<str>>,
    facts: Context<'static>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalError {
    #[error(
        "{0:?} is no ARN of an account's root, a user, a role session or a federated user; write one such as \"arn:aws:iam::111122223333:user/name\""
    )]
    Arn(String),
    #[error("{0:?} is no ARN of a role; write one such as \"arn:aws:iam::111122223333:role/name\"")]
    Role(String),
    #[error("{0:?} is no session name; write 1 to 64 characters without a slash, colon or wildcard")]
    Session(String),
}

const MAX_SESSION_CHARS: usize = 64;

impl Principal {
    pub fn anonymous() -> Self {
        Self::build(PrincipalKind::Anonymous, None, "", None).fact("aws:PrincipalType", "Anonymous")
    }

    /// `name` as `codebuild.amazonaws.com`.
    pub fn service(name: &str) -> Self {
        Self::build(PrincipalKind::Service, None, name, None)
            .fact("aws:PrincipalIsAWSService", "true")
            .fact("aws:PrincipalServiceName", name)
    }

    /// Somebody known only to an identity provider, which is a domain name or an ARN.
    pub fn federated(provider: &str) -> Self {
        Self::build(PrincipalKind::Federated, None, provider, None).fact("aws:FederatedProvider", provider)
    }

    /// A user, an account's root, a federated user, or a role session whose role has no path.
    pub fn from_arn(text: &str) -> Result<Self, PrincipalError> {
        let refused = || PrincipalError::Arn(text.to_owned());
        let parsed = arn::Iam::parse(text).ok_or_else(refused)?;
        let account = parsed.account;
        Ok(match parsed.entity {
            arn::Entity::Root => Self::member(PrincipalKind::Root, account, text, "Account"),
            arn::Entity::User(name) => {
                Self::member(PrincipalKind::User, account, text, "User").fact("aws:username", name)
            }
            arn::Entity::FederatedUser => Self::member(PrincipalKind::FederatedUser, account, text, "FederatedUser"),
            arn::Entity::Session { role, .. } => {
                let role = format!("arn:{}:iam::{account}:role/{role}", parsed.partition);
                Self::of_session(account, text, &role)
            }
            arn::Entity::Role(_) => return Err(refused()),
        })
    }

    /// A session of a role. The session's ARN leaves out the role's path, so the role's own ARN is needed.
    pub fn session(role: &str, session: &str) -> Result<Self, PrincipalError> {
        let plain = |c: char| !matches!(c, '/' | ':' | '*' | '?') && !c.is_whitespace() && !c.is_control();
        if session.is_empty() || session.chars().count() > MAX_SESSION_CHARS || !session.chars().all(plain) {
            return Err(PrincipalError::Session(session.to_owned()));
        }
        match arn::Iam::parse(role) {
            Some(arn::Iam { partition, account, entity: arn::Entity::Role(name), .. }) => {
                let name = format!("arn:{partition}:sts::{account}:assumed-role/{name}/{session}");
                Ok(Self::of_session(account, &name, role))
            }
            _ => Err(PrincipalError::Role(role.to_owned())),
        }
    }

    /// Adds a tag, which conditions see as `aws:PrincipalTag/K`.
    pub fn with_tag(self, key: &str, value: &str) -> Self {
        self.fact(&format!("aws:PrincipalTag/{key}"), value)
    }

    pub fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// None for those outside any account: services, people of an identity provider, and anonymous askers.
    pub fn account(&self) -> Option<AccountId> {
        self.account
    }

    /// The ARN, or a domain name, or nothing for anonymous askers.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ARN of the role that a session is of.
    pub fn role(&self) -> Option<&str> {
        self.role.as_deref()
    }

    pub(super) fn facts(&self) -> &Context<'static> {
        &self.facts
    }

    fn of_session(account: AccountId, name: &str, role: &str) -> Self {
        let session = Self::build(PrincipalKind::RoleSession, Some(account), name, Some(role));
        session.fact("aws:PrincipalArn", role).account_facts(account, "AssumedRole")
    }

    fn member(kind: PrincipalKind, account: AccountId, name: &str, type_name: &'static str) -> Self {
        Self::build(kind, Some(account), name, None).fact("aws:PrincipalArn", name).account_facts(account, type_name)
    }

    fn account_facts(self, account: AccountId, type_name: &'static str) -> Self {
        self.fact("aws:PrincipalAccount", &account.to_string())
            .fact("aws:PrincipalType", type_name)
            .fact("aws:PrincipalIsAWSService", "false")
    }

    fn build(kind: PrincipalKind, account: Option<AccountId>, name: &str, role: Option<&str>) -> Self {
        Self { kind, account, name: name.into(), role: role.map(Into::into), facts: Context::new() }
    }

    fn fact(mut self, key: &str, value: &str) -> Self {
        self.facts.add(key.to_owned(), value.to_owned());
        self
    }
}
