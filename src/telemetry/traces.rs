//! Traces, by OpenTelemetry's protocol over HTTP.
//!
//! Off unless the environment names a collector (`OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`), as
//! the other variables of OpenTelemetry's specification say. Spans of the target [`TARGET`] are traces and never log lines;
//! without a collector they cost nothing.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// The target of spans that are traces.
pub(super) const TARGET: &str = "entrepot::trace";

/// Time between two lines about a collector that takes nothing.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Sends what waits when it is dropped.
pub(super) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// `None` where no collector is named, or it cannot be used; the reason is given back to be logged.
    pub(super) fn start() -> Result<Option<Self>, String> {
        let set = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
        let named = set("OTEL_EXPORTER_OTLP_ENDPOINT") || set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let none = |name: &str, value: &str| std::env::var(name).is_ok_and(|text| text.eq_ignore_ascii_case(value));
        if !named || none("OTEL_TRACES_EXPORTER", "none") || none("OTEL_SDK_DISABLED", "true") {
            return Ok(None);
        }
        // The exporter's client must be made outside of the runtime that serves.
        let exporter = std::thread::spawn(|| opentelemetry_otlp::SpanExporter::builder().with_http().build()).join();
        let exporter = match exporter {
            Ok(Ok(exporter)) => Told { exporter, last: Mutex::new(None) },
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("its client could not be made".to_owned()),
        };
        let resource = Resource::builder();
        let attributes = std::env::var("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        let is_named = attributes.split(',').any(|pair| pair.trim_start().starts_with("service.name="));
        let resource =
            if is_named || set("OTEL_SERVICE_NAME") { resource } else { resource.with_service_name("entrepot") };
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
        Ok(Some(Self { provider }))
    }

    /// Without what is the same for every span, or says nothing to who looks at traces.
    pub(super) fn layer<S: Subscriber + for<'span> LookupSpan<'span>>(&self) -> OpenTelemetryLayer<S, SdkTracer> {
        tracing_opentelemetry::layer()
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_tracer(self.provider.tracer("entrepot"))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // A collector that does not answer must not hold up the end of the program.
        let provider = self.provider.clone();
        let _ = std::thread::spawn(move || provider.shutdown_with_timeout(Duration::from_secs(2))).join();
    }
}

/// An exporter whose failures are logged, once in a while.
#[derive(Debug)]
struct Told<E> {
    exporter: E,
    /// When a failure was logged.
    last: Mutex<Option<Instant>>,
}

impl<E> Told<E> {
    fn is_due(&self, now: Instant) -> bool {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.duration_since(last) >= TELL_EVERY);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let exported = self.exporter.export(batch).await;
        if let Err(error) = &exported
            && self.is_due(Instant::now())
        {
            tracing::warn!(spans = count, %error, "the collector takes no traces; they are dropped, and this is said once a minute");
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nm04_a_dead_collector_is_told_once_a_minute() {
        let told = Told { exporter: (), last: Mutex::new(None) };
        let start = Instant::now();
        let after = |seconds| told.is_due(start + Duration::from_secs(seconds));
        assert_eq!(
            [after(0), after(1), after(59), after(60), after(61), after(120)],
            [true, false, false, true, false, true]
        );
    }
}
