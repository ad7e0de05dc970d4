//! Signing a request: the inverse of a claim, for our own command line and for tests.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};

use super::super::hexadecimal;
use super::super::unix_time::UnixTime;
use super::authorization::{ALGORITHM, CredentialScope};
use super::canonical::canonical_head;
use super::refusal::Refusal;
use super::signing_key::{signing_key, string_to_sign};

/// Headers that proxies and HTTP libraries change after a request was signed.
const UNSIGNED: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::TRANSFER_ENCODING,
    header::USER_AGENT,
];

/// Whose signature, and for which service.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    pub access_key_id: &'a str,
    pub secret: &'a str,
    pub session_token: Option<&'a str>,
    pub region: &'a str,
    pub service: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    #[error("the request cannot be signed: {0} is not a text that a header can carry")]
    NotAHeader(&'static str),
    #[error("the request cannot be signed: it names no host")]
    NoHost,
    #[error("the request cannot be signed: {0}")]
    NotCanonical(Refusal),
}

impl Signer<'_> {
    /// Adds Host, X-Amz-Date, X-Amz-Security-Token and Authorization, in the place of any that are there. All headers but
    /// those that change on the way are signed.
    pub fn sign(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &mut HeaderMap,
        body_sha256: &[u8; 32],
        now: UnixTime,
    ) -> Result<(), SignError> {
        if !headers.contains_key(header::HOST) {
            let host = uri.authority().ok_or(SignError::NoHost)?;
            headers.insert(header::HOST, value(host.as_str(), "the host")?);
        }
        headers.insert("x-amz-date", value(&now.basic(), "the date")?);
        if let Some(token) = self.session_token {
            headers.insert("x-amz-security-token", value(token, "the session token")?);
        }
        let mut signed: Vec<String> =
            headers.keys().filter(|name| !UNSIGNED.contains(*name)).map(|name| name.as_str().to_owned()).collect();
        signed.sort_unstable();

        let scope =
            CredentialScope { day: now.day(), region: self.region.to_owned(), service: self.service.to_owned() };
        let head = canonical_head(method, uri, headers, &signed).map_err(SignError::NotCanonical)?;
        let canonical = format!("{head}{}", hexadecimal::encode(body_sha256));
        let to_sign = string_to_sign(now, &scope, &canonical);
        let signature = aws_lc_rs::hmac::sign(&signing_key(self.secret, &scope), to_sign.as_bytes());
        let authorization = format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={}",
            self.access_key_id,
            signed.join(";"),
            hexadecimal::encode(signature.as_ref())
        );
        headers.insert(header::AUTHORIZATION, value(&authorization, "the access key id")?);
        Ok(())
    }
}

fn value(text: &str, what: &'static str) -> Result<HeaderValue, SignError> {
    HeaderValue::from_str(text).map_err(|_| SignError::NotAHeader(what))
}

impl std::fmt::Debug for Signer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}
