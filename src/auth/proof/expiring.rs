//! Sealed values with an end: what authorization, refresh and session tokens have in common.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::keyring::{KeyId, Keyring, Purpose};
use super::sealed::{self, SealedError};
use super::unix_time::UnixTime;

/// A sealed value with the time it holds for, from `issued_at` until just before `expires_at`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiring<T> {
    #[serde(rename = "i")]
    pub issued_at: UnixTime,
    #[serde(rename = "e")]
    pub expires_at: UnixTime,
    #[serde(rename = "v")]
    pub value: T,
}

/// Why a token is not good, told to whoever runs the registry; clients get the same answer to all of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is not one that this registry made, or it was cut")]
    Malformed,
    #[error(
        "the token was sealed with key {0}, which is not in the key ring: log in again, or put that key back as a later line"
    )]
    UnknownKey(KeyId),
    #[error("the token was altered, or is of another kind or owner: log in again")]
    Altered,
    #[error("the token expired at {at}: log in again")]
    Expired { at: UnixTime },
    #[error("no token can be made: {0}")]
    NotMade(SealedError),
}

pub(super) fn issue<T: Serialize>(
    ring: &Keyring,
    purpose: Purpose,
    associated: &[u8],
    value: T,
    now: UnixTime,
    lifetime: Duration,
) -> Result<(String, UnixTime), TokenError> {
    let expires_at = now.plus(lifetime);
    let plain = serde_json::to_vec(&Expiring { issued_at: now, expires_at, value })
        .map_err(|_| TokenError::NotMade(SealedError::Malformed))?;
    let text = sealed::seal(ring, purpose, associated, &plain).map_err(TokenError::NotMade)?;
    Ok((text, expires_at))
}

pub(super) fn open<T: DeserializeOwned>(
    ring: &Keyring,
    purpose: Purpose,
    associated: &[u8],
    text: &str,
    now: UnixTime,
) -> Result<Expiring<T>, TokenError> {
    let plain = sealed::open(ring, purpose, associated, text).map_err(|error| match error {
        SealedError::UnknownKey(id) => TokenError::UnknownKey(id),
        SealedError::Altered => TokenError::Altered,
        SealedError::Malformed | SealedError::TooLong | SealedError::Cryptography => TokenError::Malformed,
    })?;
    let token: Expiring<T> = serde_json::from_slice(&plain).map_err(|_| TokenError::Malformed)?;
    if now >= token.expires_at {
        return Err(TokenError::Expired { at: token.expires_at });
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        let ring = Keyring::generate().unwrap();
        let issued_at = UnixTime::from_seconds(1_000);
        let (text, expires_at) =
            issue(&ring, Purpose::RefreshTokens, b"x", 7_u8, issued_at, Duration::from_secs(60)).unwrap();
        let open = |now| open::<u8>(&ring, Purpose::RefreshTokens, b"x", &text, UnixTime::from_seconds(now));
        assert_eq!(open(1_000), Ok(Expiring { issued_at, expires_at, value: 7 }));
        assert!(open(1_059).is_ok());
        // A replica whose clock is behind the issuer's still takes it.
        assert!(open(990).is_ok());
        for late in [1_060, 1_061, i64::MAX] {
            assert_eq!(open(late), Err(TokenError::Expired { at: expires_at }));
        }
    }

    #[test]
    fn another_shape() {
        let ring = Keyring::generate().unwrap();
        let now = UnixTime::from_seconds(0);
        let (text, _) = issue(&ring, Purpose::RefreshTokens, b"", "text", now, Duration::MAX).unwrap();
        assert_eq!(open::<u8>(&ring, Purpose::RefreshTokens, b"", &text, now), Err(TokenError::Malformed));
        assert_eq!(open::<String>(&ring, Purpose::SessionTokens, b"", &text, now), Err(TokenError::Altered));
    }
}
