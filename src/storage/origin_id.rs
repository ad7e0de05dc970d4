//! Who sent bytes: an upstream at its URLs, or the bucket.

use std::fmt;

use crate::oci::Digest;

/// Bytes that nobody has verified yet are resumed only by who wrote them, and what is kept is served only in the name of an
/// origin that has sent it. A hash, so that no origin can choose to be another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OriginId(u128);

const DIGITS: usize = 32;

impl OriginId {
    /// `identity` is all that makes one origin differ from another.
    pub fn of(identity: &str) -> Self {
        let hex = Digest::of(identity.as_bytes()).hex();
        Self(hex.get(..DIGITS).and_then(|digits| u128::from_str_radix(digits, 16).ok()).unwrap_or_default())
    }

    /// From its 32 hexadecimal digits; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_id = text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_id { u128::from_str_radix(text, 16).ok().map(Self) } else { None }
    }
}

impl fmt::Display for OriginId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}
