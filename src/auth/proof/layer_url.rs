//! The signature in the URL of a layer, which stands for a login: who was given the URL, and the one layer that it is for.
//!
//! It is sealed, so that nothing has to be stored and nobody who sees the URL learns whose it is. Policies are asked when it is used.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::expiring::{self, Expiring, TokenError};
use super::keyring::{Keyring, Purpose};
use super::principal::Principal;
use super::unix_time::UnixTime;
use crate::oci::{Digest, QualifiedName};

/// The parameter of the URL.
pub const LAYER_SIGNATURE: &str = "signature";

/// A layer in a repository of a registry, as signatures name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LayerPlace(String);

/// Whom a URL was given to, and for what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerLoan {
    #[serde(flatten)]
    pub principal: Principal,
    #[serde(rename = "l")]
    pub layer: LayerPlace,
}

impl LayerPlace {
    /// Bytes of its text.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    pub fn new(repository: &QualifiedName, digest: &Digest) -> Self {
        Self(format!("{}/{}@{digest}", repository.account, repository.name))
    }
}

impl fmt::Display for LayerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub fn sign_layer(
    ring: &Keyring,
    principal: Principal,
    layer: LayerPlace,
    now: UnixTime,
    lifetime: Duration,
) -> Result<String, TokenError> {
    let loan = LayerLoan { principal, layer };
    expiring::issue(ring, Purpose::LayerUrls, b"", loan, now, lifetime).map(|(signature, _)| signature)
}

pub fn open_layer_signature(ring: &Keyring, signature: &str, now: UnixTime) -> Result<Expiring<LayerLoan>, TokenError> {
    expiring::open(ring, Purpose::LayerUrls, b"", signature, now)
}

#[cfg(test)]
mod tests {
    use super::super::authorization_token::{issue_authorization_token, open_authorization_token};
    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);
    const LIFETIME: Duration = Duration::from_secs(900);

    fn principal() -> Principal {
        let lenders = vec![("arn:aws:iam::123456789012:user/ann".to_owned(), 2)];
        let of = Principal::new("arn:aws:sts::123456789012:assumed-role/ci/1", "123456789012", 3).unwrap();
        of.lent_by(lenders).unwrap()
    }

    fn place(account: &str, name: &str, content: &[u8]) -> LayerPlace {
        LayerPlace::new(&QualifiedName::new(account.parse().unwrap(), name.parse().unwrap()), &Digest::of(content))
    }

    #[test]
    fn round_trip() {
        let ring = Keyring::generate().unwrap();
        let layer = place("123456789012", "team/app", b"1");
        let signature = sign_layer(&ring, principal(), layer.clone(), NOW, LIFETIME).unwrap();
        assert!(signature.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c)), "it stands in a URL");
        assert!(signature.len() < 700, "{} characters", signature.len());
        let opened = open_layer_signature(&ring, &signature, NOW).unwrap();
        assert_eq!(opened.value, LayerLoan { principal: principal(), layer });
        let ends = NOW.plus(LIFETIME);
        assert_eq!(open_layer_signature(&ring, &signature, ends), Err(TokenError::Expired { at: ends }));
        assert!(open_layer_signature(&ring.rotate().unwrap(), &signature, NOW).is_ok());
        assert!(open_layer_signature(&Keyring::generate().unwrap(), &signature, NOW).is_err());
    }

    #[test]
    fn every_layer_has_a_place_of_its_own() {
        let places = [
            place("123456789012", "team/app", b"1"),
            place("123456789012", "team/app", b"2"),
            place("123456789012", "team", b"1"),
            place("210987654321", "team/app", b"1"),
        ];
        for (at, one) in places.iter().enumerate() {
            assert!(places.iter().skip(at + 1).all(|other| other != one), "{one}");
        }
    }

    /// A token of one kind is none of another.
    #[test]
    fn it_is_no_other_token() {
        let ring = Keyring::generate().unwrap();
        let layer = place("123456789012", "team/app", b"1");
        let signature = sign_layer(&ring, principal(), layer, NOW, LIFETIME).unwrap();
        assert_eq!(open_authorization_token(&ring, &signature, NOW), Err(TokenError::Altered));
        let (token, _) = issue_authorization_token(&ring, &principal(), NOW, LIFETIME).unwrap();
        assert_eq!(open_layer_signature(&ring, &token, NOW), Err(TokenError::Altered));
    }
}
