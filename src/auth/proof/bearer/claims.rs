//! The token itself: a JSON Web Token (RFC 7519) signed with HMAC-SHA-256.
//!
//! Its key is a sub-key of the key ring and `kid` names which, so a token outlives a rotation and is good at every replica.
//! There is one algorithm, and the header has no say in it.

use std::time::Duration;

use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::super::jws::{Jws, NotAToken};
use super::super::keyring::{KeyId, Keyring};
use super::super::principal::Principal;
use super::super::unix_time::UnixTime;
use super::scope::Access;

/// 64 scopes with long names fit.
const MAX_TOKEN_CHARS: usize = 64 << 10;
const ALGORITHM: &str = "HS256";

/// Who hands out tokens, and for whom. Both are the registry itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenService {
    /// The claim `iss`.
    pub issuer: String,
    /// The claim `aud`, and `service` of challenges and token requests.
    pub service: String,
    /// How far the clocks of two replicas may differ: so much earlier than it was issued a token may come. Its end has no leeway, since it is
    /// that of what it was given for.
    pub leeway: Duration,
}

/// The claims that distribution's specification names, and the principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BearerClaims {
    pub iss: String,
    pub aud: String,
    /// The principal's ARN or id; empty for an anonymous client.
    pub sub: String,
    pub exp: UnixTime,
    pub nbf: UnixTime,
    pub iat: UnixTime,
    pub jti: String,
    pub access: Vec<Access>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Principal>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BearerError {
    #[error("the bearer token is not a token of this registry, or it was cut")]
    Malformed,
    #[error("the bearer token is signed with another algorithm than {ALGORITHM}, which this registry does not use")]
    OtherAlgorithm,
    #[error("the bearer token names no key of the key ring: ask for a new token")]
    UnknownKey,
    #[error("the bearer token was altered")]
    Altered,
    #[error("the bearer token is of issuer {0:?}, not of this registry")]
    OtherIssuer(String),
    #[error("the bearer token is for service {0:?}, not for this registry")]
    OtherService(String),
    #[error("the bearer token expired at {at}: ask for a new one")]
    Expired { at: UnixTime },
    #[error("the bearer token is good only from {from}: the clocks of two replicas differ")]
    NotYetValid { from: UnixTime },
    #[error("no token can be made: the operating system gives no random bytes, or it would be too long")]
    NotMade,
}

#[derive(Serialize)]
struct Header<'a> {
    typ: &'a str,
    alg: &'a str,
    kid: String,
}

