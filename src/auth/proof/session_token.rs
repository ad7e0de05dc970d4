//! Temporary credentials, as `AssumeRole` hands out: an access key id, its secret, and a session token.
//!
//! The secret travels sealed inside the session token, bound to the access key id, so nothing is stored: whoever verifies a
//! signature opens the token that the request carries and takes the secret from it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::access_key::{AccessKey, AccessKeyKind};
use super::expiring::{self, TokenError};
use super::keyring::{Keyring, Purpose};
use super::principal::Principal;
use super::sealed::SealedError;
use super::unix_time::UnixTime;

/// What the client gets.
#[derive(Clone, PartialEq, Eq)]
pub struct TemporaryCredentials {
    pub access_key: AccessKey,
    pub session_token: String,
    pub expires_at: UnixTime,
}

/// What the session token says.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    pub principal: Principal,
    /// The ARN of the role that was assumed; none for a plain session of a user.
    pub role: Option<String>,
    /// What the requests of this session are signed with.
    pub secret: String,
    pub issued_at: UnixTime,
    pub expires_at: UnixTime,
}

#[derive(Serialize, Deserialize)]
struct Inside {
    #[serde(flatten)]
    principal: Principal,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(rename = "s")]
    secret: String,
}

pub fn issue_session(
    ring: &Keyring,
    principal: &Principal,
    role: Option<&str>,
    now: UnixTime,
    duration: Duration,
) -> Result<TemporaryCredentials, TokenError> {
    let access_key =
        AccessKey::generate(AccessKeyKind::Temporary).map_err(|_| TokenError::NotMade(SealedError::Cryptography))?;
    let inside =
        Inside { principal: principal.clone(), role: role.map(str::to_owned), secret: access_key.secret.clone() };
    let (session_token, expires_at) =
        expiring::issue(ring, Purpose::SessionTokens, access_key.id.as_bytes(), inside, now, duration)?;
    Ok(TemporaryCredentials { access_key, session_token, expires_at })
}

/// Opens the token of a request that was signed with `access_key_id`.
pub fn open_session(
    ring: &Keyring,
    access_key_id: &str,
    session_token: &str,
    now: UnixTime,
) -> Result<Session, TokenError> {
    let token = expiring::open::<Inside>(ring, Purpose::SessionTokens, access_key_id.as_bytes(), session_token, now)?;
    let Inside { principal, role, secret } = token.value;
    Ok(Session { principal, role, secret, issued_at: token.issued_at, expires_at: token.expires_at })
}

impl fmt::Debug for TemporaryCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemporaryCredentials")
            .field("access_key", &self.access_key)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("principal", &self.principal)
            .field("role", &self.role)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn round_trip() {
        let ring = Keyring::generate().unwrap();
        let principal = Principal::new("arn:aws:sts::123456789012:assumed-role/ci/1", "123456789012", 9).unwrap();
        let role = "arn:aws:iam::123456789012:role/ci";
        let given = issue_session(&ring, &principal, Some(role), NOW, HOUR).unwrap();
        assert!(given.access_key.id.starts_with("ASIA") && given.session_token.len() < 600);

        let session = open_session(&ring, &given.access_key.id, &given.session_token, NOW).unwrap();
        assert_eq!(session.secret, given.access_key.secret);
        assert_eq!((session.principal, session.role.as_deref()), (principal.clone(), Some(role)));
        assert_eq!((session.issued_at, session.expires_at), (NOW, NOW.plus(HOUR)));

        let other = issue_session(&ring, &principal, None, NOW, HOUR).unwrap();
        assert_eq!(open_session(&ring, &other.access_key.id, &other.session_token, NOW).unwrap().role, None);
        assert_eq!(
            open_session(&ring, &other.access_key.id, &given.session_token, NOW),
            Err(TokenError::Altered),
            "a token belongs to one access key"
        );
        assert_eq!(
            open_session(&ring, &given.access_key.id, &given.session_token, NOW.plus(HOUR)),
            Err(TokenError::Expired { at: NOW.plus(HOUR) })
        );
    }

    #[test]
    fn secrets_are_never_printed() {
        let ring = Keyring::generate().unwrap();
        let principal = Principal::new("a", "123456789012", 0).unwrap();
        let given = issue_session(&ring, &principal, None, NOW, HOUR).unwrap();
        let session = open_session(&ring, &given.access_key.id, &given.session_token, NOW).unwrap();
        let printed = format!("{given:?} {session:?}");
        assert!(!printed.contains(&session.secret) && !printed.contains(&given.session_token));
    }
}
