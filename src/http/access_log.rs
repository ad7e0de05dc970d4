//! One line a request, written when its body has ended.

use std::fmt::{self, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};

use super::layer_url::without_signatures;
use super::metered::Metered;
use super::oci;
use crate::config::UpstreamName;
use crate::telemetry::{CacheOutcome, Metrics, TraceSpan};

/// Characters of a path or of a client's name for itself that are logged.
const MAX_LOGGED_CHARS: usize = 300;

/// What is known of a request. Dropped, it is logged: a request that nobody waited for is logged as such.
pub struct Record {
    request_id: String,
    method: Method,
    uri: Uri,
    client: Option<SocketAddr>,
    user_agent: Option<HeaderValue>,
    started: Instant,
    metrics: Metrics,
    log: bool,
    status: Option<StatusCode>,
    upstream: Option<UpstreamName>,
    outcome: Option<CacheOutcome>,
    metered: Metered,
    error: Option<String>,
    first_byte: Option<Duration>,
    sent_bytes: u64,
    ended: bool,
    /// Ends with the record.
    trace: TraceSpan,
}

/// RFC 9562 section 5.4: AWS's clients and those who read their logs expect a request's id in this form.
fn uuid(random: u128) -> String {
    let bits = random & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default());
    parts.join("-")
}

impl Record {
    pub fn begin<B>(request: &Request<B>, metrics: Metrics, metered: Metered, log: bool, started: Instant) -> Self {
        metrics.http_in_flight.inc();
        let request_id = uuid(fastrand::u128(..));
        let trace = TraceSpan::begin(request.method(), request.uri().path(), request.headers(), oci::template);
        trace.is_request(&request_id);
        let user_agent = request.headers().get(http::header::USER_AGENT).filter(|_| log);
        Self {
            request_id,
            method: request.method().clone(),
            uri: request.uri().clone(),
            client: request.extensions().get::<SocketAddr>().copied(),
            user_agent: user_agent.cloned(),
            started,
            metrics,
            log,
            status: None,
            upstream: None,
            outcome: None,
            metered,
            error: None,
            first_byte: None,
            sent_bytes: 0,
            ended: false,
            trace,
        }
    }

    /// For whatever is done on behalf of the request.
    pub fn span(&self) -> tracing::Span {
        self.trace.span()
    }

    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    pub fn served(&mut self, upstream: Option<UpstreamName>, outcome: Option<CacheOutcome>) {
        self.upstream = upstream;
        self.outcome = outcome;
    }

    pub fn metered(&mut self) -> &mut Metered {
        &mut self.metered
    }

    pub fn failed(&mut self, error: &str) {
        self.error = Some(error.to_owned());
    }

    pub fn headers_sent(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.trace.answered(status);
        self.first_byte = Some(self.started.elapsed());
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.metrics.http_in_flight.dec();
        let status = self.status.map_or("none", |status| match status.as_u16() {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        });
        let method = match self.method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::PUT => "PUT",
            Method::POST => "POST",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            _ => "other",
        };
        self.metrics.http_requests.with_label_values(&[method, status]).inc();
        self.metrics.http_sent_bytes.inc_by(self.sent_bytes);
        self.metered.ended(self.status, self.sent_bytes);
        let (upstream, outcome) = (self.upstream.as_ref(), self.outcome.map(CacheOutcome::as_str));
        self.trace.ended(upstream.map(|name| name.as_str()), outcome, self.sent_bytes, self.ended);
        let is_logged = self.log && tracing::enabled!(target: "entrepot::access", tracing::Level::INFO);
        if !is_logged {
            return self.tell_failure();
        }
        let query = self.uri.query().map(without_signatures);
        tracing::info!(
            target: "entrepot::access",
            request_id = %self.request_id,
            client = self.client.map(Client).map(tracing::field::display),
            method,
            path = %Cut(self.uri.path()),
            query = query.as_deref().map(|query| tracing::field::display(Cut(query))),
            status = self.status.map(|status| status.as_u16()),
            cache = outcome,
            upstream = upstream.map(tracing::field::display),
            bytes = self.sent_bytes,
            complete = self.ended,
            first_byte_ms = self.first_byte.map(milliseconds),
            total_ms = milliseconds(self.started.elapsed()),
            user_agent = self.user_agent.as_ref().and_then(|value| value.to_str().ok()).map(|text| tracing::field::display(Cut(text))),
            error = self.error.as_deref().map(|error| tracing::field::display(Cut(first_line(error)))),
            trace_id = self.trace.trace_id(),
        );
    }
}

impl Record {
    /// Clients are told that the log has the reason: it has, also where requests are not logged.
    fn tell_failure(&self) {
        if let Some(status) = self.status.filter(StatusCode::is_server_error) {
            tracing::error!(
                request_id = %self.request_id,
                method = %self.method,
                path = %Cut(self.uri.path()),
                status = status.as_u16(),
                error = self.error.as_deref().map(|error| tracing::field::display(Cut(first_line(error)))),
                "a request failed"
            );
        }
    }
}

/// Of a refusal; what follows is for its client alone, such as what it should have signed.
fn first_line(error: &str) -> &str {
    error.lines().next().unwrap_or_default()
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// A proxy tells an address and no port.
struct Client(SocketAddr);

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.port() {
            0 => write!(f, "{}", self.0.ip()),
            _ => write!(f, "{}", self.0),
        }
    }
}

/// Text from outside: not too long, and without what moves a terminal.
struct Cut<'a>(&'a str);

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() <= MAX_LOGGED_CHARS && !self.0.contains(char::is_control) {
            return f.write_str(self.0);
        }
        self.0.chars().filter(|c| !c.is_control()).take(MAX_LOGGED_CHARS).try_for_each(|c| f.write_char(c))
    }
}

/// A body that is counted into its request's record.
pub struct Logged<B> {
    body: B,
    record: Record,
}

impl<B: Body> Logged<B> {
    pub fn new(body: B, mut record: Record) -> Self {
        record.ended = body.is_end_stream();
        Self { body, record }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Logged<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.record.sent_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                // hyper does not poll again after the announced length.
                this.record.ended = this.body.is_end_stream();
            }
            Poll::Ready(None) => this.record.ended = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c8_request_ids_are_uuids() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
