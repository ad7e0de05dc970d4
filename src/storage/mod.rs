//! Durable bytes by digest, in the local file system or in a bucket.
//!
//! A blob is one plain immutable file, `blobs/sha256/ab/<hex>`, that an operator can look at and check with `sha256sum`.
//! It becomes visible only by rename, after the caller has verified it and after it was synced. Unfinished bytes lie in
//! `staging/`, a file for each writer; their length is how much of them is there, so that a restart can go on from it.
//!
//! *Never* here: knowing what a blob means, who may read it, when it must go, or truncating a file that was published.

mod bucket;
mod check;
mod depot;
mod error;
mod joined;
mod local;
mod multipart;
mod origin_id;
mod published;
mod reserve;
mod sending;
mod staged;
mod traffic;
mod writer;

pub use bucket::{Bucket, ObjectStream, StoredObject};
pub(crate) use check::check_file;
pub use check::{Condition, Pace};
pub use depot::{Depot, Kept};
pub use error::Error;
pub(crate) use joined::joined;
pub use local::{LeftOver, Storage, StoredBlob};
pub use origin_id::OriginId;
pub use published::Published;
pub use sending::Sending;
pub use staged::Staged;
pub(crate) use staged::sync_folder;
pub use traffic::Errand;
pub use writer::Writer;