impl TokenService {
    /// A token for `access`. Without a principal it is an anonymous client's.
    pub fn issue(
        &self,
        ring: &Keyring,
        principal: Option<&Principal>,
        access: &[Access],
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<String, BearerError> {
        let mut id = [0; 16];
        rand::fill(&mut id).map_err(|_| BearerError::NotMade)?;
        let claims = BearerClaims {
            iss: self.issuer.clone(),
            aud: self.service.clone(),
            sub: principal.map(|principal| principal.id().to_owned()).unwrap_or_default(),
            exp: now.plus(lifetime),
            nbf: now,
            iat: now,
            jti: URL_SAFE_NO_PAD.encode(id),
            access: access.to_vec(),
            principal: principal.cloned(),
        };
        let key = ring.current();
        let header = Header { typ: "JWT", alg: ALGORITHM, kid: key.id().to_string() };
        let signed = format!("{}.{}", part(&header)?, part(&claims)?);
        let signature = hmac::sign(key.bearer_tokens(), signed.as_bytes());
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        if token.len() > MAX_TOKEN_CHARS { Err(BearerError::NotMade) } else { Ok(token) }
    }

    pub fn verify(&self, ring: &Keyring, token: &str, now: UnixTime) -> Result<BearerClaims, BearerError> {
        let malformed = |NotAToken| BearerError::Malformed;
        let jws = Jws::parse(token, MAX_TOKEN_CHARS).map_err(malformed)?;
        if jws.header.alg != ALGORITHM {
            return Err(BearerError::OtherAlgorithm);
        }
        let id = jws.header.kid.as_deref().and_then(KeyId::parse).ok_or(BearerError::UnknownKey)?;
        let key = ring.find(id).ok_or(BearerError::UnknownKey)?;
        // It compares in constant time.
        hmac::verify(key.bearer_tokens(), jws.signed.as_bytes(), &jws.signature).map_err(|_| BearerError::Altered)?;
        let claims: BearerClaims = jws.claims().map_err(malformed)?;
        if claims.iss != self.issuer {
            return Err(BearerError::OtherIssuer(claims.iss));
        }
        if claims.aud != self.service {
            return Err(BearerError::OtherService(claims.aud));
        }
        if now >= claims.exp {
            return Err(BearerError::Expired { at: claims.exp });
        }
        if now < claims.nbf.minus(self.leeway) {
            return Err(BearerError::NotYetValid { from: claims.nbf });
        }
        Ok(claims)
    }
}

fn part<T: Serialize>(value: &T) -> Result<String, BearerError> {
    serde_json::to_vec(value).map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|_| BearerError::NotMade)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);
    const LIFETIME: Duration = Duration::from_secs(300);
    static RING: LazyLock<Keyring> = LazyLock::new(|| Keyring::generate().unwrap());

    fn service() -> TokenService {
        TokenService { issuer: "entrepot".into(), service: "registry.example".into(), leeway: Duration::from_secs(30) }
    }

    fn issue() -> String {
        let principal = Principal::new("arn:aws:iam::123456789012:user/ci", "123456789012", 1).unwrap();
        let access = [Access::parse("repository:a/b:pull,push").unwrap()];
        service().issue(&RING, Some(&principal), &access, NOW, LIFETIME).unwrap()
    }

    /// The token with another header and claims, signed by the ring's own key.
    fn forged(header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = hmac::sign(RING.current().bearer_tokens(), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn header() -> String {
        format!(r#"{{"typ":"JWT","alg":"HS256","kid":"{}"}}"#, RING.current_id())
    }

    fn claims(token: &str) -> String {
        let payload = token.split('.').nth(1).unwrap();
        String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    }

    #[test]
    fn round_trip() {
        let claims = service().verify(&RING, &issue(), NOW).unwrap();
        assert_eq!((claims.sub.as_str(), claims.exp), ("arn:aws:iam::123456789012:user/ci", NOW.plus(LIFETIME)));
        assert_eq!(claims.access, [Access::parse("repository:a/b:pull,push").unwrap()]);
        assert_eq!(claims.principal.unwrap().account(), "123456789012");
        let anonymous = service().issue(&RING, None, &[], NOW, LIFETIME).unwrap();
        let claims = service().verify(&RING, &anonymous, NOW).unwrap();
        assert_eq!((claims.sub.as_str(), claims.principal), ("", None));
    }

    #[test]
    fn times_have_sharp_edges_and_only_the_first_a_leeway() {
        let token = issue();
        let at = |seconds: i64| service().verify(&RING, &token, UnixTime::from_seconds(NOW.seconds() + seconds));
        assert!(at(-30).is_ok() && at(299).is_ok());
        assert_eq!(at(-31), Err(BearerError::NotYetValid { from: NOW }));
        assert_eq!(at(300), Err(BearerError::Expired { at: NOW.plus(LIFETIME) }));
    }

    #[test]
    fn for_one_service_of_one_issuer() {
        let token = issue();
        let other = TokenService { service: "other".into(), ..service() };
        assert_eq!(other.verify(&RING, &token, NOW), Err(BearerError::OtherService("registry.example".into())));
        let other = TokenService { issuer: "other".into(), ..service() };
        assert_eq!(other.verify(&RING, &token, NOW), Err(BearerError::OtherIssuer("entrepot".into())));
    }

    #[test]
    fn rotation() {
        let token = issue();
        let rotated = RING.rotate().unwrap();
        assert!(service().verify(&rotated, &token, NOW).is_ok());
        let later = service().issue(&rotated, None, &[], NOW, LIFETIME).unwrap();
        assert!(service().verify(&rotated, &later, NOW).is_ok());
        assert_eq!(service().verify(&RING, &later, NOW), Err(BearerError::UnknownKey));
    }

    #[test]
    fn the_header_has_no_say() {
        let token = issue();
        let claims = claims(&token);
        assert!(service().verify(&RING, &forged(&header(), &claims), NOW).is_ok());
        for alg in ["none", "None", "NONE", "", "HS384", "HS512", "RS256", "ES256", "hs256"] {
            let header = header().replace("HS256", alg);
            assert_eq!(
                service().verify(&RING, &forged(&header, &claims), NOW),
                Err(BearerError::OtherAlgorithm),
                "{alg}"
            );
            let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(&claims));
            assert!(service().verify(&RING, &format!("{signed}."), NOW).is_err());
        }
        for header in [r#"{"alg":"HS256"}"#, r#"{"alg":"HS256","kid":"00000000"}"#, r#"{"alg":"HS256","kid":"../key"}"#]
        {
            assert_eq!(
                service().verify(&RING, &forged(header, &claims), NOW),
                Err(BearerError::UnknownKey),
                "{header}"
            );
        }
        let unsigned = token.rsplit_once('.').unwrap().0.to_owned() + ".";
        assert_eq!(service().verify(&RING, &unsigned, NOW), Err(BearerError::Altered));
    }

    #[test]
    fn claims_that_are_missing_or_of_another_type() {
        let good = claims(&issue());
        for name in ["iss", "aud", "sub", "exp", "nbf", "iat", "jti", "access"] {
            let without = good.replace(&format!("\"{name}\":"), "\"other\":");
            assert_eq!(
                service().verify(&RING, &forged(&header(), &without), NOW),
                Err(BearerError::Malformed),
                "{name}"
            );
        }
        for exp in ["1e99", "\"1800000300\"", "null", "1800000300.5", "9223372036854775808"] {
            let other = good.replace("1800000300", exp);
            assert_eq!(service().verify(&RING, &forged(&header(), &other), NOW), Err(BearerError::Malformed), "{exp}");
        }
    }

    #[test]
    fn bounded() {
        let huge = "a".repeat(MAX_TOKEN_CHARS + 1);
        assert_eq!(service().verify(&RING, &huge, NOW), Err(BearerError::Malformed));
        let name = "a".repeat(512);
        let access: Vec<_> = (0..200).filter_map(|n| Access::parse(&format!("repository:{name}{n}:pull"))).collect();
        assert!(access.is_empty());
        let access: Vec<_> =
            (100..300).filter_map(|n| Access::parse(&format!("repository:{}{n}:pull", &name[..509]))).collect();
        assert_eq!(service().issue(&RING, None, &access, NOW, LIFETIME), Err(BearerError::NotMade));
    }

    proptest::proptest! {
        #[test]
        fn altered(at: proptest::sample::Index, new in "[A-Za-z0-9_.-]") {
            let token = issue();
            let at = at.index(token.len());
            proptest::prop_assume!(token[at..=at] != new);
            let altered = format!("{}{new}{}", &token[..at], &token[at + 1..]);
            proptest::prop_assert!(service().verify(&RING, &altered, NOW).is_err());
        }

        #[test]
        fn never_panics(token in ".{0,200}", header in ".{0,80}", claims in ".{0,80}") {
            proptest::prop_assert!(service().verify(&RING, &token, NOW).is_err());
            proptest::prop_assert!(service().verify(&RING, &forged(&header, &claims), NOW).is_err());
        }
    }
}
