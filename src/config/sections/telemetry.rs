//! `[log]`: what is written, and how.

use std::path::PathBuf;

use serde::Serialize;
use tracing::level_filters::LevelFilter;

use crate::config::printing::document as show;
use crate::config::reading::key::{Fallback, Key, Kind, Section};
use crate::config::reading::reader::Reader;
use crate::config::reading::value;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TelemetrySettings {
    /// `log.format`: default text.
    pub format: LogFormat,
    /// `log.level`: error, warn, info, debug or trace; default info.
    #[serde(serialize_with = "show::level")]
    pub level: LevelFilter,
    /// `log.access`: one line a request; default true.
    pub access: bool,
    /// `log.audit`: a file for changes and refusals; `None` writes them among the lines of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<PathBuf>,
}

pub static SECTION: Section = Section {
    name: "log",
    meaning: "What is written to standard error, and how.",
    keys: &[
        Key {
            name: "format",
            kind: Kind::Choice(&["text", "json"]),
            fallback: Fallback::Value(r#""text""#),
            meaning: "Lines for people, or a JSON object a line.",
        },
        Key {
            name: "level",
            kind: Kind::Choice(&["off", "error", "warn", "info", "debug", "trace"]),
            fallback: Fallback::Value(r#""info""#),
            meaning: "The least important events that are written.",
        },
        Key {
            name: "access",
            kind: Kind::Flag,
            fallback: Fallback::Value("true"),
            meaning: "Whether every request gets a line.",
        },
        Key {
            name: "audit",
            kind: Kind::Path,
            fallback: Fallback::Follows("the log itself"),
            meaning: "A file that gets a JSON object a line for each change (through an API, by a push or a deletion, by `entrepot iam`), each session \
                      that is given out, and each request that was refused: who, how it was proven, what, and which statement decided. Without \
                      it they are lines of the log, at any level.",
        },
    ],
};

pub fn read(reader: &Reader<'_>) -> Option<TelemetrySettings> {
    let format = reader.get("format", value::choice);
    let level = reader.get("level", value::choice);
    let access = reader.get("access", value::flag);
    let audit = if reader.has("audit") { reader.path("audit") } else { Some(None) };
    Some(TelemetrySettings {
        format: if format? == "json" { LogFormat::Json } else { LogFormat::Text },
        level: level?.parse().ok()?,
        access: access?,
        audit: audit?,
    })
}
