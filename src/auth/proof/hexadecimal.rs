//! Lower-case hexadecimal digits, as hashes and signatures are written in headers.

pub(super) fn encode(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).flatten().collect()
}

/// Exactly 32 bytes in lower case.
pub(super) fn decode_32(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(bytes)
}

const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits() {
        assert_eq!(encode(&[0, 0x9f, 0xa0, 255]), "009fa0ff");
        for text in [String::new(), "0".repeat(63), "0".repeat(65), "A".repeat(64), "g".repeat(64), "\u{e4}".repeat(32)]
        {
            assert_eq!(decode_32(&text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn round_trip(bytes: [u8; 32]) {
            proptest::prop_assert_eq!(decode_32(&encode(&bytes)), Some(bytes));
        }
    }
}
