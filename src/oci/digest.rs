//! A content digest: `algorithm:hex` (image-spec, descriptor.md, "Digests").
//!
//! Only the algorithms that the specification registers and that we can compute are accepted; any other is
//! [`DigestError::UnsupportedAlgorithm`], which a client is told, never a digest that nothing can verify.

use std::fmt;
use std::str::FromStr;

use super::hash::Hasher;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of the digest in bytes.
    pub const fn digest_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// A digest of 32 or 64 bytes, printed as `sha256:…` or `sha512:…`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    /// The digest, then zeros up to the longest algorithm's length.
    bytes: [u8; 64],
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("a digest is written algorithm:hex, as in sha256:<64 hex digits>")]
    Malformed,
    #[error("digest algorithm {0:?} is not supported; use sha256 or sha512")]
    UnsupportedAlgorithm(String),
    #[error("a {algorithm} digest has {expected} lower-case hex digits", algorithm = .0.name(), expected = .0.digest_bytes() * 2)]
    BadEncoding(Algorithm),
}

impl Digest {
    /// The SHA-256 digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self::compute(Algorithm::Sha256, content)
    }

    pub fn compute(algorithm: Algorithm, content: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(content);
        hasher.finish()
    }

    /// `None` when `bytes` is not as long as the algorithm's digests are.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != algorithm.digest_bytes() {
            return None;
        }
        let mut padded = [0; 64];
        padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { algorithm, bytes: padded })
    }

    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.algorithm.digest_bytes()).unwrap_or_default()
    }

    /// The lower-case hex digits after the colon.
    pub fn hex(&self) -> String {
        self.hex_digits(&mut [0; 128]).to_owned()
    }

    fn hex_digits<'a>(&self, space: &'a mut [u8; 128]) -> &'a str {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
        for (byte, pair) in self.as_bytes().iter().zip(space.as_chunks_mut().0) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        space.get(..self.algorithm.digest_bytes() * 2).and_then(|hex| str::from_utf8(hex).ok()).unwrap_or_default()
    }

    pub fn verifies(&self, content: &[u8]) -> bool {
        Self::compute(self.algorithm, content) == *self
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or(DigestError::Malformed)?;
        let algorithm = match algorithm {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            other if is_algorithm_name(other) && !hex.is_empty() => {
                return Err(DigestError::UnsupportedAlgorithm(other.to_owned()));
            }
            _ => return Err(DigestError::Malformed),
        };
        if hex.len() != algorithm.digest_bytes() * 2 {
            return Err(DigestError::BadEncoding(algorithm));
        }
        let mut bytes = [0; 64];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let digit = |at: usize| match pair.get(at) {
                Some(c @ b'0'..=b'9') => Ok(c - b'0'),
                Some(c @ b'a'..=b'f') => Ok(c - b'a' + 10),
                _ => Err(DigestError::BadEncoding(algorithm)),
            };
            *byte = digit(0)? << 4 | digit(1)?;
        }
        Ok(Self { algorithm, bytes })
    }
}

fn is_algorithm_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"+._-".contains(&c))
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm.name())?;
        f.write_str(":")?;
        f.write_str(self.hex_digits(&mut [0; 128]))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn prints_what_it_parsed() {
        let digest: Digest = EMPTY.parse().unwrap();
        assert_eq!(digest.to_string(), EMPTY);
        assert_eq!(digest, Digest::of(b""));
        assert!(digest.verifies(b""));
        assert!(!digest.verifies(b"x"));
    }

    #[test]
    fn sha512_has_128_digits() {
        let digest = Digest::compute(Algorithm::Sha512, b"abc");
        assert!(digest.to_string().starts_with("sha512:ddaf35a193617abacc417349ae204131"));
        assert_eq!(digest.to_string().parse(), Ok(digest));
    }

    #[test]
    fn refuses_what_it_cannot_verify() {
        for (text, error) in [
            ("", DigestError::Malformed),
            ("sha256", DigestError::Malformed),
            ("SHA256:aa", DigestError::Malformed),
            ("md5:d41d8cd98f00b204e9800998ecf8427e", DigestError::UnsupportedAlgorithm("md5".to_owned())),
            ("sha256:abcd", DigestError::BadEncoding(Algorithm::Sha256)),
            (&EMPTY.to_uppercase().replace("SHA256", "sha256"), DigestError::BadEncoding(Algorithm::Sha256)),
            (&EMPTY.replace('b', "/"), DigestError::BadEncoding(Algorithm::Sha256)),
        ] {
            assert_eq!(text.parse::<Digest>(), Err(error), "{text}");
        }
    }
}
