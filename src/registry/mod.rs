//! What requests mean: manifests, blobs, tags, referrers and lists of repositories that other registries own.
//!
//! The registry finds the upstream that a name means, decides whether what is kept may be served, and asks upstream
//! through the cache for the rest. It answers with values; how they look on the wire is not its business.
//!
//! *Never* here: status codes and headers, files, SQL, or an answer without a permit.

mod answer;
mod blobs;
mod error;
mod freshness;
mod kept;
mod listings;
mod manifests;
mod names;
mod perishable;
mod pull_through;
mod refresher;
mod single_flight;

pub use answer::{Answer, Body, Staleness};
pub use error::{Error, Object};
pub use names::{NameError, Names, Repository};
pub use pull_through::Registry;
