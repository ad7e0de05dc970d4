//! STS's operations: who one is, and credentials that end.

use std::net::IpAddr;
use std::time::Duration;

use super::api::{Api, not_authorized};
use super::describe::{LONGEST_SESSION, unique_id};
use super::error::Error;
use crate::auth::{AssumedRole, Identity, Known, Means, Refused, Session, Who};
use crate::iam::{CallerIdentity, Code, Entity, Fault, Output, RoleArn, Sensitive, SessionCredentials, SessionName};

/// A session of a role that assumes another gets no more (AWS calls it role chaining).
const LONGEST_CHAINED: u32 = 60 * 60;

impl Api {
    pub(super) fn caller_identity(&self, identity: &Identity) -> Output {
        let Who::Known(known) = &identity.who else { return Output::Done };
        Output::CallerIdentity(CallerIdentity {
            arn: known.arn().to_owned(),
            id: session_id(known),
            account: known.row().account,
        })
    }

    /// For a key that lasts: a session could otherwise be made longer for ever.
    pub(super) fn session_token(&self, identity: &Identity, seconds: u32) -> Result<Output, Error> {
        if identity.means != Means::Signature {
            return Err(Error::SessionOfSession);
        }
        let session = self.authenticator.own_session(identity, lifetime(seconds)).map_err(Error::Session)?;
        Ok(Output::SessionToken(credentials(session)))
    }

    pub(super) async fn assume_role(
        &self,
        identity: &Identity,
        role: &RoleArn,
        session: &SessionName,
        seconds: u32,
    ) -> Result<Output, Error> {
        let row = self.accounts.find(role.account, &Entity::role(role.name.clone())).await?;
        within(seconds, row.longest_session_s.unwrap_or(LONGEST_SESSION), "the MaxSessionDuration set for this role")?;
        if matches!(&identity.who, Who::Known(known) if known.role().is_some()) {
            within(seconds, LONGEST_CHAINED, "the 1 hour session limit for roles assumed by role chaining")?;
        }
        let (arn, lifetime) = (role.to_string(), lifetime(seconds));
        let session = self.authenticator.role_session(identity, &arn, session.as_str(), lifetime).await;
        Ok(assumed(session.map_err(Error::Session)?))
    }

    /// What the rules of the configuration give whoever shows the ID token, if it is accepted.
    pub async fn role_of_id_token(&self, token: &Sensitive, source: IpAddr) -> Result<AssumedRole, Fault> {
        let found = self.authenticator.role_of_id_token(token.expose(), source).await;
        found.map_err(|refused| match refused {
            Refused::Wrong(why) => Fault::new(Code::InvalidIdentityToken, why),
            Refused::TooMany(wait) => Fault::new(Code::Throttling, wait.to_string()),
            Refused::Unavailable(error) => Error::Meta(error).fault(),
        })
    }

    /// Nobody signs this: the ID token says who it is, and the rules of the configuration say what they get. The session has the name that
    /// the rule takes from the token, whatever the client asks for: policies name sessions.
    pub async fn assume_role_with_web_identity(
        &self,
        found: &AssumedRole,
        role: &RoleArn,
        seconds: u32,
    ) -> Result<(Output, String), Fault> {
        if found.role_arn != role.to_string() {
            let why =
                "Not authorized to perform sts:AssumeRoleWithWebIdentity: the rules give the ID token another role";
            return Err(not_authorized(why.to_owned()));
        }
        let row = self.accounts.find(role.account, &Entity::role(role.name.clone())).await;
        let longest = row.map_err(|error| error.fault())?.longest_session_s.unwrap_or(LONGEST_SESSION);
        let most = "the MaxSessionDuration set for this role";
        within(seconds, longest, most).map_err(|error| error.fault())?;
        let session = self.authenticator.web_session(found, lifetime(seconds)).await;
        let session = session.map_err(|error| Error::Session(error).fault())?;
        let arn = session.known.arn().to_owned();
        Ok((assumed(session), arn))
    }
}

fn within(seconds: u32, most: u32, limit: &str) -> Result<(), Error> {
    if seconds <= most {
        Ok(())
    } else {
        Err(Error::TooLong(format!("The requested DurationSeconds exceeds {limit}: ask for at most {most}")))
    }
}

fn lifetime(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

fn assumed(session: Session) -> Output {
    let (id, arn) = (session_id(&session.known), session.known.arn().to_owned());
    Output::AssumedRole { credentials: credentials(session), id, arn }
}

/// `AROA…:session`, or the user's own id.
fn session_id(known: &Known) -> String {
    let id = unique_id(known.row());
    match known.role() {
        Some((_, session)) => format!("{id}:{session}"),
        None => id,
    }
}

fn credentials(session: Session) -> SessionCredentials {
    let given = session.credentials;
    SessionCredentials {
        access_key_id: given.access_key.id,
        secret: Sensitive::new(given.access_key.secret),
        session_token: Sensitive::new(given.session_token),
        expires_at_ms: given.expires_at.seconds().saturating_mul(1000),
    }
}
