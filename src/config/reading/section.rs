//! A table of the file, and its keys as everything but their own section sees them: the environment, the reference, the
//! schema.

use super::tree::{self, Value};

/// A table of the file.
pub struct Section {
    /// As in the file: `cache`; empty for the keys outside every table.
    pub name: &'static str,
    /// The file may have several, each under `[[name]]`.
    pub many: bool,
    pub meaning: &'static str,
    pub keys: &'static [&'static Declaration],
}

/// A key without the type of its value.
pub struct Declaration {
    pub name: &'static str,
    pub shape: Shape,
    pub fallback: Fallback,
    pub meaning: &'static str,
    /// Keys that a variable for this one removes from the file: they would contradict it.
    pub displaces: &'static [&'static str],
}

/// How a value is written.
#[derive(Clone, Copy)]
pub enum Shape {
    Text,
    /// The empty one has a meaning, too.
    TextOrEmpty,
    /// A text that is never shown.
    Secret,
    Flag,
    Path,
    Choice(&'static [&'static str]),
    /// For a key that once was a flag: `true` and `false` are understood, too.
    ChoiceOrFlag(&'static [&'static str]),
    /// Bytes, between these bounds.
    Size {
        min: u64,
        max: u64,
    },
    Count {
        min: u64,
        max: u64,
    },
    /// A span of time in which something holds; it may be zero.
    Window,
    /// A limit on waiting; more than zero.
    Timeout,
    Texts,
    Hosts,
    Urls,
    Addresses,
    Networks,
    /// Addresses as texts, or tables where more is to be said.
    Listeners(&'static Section),
    Table(&'static Section),
    Tables(&'static Section),
}

/// The meaning of a key that nobody wrote.
#[derive(Clone, Copy)]
pub enum Fallback {
    Required,
    Unset,
    /// A value in TOML, without the quotes of a text.
    Value(&'static str),
    /// Follows from other keys or from outside; how, in words.
    Follows(&'static str),
}

impl Section {
    /// A table that the file has once: `[name]`.
    pub const fn one(name: &'static str, meaning: &'static str) -> Self {
        Self { name, many: false, meaning, keys: &[] }
    }

    /// A table that the file may have several times: `[[name]]`.
    pub const fn many(name: &'static str, meaning: &'static str) -> Self {
        Self { name, many: true, meaning, keys: &[] }
    }

    pub const fn with(self, keys: &'static [&'static Declaration]) -> Self {
        Self { keys, ..self }
    }

    /// As it is written: `[cache]`, `[[upstream]]`.
    pub fn header(&self) -> String {
        if self.many { format!("[[{}]]", self.name) } else { format!("[{}]", self.name) }
    }

    pub fn key(&self, name: &str) -> Option<&'static Declaration> {
        self.keys.iter().copied().find(|key| key.name == name)
    }
}

impl Declaration {
    pub const fn new(name: &'static str, shape: Shape, fallback: Fallback, meaning: &'static str) -> Self {
        Self { name, shape, fallback, meaning, displaces: &[] }
    }

    pub const fn displacing(self, displaces: &'static [&'static str]) -> Self {
        Self { displaces, ..self }
    }

    /// The default as it is written in the file.
    pub fn usual(&self) -> Option<String> {
        match self.fallback {
            Fallback::Value(text) if self.shape.is_quoted() => Some(format!("\"{text}\"")),
            Fallback::Value(text) => Some(text.to_owned()),
            _ => None,
        }
    }

    /// The default as a value that was read.
    pub fn usual_value(&self) -> Option<Value> {
        tree::parse_value(&self.usual()?)
    }
}

impl Shape {
    pub const fn is_list(&self) -> bool {
        matches!(self, Self::Texts | Self::Hosts | Self::Urls | Self::Addresses | Self::Networks | Self::Listeners(_))
    }

    const fn is_quoted(&self) -> bool {
        !self.is_list() && !matches!(self, Self::Flag | Self::Count { .. } | Self::Table(_) | Self::Tables(_))
    }

    /// In words, for messages and the reference.
    pub fn words(&self) -> String {
        match self {
            Self::Text | Self::TextOrEmpty => "text".to_owned(),
            Self::Secret => "secret text".to_owned(),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Path => "path".to_owned(),
            Self::Choice(words) | Self::ChoiceOrFlag(words) => {
                words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ")
            }
            Self::Size { .. } => "size".to_owned(),
            Self::Count { min, max } => format!("whole number, {min} to {max}"),
            Self::Window => "duration, may be `\"0s\"`".to_owned(),
            Self::Timeout => "duration".to_owned(),
            Self::Texts => "list of texts".to_owned(),
            Self::Hosts => "list of hosts, `host` or `host:port`".to_owned(),
            Self::Urls => "list of URLs".to_owned(),
            Self::Addresses => "list of addresses, `ip:port`".to_owned(),
            Self::Networks => "list of networks, such as `10.0.0.0/8`, or addresses".to_owned(),
            Self::Listeners(_) => "list of addresses, `ip:port`, or of tables".to_owned(),
            Self::Table(_) => "table".to_owned(),
            Self::Tables(_) => "list of tables".to_owned(),
        }
    }
}
