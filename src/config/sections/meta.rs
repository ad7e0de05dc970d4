//! `[meta]`: where facts are kept.

use serde::Serialize;

use super::credential::{Secret, secret_from_file};
use crate::config::printing::document as show;
use crate::config::reading::key::{Fallback, Key, Kind, Section};
use crate::config::reading::reader::Reader;
use crate::config::reading::value;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MetaSettings {
    /// `postgres://…`; without it SQLite inside the process.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "show::database")]
    pub url: Option<Secret>,
    /// Connections for reading. Default 5.
    pub read_connections: u32,
    /// Connections for writing, to PostgreSQL. Default 4.
    pub write_connections: u32,
}

pub static SECTION: Section = Section {
    name: "meta",
    meaning: "Where facts are kept: what was pushed, tags, what upstreams said. By default in SQLite, in one file below `data`.",
    keys: &[
        Key {
            name: "url",
            kind: Kind::Secret,
            fallback: Fallback::Unset,
            meaning: "A PostgreSQL database, such as `\"postgres://entrepot:password@db.example/entrepot?sslmode=verify-full\"`.",
        },
        Key {
            name: "url_file",
            kind: Kind::Path,
            fallback: Fallback::Unset,
            meaning: "A file with the URL in one line, in place of `url`.",
        },
        Key {
            name: "read_connections",
            kind: Kind::Count { min: 1, max: 1_000 },
            fallback: Fallback::Value("5"),
            meaning: "Connections to the database that only read, so that pulls do not wait for pushes. A replica has these, those for \
                      writing and one more: together they must stay below what PostgreSQL takes (`max_connections`).",
        },
        Key {
            name: "write_connections",
            kind: Kind::Count { min: 1, max: 1_000 },
            fallback: Fallback::Value("4"),
            meaning: "Connections to PostgreSQL that write. SQLite has one writer.",
        },
    ],
};

pub fn read(reader: &Reader<'_>) -> Option<MetaSettings> {
    let url = match (reader.has("url"), reader.has("url_file")) {
        (true, true) => {
            reader.report("url_file", "is a second URL: keep one of `url` and `url_file`");
            return None;
        }
        (true, false) => Some(reader.get("url", value::text)?),
        (false, true) => Some(secret_from_file(reader, "url_file", "URL")?),
        (false, false) => None,
    };
    let is_postgres = |url: &String| url.starts_with("postgres://") || url.starts_with("postgresql://");
    if url.as_ref().is_some_and(|url| !is_postgres(url)) {
        let key = if reader.has("url") { "url" } else { "url_file" };
        reader.report(key, "must begin with postgres://; leave it out for SQLite");
        return None;
    }
    let read_connections = reader.get("read_connections", value::count);
    let write_connections = reader.get("write_connections", value::count);
    let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    Some(MetaSettings {
        url: url.as_deref().map(Secret::new),
        read_connections: count(read_connections?),
        write_connections: count(write_connections?),
    })
}
