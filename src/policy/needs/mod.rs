//! What an operation needs: the rights that policies must give for it, as values.
//!
//! One file for each API says so, as a table that its tests repeat row by row. The [`Authorizer`](super::Authorizer) asks the policies for
//! each of the needs; a permit is made when all of them are given.
//!
//! *Never* here: IO, async, which policies apply, or what they say.

mod data;
mod ecr;
mod iam;
mod template;
#[cfg(test)]
mod tests;
mod token;

use std::collections::BTreeMap;

pub use self::data::{OciRequest, deleted_tag, import, sight};
pub use self::ecr::EcrRequest;
pub use self::iam::IamRequest;
pub use self::template::given;
pub use self::token::{name_in_tokens, of_action, of_registry};
use crate::auth::{Access, LayerPlace};
use crate::ecr::{Prefix, Said};
use crate::oci::{AccountId, QualifiedName};

/// The repository of a request, by the name that policies know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct About {
    pub repository: QualifiedName,
    /// The upstream that it belongs to.
    pub upstream: Option<String>,
    /// Whether there is such a repository; an upstream's is taken to be there.
    pub exists: bool,
}

/// The repositories that a creation template is for, most of which are not there yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Below {
    /// Of the registry.
    pub account: AccountId,
    pub prefix: Prefix,
}

/// A user or role, as policies know it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    pub arn: String,
    /// The account that it belongs to.
    pub account: AccountId,
    pub tags: BTreeMap<String, String>,
    /// The trust policy of a role that is there, unread.
    pub trust: Option<String>,
}

/// The object of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum On<'a> {
    /// The registry of this account.
    Registry(AccountId),
    Repository(&'a About),
    /// Each repository whose name the prefix claims, there or not.
    Below(&'a Below),
    /// A user or role, of which only the caller's own policies speak.
    Principal(&'a Subject),
    /// A role to be assumed: its trust policy must allow it as well.
    Assumed(&'a Subject),
}

/// One right: an action on an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Need<'a> {
    /// As `ecr:PutImage`.
    pub action: &'a str,
    /// An action that does as well.
    pub or: Option<&'a str>,
    pub on: On<'a>,
    /// The tag of an image.
    pub tag: Option<&'a str>,
    /// Condition keys that the request itself has values for.
    pub said: Vec<Said>,
}

/// Rights to what is only offered: where one is missing, the request is carried out without the offer.
#[derive(Clone, Debug)]
pub struct Offer<'a> {
    pub needs: Vec<Need<'a>>,
    /// Access that a bearer token must carry.
    pub access: Access,
}

/// An operation that is asked for.
pub trait Asked {
    /// All of them must be given.
    fn needs(&self) -> Vec<Need<'_>>;

    /// Whether it changes something.
    fn is_write(&self) -> bool;

    /// The change that the audit log has a record of, if it is allowed; without an object it is about its caller.
    fn change(&self) -> Option<(&str, Option<On<'_>>)>;

    /// What of the object, for the record: a tag, the name of a policy, the id of a key.
    fn detail(&self) -> Option<String> {
        None
    }

    /// The access that a bearer token must carry, if the client shows one; any of these will do. Names of repositories outside the
    /// registry of `home` carry their account.
    fn access(&self, home: AccountId) -> Vec<Access> {
        let _ = home;
        Vec::new()
    }

    /// The layer that it reads, if it does nothing else.
    fn layer(&self) -> Option<LayerPlace> {
        None
    }

    fn offer(&self, home: AccountId) -> Option<Offer<'_>> {
        let _ = home;
        None
    }

    /// Takes the offer out of the request.
    fn decline(&mut self) {}
}

impl<'a> Need<'a> {
    pub const fn new(action: &'a str, on: On<'a>) -> Self {
        Self { action, or: None, on, tag: None, said: Vec::new() }
    }

    pub fn tagged(self, tag: Option<&'a str>) -> Self {
        Self { tag, ..self }
    }

    fn or(self, other: &'a str) -> Self {
        Self { or: Some(other), ..self }
    }

    fn said(self, said: Vec<Said>) -> Self {
        Self { said, ..self }
    }
}
