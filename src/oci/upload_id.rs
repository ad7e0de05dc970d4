//! The name of an upload under way (distribution-spec, "Pushing a blob in chunks": a UUID).

use std::fmt;
use std::str::FromStr;

/// A UUID of version 4, so that nobody guesses another's; it is also a safe file name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct UploadId(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an upload is named by a UUID")]
pub struct UploadIdError;

/// Where a UUID has its dashes.
const DASHES: [usize; 4] = [8, 13, 18, 23];

impl UploadId {
    /// Made of random bytes that nobody can foretell.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        let number = (u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let mut text = format!("{number:032x}");
        for at in DASHES {
            text.insert(at, '-');
        }
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UploadId {
    type Err = UploadIdError;

    fn from_str(text: &str) -> Result<Self, UploadIdError> {
        let right = |(at, c): (usize, u8)| {
            if DASHES.contains(&at) { c == b'-' } else { c.is_ascii_digit() || (b'a'..=b'f').contains(&c) }
        };
        if text.len() == 36 && text.bytes().enumerate().all(right) {
            Ok(Self(text.to_owned()))
        } else {
            Err(UploadIdError)
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_and_nothing_else() {
        for bytes in [[0; 16], [0xff; 16], [0x5a; 16]] {
            let id = UploadId::from_random(bytes);
            assert_eq!(id.as_str().parse(), Ok(id.clone()));
            assert_eq!(id.as_str().as_bytes()[14], b'4');
            assert!(b"89ab".contains(&id.as_str().as_bytes()[19]));
        }
        for text in [
            "",
            "../../../../etc/passwd/////////////////",
            "00000000-0000-4000-8000-00000000000G",
            "00000000-0000-4000-8000-0000000000000",
        ] {
            assert_eq!(text.parse::<UploadId>(), Err(UploadIdError), "{text}");
        }
    }
}
