//! `entrepot export` and `entrepot import`: images between a registry and an OCI layout.
//!
//! What is moved is planned from manifests (`plan`), then blobs go before manifests and children before parents, so that
//! whoever looks at the other side meanwhile finds nothing that refers to what is not there.
//!
//! *Never* here: blobs held whole in memory, or anything under a digest before it was verified.

mod error;

mod cosign;
mod list;
mod name;
mod naming;
mod plan;
mod platform;

mod layout;
mod registry;

mod progress;
mod tally;

mod export;
mod import;
mod interrupt;

pub(super) use error::Error;
pub(super) use export::{Export, run as export};
pub(super) use import::{Import, run as import};
pub(super) use interrupt::interruptible;
pub(super) use name::ImageName;
pub(super) use plan::Document;
pub(super) use progress::bytes;
pub(super) use registry::{Access, Registry};

/// Blobs that are on their way at the same time.
const AT_ONCE: usize = 4;
