//! Who a request comes from.

use std::sync::Arc;

use super::directory::Known;
use super::proof::Access;

#[derive(Clone, Debug)]
pub struct Identity {
    pub who: Who,
    pub means: Means,
    /// What the token that was shown is for; `None` is everything that its principal may do.
    pub access: Option<Arc<[Access]>>,
}

#[derive(Clone, Debug)]
pub enum Who {
    /// Whoever reaches an open listener; with `push`, one for those who may push.
    Open {
        push: bool,
    },
    /// Somebody who showed nothing.
    Anonymous,
    Known(Arc<Known>),
}

/// How it was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    Nothing,
    Signature,
    AuthorizationToken,
    Password,
    BearerToken,
    RefreshToken,
    IdToken,
    Certificate,
}

impl Identity {
    pub const fn open(push: bool) -> Self {
        Self { who: Who::Open { push }, means: Means::Nothing, access: None }
    }

    pub const fn anonymous() -> Self {
        Self { who: Who::Anonymous, means: Means::Nothing, access: None }
    }

    pub const fn known(known: Arc<Known>, means: Means) -> Self {
        Self { who: Who::Known(known), means, access: None }
    }

    /// How it is called in histories and logs.
    pub fn name(&self) -> &str {
        match &self.who {
            Who::Open { push: true } => "pusher",
            Who::Open { push: false } | Who::Anonymous => "anonymous",
            Who::Known(known) => known.arn(),
        }
    }
}

impl Means {
    /// Whether it is good until somebody takes it back. What ends by itself gives nothing that lasts: no refresh token.
    pub const fn is_lasting(self) -> bool {
        match self {
            Self::Password | Self::RefreshToken => true,
            Self::Nothing
            | Self::Signature
            | Self::AuthorizationToken
            | Self::BearerToken
            | Self::IdToken
            | Self::Certificate => false,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Signature => "signature",
            Self::AuthorizationToken => "authorization-token",
            Self::Password => "password",
            Self::BearerToken => "bearer-token",
            Self::RefreshToken => "refresh-token",
            Self::IdToken => "id-token",
            Self::Certificate => "certificate",
        }
    }
}
