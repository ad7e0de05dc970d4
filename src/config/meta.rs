//! `[meta]`: where facts are kept.

use serde::Serialize;

use super::credential::{Secret, secret_from_file};
use super::key::{Fallback, Key, Kind, Section};
use super::reader::Reader;
use super::{show, value};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MetaSettings {
    /// `postgres://…`; without it SQLite inside the process.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "show::database")]
    pub url: Option<Secret>,
}

pub(super) static SECTION: Section = Section {
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
    ],
};

pub(super) fn read(reader: &Reader<'_>) -> Option<MetaSettings> {
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
    Some(MetaSettings { url: url.as_deref().map(Secret::new) })
}
