//! Which bytes of a blob an answer brings, compared with those that were asked for. Pure.

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE};

use super::request::Reply;
use crate::oci::ByteRange;

/// The largest length that counts with a sign can hold.
const MAX_BYTES: u64 = i64::MAX as u64;

/// Bytes `start..end` of a blob, or to its end, that should be `total` bytes long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) start: u64,
    pub(super) end: Option<u64>,
    pub(super) total: Option<u64>,
}

/// What of an answer's head matters here.
#[derive(Clone, Debug)]
pub(super) struct Head {
    status: u16,
    content_range: Option<String>,
    content_length: Option<u64>,
}

/// How to read the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes to pass over, because upstream ignored the range (C27).
    pub(super) skip: u64,
    /// Bytes to bring after those, if it is known.
    pub(super) length: Option<u64>,
    /// What comes after those.
    pub(super) then: Then,
    /// The blob's size, if upstream told it.
    pub(super) total: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Then {
    /// The body's end; more is an error.
    #[default]
    End,
    /// Bytes that were not asked for.
    Excess,
    /// The body's end, before that of what was asked for: the rest must be asked for again.
    Shortage,
}

impl Head {
    pub(super) fn of(reply: &Reply) -> Self {
        Self {
            status: reply.response.status().as_u16(),
            content_range: reply.header(CONTENT_RANGE.as_str()).map(str::to_owned),
            content_length: reply.header(CONTENT_LENGTH.as_str()).and_then(length),
        }
    }

    /// Where a redirect led, an answer to a question for a part is of the blob only if it says how long that is: ranges cannot be
    /// verified, and anything else may be there that says 200.
    pub(super) fn check_whole(&self, known: u64, host: &str) -> Result<(), String> {
        let total = if self.status == 200 { self.content_length } else { self.total() };
        if matches!(self.status, 200 | 206) && total != Some(known) {
            return Err(format!(
                "it redirects to {host}, which sends something else than the {known} bytes of the blob"
            ));
        }
        Ok(())
    }

    /// The blob's size, if the answer tells it.
    pub(super) fn total(&self) -> Option<u64> {
        match self.status {
            206 => {
                ByteRange::parse_content_range(self.content_range.as_deref()?)?.1.filter(|bytes| *bytes <= MAX_BYTES)
            }
            416 => self.unsatisfied_total(),
            _ => self.content_length,
        }
    }

    /// `Content-Range: bytes */100`
    fn unsatisfied_total(&self) -> Option<u64> {
        let rest = self.content_range.as_deref()?.trim().strip_prefix("bytes")?.trim_start();
        length(rest.strip_prefix("*/")?)
    }
}

/// A length that a file can have. Clients of ours that count with a sign take a longer one for none, and the end of the connection for
/// that of the blob.
fn length(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes <= MAX_BYTES)
}

impl Wanted {
    /// The `Range` header, where one is needed.
    pub(super) fn header(&self) -> Option<String> {
        match (self.start, self.end) {
            (0, None) => None,
            (start, None) => Some(format!("bytes={start}-")),
            (start, Some(end)) => Some(format!("bytes={start}-{}", end.saturating_sub(1))),
        }
    }

    /// The error says how the answer contradicts itself, the question, or the size that is known.
    pub(super) fn extent(&self, head: &Head) -> Result<Extent, String> {
        match head.status {
            206 => self.of_part(head),
            416 => self.of_nothing(head),
            200 => self.of_whole(head),
            status => Err(format!("it answers {status} where a blob was asked for")),
        }
    }

    fn of_whole(&self, head: &Head) -> Result<Extent, String> {
        let total = head.content_length;
        self.check_total(total)?;
        let known = total.or(self.total);
        if let Some(known) = known
            && self.end.unwrap_or(self.start) > known
        {
            return Err(format!("the blob has {known} bytes where bytes from {} on were asked for", self.start));
        }
        let until = self.end.or(known);
        let then = if self.end.is_some() && self.end != known { Then::Excess } else { Then::End };
        Ok(Extent { skip: self.start, length: until.map(|until| until.saturating_sub(self.start)), then, total })
    }

    fn of_part(&self, head: &Head) -> Result<Extent, String> {
        if self.header().is_none() {
            return Err("it answers 206 although no range was asked for".to_owned());
        }
        let text = head.content_range.as_deref().unwrap_or_default();
        let Some((range, total)) = ByteRange::parse_content_range(text) else {
            return Err(format!("it answers 206 with Content-Range {text:?}"));
        };
        if range.start != self.start {
            return Err(format!("it sends bytes from {} on where {} was asked for", range.start, self.start));
        }
        self.check_total(total)?;
        if head.content_length.is_some_and(|length| length != range.len()) {
            return Err("its Content-Length is not that of its Content-Range".to_owned());
        }
        let until = self.end.or(total).or(self.total);
        let (end, then) = match until {
            Some(until) if range.end > until => (until, Then::Excess),
            Some(until) if range.end < until => (range.end, Then::Shortage),
            _ => (range.end, Then::End),
        };
        Ok(Extent { skip: 0, length: Some(end - self.start), then, total })
    }

    /// 416 is right where everything was there already.
    fn of_nothing(&self, head: &Head) -> Result<Extent, String> {
        let total = head.unsatisfied_total();
        self.check_total(total)?;
        if self.end.is_none() && total.or(self.total) == Some(self.start) {
            return Ok(Extent { skip: 0, length: Some(0), then: Then::Excess, total });
        }
        Err(format!("it has no bytes from {} on", self.start))
    }

