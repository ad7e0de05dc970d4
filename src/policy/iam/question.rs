//! May this principal do this to that, in this context?
//!
//! The keys that follow from the asker (`aws:PrincipalArn` and its like) are taken from the [`Principal`] before the context is looked
//! at, so that nothing a client sent can stand in for them.

use std::borrow::Cow;

use super::context::{Context, Value};
use super::principal::Principal;
use crate::oci::AccountId;

#[derive(Clone, Debug)]
pub struct Question<'a> {
    principal: &'a Principal,
    /// In lower case.
    action: Cow<'a, str>,
    resource: &'a str,
    resource_account: AccountId,
    context: &'a Context<'a>,
}

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
        Self { principal, action, resource, resource_account, context }
    }

    /// Another question of the same principal, of the same account's, in the same context.
    pub fn other(&self, action: &'a str, resource: &'a str) -> Self {
        Self::new(self.principal, action, resource, self.resource_account, self.context)
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
