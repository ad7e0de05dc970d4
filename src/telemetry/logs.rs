//! Logs: text for people or JSON for machines, on standard error, written off the threads that serve.

use std::io::{BufWriter, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::line::Fields;
use super::traces::{TARGET, Traces};
use crate::config::{LogFormat, TelemetrySettings};

/// Lines that may wait to be written; beyond it they are dropped rather than holding up requests.
const MAX_WAITING_LINES: usize = 16_384;

/// Bytes of lines that are written at once.
const WRITE_BYTES: usize = 64 << 10;

/// Writes out what waits when it is dropped.
#[must_use]
pub struct Logs {
    _traces: Option<Traces>,
    _worker: WorkerGuard,
}

impl Logs {
    /// Starts logging, and tracing where the environment asks for it, for the whole process.
    pub fn start(settings: &TelemetrySettings) -> Self {
        // Written out whenever no line waits: one system call for many lines under load, and for each one otherwise.
        let output = BufWriter::with_capacity(WRITE_BYTES, std::io::stderr());
        let (writer, worker) =
            NonBlockingBuilder::default().buffered_lines_limit(MAX_WAITING_LINES).lossy(true).finish(output);
        // Libraries speak up only when something is wrong.
        let filter = Targets::new()
            .with_default(settings.level.min(LevelFilter::WARN))
            .with_target("entrepot", settings.level)
            .with_target(TARGET, LevelFilter::OFF);
        let colours =
            std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let lines = fmt::layer().with_writer(writer);
        let lines = match settings.format {
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
            LogFormat::Text => lines.with_ansi(colours).with_target(false).fmt_fields(Fields).boxed(),
        };
        let (traces, trouble) = match Traces::start() {
            Ok(traces) => (traces, None),
            Err(trouble) => (None, Some(trouble)),
        };
        let spans = traces.as_ref().map(|traces| {
            let only_traces = Targets::new().with_target(TARGET, LevelFilter::INFO);
            traces.layer().with_filter(only_traces)
        });
        // A program that embeds this one, or a test, may have its own subscriber; it stays.
        let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).try_init();
        if let Some(trouble) = trouble {
            tracing::error!(%trouble, "traces cannot be sent; check OTEL_EXPORTER_OTLP_ENDPOINT");
        }
        Self { _traces: traces, _worker: worker }
    }
}
