//! The right to do one thing once.

use super::authorizer::Viewer;
use crate::auth::Identity;

/// Only this room makes one.
pub struct Permit<A> {
    pub(super) identity: Identity,
    pub(super) action: A,
    pub(super) viewer: Viewer,
    pub(super) because: String,
}

impl<A> Permit<A> {
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn action(&self) -> &A {
        &self.action
    }

    /// The statement that allowed it, where that was asked for.
    pub fn because(&self) -> &str {
        &self.because
    }

    /// What it is for, whom it is for, and what they may see of lists.
    pub fn into_parts(self) -> (A, Identity, Viewer) {
        (self.action, self.identity, self.viewer)
    }
}
