//! An issuer's public keys (RFC 7517), and checking a signature with the right one.
//!
//! A key is good for the algorithms of its own type only, and only for asymmetric ones: a token cannot be signed with the
//! public key as if it were a secret. Keys of other types are passed over, so an issuer may add them.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

const MAX_DOCUMENT_BYTES: usize = 256 << 10;
const MAX_KEYS: usize = 64;
const MIN_RSA_BYTES: usize = 2048 / 8;
const MAX_RSA_BYTES: usize = 8192 / 8;
const MAX_EXPONENT_BYTES: usize = 8;

#[derive(Clone, Debug)]
pub struct Jwks(Vec<Jwk>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    #[error("the issuer's keys are longer than {MAX_DOCUMENT_BYTES} bytes")]
    TooLong,
    #[error("the issuer's keys are not a JSON Web Key Set: an object with a list `keys`")]
    NotAKeySet,
    #[error("the issuer has more than {MAX_KEYS} keys")]
    TooMany,
    #[error("the issuer has no key that can be used here: RSA of 2048 to 8192 bits, P-256 or Ed25519")]
    NoneUsable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Ps256,
    Es256,
    EdDsa,
}

#[derive(Clone, Debug)]
struct Jwk {
    kid: Option<String>,
    /// Where the issuer says so, the only one that the key is for.
    algorithm: Option<Algorithm>,
    key: PublicKey,
}

#[derive(Clone, Debug)]
enum PublicKey {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point.
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct WrittenKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwks {
    pub fn parse(json: &[u8]) -> Result<Self, JwksError> {
        if json.len() > MAX_DOCUMENT_BYTES {
            return Err(JwksError::TooLong);
        }
        let set: KeySet = serde_json::from_slice(json).map_err(|_| JwksError::NotAKeySet)?;
        if set.keys.len() > MAX_KEYS {
            return Err(JwksError::TooMany);
        }
        let keys: Vec<_> =
            set.keys.into_iter().filter_map(|key| Jwk::read(serde_json::from_value(key).ok()?)).collect();
        if keys.is_empty() { Err(JwksError::NoneUsable) } else { Ok(Self(keys)) }
    }

    /// Whether there is a key for tokens of this header: where not, the issuer may have got a new one.
    pub(super) fn has(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        self.find(kid, algorithm).is_some()
    }

    pub(super) fn verify(&self, kid: Option<&str>, algorithm: Algorithm, signed: &str, signature: &[u8]) -> bool {
        self.find(kid, algorithm).is_some_and(|key| key.key.verify(algorithm, signed.as_bytes(), signature))
    }

    /// A token without a key id can only be of an issuer with one such key.
    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&Jwk> {
        let mut fitting = self.0.iter().filter(|key| key.fits(algorithm));
        match kid {
            Some(_) => fitting.find(|key| key.kid.as_deref() == kid),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        }
    }
}

impl Algorithm {
    /// As the header of a token has it. What is not here is refused, `none` and all `HS` among them.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

impl Jwk {
    fn read(written: WrittenKey) -> Option<Self> {
        if written.usage.is_some_and(|usage| usage != "sig") {
            return None;
        }
        let algorithm = match &written.alg {
            None => None,
            Some(name) => Some(Algorithm::parse(name)?),
        };
        let key = match (written.kty.as_str(), written.crv.as_deref()) {
            ("RSA", None) => {
                let (modulus, exponent) = (number(written.n.as_deref()?)?, number(written.e.as_deref()?)?);
                let sizes = (MIN_RSA_BYTES..=MAX_RSA_BYTES).contains(&modulus.len())
                    && (1..=MAX_EXPONENT_BYTES).contains(&exponent.len());
                sizes.then_some(PublicKey::Rsa { modulus, exponent })?
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (decode(written.x.as_deref()?)?, decode(written.y.as_deref()?)?);
                (x.len() == 32 && y.len() == 32).then(|| PublicKey::P256([vec![4], x, y].concat()))?
            }
            ("OKP", Some("Ed25519")) => {
                decode(written.x.as_deref()?).filter(|x| x.len() == 32).map(PublicKey::Ed25519)?
            }
            _ => return None,
        };
        Some(Self { kid: written.kid, algorithm, key })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let by_type = match self.key {
            PublicKey::Rsa { .. } => matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256),
            PublicKey::P256(_) => algorithm == Algorithm::Es256,
            PublicKey::Ed25519(_) => algorithm == Algorithm::EdDsa,
        };
        by_type && self.algorithm.is_none_or(|only| only == algorithm)
    }
}

impl PublicKey {
    fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match (self, algorithm) {
            (Self::Rsa { modulus, exponent }, Algorithm::Rs256) => RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
                .is_ok(),
            (Self::Rsa { modulus, exponent }, Algorithm::Ps256) => RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(&RSA_PSS_2048_8192_SHA256, signed, signature)
                .is_ok(),
            (Self::P256(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).is_ok()
            }
            (Self::Ed25519(key), Algorithm::EdDsa) => {
                UnparsedPublicKey::new(&ED25519, key).verify(signed, signature).is_ok()
            }
            (Self::Rsa { .. } | Self::P256(_) | Self::Ed25519(_), _) => false,
        }
    }
}

/// Some issuers write a zero byte before a number.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = decode(text)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Some(bytes.into_iter().skip(zeros).collect())
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        let x = URL_SAFE_NO_PAD.encode([1; 32]);
        let good = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
        assert_eq!(Jwks::parse(format!(r#"{{"keys":[{good},{{"kty":"new"}},7]}}"#).as_bytes()).unwrap().0.len(), 1);
        for (json, error) in [
            (String::new(), JwksError::NotAKeySet),
            ("[]".into(), JwksError::NotAKeySet),
            (r#"{"keys":{}}"#.into(), JwksError::NotAKeySet),
            (r#"{"keys":[]}"#.into(), JwksError::NoneUsable),
            (format!(r#"{{"keys":[{}]}}"#, vec![good.as_str(); MAX_KEYS + 1].join(",")), JwksError::TooMany),
            (" ".repeat(MAX_DOCUMENT_BYTES + 1), JwksError::TooLong),
            (format!(r#"{{"keys":{}"#, "[".repeat(10_000)), JwksError::NotAKeySet),
        ] {
            assert_eq!(Jwks::parse(json.as_bytes()).unwrap_err(), error);
        }
    }

    #[test]
    fn keys_that_are_passed_over() {
        let (x, long) = (URL_SAFE_NO_PAD.encode([1; 32]), URL_SAFE_NO_PAD.encode([1; 33]));
        let (weak, huge) = (URL_SAFE_NO_PAD.encode([255; 128]), URL_SAFE_NO_PAD.encode([255; 1025]));
        for key in [
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","use":"enc"}}"#),
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","alg":"HS256"}}"#),
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{long}"}}"#),
            format!(r#"{{"kty":"OKP","crv":"X25519","x":"{x}"}}"#),
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}"}}"#),
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{long}"}}"#),
            format!(r#"{{"kty":"oct","k":"{x}"}}"#),
            format!(r#"{{"kty":"RSA","n":"{weak}","e":"AQAB"}}"#),
            format!(r#"{{"kty":"RSA","n":"{huge}","e":"AQAB"}}"#),
            format!(r#"{{"kty":"RSA","n":"{huge}"}}"#),
        ] {
            let json = format!(r#"{{"keys":[{key}]}}"#);
            assert_eq!(Jwks::parse(json.as_bytes()).unwrap_err(), JwksError::NoneUsable, "{key}");
        }
    }
}
