//! Bytes by digest, through memory and disk, and the fill that brings them.
//!
//! A blob is served from memory if it is small and hot, from its file if it is kept, from the file that grows while it is
//! being fetched, or, when nothing can be kept, straight from upstream. One fetch serves everyone who asks while it runs:
//! it belongs to a task of its own, and readers follow the growing file at their own pace. Of a blob that is not yet
//! verified the last bytes are held back, so nobody ever sees a complete answer of wrong bytes.
//!
//! *Never* here: who may read what, tags or other names, HTTP. A lock that is held across an await.

mod blob;
mod blob_cache;
mod chunks;
mod disk;
mod error;
mod eviction;
mod fill;
mod filler;
mod flights;
mod memory;
mod origin;
mod pass_through;
mod reader;
mod room;
mod scrub;
mod shared;
mod shortage;
#[cfg(test)]
mod simulation;
mod supply;

pub use blob::{Blob, Content};
pub use blob_cache::{BlobCache, Claim};
pub use chunks::Version;
pub use error::Error;
pub(crate) use flights::{Boarding, Flights};
pub use origin::Origin;
pub use pass_through::ByteStream;
pub use reader::{BlobReader, Visible};
pub use scrub::{CacheScrubPosition, CacheScrubbed};
pub use shared::Shared;
pub use shortage::Shortage;

/// Bytes at the end of a blob that nobody gets before the whole is verified.
const HELD_BACK_BYTES: u64 = 64 * 1024;
