//! The right to do one thing once.

use std::sync::Arc;

use super::viewer::Viewer;
use crate::auth::Identity;
use crate::turns::Asker;

/// Only this room makes one.
pub struct Permit<A> {
    pub(super) identity: Identity,
    pub(super) asked: A,
    pub(super) viewer: Viewer,
    pub(super) because: Arc<str>,
    pub(super) asker: Asker,
}

impl<A> Permit<A> {
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn asked(&self) -> &A {
        &self.asked
    }

    /// In words, the statement that allowed it.
    pub const fn because(&self) -> &Arc<str> {
        &self.because
    }

    /// In whose turn it is carried out, where others wait as well.
    pub const fn asker(&self) -> Asker {
        self.asker
    }

    /// What it is for, whom it is for, and what they may see of lists.
    pub fn into_parts(self) -> (A, Identity, Viewer) {
        (self.asked, self.identity, self.viewer)
    }
}
