//! `[meta]`: where facts are kept.

use std::path::PathBuf;
use std::time::Duration;

use super::secrets::SecretOrFile;
use crate::config::reading::{
    Key, Optional, PATH, Parts as _, Reader, SECRET, Secret, Section, TIMEOUT, WINDOW, Written, count, section,
    settings, size,
};

settings! {
    pub struct MetaSettings {
        /// `postgres://…`; without it SQLite inside the process.
        pub url: Option<Secret> = SecretOrFile { word: "URL", key: &URL, file: &URL_FILE },
        /// Connections for reading.
        pub read_connections: u32 = READ_CONNECTIONS,
        /// Connections for writing, to PostgreSQL.
        pub write_connections: u32 = WRITE_CONNECTIONS,
        /// How long a request waits for a connection, for its turn to write, and for another's lock.
        pub timeout: Duration = REQUEST_TIMEOUT,
        /// How long PostgreSQL may take for a probe.
        pub probe_timeout: Duration = PROBE_TIMEOUT,
        /// How long what PostgreSQL said last is used while it cannot be asked.
        pub last_known: Duration = LAST_KNOWN,
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
    static REQUEST_TIMEOUT: Key<Duration> = Key::usual(
        "timeout",
        TIMEOUT,
        "10s",
        "How long a request waits for a free connection, for its turn to write, and for another's lock, while the \
         database is well; then it gets 503.",
    );
    static PROBE_TIMEOUT: Key<Duration> = Key::usual(
        "probe_timeout",
        TIMEOUT,
        "2s",
        "How long PostgreSQL may take to let a new connection in and answer on it. When a question takes long, this is \
         what decides whether the database is away: from then on nobody waits for it, and it is tried again every two \
         seconds.",
    );
    static LAST_KNOWN: Key<Duration> = Key::usual(
        "last_known",
        WINDOW,
        "4h",
        "How long an answer of PostgreSQL may be used after it was given, while PostgreSQL cannot be asked: what was \
         pulled from this replica in that time is pulled, by users and by policies as they were. A replica that alone \
         lost the database serves somebody whose rights were taken meanwhile for no longer than this. `0s`: nothing is \
         answered that cannot be asked.",
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
