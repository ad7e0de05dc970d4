//! DER (X.690), as far as a certificate needs it: one element after another, with tags of one byte and lengths of at most two.

/// The encoding cannot be read. What the handshake has verified can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// What is left to read.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next element: its tag and its content. `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, Malformed> {
        let (&[tag, first], rest) = match self.0.split_first_chunk() {
            Some(split) => split,
            None if self.0.is_empty() => return Ok(None),
            None => return Err(Malformed),
        };
        if tag & 0x1f == 0x1f {
            return Err(Malformed);
        }
        // A length has one encoding, the shortest.
        let (length, rest) = match (first, rest) {
            (0..=0x7f, rest) => (usize::from(first), rest),
            (0x81, [length @ 0x80..=0xff, rest @ ..]) => (usize::from(*length), rest),
            (0x82, [high @ 1..=0xff, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            _ => return Err(Malformed),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(Some((tag, content)))
    }

    /// The content of the next element, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        match self.next()? {
            Some((found, content)) if found == tag => Ok(content),
            _ => Err(Malformed),
        }
    }

    /// The content of the next element if it has this tag; otherwise nothing is taken.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, Malformed> {
        if self.0.first() == Some(&tag) { self.expect(tag).map(Some) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_encoding() {
        let long = |length: &[u8], count: usize| [&[0x04][..], length, &vec![7; count]].concat();
        for (bytes, expected) in [
            (long(&[0], 0), Ok(0)),
            (long(&[0x7f], 0x7f), Ok(0x7f)),
            (long(&[0x81, 0x80], 0x80), Ok(0x80)),
            (long(&[0x82, 1, 0], 256), Ok(256)),
            (long(&[0x81, 0x7f], 0x7f), Err(Malformed)),
            (long(&[0x82, 0, 0x80], 0x80), Err(Malformed)),
            (long(&[0x80], 3), Err(Malformed)),
            (long(&[0x83, 1, 0, 0], 65_536), Err(Malformed)),
            (long(&[2], 1), Err(Malformed)),
            (vec![0x04], Err(Malformed)),
            (vec![0x1f, 0], Err(Malformed)),
        ] {
            let read = Elements::new(&bytes).next().map(|element| element.unwrap().1.len());
            assert_eq!(read, expected, "{:02x?}", &bytes[..bytes.len().min(6)]);
        }
        assert_eq!(Elements::new(&[]).next(), Ok(None));
    }
}
