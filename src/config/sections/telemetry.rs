//! `[log]`: what is written, and how.

use std::path::PathBuf;

use tracing::level_filters::LevelFilter;

use crate::config::reading::{Choice, FLAG, Key, Optional, PATH, Section, choice, choice_of, section, settings};

choice! {
    pub enum LogFormat {
        Text = "text",
        Json = "json",
    }
}

impl Choice for LevelFilter {
    const WORDS: &'static [&'static str] = &["off", "error", "warn", "info", "debug", "trace"];
    const VALUES: &'static [Self] = &[Self::OFF, Self::ERROR, Self::WARN, Self::INFO, Self::DEBUG, Self::TRACE];
}

settings! {
    pub struct TelemetrySettings {
        pub format: LogFormat = FORMAT,
        pub level: LevelFilter = LEVEL,
        /// One line a request.
        pub access: bool = ACCESS,
        /// A file for changes and refusals; `None` writes them among the lines of the log.
        pub audit: Option<PathBuf> = AUDIT,
    }
}

section! {
    pub static SECTION = Section::one("log", "What is written to standard error, and how.");

    static FORMAT: Key<LogFormat> =
        Key::usual("format", choice_of(), "text", "Lines for people, or a JSON object a line.");
    static LEVEL: Key<LevelFilter> =
        Key::usual("level", choice_of(), "info", "The least important events that are written.");
    static ACCESS: Key<bool> = Key::usual("access", FLAG, "true", "Whether every request gets a line.");
    static AUDIT: Optional<PathBuf> = Optional::follows(
        "audit",
        PATH,
        "the log itself",
        "A file that gets a JSON object a line for each change (through an API, by a push or a deletion, by `entrepot \
         iam`), each session that is given out, and each request that was refused: who, how it was proven, what, and \
         which statement decided. Without it they are lines of the log, at any level.",
    );
}
