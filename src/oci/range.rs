//! Byte ranges (RFC 9110 section 14).

/// Bytes `start..end` of a representation; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    pub start: u64,
    /// Exclusive.
    pub end: u64,
}

/// A `Range` header asks for at most this many ranges; one with more is ignored, as RFC 9110 section 14.2 allows.
pub const MAX_RANGES: usize = 64;

impl ByteRange {
    pub const fn new(start: u64, end: u64) -> Option<Self> {
        if start < end { Some(Self { start, end }) } else { None }
    }

    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub const fn len(&self) -> u64 {
        self.end - self.start
    }

    /// The value of `Content-Range` within a representation of `total` bytes.
    pub fn content_range(&self, total: u64) -> String {
        format!("bytes {}-{}/{total}", self.start, self.end - 1)
    }

    /// Reads `Content-Range: bytes 0-9/100`; the total is `None` when it is `*`.
    pub fn parse_content_range(value: &str) -> Option<(Self, Option<u64>)> {
        let rest = value.trim().strip_prefix("bytes")?.trim_start();
        let (range, total) = rest.split_once('/')?;
        let (first, last) = range.trim().split_once('-')?;
        let range = Self::new(number(first)?, number(last)?.checked_add(1)?)?;
        match total.trim() {
            "*" => Some((range, None)),
            total => Some((range, Some(number(total)?)))
                .filter(|(range, total)| total.is_none_or(|total| range.end <= total)),
        }
    }
}

/// What a `Range` header asks of a representation of known size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeRequest {
    /// No header, one that is malformed or too long, or a unit other than bytes: answer 200 with everything.
    Whole,
    /// Answer 206.
    Ranges(Vec<ByteRange>),
    /// Well formed, but none of it lies within the representation: answer 416.
    Unsatisfiable,
}

/// One `Range` specifier before the size is known.
#[derive(Clone, Copy, Debug)]
enum Spec {
    From(u64),
    Between(u64, u64),
    Suffix(u64),
}

impl RangeRequest {
    /// `size` is in bytes. Overlapping or touching ranges that come in order are merged, so that an answer is never
    /// larger than the representation plus its part headers.
    pub fn parse(header: Option<&str>, size: u64) -> Self {
        let Some(specs) = header.and_then(parse_specs) else { return Self::Whole };
        let mut ranges: Vec<ByteRange> = Vec::with_capacity(specs.len());
        for range in specs.into_iter().filter_map(|spec| spec.within(size)) {
            match ranges.last_mut() {
                Some(last) if range.start <= last.end && range.start >= last.start => {
                    last.end = last.end.max(range.end)
                }
                _ => ranges.push(range),
            }
        }
        if ranges.is_empty() {
            return Self::Unsatisfiable;
        }
        if ranges.iter().map(ByteRange::len).sum::<u64>() > size {
            return Self::Whole;
        }
        Self::Ranges(ranges)
    }
}

impl Spec {
    fn within(self, size: u64) -> Option<ByteRange> {
        match self {
            Self::From(start) => ByteRange::new(start, size),
            Self::Between(start, last) => ByteRange::new(start, size.min(last.saturating_add(1))),
            Self::Suffix(count) => ByteRange::new(size.saturating_sub(count), size),
        }
    }
}

fn parse_specs(header: &str) -> Option<Vec<Spec>> {
    let (unit, list) = header.trim().split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        if specs.len() == MAX_RANGES {
            return None;
        }
        specs.push(match item.split_once('-')? {
            ("", count) => Spec::Suffix(number(count)?),
            (start, "") => Spec::From(number(start)?),
            (start, last) => {
                // Where the last comes before the first it holds nothing: refused, as RFC 9110 section 14.2 allows and the
                // conformance suite of the specification expects.
                Spec::Between(number(start)?, number(last)?)
            }
        });
    }
    if specs.is_empty() { None } else { Some(specs) }
}

/// Digits only: `u64::from_str` also takes a plus sign.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    // More digits than a u64 holds is past any end.
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(list: &[(u64, u64)]) -> RangeRequest {
        RangeRequest::Ranges(list.iter().map(|(start, end)| ByteRange { start: *start, end: *end }).collect())
    }

    #[test]
    fn table() {
        for (header, expected) in [
            ("bytes=0-0", ranges(&[(0, 1)])),
            ("bytes=0-99", ranges(&[(0, 100)])),
            ("bytes=10-1000", ranges(&[(10, 100)])),
            ("bytes=90-", ranges(&[(90, 100)])),
            ("bytes=-10", ranges(&[(90, 100)])),
            ("bytes=-1000", ranges(&[(0, 100)])),
            ("Bytes = 0-1 , 5-6", ranges(&[(0, 2), (5, 7)])),
            ("bytes=0-4,5-9", ranges(&[(0, 10)])),
            ("bytes=50-59,0-9", ranges(&[(50, 60), (0, 10)])),
            ("bytes=0-0,200-300", ranges(&[(0, 1)])),
            ("bytes=0-99999999999999999999999", ranges(&[(0, 100)])),
            ("bytes=100-", RangeRequest::Unsatisfiable),
            ("bytes=100-200", RangeRequest::Unsatisfiable),
            ("bytes=-0", RangeRequest::Unsatisfiable),
            ("bytes=5-4", RangeRequest::Unsatisfiable),
            ("bytes=", RangeRequest::Whole),
            ("bytes=a-b", RangeRequest::Whole),
            ("bytes=+1-2", RangeRequest::Whole),
            ("bytes", RangeRequest::Whole),
            ("items=0-1", RangeRequest::Whole),
            ("bytes=50-99,0-99", RangeRequest::Whole),
        ] {
            assert_eq!(RangeRequest::parse(Some(header), 100), expected, "{header}");
        }
        assert_eq!(RangeRequest::parse(None, 100), RangeRequest::Whole);
        assert_eq!(RangeRequest::parse(Some("bytes=0-"), 0), RangeRequest::Unsatisfiable);
    }

    #[test]
    fn too_many_ranges_are_ignored() {
        let header = format!(
            "bytes={}",
            (0..MAX_RANGES as u64 + 1).map(|at| format!("{}-{}", at * 2, at * 2)).collect::<Vec<_>>().join(",")
        );
        assert_eq!(RangeRequest::parse(Some(&header), 1000), RangeRequest::Whole);
    }

    #[test]
    fn content_range() {
        assert_eq!(ByteRange::parse_content_range("bytes 5-9/100"), Some((ByteRange { start: 5, end: 10 }, Some(100))));
        assert_eq!(ByteRange::parse_content_range("bytes 5-9/*"), Some((ByteRange { start: 5, end: 10 }, None)));
        for bad in ["", "bytes */100", "bytes 9-5/100", "bytes 0-100/100", "0-1/2", "bytes 0-1"] {
            assert_eq!(ByteRange::parse_content_range(bad), None, "{bad}");
        }
        assert_eq!(ByteRange { start: 5, end: 10 }.content_range(100), "bytes 5-9/100");
    }
}
