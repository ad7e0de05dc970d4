//! The whole program: build everything, serve, take up changes, drain.
//!
//! *Never* here: anything that a room above could do by itself.

mod ballast;
mod build;
mod changes;
mod data_folder;
mod error;
mod existing;
mod identities;
mod jobs;
mod memory;
mod open_files;
mod policies;
mod queue;
mod reload;
mod run;
mod usage;
mod users;

pub use error::Error;
pub use existing::{Existing, place};
pub use jobs::{PREVIEW, RECLAIM, SCRUB, SCRUB_CACHE, run_jobs};
pub use policies::{Doubt, check_policies};
pub use queue::JobQueue;
pub use run::run;
pub use usage::usage;
pub use users::{Question, Users};