    fn check_total(&self, total: Option<u64>) -> Result<(), String> {
        match (total, self.total) {
            (Some(told), Some(expected)) if told != expected => {
                Err(format!("it says that the blob has {told} bytes where {expected} are expected"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, content_range: &str, content_length: Option<u64>) -> Head {
        let content_range = (!content_range.is_empty()).then(|| content_range.to_owned());
        Head { status, content_range, content_length }
    }

    fn wanted(start: u64, end: Option<u64>, total: Option<u64>) -> Wanted {
        Wanted { start, end, total }
    }

    #[test]
    fn good_answers() {
        use Then::{End, Excess, Shortage};
        for (wanted, head, skip, length, then, total) in [
            (wanted(0, None, None), head(200, "", Some(100)), 0, Some(100), End, Some(100)),
            (wanted(0, None, None), head(200, "", None), 0, None, End, None),
            (wanted(0, None, Some(100)), head(200, "", None), 0, Some(100), End, None),
            (wanted(0, None, Some(0)), head(200, "", Some(0)), 0, Some(0), End, Some(0)),
            // C27: the range is ignored.
            (wanted(40, None, Some(100)), head(200, "", Some(100)), 40, Some(60), End, Some(100)),
            (wanted(40, None, None), head(200, "", None), 40, None, End, None),
            (wanted(40, Some(50), None), head(200, "", Some(100)), 40, Some(10), Excess, Some(100)),
            (wanted(40, Some(100), None), head(200, "", Some(100)), 40, Some(60), End, Some(100)),
            (wanted(40, Some(50), None), head(200, "", None), 40, Some(10), Excess, None),
            (wanted(40, None, Some(100)), head(206, "bytes 40-99/100", Some(60)), 0, Some(60), End, Some(100)),
            (wanted(40, None, Some(100)), head(206, "bytes 40-99/*", None), 0, Some(60), End, None),
            (wanted(40, Some(50), None), head(206, "bytes 40-49/100", Some(10)), 0, Some(10), End, Some(100)),
            (wanted(0, Some(50), None), head(206, "bytes 0-49/100", Some(50)), 0, Some(50), End, Some(100)),
            (wanted(40, Some(50), None), head(206, "bytes 40-99/100", Some(60)), 0, Some(10), Excess, Some(100)),
            (wanted(40, None, Some(100)), head(206, "bytes 40-49/100", Some(10)), 0, Some(10), Shortage, Some(100)),
            (wanted(40, Some(60), None), head(206, "bytes 40-49/100", None), 0, Some(10), Shortage, Some(100)),
            (wanted(40, None, None), head(206, "bytes 40-49/*", None), 0, Some(10), End, None),
            (wanted(100, None, None), head(416, "bytes */100", Some(20)), 0, Some(0), Excess, Some(100)),
            (wanted(100, None, Some(100)), head(416, "", Some(20)), 0, Some(0), Excess, None),
        ] {
            let expected = Extent { skip, length, then, total };
            assert_eq!(wanted.extent(&head), Ok(expected), "{wanted:?} {head:?}");
        }
    }

    #[test]
    fn lies() {
        for (wanted, head) in [
            // C11: another size than the manifest's.
            (wanted(0, None, Some(100)), head(200, "", Some(101))),
            (wanted(0, None, Some(100)), head(200, "", Some(99))),
            (wanted(100, None, None), head(200, "", Some(99))),
            (wanted(40, Some(50), None), head(200, "", Some(45))),
            (wanted(0, None, None), head(204, "", None)),
            (wanted(0, None, None), head(206, "bytes 0-99/100", Some(100))),
            // C28: other bytes, or a total that has changed.
            (wanted(40, None, Some(100)), head(206, "bytes 41-99/100", Some(59))),
            (wanted(40, None, Some(100)), head(206, "bytes 0-99/100", Some(100))),
            (wanted(40, None, Some(100)), head(206, "bytes 40-100/101", Some(61))),
            (wanted(40, None, Some(100)), head(206, "", Some(60))),
            (wanted(40, None, Some(100)), head(206, "bytes 40-30/100", None)),
            (wanted(40, None, Some(100)), head(206, "bytes 40-99/100", Some(59))),
            (wanted(40, None, Some(100)), head(416, "bytes */100", None)),
            (wanted(100, None, Some(100)), head(416, "bytes */90", None)),
            (wanted(100, Some(110), None), head(416, "bytes */100", None)),
            (wanted(100, None, None), head(416, "", None)),
        ] {
            assert!(wanted.extent(&head).is_err(), "{wanted:?} {head:?}");
        }
    }

    #[test]
    fn headers() {
        for (wanted, expected) in [
            (wanted(0, None, None), None),
            (wanted(1, None, None), Some("bytes=1-")),
            (wanted(0, Some(1), None), Some("bytes=0-0")),
            (wanted(5, Some(10), None), Some("bytes=5-9")),
        ] {
            assert_eq!(wanted.header().as_deref(), expected);
        }
    }

    #[test]
    fn totals() {
        for (head, expected) in [
            (head(200, "", Some(5)), Some(5)),
            (head(206, "bytes 0-0/5", Some(1)), Some(5)),
            (head(206, "bytes 0-0/*", Some(1)), None),
            (head(416, "bytes */0", Some(9)), Some(0)),
            (head(416, "", Some(9)), None),
        ] {
            assert_eq!(head.total(), expected, "{head:?}");
        }
    }
}
