//! Temporary credentials: who asks gets a key of their own session, or of a role.
//!
//! Nothing is stored: the session token carries the secret, sealed, and whose grace it was given by. A session ends at its time, when its
//! role is revoked or gone, and when whoever assumed the role is revoked or gone.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::authenticator::{Authenticator, Refused, now};
use super::directory::Known;
use super::identity::{Identity, Who};
use super::proof::{
    AssumedRole, AttemptSource, Principal, PrincipalError, TemporaryCredentials, TokenError, TooManyAttempts,
    ends_in_hash, issue_session,
};
use crate::meta;

/// Credentials and whose they are.
#[derive(Debug)]
pub struct Session {
    pub credentials: TemporaryCredentials,
    pub known: Arc<Known>,
}

/// Why no session is given.
#[derive(Debug, thiserror::Error)]
pub enum NotGiven {
    #[error("there is no such role, or nobody is known who asks for it")]
    Nobody,
    #[error(
        "the session name {0} ends in a dash and 16 hexadecimal digits, as names do in this role that are taken from ID tokens and certificates: \
         choose another"
    )]
    Name(String),
    #[error(transparent)]
    Principal(#[from] PrincipalError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the database cannot be asked now: no credentials are given that would outlast that")]
    Away,
    #[error(transparent)]
    Meta(#[from] meta::Error),
}

impl Authenticator {
    /// A session of the one who asks.
    pub fn own_session(&self, identity: &Identity, lifetime: Duration) -> Result<Session, NotGiven> {
        let Who::Known(known) = &identity.who else { return Err(NotGiven::Nobody) };
        let principal = identity.in_tokens().ok_or(NotGiven::Nobody)??;
        let lifetime = identity.no_longer_than(lifetime, now());
        self.session(known.clone(), &principal, lifetime)
    }

    /// A session of a role, for somebody who may assume it: it ends no later than what they show.
    pub async fn role_session(
        &self,
        by: &Identity,
        role_arn: &str,
        session: &str,
        lifetime: Duration,
    ) -> Result<Session, NotGiven> {
        if self.inner.ruled.contains(role_arn) && ends_in_hash(session) {
            return Err(NotGiven::Name(session.to_owned()));
        }
        let lender = by.in_tokens().ok_or(NotGiven::Nobody)??;
        let known = self.inner.directory.in_role(role_arn, session).await?.ok_or(NotGiven::Nobody)?;
        let mut lenders = lender.lenders().to_vec();
        // A role may be assumed again and again by its own sessions: once in the list is enough.
        let this = (lender.id().to_owned(), lender.epoch());
        if !lenders.contains(&this) {
            lenders.push(this);
        }
        let principal = known.in_tokens()?.lent_by(lenders)?;
        let lifetime = by.no_longer_than(lifetime, now());
        self.session(known, &principal, lifetime)
    }

    /// The role that an ID token assumes, by the rules of the configuration. `TooMany` is for wrong ones only.
    pub async fn role_of_id_token(&self, token: &str, source: IpAddr) -> Result<AssumedRole, Refused> {
        let why = match self.inner.issuers.assume(token, now()).await {
            Some(Ok(assumed)) => return Ok(assumed),
            Some(Err(why)) => why,
            None => "the ID token is of no issuer that is believed here".to_owned(),
        };
        let (source, now) = (AttemptSource::from(source), Instant::now());
        self.inner.wrong_id_tokens.check(source, now).map_err(TooManyAttempts::of_address)?;
        self.inner.wrong_id_tokens.failed(source, now);
        Err(Refused::Wrong(why))
    }

    /// A session of the role that an ID token assumes.
    pub async fn web_session(&self, assumed: &AssumedRole, lifetime: Duration) -> Result<Session, NotGiven> {
        let known = self.inner.directory.in_role(&assumed.role_arn, &assumed.session_name).await?;
        let known = known.ok_or(NotGiven::Nobody)?;
        let principal = known.in_tokens()?;
        self.session(known, &principal, lifetime)
    }

    fn session(&self, known: Arc<Known>, principal: &Principal, lifetime: Duration) -> Result<Session, NotGiven> {
        if !self.may_give_for_long() {
            return Err(NotGiven::Away);
        }
        let role = known.role().map(|(arn, _)| arn);
        let credentials = issue_session(&self.inner.keyring, principal, role.as_deref(), now(), lifetime)?;
        Ok(Session { credentials, known })
    }
}
