//! What the upstream does wrong, and to which requests.

use std::time::Duration;

use bytes::Bytes;

use super::FakeUpstream;
use super::gate::Gate;

/// What happens in place of the usual answer.
#[derive(Clone)]
pub(super) enum Instead {
    Answer {
        status: u16,
        content_type: &'static str,
        body: Bytes,
    },
    Redirect {
        status: u16,
        location: String,
    },
    /// A redirect to a signed URL of the other server, made anew for each request.
    Presign(FakeUpstream),
    /// The connection stays open and nothing comes.
    Hang,
    /// The connection is closed without an answer.
    Drop,
}

/// A change to the upstream's usual answers. Offsets are within the whole content unless said otherwise.
#[derive(Clone, Default)]
pub struct Behaviour {
    pub(super) skip: u32,
    pub(super) times: Option<u32>,
    pub(super) ranged: Option<bool>,
    pub(super) head_gate: Option<Gate>,
    pub(super) instead: Option<Box<Instead>>,
    pub(super) gates: Vec<(u64, Gate)>,
    pub(super) bytes_per_second: Option<u64>,
    pub(super) pause: Option<(u64, Duration)>,
    pub(super) cut_after: Option<u64>,
    pub(super) flip_at: Option<u64>,
    pub(super) shorten_to: Option<u64>,
    pub(super) append: Option<Bytes>,
    pub(super) chunked: bool,
    pub(super) declared_length: Option<u64>,
    pub(super) ignore_range: bool,
    pub(super) gzip: Option<bool>,
    pub(super) drop_headers: Vec<&'static str>,
    pub(super) set_headers: Vec<(&'static str, String)>,
}

impl Behaviour {
    pub fn usual() -> Self {
        Self::default()
    }

    /// An error with an OCI error body.
    pub fn status(status: u16) -> Self {
        let body = format!(r#"{{"errors":[{{"code":"SCRIPTED","message":"scripted {status}"}}]}}"#);
        Self::answer(status, "application/json", body)
    }

    /// 429 with `Retry-After`.
    pub fn limited(retry_after_s: u32) -> Self {
        Self::answer(429, "text/plain", "You have reached your pull rate limit").header("Retry-After", retry_after_s)
    }

    pub fn answer(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::instead(Instead::Answer { status, content_type, body: body.into() })
    }

    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::instead(Instead::Redirect { status, location: location.into() })
    }

    /// Redirects a blob to a signed URL at `store`, which refuses `Authorization` with 400 and a signature that has
    /// expired with 403.
    pub fn presign(store: &FakeUpstream) -> Self {
        Self::instead(Instead::Presign(store.clone()))
    }

    pub fn hang() -> Self {
        Self::instead(Instead::Hang)
    }

    pub fn drop_connection() -> Self {
        Self::instead(Instead::Drop)
    }

    /// Nothing is answered until the gate is opened.
    pub fn gate_head(mut self, gate: &Gate) -> Self {
        self.head_gate = Some(gate.clone());
        self
    }

    /// The body stops before the byte at `offset` until the gate is opened. At 0 the head has gone out.
    pub fn gate_at(mut self, offset: u64, gate: &Gate) -> Self {
        self.gates.push((offset, gate.clone()));
        self.gates.sort_by_key(|(offset, _)| *offset);
        self
    }

    pub fn trickle(mut self, bytes_per_second: u64) -> Self {
        self.bytes_per_second = Some(bytes_per_second);
        self
    }

    /// Pauses for `pause` after every `bytes` bytes.
    pub fn pause_every(mut self, bytes: u64, pause: Duration) -> Self {
        self.pause = Some((bytes, pause));
        self
    }

    /// The connection breaks after this many bytes of the body that is being sent, inside its framing.
    pub fn cut_after(mut self, bytes: u64) -> Self {
        self.cut_after = Some(bytes);
        self
    }

    /// The byte at `offset` is sent wrong.
    pub fn flip(mut self, offset: u64) -> Self {
        self.flip_at = Some(offset);
        self
    }

    /// The content ends after `bytes`, in good order.
    pub fn shorten(mut self, bytes: u64) -> Self {
        self.shorten_to = Some(bytes);
        self
    }

    /// The content goes on after its end, in good order.
    pub fn append(mut self, bytes: impl Into<Bytes>) -> Self {
        self.append = Some(bytes.into());
        self
    }

    /// No Content-Length: the body is chunked, and a HEAD does not say a size.
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Content-Length says this, and the connection is closed when the body ends before it.
    pub fn declare_length(mut self, bytes: u64) -> Self {
        self.declared_length = Some(bytes);
        self
    }

    /// Answers 200 with everything to a Range.
    pub fn ignore_range(mut self) -> Self {
        self.ignore_range = true;
        self
    }

    pub fn gzip_if_accepted(mut self) -> Self {
        self.gzip = Some(false);
        self
    }

    pub fn gzip_always(mut self) -> Self {
        self.gzip = Some(true);
        self
    }

    pub fn without(mut self, header: &'static str) -> Self {
        self.drop_headers.push(header);
        self
    }

    pub fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.set_headers.push((name, value.to_string()));
        self
    }

    /// Applies to this many requests, then is over.
    pub fn times(mut self, count: u32) -> Self {
        self.times = Some(count);
        self
    }

    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Lets this many matching requests pass before it begins.
    pub fn skip(mut self, count: u32) -> Self {
        self.skip = count;
        self
    }

    /// Applies only to requests that have, or have not, a Range header.
    pub fn if_ranged(mut self, ranged: bool) -> Self {
        self.ranged = Some(ranged);
        self
    }

    fn instead(instead: Instead) -> Self {
        Self { instead: Some(Box::new(instead)), ..Self::default() }
    }
}

/// A behaviour with the requests that it is for.
pub(super) struct Scripted {
    pub id: u64,
    pub method: &'static str,
    pub path: String,
    pub behaviour: Behaviour,
    pub used: u32,
}

impl Scripted {
    /// Whether this request gets the behaviour; counts it if so.
    pub fn take(&mut self, method: &str, path: &str, ranged: bool) -> bool {
        let matches = (self.method == "*" || self.method == method)
            && path.contains(&self.path)
            && self.behaviour.ranged.is_none_or(|wanted| wanted == ranged);
        if !matches {
            return false;
        }
        self.used += 1;
        let number = self.used;
        number > self.behaviour.skip
            && self.behaviour.times.is_none_or(|times| number <= self.behaviour.skip.saturating_add(times))
    }
}
