//! What requests mean: manifests, blobs, tags, referrers, uploads and lists of repositories.
//!
//! A name belongs to an upstream (`pull_through/`) or is a repository of one's own (`hosted/`); `names.rs` tells which.
//! The registry answers with values; how they look on the wire is not its business.
//!
//! *Never* here: status codes and headers, files by their paths, SQL, or an answer without a permit.

mod account_settings;
mod answer;
mod catalog;
mod control;
mod dispatch;
mod error;
mod hosted;
mod incoming;
mod locate;
mod located;
mod marker;
mod names;
mod pull_through;
mod pulled;
mod registries;
mod seen;
mod templates;
mod upstreams;

pub use answer::{Answer, Body, Staleness, UploadState};
pub use control::{Endpoint, no_registry, refused};
pub use dispatch::{Made, Registry};
pub use error::{Error, Object};
pub use hosted::{Hosted, ReclaimPosition, Reclaimed, ScrubPosition, Scrubbed};
pub use incoming::{BrokenOff, Incoming};
pub use located::{Located, Meant};
pub use names::{NameError, Names, Repository};
pub use registries::Registries;
pub use upstreams::Upstreams;

/// Entries of one page of a list where the client names no number.
const PAGE_ENTRIES: u32 = 10_000;
