//! Access keys: an id that everyone may see and a secret that signs.

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const ID_CHARS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ID_RANDOM_CHARS: usize = 16;
/// 40 characters of base64.
const SECRET_BYTES: usize = 30;

/// A key pair that lasts until it is deleted, or one that comes with a session token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKeyKind {
    LongTerm,
    Temporary,
}

#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// `AKIA` or `ASIA` and 16 characters.
    pub id: String,
    /// 40 characters, 240 random bits.
    pub secret: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no access key can be made: the operating system gives no random bytes")]
pub struct NoRandomness;

impl AccessKeyKind {
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::LongTerm => "AKIA",
            Self::Temporary => "ASIA",
        }
    }

    /// By the id's first four letters; none where nothing of this registry looks so.
    pub fn of(id: &str) -> Option<Self> {
        [Self::LongTerm, Self::Temporary].into_iter().find(|kind| id.starts_with(kind.prefix()))
    }
}

impl AccessKey {
    pub fn generate(kind: AccessKeyKind) -> Result<Self, NoRandomness> {
        let mut id = kind.prefix().to_owned();
        for byte in random::<ID_RANDOM_CHARS>()? {
            id.extend(ID_CHARS.get(usize::from(byte % 32)).copied().map(char::from));
        }
        Ok(Self { id, secret: STANDARD.encode(random::<SECRET_BYTES>()?) })
    }
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape() {
        let mut seen = std::collections::HashSet::new();
        for kind in [AccessKeyKind::LongTerm, AccessKeyKind::Temporary] {
            for _ in 0..100 {
                let key = AccessKey::generate(kind).unwrap();
                assert_eq!((key.id.len(), key.secret.len()), (20, 40));
                assert!(key.id.starts_with(kind.prefix()) && key.id.bytes().all(|c| ID_CHARS.contains(&c)), "{key:?}");
                assert_eq!(AccessKeyKind::of(&key.id), Some(kind));
                assert!(!format!("{key:?}").contains(&key.secret));
                assert!(seen.insert(key.id) && seen.insert(key.secret));
            }
        }
        assert_eq!(AccessKeyKind::of("AKIDEXAMPLE"), None);
        assert_eq!(AccessKeyKind::of(""), None);
    }
}
