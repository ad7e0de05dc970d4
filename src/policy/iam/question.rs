//! May this principal do this to that, in this context?
//!
//! The keys that follow from the asker (`aws:PrincipalArn` and its like) are taken from the [`Principal`] before the context is looked
//! at, so that nothing a client sent can stand in for them.

use std::borrow::Cow;

use super::context::{Context, Value};
use super::keys::{self, Standing};
use super::principal::Principal;
use crate::oci::AccountId;

#[derive(Clone, Debug)]
pub struct Question<'a> {
    principal: &'a Principal,
    /// In lower case.
    action: Cow<'a, str>,
    resource: &'a str,
    /// It is about every resource whose name begins with `resource` and goes on.
    many: bool,
    resource_account: AccountId,
    context: &'a Context<'a>,
}

/// Keys that tell of the resource, or begin those that do: of many that are not there yet nobody knows their values.
const OF_THE_RESOURCE: [&str; 3] = ["aws:resourcetag/", "ecr:resourcetag/", "entrepot:upstream"];

/// The values of one key.
#[derive(Clone, Debug)]
pub(super) enum Found<'q> {
    Held(&'q [Value<'q>]),
    Made([Value<'q>; 1]),
}

impl<'a> Question<'a> {
    /// `action` as `ecr:PutImage`; `resource` is an ARN, or `*` for an action that has no resource; `resource_account` is the account
    /// of the registry.
    pub fn new(
        principal: &'a Principal,
        action: &'a str,
        resource: &'a str,
        resource_account: AccountId,
        context: &'a Context<'a>,
    ) -> Self {
        let upper = action.bytes().any(|byte| byte.is_ascii_uppercase());
        let action = if upper { action.to_ascii_lowercase().into() } else { Cow::Borrowed(action) };
        Self { principal, action, resource, many: false, resource_account, context }
    }

    /// The same question about every resource whose name begins with the text of `resource` and goes on, whether it is there or not. It is
    /// allowed when it would be for each of them, as far as that can be told: an Allow counts that covers them all by itself, and a Deny that
    /// is about any. A condition on what only the resource could tell is no help for an Allow, and holds for a Deny.
    pub fn about_many(self) -> Self {
        Self { many: true, ..self }
    }

    pub(super) fn is_about_many(&self) -> bool {
        self.many
    }

    /// Whether nobody can know the values of the key. `key` is in lower case.
    pub(super) fn is_unknown(&self, key: &str) -> bool {
        self.many && OF_THE_RESOURCE.iter().any(|begin| key.starts_with(begin))
    }

    /// Another question of the same principal, of the same account's, in the same context.
    pub fn other(&self, action: &'a str, resource: &'a str) -> Self {
        Self::new(self.principal, action, resource, self.resource_account, self.context)
    }

    /// Whether documents may name every key that there is a value for.
    pub fn has_known_keys_only(&self) -> bool {
        let mut keys = self.principal.facts().keys().chain(self.context.keys());
        keys.all(|key| keys::standing(key) == Standing::OfRequests)
    }

    pub fn principal(&self) -> &'a Principal {
        self.principal
    }

    pub fn action(&self) -> &str {
        &self.action
    }

    pub fn resource(&self) -> &'a str {
        self.resource
    }

    pub fn resource_account(&self) -> AccountId {
        self.resource_account
    }

    /// `key` is in lower case. None and no values are the same.
    pub(super) fn values(&self, key: &str) -> Found<'_> {
        if let Some(values) = self.principal.facts().values(key) {
            return Found::Held(values);
        }
        if key == "aws:resourceaccount" {
            return Found::Made([Value::Text(self.resource_account.to_string().into())]);
        }
        Found::Held(self.context.values(key).unwrap_or_default())
    }
}

impl<'q> Found<'q> {
    pub fn as_slice(&self) -> &[Value<'q>] {
        match self {
            Self::Held(values) => values,
            Self::Made(value) => value,
        }
    }
}
