//! `[meta]`: where facts are kept.

use std::path::PathBuf;

use super::secrets::SecretOrFile;
use crate::config::reading::{
    Key, Optional, PATH, Parts as _, Reader, SECRET, Secret, Section, Written, count, section, settings, size,
};

settings! {
    pub struct MetaSettings {
        /// `postgres://…`; without it SQLite inside the process.
        pub url: Option<Secret> = SecretOrFile { word: "URL", key: &URL, file: &URL_FILE },
        /// Connections for reading.
        pub read_connections: u32 = READ_CONNECTIONS,
        /// Connections for writing, to PostgreSQL.
        pub write_connections: u32 = WRITE_CONNECTIONS,
        /// Bytes of the disk that blobs leave to SQLite.
        pub reserve: u64 = RESERVE,
    }
}

section! {
    pub static SECTION = Section::one(
        "meta",
        "Where facts are kept: what was pushed, tags, what upstreams said. By default in SQLite, in one file below \
         `data`.",
    );

    static URL: Optional<Secret> = Optional::new(
        "url",
        SECRET.writing(write_url),
        "A PostgreSQL database, such as `\"postgres://entrepot:password@db.example/entrepot?sslmode=verify-full\"`.",
    )
    .displacing(&["url", "url_file"]);
    static URL_FILE: Optional<PathBuf> = Optional::new(
        "url_file",
        PATH,
        "A file with the URL in one line, in place of `url`.",
    )
    .displacing(&["url", "url_file"]);
    static READ_CONNECTIONS: Key<u32> = Key::usual(
        "read_connections",
        count(1, 1_000),
        "5",
        "Connections to the database that only read, so that pulls do not wait for pushes. A replica has these, those \
         for writing and one more: together they must stay below what PostgreSQL takes (`max_connections`).",
    );
    static WRITE_CONNECTIONS: Key<u32> = Key::usual(
        "write_connections",
        count(1, 1_000),
        "4",
        "Connections to PostgreSQL that write. SQLite has one writer.",
    );
    static RESERVE: Key<u64> = Key::usual(
        "reserve",
        size(0, 1 << 60),
        "256MiB",
        "Room on the disk of `data` that only SQLite may use, at most a twentieth of the file system: where less is \
         free, pushes are answered with 507, and what upstreams send is passed on and not kept. 0: the disk fills up \
         to its end.",
    );
}

pub fn read(reader: &Reader<'_>) -> Option<MetaSettings> {
    let settings = MetaSettings::read(reader)?;
    let is_postgres =
        |url: &Secret| ["postgres://", "postgresql://"].iter().any(|scheme| url.expose().starts_with(scheme));
    if settings.url.as_ref().is_some_and(|url| !is_postgres(url)) {
        let key = if reader.has(&URL) { URL.declared() } else { URL_FILE.declared() };
        reader.report(key, "must begin with postgres://; leave it out for SQLite");
        return None;
    }
    Some(settings)
}

/// Only what kind of database it is: the URL may hold a password.
fn write_url(_: &Secret) -> Written {
    Written::text("postgres://(secret)")
}
