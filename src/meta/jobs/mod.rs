//! The queue: jobs that any replica does, after the transaction that asked for them.
//!
//! A job is enqueued in the transaction of the fact that causes it (`enqueue.rs`), taken with a lease (`take.rs`), and ended by whoever
//! holds the lease (`finish.rs`). Operators list, retry and drop jobs (`list.rs`). `schedule.rs` says when work that is done once in a
//! while was last enqueued, and what came of it.
//!
//! The row of a job lives from its first enqueue to its end, one for each queue and key:
//!
//! | enqueue meets | what happens |
//! |---|---|
//! | no job | it is there, ready after its delay |
//! | one that is ready and has not failed | they are one: the newer payload and lane, the earlier time |
//! | one that waits after a failure | they are one: the newer payload and lane; it waits as long as before, and keeps its tries |
//! | one that runs | it runs once more, when this run has ended; its tries begin anew if it ends well |
//! | a dead one | it is ready again, and its tries begin anew |
//!
//! [`Urgency`] says what differs for a request of an operator and for the schedule. Nobody takes a job before the transaction that enqueued
//! or merged it has committed, so a handler that reads the state when it runs has seen every fact that asked for it.
//!
//! Every time is the database's: replicas hand in durations, never times, so their clocks do not matter.

mod enqueue;
mod finish;
mod lane;
mod list;
mod schedule;
mod take;

pub use enqueue::{MAX_PAYLOAD_BYTES, NewJob, Urgency};
pub use finish::{Ending, JobProgress};
pub use lane::{Lane, MAX_LANES};
pub use list::{JobFilter, JobRow, JobState, QueueCount};
pub use schedule::{ScheduleRow, Scheduled, When};
pub use take::{TakenJob, Taking};

use super::database::Dialect;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub i64);

/// The right to do a job, until another one is given for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobLease {
    pub job: JobId,
    /// Counts the leases of the job.
    number: i64,
}

/// Characters of an error that are kept.
const MAX_ERROR_CHARACTERS: usize = 1_000;

impl Dialect {
    /// Milliseconds since 1970 by the database's clock, the same within a statement.
    pub(super) const fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
            Self::Postgres => "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS BIGINT)",
        }
    }
}

fn milliseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

/// The beginning of an error, which may hold a whole page of an upstream.
fn shortened(error: &str) -> String {
    // PostgreSQL's texts have no such character.
    error.chars().filter(|character| *character != '\0').take(MAX_ERROR_CHARACTERS).collect()
}

#[cfg(test)]
mod tests;
