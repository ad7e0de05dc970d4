//! `[cache]`: how much is kept, and how fills behave.

use std::time::Duration;

use crate::config::reading::{Key, Parts as _, Reader, Section, WINDOW, count, section, settings, size};

settings! {
    pub struct CacheSettings {
        /// Bytes of small objects in memory, a hard limit.
        pub memory: u64 = MEMORY,
        /// Bytes of what is remembered, a hard limit.
        pub remembered: u64 = REMEMBERED,
        /// Bytes of documents of upstreams that are being received, a hard limit.
        pub documents: usize = DOCUMENTS,
        /// Bytes of blobs on disk, fills in flight included, a hard limit.
        pub disk: u64 = DISK,
        /// Blobs of more bytes are passed through and not kept.
        pub disk_object: u64 = DISK_OBJECT,
        /// Objects up to this many bytes are kept in memory.
        pub memory_object: u64 = MEMORY_OBJECT,
        /// A range of a cold blob that begins at most this many bytes past what has arrived waits for it; one further
        /// away is fetched from upstream directly.
        pub range_window: u64 = RANGE_WINDOW,
        /// A fill that makes no progress is tried again this often before it fails.
        pub fill_attempts: u32 = FILL_ATTEMPTS,
        /// Unfinished fills of an earlier process are kept this long to be resumed.
        pub staging_ttl: Duration = STAGING_TTL,
    }
}

const EXBIBYTE: u64 = 1 << 60;

section! {
    pub static SECTION = Section::one(
        "cache",
        "How much is kept, and how fills behave. A fill is the one fetch of a blob that every client reads from.",
    );

    static MEMORY: Key<u64> = Key::usual(
        "memory",
        size(0, EXBIBYTE),
        "64MiB",
        "Hard limit of small objects in memory: manifests, configs, small blobs.",
    );
    static REMEMBERED: Key<u64> = Key::usual(
        "remembered",
        size(1 << 20, EXBIBYTE),
        "64MiB",
        "Hard limit of what is remembered beside objects: lists, tags, links, rights and refusals of upstreams, rows of \
         the database, policies, logins. Each kind has its share. A miss costs a question to the database, or to upstream.",
    );
    static DOCUMENTS: Key<usize> = Key::usual(
        "documents",
        size(32 << 20, 1 << 40),
        "128MiB",
        "Hard limit of memory for manifests and lists of upstreams that are being received and read, at four times their \
         bytes. One that finds no room waits 10 s and fails with 503; a single one may take half.",
    );
    static DISK: Key<u64> =
        Key::usual("disk", size(1, EXBIBYTE), "50GiB", "Hard limit of blobs on disk, fills in flight included.");
    static DISK_OBJECT: Key<u64> = Key::follows(
        "disk_object",
        size(0, EXBIBYTE),
        "half of `disk`",
        |reader| Some(reader.get(&DISK)? / 2),
        "Larger blobs are passed through, verified all the same, and not kept: one of them would push out most of what \
         is kept. At most `disk`.",
    );
    static MEMORY_OBJECT: Key<u64> = Key::follows(
        "memory_object",
        size(0, EXBIBYTE),
        "`\"256KiB\"`, or `memory` where that is less",
        |reader| Some(reader.get(&MEMORY)?.min(256 << 10)),
        "Objects up to this size are kept in memory. At most `memory`.",
    );
    static RANGE_WINDOW: Key<u64> = Key::usual(
        "range_window",
        size(0, EXBIBYTE),
        "32MiB",
        "A range of a cold blob that begins at most this far past what has arrived waits for it; one further away is \
         fetched from upstream directly.",
    );
    static FILL_ATTEMPTS: Key<u32> = Key::usual(
        "fill_attempts",
        count(1, 100),
        "5",
        "A fill that makes no progress is tried again this often before it fails.",
    );
    static STAGING_TTL: Key<Duration> = Key::usual(
        "staging_ttl",
        WINDOW,
        "24h",
        "Unfinished fills of an earlier process are kept this long to be resumed.",
    );
}

/// What can be changed while the process runs.
const LIVE: [&str; 4] = ["memory", "disk", "disk_object", "range_window"];

/// The keys that differ and are read at the start only.
pub fn differences_at_start(old: &CacheSettings, new: &CacheSettings) -> Vec<&'static str> {
    old.differences(new).into_iter().filter(|name| !LIVE.contains(name)).collect()
}

pub fn read(reader: &Reader<'_>) -> Option<CacheSettings> {
    let settings = CacheSettings::read(reader)?;
    if settings.memory_object > settings.memory {
        reader.report(&MEMORY_OBJECT, "is larger than `memory`: an object must fit into it");
        return None;
    }
    if settings.disk_object > settings.disk {
        reader.report(&DISK_OBJECT, "is larger than `disk`: a blob must fit into it");
        return None;
    }
    Some(settings)
}
