//! The span of one request (OpenTelemetry's semantic conventions for HTTP servers).

use http::{HeaderMap, Method, StatusCode};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::traces::TARGET;

/// Ends when it is dropped. Without a collector it is nothing, and costs nothing.
pub struct TraceSpan(Span);

impl TraceSpan {
    /// `route` is the path with its variable parts left out; it is only looked for when somebody collects.
    pub fn begin(method: &Method, path: &str, headers: &HeaderMap, route: impl Fn(&str) -> &'static str) -> Self {
        let span = tracing::info_span!(
            target: TARGET,
            "request",
            otel.name = field::Empty,
            otel.kind = "server",
            otel.status_code = field::Empty,
            "http.request.method" = known(method).unwrap_or("_OTHER"),
            "http.route" = field::Empty,
            "url.path" = path,
            "http.response.status_code" = field::Empty,
            "http.response.body.size" = field::Empty,
            "entrepot.request_id" = field::Empty,
            "entrepot.cache" = field::Empty,
            "entrepot.upstream" = field::Empty,
            "entrepot.complete" = field::Empty,
        );
        if !span.is_disabled() {
            let route = route(path);
            span.record("otel.name", format!("{} {route}", known(method).unwrap_or("HTTP")));
            span.record("http.route", route);
            if let Some(parent) = headers.get("traceparent").and_then(|value| parent(value.to_str().ok()?)) {
                let state = headers.get("tracestate").and_then(|value| value.to_str().ok());
                let state = state.and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
                let parent = SpanContext::new(parent.0, parent.1, parent.2, true, state);
                // Refused only where no collector is named.
                let _ = span.set_parent(Context::new().with_remote_span_context(parent));
            }
        }
        Self(span)
    }

    /// For whatever is done on behalf of the request.
    pub fn span(&self) -> Span {
        self.0.clone()
    }

    /// As the collector knows the trace, to be logged.
    pub fn trace_id(&self) -> Option<String> {
        if self.0.is_disabled() {
            return None;
        }
        let context = self.0.context();
        let context = context.span().span_context().clone();
        context.is_valid().then(|| context.trace_id().to_string())
    }

    pub fn is_request(&self, request_id: &str) {
        self.0.record("entrepot.request_id", request_id);
    }

    pub fn answered(&self, status: StatusCode) {
        self.0.record("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            self.0.record("otel.status_code", "ERROR");
        }
    }

    pub fn ended(&self, upstream: Option<&str>, cache: Option<&str>, sent_bytes: u64, is_complete: bool) {
        if self.0.is_disabled() {
            return;
        }
        if let Some(upstream) = upstream {
            self.0.record("entrepot.upstream", upstream);
        }
        if let Some(cache) = cache {
            self.0.record("entrepot.cache", cache);
        }
        self.0.record("http.response.body.size", i64::try_from(sent_bytes).unwrap_or(i64::MAX));
        self.0.record("entrepot.complete", is_complete);
    }
}

/// Of a method, which may be any word, this is a closed set.
fn known(method: &Method) -> Option<&'static str> {
    Some(match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => return None,
    })
}

/// `traceparent` (W3C Trace Context, section 3.2): of version 00, and of later ones as far as that reads.
fn parent(text: &str) -> Option<(opentelemetry::TraceId, opentelemetry::SpanId, TraceFlags)> {
    let mut parts = text.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
    };
    let is_good = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    if !is_good || version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let trace = opentelemetry::TraceId::from_hex(trace).ok()?;
    let span = opentelemetry::SpanId::from_hex(span).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    (trace != opentelemetry::TraceId::INVALID && span != opentelemetry::SpanId::INVALID).then_some((trace, span, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let read = parent(&format!("00-{trace}-{span}-01")).unwrap();
        assert_eq!(
            (read.0.to_string(), read.1.to_string(), read.2),
            (trace.to_owned(), span.to_owned(), TraceFlags::SAMPLED)
        );
        assert!(parent(&format!("cc-{trace}-{span}-00-what-is-later")).is_some());
        for bad in [
            "",
            "00",
            &format!("00-{trace}-{span}"),
            &format!("00-{trace}-{span}-01-more"),
            &format!("ff-{trace}-{span}-01"),
            &format!("00-{}-{span}-01", trace.to_uppercase()),
            &format!("00-{}-{span}-01", "0".repeat(32)),
            &format!("00-{trace}-{}-01", "0".repeat(16)),
            &format!("00-{trace}é-{span}-01"),
        ] {
            assert!(parent(bad).is_none(), "{bad}");
        }
    }
}
