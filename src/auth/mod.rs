//! Who is asking.
//!
//! There are no names yet: a client is known only by the listener that it reached. Credentials that dockerd and kubelet send
//! because they know the original registry by another name are neither needed nor looked at (CLIENTS: moby#30880), so they can
//! be neither logged nor forwarded.
//!
//! *Never* here: what anyone may do.

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    Anonymous,
    /// Whoever reaches a listener that is only for those who may push.
    Pusher,
}

impl Identity {
    /// Whether it may make repositories of one's own.
    pub const fn may_push(&self) -> bool {
        matches!(self, Self::Pusher)
    }

    /// How it is called in histories and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Pusher => "pusher",
        }
    }
}

/// Says who asks, by the listener that was reached: `push` is its setting. Whatever `Authorization` a request carries is
/// ignored: it is meant for another registry.
pub fn authenticate(push: bool) -> Identity {
    if push { Identity::Pusher } else { Identity::Anonymous }
}
