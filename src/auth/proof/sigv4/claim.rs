//! What a signed request says of itself, and whether that is true.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use http::{HeaderMap, Method, Uri, header};

use super::super::hexadecimal;
use super::super::unix_time::UnixTime;
use super::authorization::{Authorization, CredentialScope};
use super::canonical::canonical_head;
use super::refusal::Refusal;
use super::signing_key::{signing_key, string_to_sign};

const MAX_SESSION_TOKEN_CHARS: usize = 8 << 10;
/// Where the canonical request is told to the client, which may show it to others.
const NOT_TOLD: [&str; 3] = ["authorization:", "cookie:", "x-amz-security-token:"];

/// What an API wants of the signatures of its requests.
#[derive(Clone, Copy, Debug)]
pub struct SignatureRules<'a> {
    /// Names that the credential's scope may have as its service.
    pub services: &'a [&'a str],
    /// Headers that must be there and signed, besides Host and X-Amz-Date, in lower case.
    pub signed: &'a [&'a str],
    /// How far the client's clock may be off, either way.
    pub max_skew: Duration,
}

impl SignatureRules<'static> {
    pub const ECR: Self = Self { services: &["ecr"], signed: &["x-amz-target"], max_skew: Duration::from_secs(5 * 60) };
    pub const IAM: Self = Self { services: &["iam"], signed: &[], max_skew: Duration::from_secs(5 * 60) };
    pub const STS: Self = Self { services: &["sts"], signed: &[], max_skew: Duration::from_secs(5 * 60) };
}

/// Nothing of it is to be believed before [`Claim::verify`].
#[derive(Clone)]
pub struct Claim {
    authorization: Authorization,
    session_token: Option<String>,
    signed_at: UnixTime,
    max_skew: Duration,
    /// Lines of the canonical request, all but the payload's hash.
    canonical_head: String,
    /// What X-Amz-Content-Sha256 says.
    declared_payload: Option<[u8; 32]>,
}

impl Claim {
    pub fn parse(rules: &SignatureRules<'_>, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Self, Refusal> {
        let header = only(headers, header::AUTHORIZATION.as_str(), "authorization")?.ok_or(Refusal::Missing)?;
        let authorization = Authorization::parse(header)?;
        only(headers, header::HOST.as_str(), "host")?;
        let date = only(headers, "x-amz-date", "x-amz-date")?;
        let session_token = only(headers, "x-amz-security-token", "x-amz-security-token")?;
        only(headers, "x-amz-target", "x-amz-target")?;
        let declared = only(headers, "x-amz-content-sha256", "x-amz-content-sha256")?;

        let signed = |name: &str| authorization.signed_headers.iter().any(|header| header == name);
        let token_header = session_token.map(|_| "x-amz-security-token");
        let needed = ["host", "x-amz-date"].into_iter().chain(rules.signed.iter().copied()).chain(token_header);
        for name in needed {
            if !signed(name) {
                return Err(Refusal::HeaderNotSigned(name.to_owned()));
            }
        }
        if session_token.is_some_and(|token| token.len() > MAX_SESSION_TOKEN_CHARS) {
            return Err(Refusal::InvalidSessionToken);
        }
        let date = date.ok_or_else(|| Refusal::HeaderAbsent("x-amz-date".into()))?;
        let signed_at = UnixTime::parse_basic(date)
            .ok_or(Refusal::Incomplete("X-Amz-Date is not a date of the form 20150830T123600Z"))?;
        check_scope(rules, &authorization.scope, signed_at)?;
        let canonical_head = canonical_head(method, uri, headers, &authorization.signed_headers)?;
        let declared_payload = match declared {
            None => None,
            Some(text) => Some(hexadecimal::decode_32(text).ok_or(Refusal::PayloadNotSigned)?),
        };
        Ok(Self {
            authorization,
            session_token: session_token.map(str::to_owned),
            signed_at,
            max_skew: rules.max_skew,
            canonical_head,
            declared_payload,
        })
    }

    /// Recomputes the signature with the secret of [`Self::access_key_id`] and the SHA-256 of the body as it came.
    pub fn verify(&self, secret: &str, body_sha256: &[u8; 32], now: UnixTime) -> Result<(), Refusal> {
        let (earliest, latest) = (now.minus(self.max_skew), now.plus(self.max_skew));
        if self.signed_at < earliest {
            return Err(Refusal::TooOld { signed_at: self.signed_at, earliest });
        }
        if self.signed_at > latest {
            return Err(Refusal::TooNew { signed_at: self.signed_at, latest });
        }
        if self.declared_payload.is_some_and(|declared| declared != *body_sha256) {
            return Err(Refusal::OtherPayload);
        }
        let canonical = format!("{}{}", self.canonical_head, hexadecimal::encode(body_sha256));
        let string_to_sign = string_to_sign(self.signed_at, self.scope(), &canonical);
        let key = signing_key(secret, self.scope());
        // It compares in constant time.
        hmac::verify(&key, string_to_sign.as_bytes(), &self.authorization.signature)
            .map_err(|_| Refusal::Mismatch { canonical: told(&canonical), string_to_sign })
    }

    pub fn access_key_id(&self) -> &str {
        &self.authorization.access_key_id
    }

    /// The region is the one that the answer's ARNs name.
    pub const fn scope(&self) -> &CredentialScope {
        &self.authorization.scope
    }

    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    pub const fn signed_at(&self) -> UnixTime {
        self.signed_at
    }
}

fn check_scope(rules: &SignatureRules<'_>, scope: &CredentialScope, signed_at: UnixTime) -> Result<(), Refusal> {
    if !rules.services.contains(&scope.service.as_str()) {
        return Err(Refusal::OtherService { given: scope.service.clone(), expected: rules.services.join(" or ") });
    }
    if scope.day != signed_at.day() {
        return Err(Refusal::OtherDay { scope: scope.day.clone(), date: signed_at.basic() });
    }
    Ok(())
}

/// The value of a header that means something to the server: were it there twice, the reader of the request could take
/// another than the one that was looked at here.
fn only<'a>(headers: &'a HeaderMap, name: &str, shown: &'static str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Refusal::HeaderRepeated(shown));
    }
    value.to_str().map(Some).map_err(|_| Refusal::Incomplete("a header of the signature is not ASCII text"))
}

fn told(canonical: &str) -> String {
    let line = |line: &str| match NOT_TOLD.into_iter().find(|name| line.starts_with(name)) {
        Some(name) => format!("{name}(as sent)"),
        None => line.to_owned(),
    };
    canonical.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("access_key_id", &self.authorization.access_key_id)
            .field("scope", &self.authorization.scope)
            .field("signed_at", &self.signed_at)
            .finish_non_exhaustive()
    }
}
