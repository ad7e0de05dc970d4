//! May they?
//!
//! The answer is a [`Permit`], which only this room can make and which the registry asks for. The open mirror permits
//! everyone to read; that writing to a pull-through name is impossible is the registry's answer, not a question of rights.
//!
//! *Never* here: IO, or how an identity was proven.

use crate::action::Action;
use crate::auth::Identity;

/// The right to do one thing once.
#[derive(Debug)]
pub struct Permit {
    identity: Identity,
    action: Action,
}

impl Permit {
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn into_action(self) -> Action {
        self.action
    }
}

/// Decides. Pure.
pub fn authorize(identity: Identity, action: Action) -> Permit {
    Permit { identity, action }
}
