//! The table of keys: one list that reading, the environment and the reference in `docs/` share.

/// A table of the file.
pub struct Section {
    /// As in the file: `cache`; empty for the keys outside every table.
    pub name: &'static str,
    pub meaning: &'static str,
    pub keys: &'static [Key],
}

pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub fallback: Fallback,
    pub meaning: &'static str,
}

pub enum Kind {
    Text,
    /// A text that is never shown.
    Secret,
    Flag,
    Path,
    Choice(&'static [&'static str]),
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

pub enum Fallback {
    Required,
    Unset,
    /// A value in TOML.
    Value(&'static str),
    /// It follows from other keys; how, in words.
    Follows(&'static str),
}

impl Section {
    /// As it is written: `[cache]`, `[[upstream]]`.
    pub fn header(&self) -> String {
        match self.name {
            "upstream" | "listen" | "account" | "repository" | "user" | "role" | "oidc" | "certificate" => {
                format!("[[{}]]", self.name)
            }
            name => format!("[{name}]"),
        }
    }

    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Kind {
    pub fn is_list(&self) -> bool {
        matches!(self, Self::Texts | Self::Hosts | Self::Urls | Self::Addresses | Self::Networks | Self::Listeners(_))
    }

    /// In words, for messages and the reference.
    pub fn words(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Secret => "secret text".to_owned(),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Path => "path".to_owned(),
            Self::Choice(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", "),
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
