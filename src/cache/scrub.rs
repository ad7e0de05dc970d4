//! What a round of reading the cache again has found, and where it is.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheScrubbed {
    pub blobs: u64,
    /// They were forgotten.
    pub damaged: u64,
    /// Those that could not be read; the log says why.
    pub failed: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheScrubPosition {
    /// The last blob that was read, in the order of digests.
    pub(super) last: Option<String>,
    pub(super) so_far: CacheScrubbed,
}

impl CacheScrubPosition {
    pub const fn so_far(&self) -> &CacheScrubbed {
        &self.so_far
    }
}
