//! Traces, by OpenTelemetry's protocol over HTTP.
//!
//! Off unless the environment names a collector (`OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`), as
//! the other variables of OpenTelemetry's specification say. Spans of the target [`TARGET`] are traces and never log lines;
//! without a collector they cost nothing.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

/// The target of spans that are traces.
pub const TARGET: &str = "entrepot::trace";

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
        let exporter = std::thread::spawn(|| SpanExporter::builder().with_http().build()).join();
        let exporter = match exporter {
            Ok(Ok(exporter)) => exporter,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("its client could not be made".to_owned()),
        };
        let resource = Resource::builder().with_service_name("entrepot").build();
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        Ok(Some(Self { provider }))
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("entrepot")
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // A collector that does not answer must not hold up the end of the program.
        let provider = self.provider.clone();
        let _ = std::thread::spawn(move || provider.shutdown_with_timeout(std::time::Duration::from_secs(2))).join();
    }
}
