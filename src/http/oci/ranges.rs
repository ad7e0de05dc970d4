//! Which part of a representation a request wants (RFC 9110 sections 13 and 14).

use http::header::{IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, Version};

use crate::oci::{ByteRange, Digest, RangeRequest};

/// The head of a part is about as long.
const LEAST_GAP_BYTES: u64 = 128;

/// A request's conditions, read before the request is given away.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    if_none_match: Vec<String>,
    if_range: Option<String>,
    range: Option<String>,
    /// The client takes the end of the connection for the end of a body whose length it was not told (RFC 9112 section 6.3).
    needs_length: bool,
}

impl Conditions {
    pub fn read(headers: &HeaderMap, version: Version) -> Self {
        let text =
            |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok()).map(str::to_owned);
        let if_none_match = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        Self {
            if_none_match: if_none_match.flat_map(|value| value.split(',')).map(|tag| tag.trim().to_owned()).collect(),
            if_range: text(IF_RANGE),
            range: text(RANGE),
            needs_length: version < Version::HTTP_11,
        }
    }

    pub fn needs_length(&self) -> bool {
        self.needs_length
    }

    /// The client has it already: 304.
    pub fn not_modified(&self, digest: &Digest) -> bool {
        self.if_none_match.iter().any(|tag| tag == "*" || names(tag.strip_prefix("W/").unwrap_or(tag), digest))
    }

    /// As [`Self::wanted`], for what is opened part by part: ranges that lie close together are one.
    pub(super) fn wanted_parts(&self, digest: &Digest, size: u64) -> RangeRequest {
        match self.wanted(digest, size) {
            RangeRequest::Ranges(ranges) => RangeRequest::Ranges(coalesced(ranges)),
            wanted => wanted,
        }
    }

    /// What of `size` bytes is wanted. `If-Range` compares strongly: a date or a weak tag never matches, as a digest has
    /// neither.
    pub fn wanted(&self, digest: &Digest, size: u64) -> RangeRequest {
        match &self.if_range {
            Some(tag) if !names(tag.trim(), digest) => RangeRequest::Whole,
            _ => RangeRequest::parse(self.range.as_deref(), size),
        }
    }
}

/// Ranges that come in order, with so little between them that a part of its own costs more (RFC 9110 section 15.3.7.2).
fn coalesced(ranges: Vec<ByteRange>) -> Vec<ByteRange> {
    let mut near: Vec<ByteRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match near.last_mut() {
            Some(last) if range.start >= last.start && range.start <= last.end.saturating_add(LEAST_GAP_BYTES) => {
                last.end = last.end.max(range.end);
            }
            _ => near.push(range),
        }
    }
    near
}

pub(super) fn entity_tag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// Clients quote the digest, as the grammar wants, or send it bare.
fn names(tag: &str, digest: &Digest) -> bool {
    tag.trim_matches('"').parse() == Ok(*digest)
}

/// A `multipart/byteranges` body around ranges of a representation (RFC 9110 section 14.6).
pub(super) struct Multipart {
    boundary: String,
    media_type: String,
    total: u64,
}

impl Multipart {
    pub(super) fn new(media_type: &str, total: u64) -> Self {
        Self { boundary: format!("{:032x}", fastrand::u128(..)), media_type: media_type.to_owned(), total }
    }

    pub(super) fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// What goes ahead of a part.
    pub(super) fn head(&self, range: ByteRange) -> String {
        let Self { boundary, media_type, total } = self;
        let content_range = range.content_range(*total);
        format!("\r\n--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {content_range}\r\n\r\n")
    }

    pub(super) fn tail(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }

    /// Bytes of the whole body.
    pub(super) fn length(&self, ranges: &[ByteRange]) -> u64 {
        let parts: u64 = ranges.iter().map(|range| self.head(*range).len() as u64 + range.len()).sum();
        parts + self.tail().len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(headers: &[(&str, String)]) -> Conditions {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        Conditions::read(&map, Version::HTTP_11)
    }

    /// C29: conditional requests by the digest as entity tag.
    #[test]
    fn c29_conditions() {
        let (digest, other) = (Digest::of(b"a"), Digest::of(b"b"));
        for (value, expected) in [
            (format!("\"{digest}\""), true),
            (format!("W/\"{digest}\""), true),
            (format!("\"{other}\", \"{digest}\""), true),
            ("*".to_owned(), true),
            (digest.to_string(), true),
            (format!("\"{other}\""), false),
            ("\"\"".to_owned(), false),
        ] {
            assert_eq!(conditions(&[("if-none-match", value.clone())]).not_modified(&digest), expected, "{value}");
        }
        let range = ("range", "bytes=0-0".to_owned());
        for (value, whole) in [
            (format!("\"{digest}\""), false),
            (format!("\"{other}\""), true),
            (format!("W/\"{digest}\""), true),
            ("Wed, 21 Oct 2015 07:28:00 GMT".to_owned(), true),
        ] {
            let wanted = conditions(&[range.clone(), ("if-range", value.clone())]).wanted(&digest, 10);
            assert_eq!(wanted == RangeRequest::Whole, whole, "{value}");
        }
    }

    #[test]
    fn t09_near_ranges_are_one() {
        let found = |text: &str| {
            let conditions = conditions(&[("range", text.to_owned())]);
            match conditions.wanted_parts(&Digest::of(b"a"), 10_000) {
                RangeRequest::Ranges(ranges) => ranges.iter().map(|range| (range.start, range.end)).collect(),
                wanted => panic!("{wanted:?}"),
            }
        };
        let near: Vec<(u64, u64)> = found("bytes=0-9,20-29,158-200,400-409");
        assert_eq!(near, [(0, 201), (400, 410)]);
        assert_eq!(found("bytes=400-409,0-9"), [(400, 410), (0, 10)]);
    }

    #[test]
    fn multipart_length_is_what_is_written() {
        let multipart = Multipart::new("application/octet-stream", 100);
        let ranges = [ByteRange { start: 0, end: 10 }, ByteRange { start: 50, end: 51 }];
        let written = ranges.iter().map(|range| multipart.head(*range).len() as u64 + range.len()).sum::<u64>();
        assert_eq!(multipart.length(&ranges), written + multipart.tail().len() as u64);
    }
}
