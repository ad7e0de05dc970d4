//! A job as operators see it.

use serde::Serialize;
use serde_json::Value;

use crate::meta::ScheduleRow;

/// A job as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct State {
    pub name: &'static str,
    /// It runs, or is about to.
    pub running: bool,
    /// Counts runs, of all replicas together; of work on what a process has in memory, those of this process.
    pub run: u64,
    /// Objects that were looked at, of how many; 0 where that is not known.
    pub done: u64,
    pub total: u64,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<i64>,
    /// The replica of the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica: Option<String>,
    /// What the last run that has ended did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl State {
    pub(super) fn of_row(name: &'static str, row: ScheduleRow) -> Self {
        Self {
            name,
            running: row.is_running || row.is_due,
            run: row.run,
            done: row.done,
            total: row.total,
            bytes: row.bytes,
            started_at_ms: row.started_at_ms,
            ended_at_ms: row.ended_at_ms,
            replica: Some(row.run_by).filter(|replica| !replica.is_empty()),
            result: row.result.and_then(|result| serde_json::from_str(&result).ok()),
            error: row.error,
        }
    }
}
