//! `[cache]`: how much is kept, and how fills behave.

use std::time::Duration;

#[derive(Clone, Debug)]
pub struct CacheSettings {
    /// Bytes of small objects in memory, a hard limit. Default 64 MiB.
    pub memory: u64,
    /// Bytes of blobs on disk, fills in flight included, a hard limit. Default 50 GiB.
    pub disk: u64,
    /// Objects up to this many bytes are kept in memory. Default 256 KiB.
    pub memory_object: u64,
    /// A range of a cold blob that begins at most this many bytes past what has arrived waits for it; one further away is
    /// fetched from upstream directly. Default 32 MiB.
    pub range_window: u64,
    /// A fill that makes no progress is tried again this often before it fails. Default 5.
    pub fill_attempts: u32,
    /// Unfinished fills of an earlier process are kept this long to be resumed. Default 24 h.
    pub staging_ttl: Duration,
}
