//! When: work that is done after a fact, once in a while, or when an operator asks.
//!
//! Each kind of work is a [`Work`] in the list that [`Jobs`] is made of. Its jobs lie in the database (`meta/jobs/`), from where one replica
//! takes each with a lease (`dispatch.rs`), runs it, renews the lease, and ends it (`running.rs`). A run that fails is tried again
//! (`retry.rs`) until it is dead, accounts take turns (`turns.rs`), and a server that does not answer holds up nobody else's jobs
//! (`breaker.rs`). What is to be done once in a while becomes a job when its time has come (`clock.rs`). What only this process can do,
//! because it has it in memory, never is one (`local.rs`). [`Jobs::close`] lets go of all of it: what is cut off goes back.
//!
//! Whether jobs can be done is no part of whether this process is ready. *Never* here: what the work is.

mod breaker;
mod clock;
mod dispatch;
mod listed;
mod local;
mod operators;
mod retry;
mod running;
mod state;
mod turns;
mod work;

pub use crate::meta::When;
pub use listed::{Jobs, Listed};
pub use retry::Retry;
pub use state::State;
pub use work::{Failure, Policy, Run, Work};

#[cfg(test)]
mod tests;
