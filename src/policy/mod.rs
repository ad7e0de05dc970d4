//! May they?
//!
//! The answer is a [`Permit`], which only this room can make and which the registry asks for. Everyone may read; that writing to
//! a pull-through name is impossible is the registry's answer, not a question of rights.
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not allowed on this listener; to allow it, set `push = true` in its `[[listen]]`")]
pub struct Denied(&'static str);

impl Permit {
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn into_action(self) -> Action {
        self.action
    }
}

/// Decides. Pure.
pub fn authorize(identity: Identity, action: Action) -> Result<Permit, Denied> {
    match identity {
        Identity::Anonymous if action.writes() => Err(Denied(action.iam_name().unwrap_or("writing"))),
        Identity::Anonymous | Identity::Pusher => Ok(Permit { identity, action }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{Page, RequestedName};

    #[test]
    fn who_may_not_push_may_read() {
        let name = RequestedName { path: "a".parse().unwrap(), namespace: None, host: None };
        let read = Action::ListTags { name: name.clone(), page: Page::default() };
        let write = Action::DeleteBlob { name, digest: crate::oci::Digest::of(b"") };
        assert!(authorize(Identity::Anonymous, read.clone()).is_ok());
        assert!(authorize(Identity::Pusher, read).is_ok());
        assert_eq!(authorize(Identity::Anonymous, write.clone()).unwrap_err(), Denied("ecr:BatchDeleteImage"));
        assert!(authorize(Identity::Pusher, write).is_ok());
    }
}
