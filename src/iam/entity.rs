//! Users and roles, as their names say.

use super::name::EntityName;
use crate::oci::AccountId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntityKind {
    User,
    Role,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entity {
    pub kind: EntityKind,
    pub name: EntityName,
}

impl EntityKind {
    /// As ARNs have it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Role => "role",
        }
    }

    /// As elements and parameters are called.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Role => "Role",
        }
    }
}

impl Entity {
    pub const fn user(name: EntityName) -> Self {
        Self { kind: EntityKind::User, name }
    }

    pub const fn role(name: EntityName) -> Self {
        Self { kind: EntityKind::Role, name }
    }

    pub fn arn(&self, account: AccountId) -> String {
        format!("arn:aws:iam::{account}:{}/{}", self.kind.word(), self.name)
    }
}
