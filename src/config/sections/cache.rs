//! `[cache]`: how much is kept, and how fills behave.

use std::time::Duration;

use serde::Serialize;

use crate::config::printing::document as show;
use crate::config::reading::key::{Fallback, Key, Kind, Section};
use crate::config::reading::reader::Reader;
use crate::config::reading::value;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CacheSettings {
    /// Bytes of small objects in memory, a hard limit. Default 64 MiB.
    #[serde(serialize_with = "show::size")]
    pub memory: u64,
    /// Bytes of blobs on disk, fills in flight included, a hard limit. Default 50 GiB.
    #[serde(serialize_with = "show::size")]
    pub disk: u64,
    /// Blobs of more bytes are passed through and not kept. Default half of `disk`.
    #[serde(serialize_with = "show::size")]
    pub disk_object: u64,
    /// Objects up to this many bytes are kept in memory. Default 256 KiB, or `memory` where that is less.
    #[serde(serialize_with = "show::size")]
    pub memory_object: u64,
    /// A range of a cold blob that begins at most this many bytes past what has arrived waits for it; one further away is
    /// fetched from upstream directly. Default 32 MiB.
    #[serde(serialize_with = "show::size")]
    pub range_window: u64,
    /// A fill that makes no progress is tried again this often before it fails. Default 5.
    pub fill_attempts: u32,
    /// Unfinished fills of an earlier process are kept this long to be resumed. Default 24 h.
    #[serde(serialize_with = "show::duration")]
    pub staging_ttl: Duration,
}

const MAX_BYTES: u64 = 1 << 60;
const USUAL_MEMORY_OBJECT: u64 = 256 << 10;

pub static SECTION: Section = Section {
    name: "cache",
    meaning: "How much is kept, and how fills behave. A fill is the one fetch of a blob that every client reads from.",
    keys: &[
        Key {
            name: "memory",
            kind: Kind::Size { min: 0, max: MAX_BYTES },
            fallback: Fallback::Value(r#""64MiB""#),
            meaning: "Hard limit of small objects in memory: manifests, configs, small blobs.",
        },
        Key {
            name: "disk",
            kind: Kind::Size { min: 1, max: MAX_BYTES },
            fallback: Fallback::Value(r#""50GiB""#),
            meaning: "Hard limit of blobs on disk, fills in flight included.",
        },
        Key {
            name: "disk_object",
            kind: Kind::Size { min: 0, max: MAX_BYTES },
            fallback: Fallback::Follows("half of `disk`"),
            meaning: "Larger blobs are passed through, verified all the same, and not kept: one of them would push out most \
                      of what is kept. At most `disk`.",
        },
        Key {
            name: "memory_object",
            kind: Kind::Size { min: 0, max: MAX_BYTES },
            fallback: Fallback::Follows("`\"256KiB\"`, or `memory` where that is less"),
            meaning: "Objects up to this size are kept in memory. At most `memory`.",
        },
        Key {
            name: "range_window",
            kind: Kind::Size { min: 0, max: MAX_BYTES },
            fallback: Fallback::Value(r#""32MiB""#),
            meaning: "A range of a cold blob that begins at most this far past what has arrived waits for it; one further \
                      away is fetched from upstream directly.",
        },
        Key {
            name: "fill_attempts",
            kind: Kind::Count { min: 1, max: 100 },
            fallback: Fallback::Value("5"),
            meaning: "A fill that makes no progress is tried again this often before it fails.",
        },
        Key {
            name: "staging_ttl",
            kind: Kind::Window,
            fallback: Fallback::Value(r#""24h""#),
            meaning: "Unfinished fills of an earlier process are kept this long to be resumed.",
        },
    ],
};

pub fn read(reader: &Reader<'_>) -> Option<CacheSettings> {
    let memory = reader.get("memory", value::size);
    let disk = reader.get("disk", value::size);
    let disk_object = reader.optional("disk_object", value::size);
    let memory_object = reader.optional("memory_object", value::size);
    let range_window = reader.get("range_window", value::size);
    let fill_attempts = reader.get("fill_attempts", value::count);
    let staging_ttl = reader.get("staging_ttl", value::duration);
    if let (Some(memory), Some(Some(object))) = (memory, memory_object)
        && object > memory
    {
        reader.report("memory_object", "is larger than `memory`: an object must fit into it");
        return None;
    }
    if let (Some(disk), Some(Some(object))) = (disk, disk_object)
        && object > disk
    {
        reader.report("disk_object", "is larger than `disk`: a blob must fit into it");
        return None;
    }
    let (memory, disk) = (memory?, disk?);
    Some(CacheSettings {
        memory,
        disk,
        disk_object: disk_object?.unwrap_or(disk / 2),
        memory_object: memory_object?.unwrap_or(USUAL_MEMORY_OBJECT.min(memory)),
        range_window: range_window?,
        fill_attempts: u32::try_from(fill_attempts?).ok()?,
        staging_ttl: staging_ttl?,
    })
}
