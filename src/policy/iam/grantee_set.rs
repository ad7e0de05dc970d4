//! The principals of a statement.
//!
//! `"*"` and `{"AWS": "*"}` are everyone, signed in or not. Anything else is compared whole: a wildcard inside a name is refused, as
//! AWS refuses it.

use super::arn::{Entity, Iam};
use super::document::Kind;
use super::error::{DocumentError, Refusal};
use super::json::{Node, Place};
use super::principal::{Principal, PrincipalKind};
use crate::oci::AccountId;

#[derive(Clone, Debug, Default)]
pub(super) struct GranteeSet {
    /// `NotPrincipal`: everyone but these.
    negated: bool,
    everyone: bool,
    accounts: Vec<AccountId>,
    arns: Vec<Box<str>>,
    services: Vec<Box<str>>,
    providers: Vec<Box<str>>,
    /// ARNs of users and roles that nobody can have here.
    nobodys: Vec<Box<str>>,
}

/// By which name a statement means the asker. The order is by worth: an Allow to an account only lets that account's own policies
/// decide, one to a role is still bound by the session's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Named {
    Account,
    Role,
    Directly,
}

impl GranteeSet {
    pub fn parse(node: &Node, place: &Place<'_>, negated: bool) -> Result<Self, DocumentError> {
        let mut set = Self { negated, ..Self::default() };
        if let Node::Text(text) = node {
            if text != "*" {
                return Err(place.refuse(Refusal::WrongType {
                    found: "a string",
                    wanted: "\"*\" or an object such as {\"AWS\": \"111122223333\"}",
                }));
            }
            set.everyone = true;
            return Ok(set);
        }
        let members = node.known_members(place, &["AWS", "Service", "Federated"])?;
        if members.is_empty() {
            return Err(place.refuse(Refusal::Empty("principal")));
        }
        for (kind, node) in members {
            node.each(&place.member(kind), "principal", &mut |node, place| {
                let name = node.text(place)?;
                set.add(kind, name).map_err(|reason| place.refuse(reason))
            })?;
        }
        set.accounts.sort_unstable();
        for names in [&mut set.arns, &mut set.services, &mut set.providers] {
            names.sort_unstable();
        }
        Ok(set)
    }

    /// The best name by which the statement means the asker; none where it does not. `limited` says that the asker has a permissions
    /// boundary.
    pub fn naming(&self, principal: &Principal, limited: bool) -> Option<Named> {
        if !self.negated {
            return self.listing(principal);
        }
        // AWS checks the account, then the role, then the session, and spares nobody who has a permissions boundary.
        if !limited && self.lists_wholly(principal) { None } else { Some(Named::Directly) }
    }

    /// ARNs of another partition, or with a path: there are none here. Whoever is listed by one is spared, where they are to be denied.
    pub fn nobodys(&self) -> impl Iterator<Item = &str> {
        self.nobodys.iter().filter(|_| !self.negated).map(|arn| &**arn)
    }

    fn add(&mut self, kind: &str, name: &str) -> Result<(), Refusal> {
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '*' | '?');
        match kind {
            "AWS" if name == "*" => self.everyone = true,
            "AWS" => match (name.parse(), Iam::parse(name)) {
                (Ok(account), _) | (_, Some(Iam { account, entity: Entity::Root, .. })) => self.accounts.push(account),
                (_, Some(iam)) => {
                    if iam.partition != "aws" || iam.has_path {
                        self.nobodys.push(name.into());
                    }
                    self.arns.push(name.into());
                }
                _ if name.contains(['*', '?']) => return Err(Refusal::PrincipalWildcard(name.to_owned())),
                _ => return Err(Refusal::Principal(name.to_owned())),
            },
            "Service" if name.contains('.') && name.chars().all(plain) => self.services.push(name.into()),
            "Service" => return Err(Refusal::Service(name.to_owned())),
            _ if name.contains(['.', ':']) && name.chars().all(plain) => self.providers.push(name.into()),
            _ => return Err(Refusal::Provider(name.to_owned())),
        }
        Ok(())
    }

    fn listing(&self, principal: &Principal) -> Option<Named> {
        if self.everyone || self.lists_itself(principal) {
            Some(Named::Directly)
        } else if principal.role().is_some_and(|role| lists(&self.arns, role)) {
            Some(Named::Role)
        } else if self.lists_account(principal) {
            Some(Named::Account)
        } else {
            None
        }
    }

    fn lists_wholly(&self, principal: &Principal) -> bool {
        self.everyone
            || (self.lists_itself(principal)
                && principal.role().is_none_or(|role| lists(&self.arns, role))
                && (principal.account().is_none() || self.lists_account(principal)))
    }

    fn lists_itself(&self, principal: &Principal) -> bool {
        match principal.kind() {
            PrincipalKind::Root => self.lists_account(principal),
            PrincipalKind::User | PrincipalKind::RoleSession | PrincipalKind::FederatedUser => {
                lists(&self.arns, principal.name())
            }
            PrincipalKind::Service => lists(&self.services, principal.name()),
            PrincipalKind::Federated => lists(&self.providers, principal.name()),
            PrincipalKind::Anonymous => false,
        }
    }

    fn lists_account(&self, principal: &Principal) -> bool {
        principal.account().is_some_and(|account| self.accounts.binary_search(&account).is_ok())
    }
}

/// Whether a document of this kind says whom it is about.
pub(super) fn wanted_by(kind: Kind) -> bool {
    kind != Kind::Identity
}

fn lists(names: &[Box<str>], name: &str) -> bool {
    names.binary_search_by(|listed| (**listed).cmp(name)).is_ok()
}
