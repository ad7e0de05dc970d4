//! ECR's authorization token: the password that goes with the user name `AWS`.
//!
//! It speaks for a principal and names no repository; what the principal may do is asked at every request. It is sealed,
//! so nothing has to be stored, and it has no colon, at which the AWS command line would break.

use std::time::Duration;

use super::expiring::{self, Expiring, TokenError};
use super::keyring::{Keyring, Purpose};
use super::principal::Principal;
use super::unix_time::UnixTime;

/// The user name beside it.
pub const AUTHORIZATION_TOKEN_USER: &str = "AWS";
pub const AUTHORIZATION_TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// The password and when it ends.
pub fn issue_authorization_token(
    ring: &Keyring,
    principal: &Principal,
    now: UnixTime,
    lifetime: Duration,
) -> Result<(String, UnixTime), TokenError> {
    expiring::issue(ring, Purpose::AuthorizationTokens, b"", principal, now, lifetime)
}

pub fn open_authorization_token(
    ring: &Keyring,
    password: &str,
    now: UnixTime,
) -> Result<Expiring<Principal>, TokenError> {
    expiring::open(ring, Purpose::AuthorizationTokens, b"", password, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);

    fn principal() -> Principal {
        Principal::new("arn:aws:sts::123456789012:assumed-role/ci-pusher/build-4711", "123456789012", 3).unwrap()
    }

    #[test]
    fn round_trip() {
        let ring = Keyring::generate().unwrap();
        let (token, expires_at) =
            issue_authorization_token(&ring, &principal(), NOW, AUTHORIZATION_TOKEN_LIFETIME).unwrap();
        assert_eq!(expires_at, UnixTime::from_seconds(1_800_043_200));
        assert!(token.len() < 250 && !token.contains(':'), "{} characters", token.len());
        let claims = open_authorization_token(&ring, &token, NOW).unwrap();
        assert_eq!(claims, Expiring { issued_at: NOW, expires_at, value: principal() });
        assert_eq!(open_authorization_token(&ring, &token, expires_at), Err(TokenError::Expired { at: expires_at }));
        let again = ring.rotate().unwrap();
        assert!(open_authorization_token(&again, &token, NOW).is_ok());
        assert_eq!(
            open_authorization_token(&Keyring::generate().unwrap(), &token, NOW),
            Err(TokenError::UnknownKey(ring.current_id()))
        );
    }

    #[test]
    fn long_principals_stay_small() {
        let ring = Keyring::generate().unwrap();
        let arn = format!("arn:aws:iam::123456789012:user/{}", "n".repeat(140));
        let principal = Principal::new(&arn, "123456789012", u64::MAX).unwrap();
        let (token, _) = issue_authorization_token(&ring, &principal, NOW, AUTHORIZATION_TOKEN_LIFETIME).unwrap();
        assert!(token.len() < 400, "{} characters", token.len());
    }

    #[test]
    fn every_altered_character_is_refused() {
        let ring = Keyring::generate().unwrap();
        let (token, _) = issue_authorization_token(&ring, &principal(), NOW, AUTHORIZATION_TOKEN_LIFETIME).unwrap();
        for at in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(open_authorization_token(&ring, &altered, NOW).is_err(), "{at}");
        }
    }
}
