//! The registry's master keys and what is derived from them.
//!
//! The file has one key a line, 32 bytes in base64. The first is current; the others only open what was sealed before, so a
//! new first line changes the key and logs nobody out. A key is known by a short id that every sealed value and every bearer
//! token names. No master key is used itself: each purpose has its own sub-key (HKDF, RFC 5869), so a value that was sealed
//! for one purpose opens for no other. All replicas of a registry share one file.

use std::fmt;

use aws_lc_rs::{aead, hkdf, hmac, rand};
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};

const MASTER_KEY_BYTES: usize = 32;
const MAX_KEYS: usize = 16;
const SALT: &[u8] = b"entrepot key ring v1";

/// Editors and other tools write keys with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a sub-key seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Secrets of access keys, in the database.
    AccessKeySecrets,
    /// Passwords that `GetAuthorizationToken` hands out.
    AuthorizationTokens,
    /// Refresh tokens of the token endpoint.
    RefreshTokens,
    /// Session tokens of temporary credentials.
    SessionTokens,
    /// Places in lists that their reader may not see.
    ListMarkers,
    /// Signatures in URLs of layers.
    LayerUrls,
}

/// Names a key without telling it. Shown as eight hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyId(pub(super) [u8; Self::BYTES]);

/// Never empty; the first key is current.
pub struct Keyring {
    current: Key,
    older: Vec<Key>,
}

pub(super) struct Key {
    id: KeyId,
    master: [u8; MASTER_KEY_BYTES],
    access_key_secrets: aead::LessSafeKey,
    authorization_tokens: aead::LessSafeKey,
    refresh_tokens: aead::LessSafeKey,
    session_tokens: aead::LessSafeKey,
    list_markers: aead::LessSafeKey,
    layer_urls: aead::LessSafeKey,
    bearer_tokens: hmac::Key,
}

/// Line numbers count from 1. No variant repeats what the line says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    #[error("the key ring has no key: write 32 random bytes in base64 on a line, as `openssl rand -base64 32` does")]
    Empty,
    #[error("the key ring has more than {MAX_KEYS} keys: take out the oldest, at the end")]
    TooMany,
    #[error(
        "line {line} of the key ring is not a key: it must be 32 bytes in base64, as `openssl rand -base64 32` writes them"
    )]
    NotAKey { line: usize },
    #[error("line {line} of the key ring repeats an earlier key: take it out")]
    Repeated { line: usize },
    #[error("no key can be made: the operating system gives no random bytes, or the cryptographic library failed")]
    Cryptography,
}

impl Keyring {
    /// One new random key.
    pub fn generate() -> Result<Self, KeyringError> {
        let mut master = [0; MASTER_KEY_BYTES];
        rand::fill(&mut master).map_err(|_| KeyringError::Cryptography)?;
        Ok(Self { current: Key::derive(master)?, older: Vec::new() })
    }

    /// Empty lines and lines that begin with `#` are passed over.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let mut keys: Vec<Key> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let written = line.trim();
            if written.is_empty() || written.starts_with('#') {
                continue;
            }
            let line = index + 1;
            let bytes = LENIENT.decode(written).map_err(|_| KeyringError::NotAKey { line })?;
            let master = bytes.try_into().map_err(|_| KeyringError::NotAKey { line })?;
            let key = Key::derive(master)?;
            if keys.iter().any(|known| known.id == key.id) {
                return Err(KeyringError::Repeated { line });
            }
            if keys.len() == MAX_KEYS {
                return Err(KeyringError::TooMany);
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let current = keys.next().ok_or(KeyringError::Empty)?;
        Ok(Self { current, older: keys.collect() })
    }

    /// The file's contents: the only way that a key leaves the ring.
    pub fn to_text(&self) -> String {
        self.keys().map(|key| general_purpose::STANDARD.encode(key.master) + "\n").collect()
    }

    /// The same keys with a new current one before them. The oldest goes where there would be too many.
    pub fn rotate(&self) -> Result<Self, KeyringError> {
        let new = Self::generate()?;
        let older = self.keys().take(MAX_KEYS - 1).map(|key| Key::derive(key.master)).collect::<Result<_, _>>()?;
        Ok(Self { current: new.current, older })
    }

    pub const fn current_id(&self) -> KeyId {
        self.current.id
    }

    pub(super) const fn current(&self) -> &Key {
        &self.current
    }

    pub(super) fn find(&self, id: KeyId) -> Option<&Key> {
        self.keys().find(|key| key.id == id)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.older)
    }
}

impl Key {
    pub(super) const fn id(&self) -> KeyId {
        self.id
    }

    pub(super) const fn sealing(&self, purpose: Purpose) -> &aead::LessSafeKey {
        match purpose {
            Purpose::AccessKeySecrets => &self.access_key_secrets,
            Purpose::AuthorizationTokens => &self.authorization_tokens,
            Purpose::RefreshTokens => &self.refresh_tokens,
            Purpose::SessionTokens => &self.session_tokens,
            Purpose::ListMarkers => &self.list_markers,
            Purpose::LayerUrls => &self.layer_urls,
        }
    }

