//! `[log]`: what is written, and how.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Debug)]
pub struct TelemetrySettings {
    /// `log.format`: default text.
    pub format: LogFormat,
    /// `log.level`: error, warn, info, debug or trace; default info.
    pub level: tracing::level_filters::LevelFilter,
    /// `log.access`: one line a request; default true.
    pub access: bool,
}
