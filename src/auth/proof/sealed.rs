//! Values that only this registry can read and nobody can change: AES-256-GCM under a sub-key of the key ring.
//!
//! As bytes: format (1), key id (4), nonce (12), ciphertext, tag (16); as text: URL-safe base64 without padding, which has
//! no colon and can stand in a header, a URL and a file. Associated data is not in the value but has to be the same when it
//! is opened: the id of the row that a secret belongs to, for instance, so that rows cannot be swapped.
//!
//! Nonces are random, so one key should seal no more than 2^32 values: at a hundred a second, a new key every year.

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::keyring::{KeyId, Keyring, Purpose};

const FORMAT: u8 = 1;
const TAG_BYTES: usize = 16;
/// Longer text is not looked at.
pub const MAX_SEALED_CHARS: usize = 8 << 10;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    #[error("it is not in the form that this registry writes: it was cut, altered, or made by another program")]
    Malformed,
    #[error(
        "it was sealed with key {0}, which is not in the key ring: put that key back as a later line, or ask for a new value"
    )]
    UnknownKey(KeyId),
    #[error("it was altered, or belongs to something else: ask for a new value")]
    Altered,
    #[error("it is too long to seal: at most {MAX_SEALED_CHARS} characters can be opened")]
    TooLong,
    #[error("nothing can be sealed: the operating system gives no random bytes, or the cryptographic library failed")]
    Cryptography,
}

/// Seals with the current key.
pub fn seal(ring: &Keyring, purpose: Purpose, associated: &[u8], plain: &[u8]) -> Result<String, SealedError> {
    let key = ring.current();
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).map_err(|_| SealedError::Cryptography)?;
    let mut sealed = Vec::with_capacity(1 + KeyId::BYTES + NONCE_LEN + plain.len() + TAG_BYTES);
    sealed.push(FORMAT);
    sealed.extend_from_slice(&key.id().0);
    sealed.extend_from_slice(&nonce);
    let mut body = plain.to_vec();
    key.sealing(purpose)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(associated), &mut body)
        .map_err(|_| SealedError::Cryptography)?;
    sealed.extend_from_slice(&body);
    let text = URL_SAFE_NO_PAD.encode(sealed);
    if text.len() > MAX_SEALED_CHARS { Err(SealedError::TooLong) } else { Ok(text) }
}

/// Opens with whichever key of the ring sealed it.
pub fn open(ring: &Keyring, purpose: Purpose, associated: &[u8], text: &str) -> Result<Vec<u8>, SealedError> {
    if text.len() > MAX_SEALED_CHARS {
        return Err(SealedError::Malformed);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| SealedError::Malformed)?;
    let (&FORMAT, rest) = bytes.split_first().ok_or(SealedError::Malformed)? else {
        return Err(SealedError::Malformed);
    };
    let (id, rest) = rest.split_first_chunk::<{ KeyId::BYTES }>().ok_or(SealedError::Malformed)?;
    let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealedError::Malformed)?;
    if body.len() < TAG_BYTES {
        return Err(SealedError::Malformed);
    }
    let id = KeyId(*id);
    let key = ring.find(id).ok_or(SealedError::UnknownKey(id))?;
    let mut body = body.to_vec();
    let plain = key
        .sealing(purpose)
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(associated), &mut body)
        .map_err(|_| SealedError::Altered)?
        .len();
    body.truncate(plain);
    Ok(body)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    static RING: LazyLock<Keyring> = LazyLock::new(|| Keyring::generate().unwrap());
    const SECRETS: Purpose = Purpose::AccessKeySecrets;

    #[test]
    fn opens_only_as_what_it_was_sealed() {
        let text = seal(&RING, SECRETS, b"AKIA1", b"secret").unwrap();
        assert_eq!(open(&RING, SECRETS, b"AKIA1", &text), Ok(b"secret".to_vec()));
        assert_eq!(open(&RING, SECRETS, b"AKIA2", &text), Err(SealedError::Altered));
        for purpose in [Purpose::AuthorizationTokens, Purpose::SessionTokens, Purpose::RefreshTokens] {
            assert_eq!(open(&RING, purpose, b"AKIA1", &text), Err(SealedError::Altered));
        }
        assert_ne!(seal(&RING, SECRETS, b"AKIA1", b"secret").unwrap(), text);
    }

    #[test]
    fn rotation() {
        let text = seal(&RING, SECRETS, b"", b"x").unwrap();
        let rotated = RING.rotate().unwrap();
        assert_eq!(open(&rotated, SECRETS, b"", &text), Ok(b"x".to_vec()));
        let later = seal(&rotated, SECRETS, b"", b"y").unwrap();
        assert_eq!(open(&RING, SECRETS, b"", &later), Err(SealedError::UnknownKey(rotated.current_id())));
    }

    #[test]
    fn sizes() {
        assert_eq!(seal(&RING, SECRETS, b"", &[0; MAX_SEALED_CHARS]), Err(SealedError::TooLong));
        assert_eq!(open(&RING, SECRETS, b"", &"A".repeat(1 << 20)), Err(SealedError::Malformed));
        let empty = seal(&RING, SECRETS, b"", b"").unwrap();
        assert_eq!(open(&RING, SECRETS, b"", &empty), Ok(Vec::new()));
        for end in 0..empty.len() {
            assert!(open(&RING, SECRETS, b"", &empty[..end]).is_err(), "{end}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,200}") {
            prop_assert!(open(&RING, SECRETS, b"", &text).is_err());
        }

        #[test]
        fn round_trip(plain: Vec<u8>, associated: Vec<u8>) {
            let text = seal(&RING, SECRETS, &associated, &plain).unwrap();
            prop_assert!(text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'));
            prop_assert_eq!(open(&RING, SECRETS, &associated, &text), Ok(plain));
        }

        #[test]
        fn altered(plain: Vec<u8>, at: prop::sample::Index, bit in 0_u8..8) {
            let text = seal(&RING, SECRETS, b"a", &plain).unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(open(&RING, SECRETS, b"a", &URL_SAFE_NO_PAD.encode(bytes)).is_err());
        }
    }
}
