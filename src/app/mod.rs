//! The whole program: build everything, serve, take up changes, drain.
//!
//! *Never* here: anything that a room above could do by itself.

mod build;
mod changes;
mod error;
mod identities;
mod jobs;
mod reload;
mod run;
mod users;

pub use error::Error;
pub use jobs::{PREVIEW, RECLAIM, SCRUB, run_job};
pub use run::run;
pub use users::{Question, Users};
