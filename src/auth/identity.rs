//! Who a request comes from.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::directory::Known;
use super::proof::{Access, LayerPlace, Principal, PrincipalError, UnixTime};

#[derive(Clone, Debug)]
pub struct Identity {
    pub who: Who,
    pub means: Means,
    /// What the token that was shown is for; `None` is everything that its principal may do.
    pub access: Option<Arc<[Access]>>,
    /// The one thing that it may read, where that is all that it was proven for.
    pub layer: Option<Arc<LayerPlace>>,
    /// Where it was proven by something that ends. Nothing that is given for it outlasts it.
    pub lease: Option<Arc<Lease>>,
    /// When the token or the session was given that was shown, or what it was exchanged for.
    pub issued_at: Option<UnixTime>,
}

/// How long a credential is good for, and by whose grace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub ends: UnixTime,
    /// As [`Principal::lenders`].
    pub lenders: Vec<(String, u64)>,
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
    /// A signature with the key of a session.
    Session,
    AuthorizationToken,
    Password,
    BearerToken,
    RefreshToken,
    IdToken,
    Certificate,
    /// A signature in the URL of a layer.
    SignedUrl,
}

impl Identity {
    pub const fn open(push: bool) -> Self {
        Self { who: Who::Open { push }, means: Means::Nothing, access: None, layer: None, lease: None, issued_at: None }
    }

    pub const fn anonymous() -> Self {
        Self { who: Who::Anonymous, means: Means::Nothing, access: None, layer: None, lease: None, issued_at: None }
    }

    pub const fn known(known: Arc<Known>, means: Means) -> Self {
        Self { who: Who::Known(known), means, access: None, layer: None, lease: None, issued_at: None }
    }

    /// Bytes that it points to, about.
    pub(super) fn bytes(&self) -> usize {
        let known = if let Who::Known(known) = &self.who { known.bytes() } else { 0 };
        let access = self.access.iter().flat_map(|all| all.iter()).map(Access::bytes).sum::<usize>();
        let lenders = self.lease.iter().flat_map(|lease| &lease.lenders);
        let lenders = lenders.map(|(arn, _)| size_of::<(String, u64)>() + arn.len()).sum::<usize>();
        let layer = self.layer.as_ref().map_or(0, |layer| layer.bytes());
        known + access + lenders + layer
    }

    pub(super) fn leased(mut self, ends: UnixTime, lenders: &[(String, u64)]) -> Self {
        self.lease = Some(Arc::new(Lease { ends, lenders: lenders.to_vec() }));
        self
    }

    /// By a token of this time, or of that of what it was exchanged for.
    pub(super) fn issued(self, at: UnixTime, to: &Principal) -> Self {
        Self { issued_at: Some(to.since().map_or(at, |since| since.min(at))), ..self }
    }

    /// As tokens carry it; `None` for nobody.
    pub(super) fn in_tokens(&self) -> Option<Result<Principal, PrincipalError>> {
        let Who::Known(known) = &self.who else { return None };
        let lenders = self.lease.as_ref().map(|lease| lease.lenders.clone()).unwrap_or_default();
        Some(known.in_tokens().and_then(|principal| principal.proven(self.issued_at).lent_by(lenders)))
    }

    /// No later than the credential itself.
    pub(super) fn no_longer_than(&self, lifetime: Duration, now: UnixTime) -> Duration {
        self.lease.as_ref().map_or(lifetime, |lease| lifetime.min(lease.ends.since(now)))
    }

    /// The user, or the role whichever of its sessions it is: whoever may assume it names these as they like.
    pub fn client(&self) -> Cow<'_, str> {
        match &self.who {
            Who::Known(known) => known.role().map_or_else(|| known.arn().into(), |(role, _)| role.into()),
            Who::Open { .. } | Who::Anonymous => self.name().into(),
        }
    }

    /// How it is called in histories and logs.
    pub fn name(&self) -> &str {
        match &self.who {
            Who::Open { .. } | Who::Anonymous => "anonymous",
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
            | Self::Session
            | Self::AuthorizationToken
            | Self::BearerToken
            | Self::IdToken
            | Self::Certificate
            | Self::SignedUrl => false,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Signature => "signature",
            Self::Session => "session",
            Self::AuthorizationToken => "authorization-token",
            Self::Password => "password",
            Self::BearerToken => "bearer-token",
            Self::RefreshToken => "refresh-token",
            Self::IdToken => "id-token",
            Self::Certificate => "certificate",
            Self::SignedUrl => "signed-url",
        }
    }
}
