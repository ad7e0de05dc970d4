//! Passwords of robots, kept as argon2id hashes (RFC 9106) in PHC strings.
//!
//! A hash names its own cost. One that asks for more than the bounds here is refused before any memory is taken, since who
//! can write a row of the database must not be able to stop the registry with it. Hashing takes tens of milliseconds and
//! the memory that the cost says: callers run it off the request's threads, few at a time.

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordVerifier, Version};
use aws_lc_rs::rand;

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
const MAX_PASSWORD_BYTES: usize = 1024;
const MAX_HASH_CHARS: usize = 256;
const MAX_MEMORY_KIB: u32 = 128 << 10;
const MAX_ITERATIONS: u32 = 10;
const MAX_LANES: u32 = 4;

/// What a new hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordCost {
    pub memory_kib: u32,
    pub iterations: u32,
    pub lanes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("a password has at most {MAX_PASSWORD_BYTES} bytes")]
    TooLong,
    #[error("the kept hash is not an argon2id hash that this registry makes: set the password anew")]
    NotAHash,
    #[error(
        "the cost is out of bounds: at most {MAX_MEMORY_KIB} KiB, {MAX_ITERATIONS} iterations and {MAX_LANES} lanes, at least 8 KiB a lane"
    )]
    Cost,
    #[error("the password cannot be hashed: the operating system gives no random bytes or no memory")]
    NotHashed,
}

impl Default for PasswordCost {
    /// 19 MiB, two iterations, one lane.
    fn default() -> Self {
        Self { memory_kib: 19 << 10, iterations: 2, lanes: 1 }
    }
}

impl PasswordCost {
    fn hasher(self) -> Result<Argon2<'static>, PasswordError> {
        if self.memory_kib > MAX_MEMORY_KIB || self.iterations > MAX_ITERATIONS || self.lanes > MAX_LANES {
            return Err(PasswordError::Cost);
        }
        let params = Params::new(self.memory_kib, self.iterations, self.lanes, Some(HASH_BYTES))
            .map_err(|_| PasswordError::Cost)?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }
}

/// A PHC string with a new salt.
pub fn hash_password(password: &str, cost: PasswordCost) -> Result<String, PasswordError> {
    check_length(password)?;
    let hasher = cost.hasher()?;
    let mut salt = [0; SALT_BYTES];
    rand::fill(&mut salt).map_err(|_| PasswordError::NotHashed)?;
    let hash = hasher.hash_password_with_salt(password.as_bytes(), &salt).map_err(|_| PasswordError::NotHashed)?;
    Ok(hash.to_string())
}

/// Whether the password is the one that was hashed, compared in constant time.
pub fn verify_password(password: &str, kept: &str) -> Result<bool, PasswordError> {
    check_length(password)?;
    let (hash, cost) = read_hash(kept)?;
    let hasher = cost.hasher()?;
    match hasher.verify_password(password.as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(_) => Err(PasswordError::NotHashed),
    }
}

/// Takes as long as a check and is never true: for a user who does not exist, or else the time tells who does.
pub fn verify_nobody(password: &str, cost: PasswordCost) -> Result<bool, PasswordError> {
    check_length(password)?;
    let mut hash = [0; HASH_BYTES];
    cost.hasher()?
        .hash_password_into(password.as_bytes(), &[0; SALT_BYTES], &mut hash)
        .map_err(|_| PasswordError::NotHashed)?;
    std::hint::black_box(hash);
    Ok(false)
}

/// Whether a hash was made at another cost than new ones are: the next login that succeeds can make it anew.
pub fn needs_rehash(kept: &str, cost: PasswordCost) -> bool {
    read_hash(kept).map_or(true, |(_, known)| known != cost)
}

fn check_length(password: &str) -> Result<(), PasswordError> {
    if password.len() > MAX_PASSWORD_BYTES { Err(PasswordError::TooLong) } else { Ok(()) }
}

