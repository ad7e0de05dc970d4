//! Checking an ID token (OpenID Connect Core, section 3.1.3.7), and its claims once they are proven.

use std::time::Duration;

use serde_json::{Map, Value};

use super::super::jws::{Jws, NotAToken};
use super::super::unix_time::UnixTime;
use super::jwks::{Algorithm, Jwks};

/// GitHub's have 2 kB; with many groups in them, some have 8.
const MAX_TOKEN_CHARS: usize = 16 << 10;
const MAX_AUDIENCES: usize = 64;

/// What a token must say to be for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdTokenRules {
    /// Compared letter by letter.
    pub issuer: String,
    /// One of these must be among the token's.
    pub audiences: Vec<String>,
    /// How far the issuer's clock may be off.
    pub leeway: Duration,
}

/// A token that was verified.
#[derive(Clone, Debug, PartialEq)]
pub struct IdToken {
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    subject: String,
    expires_at: UnixTime,
    pub(super) claims: Value,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    #[error("the ID token is not a JSON Web Token, or is longer than {MAX_TOKEN_CHARS} characters")]
    Malformed,
    #[error("the ID token is signed with an algorithm that is not accepted: use RS256, PS256, ES256 or EdDSA")]
    OtherAlgorithm,
    /// The keys may have been rotated: worth one new look at the issuer's.
    #[error("the issuer has no key of this id and algorithm")]
    UnknownKey,
    #[error("the ID token's signature is wrong")]
    BadSignature,
    #[error("the ID token has no claim {0}, or it is of another type than it must be")]
    Claim(&'static str),
    #[error("the ID token is of issuer {given:?}, not {expected:?}")]
    OtherIssuer { given: String, expected: String },
    #[error("the ID token is for audience {given:?}, none of which is accepted here")]
    OtherAudience { given: Vec<String> },
    #[error("the ID token expired at {at}: ask the issuer for a new one")]
    Expired { at: UnixTime },
    #[error("the ID token is good only from {from}: check the clocks")]
    NotYetValid { from: UnixTime },
}

/// Which issuer a token says it is of: only to choose whose keys to check it with.
pub fn unverified_issuer(token: &str) -> Option<String> {
    let claims: Map<String, Value> = Jws::parse(token, MAX_TOKEN_CHARS).ok()?.claims().ok()?;
    claims.get("iss")?.as_str().map(str::to_owned)
}

impl IdTokenRules {
    pub fn verify(&self, keys: &Jwks, token: &str, now: UnixTime) -> Result<IdToken, IdTokenError> {
        let malformed = |NotAToken| IdTokenError::Malformed;
        let jws = Jws::parse(token, MAX_TOKEN_CHARS).map_err(malformed)?;
        let algorithm = Algorithm::parse(&jws.header.alg).ok_or(IdTokenError::OtherAlgorithm)?;
        let kid = jws.header.kid.as_deref();
        if !keys.has(kid, algorithm) {
            return Err(IdTokenError::UnknownKey);
        }
        if !keys.verify(kid, algorithm, jws.signed, &jws.signature) {
            return Err(IdTokenError::BadSignature);
        }
        let claims: Map<String, Value> = jws.claims().map_err(malformed)?;
        self.check(claims, now)
    }

    fn check(&self, claims: Map<String, Value>, now: UnixTime) -> Result<IdToken, IdTokenError> {
        let issuer = text(&claims, "iss")?;
        if issuer != self.issuer {
            return Err(IdTokenError::OtherIssuer { given: issuer, expected: self.issuer.clone() });
        }
        let audiences = audiences(&claims)?;
        if !audiences.iter().any(|audience| self.audiences.contains(audience)) {
            return Err(IdTokenError::OtherAudience { given: audiences });
        }
        let expires_at = time(&claims, "exp")?.ok_or(IdTokenError::Claim("exp"))?;
        if now >= expires_at.plus(self.leeway) {
            return Err(IdTokenError::Expired { at: expires_at });
        }
        for name in ["nbf", "iat"] {
            if let Some(from) = time(&claims, name)?.filter(|from| now < from.minus(self.leeway)) {
                return Err(IdTokenError::NotYetValid { from });
            }
        }
        let subject = text(&claims, "sub")?;
        Ok(IdToken { issuer, audiences, subject, expires_at, claims: Value::Object(claims) })
    }
}

impl IdToken {
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub fn subject(&self) -> &str {
        &self.subject
    }

    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }
}

fn text(claims: &Map<String, Value>, name: &'static str) -> Result<String, IdTokenError> {
    let text = claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or(IdTokenError::Claim(name))
}

fn audiences(claims: &Map<String, Value>) -> Result<Vec<String>, IdTokenError> {
    const WRONG: IdTokenError = IdTokenError::Claim("aud");
    match claims.get("aud") {
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(several)) if several.len() <= MAX_AUDIENCES => {
            several.iter().map(|one| one.as_str().map(str::to_owned).ok_or(WRONG)).collect()
        }
        _ => Err(WRONG),
    }
}

/// Seconds, which may have a fraction.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<UnixTime>, IdTokenError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let whole = value.as_i64().or_else(|| {
        let seconds = value.as_f64()?;
        // A float of this size is a whole number of seconds that fits.
        (0.0..1e15).contains(&seconds).then(|| seconds.floor() as i64)
    });
    whole.map(|seconds| Some(UnixTime::from_seconds(seconds))).ok_or(IdTokenError::Claim(name))
}
