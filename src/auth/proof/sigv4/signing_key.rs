//! The key that signs: derived from a secret for one day, region and service.

use aws_lc_rs::hmac;

use super::super::hexadecimal;
use super::super::unix_time::UnixTime;
use super::authorization::{ALGORITHM, CredentialScope};

pub(super) fn signing_key(secret: &str, scope: &CredentialScope) -> hmac::Key {
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
    for part in [scope.day.as_str(), &scope.region, &scope.service, "aws4_request"] {
        key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
    }
    key
}

pub(super) fn string_to_sign(at: UnixTime, scope: &CredentialScope, canonical: &str) -> String {
    use sha2::Digest;
    let hash = hexadecimal::encode(&sha2::Sha256::digest(canonical));
    format!("{ALGORITHM}\n{}\n{scope}\n{hash}", at.basic())
}