    pub(super) const fn bearer_tokens(&self) -> &hmac::Key {
        &self.bearer_tokens
    }

    fn derive(master: [u8; MASTER_KEY_BYTES]) -> Result<Self, KeyringError> {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(&master);
        let sealing = |purpose: &[u8]| {
            let info = [purpose];
            let key = extracted.expand(&info, &aead::AES_256_GCM).map_err(|_| KeyringError::Cryptography)?;
            Ok(aead::LessSafeKey::new(key.into()))
        };
        let mut id = [0; KeyId::BYTES];
        extracted
            .expand(&[b"key id"], IdLength)
            .and_then(|okm| okm.fill(&mut id))
            .map_err(|_| KeyringError::Cryptography)?;
        Ok(Self {
            id: KeyId(id),
            master,
            access_key_secrets: sealing(b"access key secrets")?,
            authorization_tokens: sealing(b"authorization tokens")?,
            refresh_tokens: sealing(b"refresh tokens")?,
            session_tokens: sealing(b"session tokens")?,
            list_markers: sealing(b"list markers")?,
            layer_urls: sealing(b"layer URLs")?,
            bearer_tokens: extracted
                .expand(&[b"bearer tokens"], hmac::HMAC_SHA256)
                .map_err(|_| KeyringError::Cryptography)?
                .into(),
        })
    }
}

struct IdLength;

impl hkdf::KeyType for IdLength {
    fn len(&self) -> usize {
        KeyId::BYTES
    }
}

impl KeyId {
    pub(super) const BYTES: usize = 4;

    /// The form that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let lower = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() != 2 * Self::BYTES || !text.bytes().all(lower) {
            return None;
        }
        u32::from_str_radix(text, 16).ok().map(|id| Self(id.to_be_bytes()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} and {} older)", self.current.id, self.older.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const TWO: &str = "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA";

    #[test]
    fn text() {
        let ring = Keyring::parse(&format!("# current\n{ONE}\r\n\n  {TWO}\n")).unwrap();
        assert_eq!(ring.to_text(), format!("{ONE}\n{TWO}=\n"));
        let ids: Vec<_> = ring.keys().map(|key| key.id.to_string()).collect();
        // Ids are in every token that was ever handed out: they must not change.
        assert_eq!(ids, ["e0a445d7", "082d6761"]);
        assert_eq!(ring.current_id().to_string(), ids[0]);
        let generated = Keyring::generate().unwrap();
        assert_eq!(Keyring::parse(&generated.to_text()).unwrap().current_id(), generated.current_id());
        assert_ne!(Keyring::generate().unwrap().current_id(), generated.current_id());
    }

    #[test]
    fn wrong() {
        for (text, error) in [
            (String::new(), KeyringError::Empty),
            ("# only this\n".into(), KeyringError::Empty),
            ("AAEC".into(), KeyringError::NotAKey { line: 1 }),
            (format!("{ONE}\nnot base64!"), KeyringError::NotAKey { line: 2 }),
            (format!("{ONE}{ONE}"), KeyringError::NotAKey { line: 1 }),
            (format!("{ONE}\n{TWO}\n{ONE}"), KeyringError::Repeated { line: 3 }),
            ((0..=MAX_KEYS).map(|_| Keyring::generate().unwrap().to_text()).collect(), KeyringError::TooMany),
        ] {
            assert_eq!(Keyring::parse(&text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn rotation_keeps_the_older() {
        let old = Keyring::generate().unwrap();
        let mut new = old.rotate().unwrap();
        assert!(new.current_id() != old.current_id() && new.find(old.current_id()).is_some());
        for _ in 0..MAX_KEYS {
            new = new.rotate().unwrap();
        }
        assert!(new.find(old.current_id()).is_none());
        assert!(Keyring::parse(&new.to_text()).is_ok());
    }

    #[test]
    fn never_printed() {
        let ring = Keyring::parse(&format!("{ONE}\n{TWO}")).unwrap();
        assert_eq!(format!("{ring:?}"), format!("Keyring({} and 1 older)", ring.current_id()));
        let error = Keyring::parse(&format!("{ONE}x")).unwrap_err();
        assert!(!error.to_string().contains(&ONE[..8]));
    }

    #[test]
    fn ids() {
        let id = KeyId([0, 1, 0xab, 0xff]);
        assert_eq!(KeyId::parse(&id.to_string()), Some(id));
        for text in ["", "0001abf", "0001abff0", "0001ABFF", "+001abff", "0001abf\u{e4}"] {
            assert_eq!(KeyId::parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(.|\n){0,200}") {
            let _ = Keyring::parse(&text);
        }
    }
}