fn read_hash(kept: &str) -> Result<(PasswordHash, PasswordCost), PasswordError> {
    if kept.len() > MAX_HASH_CHARS {
        return Err(PasswordError::NotAHash);
    }
    let hash = PasswordHash::new(kept).map_err(|_| PasswordError::NotAHash)?;
    let complete = hash.salt.is_some() && hash.hash.as_ref().is_some_and(|hash| hash.len() == HASH_BYTES);
    if hash.algorithm != argon2::ARGON2ID_IDENT || hash.version != Some(Version::V0x13.into()) || !complete {
        return Err(PasswordError::NotAHash);
    }
    let params = Params::try_from(&hash).map_err(|_| PasswordError::Cost)?;
    let cost = PasswordCost { memory_kib: params.m_cost(), iterations: params.t_cost(), lanes: params.p_cost() };
    Ok((hash, cost))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: PasswordCost = PasswordCost { memory_kib: 64, iterations: 1, lanes: 1 };

    #[test]
    fn round_trip() {
        let kept = hash_password("correct horse", CHEAP).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{kept}");
        assert_eq!(verify_password("correct horse", &kept), Ok(true));
        for wrong in ["", "Correct horse", "correct horse "] {
            assert_eq!(verify_password(wrong, &kept), Ok(false), "{wrong}");
        }
        assert_ne!(hash_password("correct horse", CHEAP).unwrap(), kept);
        assert!(!needs_rehash(&kept, CHEAP) && needs_rehash(&kept, PasswordCost::default()));
        assert_eq!(verify_nobody("x", CHEAP), Ok(false));
    }

    #[test]
    fn default_cost() {
        let kept = hash_password("x", PasswordCost::default()).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && kept.len() < 128, "{kept}");
        assert_eq!(verify_password("x", &kept), Ok(true));
    }

    #[test]
    fn absurd_hashes_are_refused() {
        let kept = hash_password("x", CHEAP).unwrap();
        for (other, error) in [
            (kept.replace("m=64", "m=4294967295"), PasswordError::Cost),
            (kept.replace("m=64", "m=131073"), PasswordError::Cost),
            (kept.replace("t=1", "t=11"), PasswordError::Cost),
            (kept.replace("p=1", "p=5"), PasswordError::Cost),
            (kept.replace("m=64", "m=1"), PasswordError::Cost),
            (kept.replace("argon2id", "argon2i"), PasswordError::NotAHash),
            (kept.replace("argon2id", "pbkdf2-sha256"), PasswordError::NotAHash),
            (kept.replace("v=19", "v=16"), PasswordError::NotAHash),
            (kept.replace("$v=19", ""), PasswordError::NotAHash),
            (kept[..kept.rfind('$').unwrap()].to_owned(), PasswordError::NotAHash),
            (kept[..kept.len() - 20].to_owned(), PasswordError::NotAHash),
            (String::new(), PasswordError::NotAHash),
            ("plain".into(), PasswordError::NotAHash),
            ("$".repeat(10_000), PasswordError::NotAHash),
        ] {
            assert_eq!(verify_password("x", &other), Err(error), "{other}");
        }
        assert_eq!(hash_password("x", PasswordCost { iterations: 11, ..CHEAP }), Err(PasswordError::Cost));
        assert_eq!(hash_password("x", PasswordCost { lanes: 0, ..CHEAP }), Err(PasswordError::Cost));
    }

    #[test]
    fn long_passwords_are_refused() {
        let long = "x".repeat(MAX_PASSWORD_BYTES + 1);
        assert_eq!(hash_password(&long, CHEAP), Err(PasswordError::TooLong));
        assert_eq!(verify_nobody(&long, CHEAP), Err(PasswordError::TooLong));
        let kept = hash_password(&long[1..], CHEAP).unwrap();
        assert_eq!(verify_password(&long, &kept), Err(PasswordError::TooLong));
        assert_eq!(verify_password(&long[1..], &kept), Ok(true));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(kept in "\\$argon2id\\$v=19\\$m=[0-9]{1,3},t=[0-9],p=[0-9]\\$[A-Za-z0-9]{0,30}\\$[A-Za-z0-9]{0,50}", any in ".{0,100}") {
            proptest::prop_assert_ne!(verify_password("x", &kept), Ok(true));
            proptest::prop_assert!(verify_password("x", &any).is_err());
        }
    }
}
