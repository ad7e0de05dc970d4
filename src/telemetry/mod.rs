//! What operators see: metrics, logs, traces.
//!
//! Metrics are fields of one struct that is handed down, so that a reader finds every name in one file and no label can
//! grow without bound. *Never* here: repository names, digests, tags or client addresses as labels; secrets anywhere.

mod audit;
mod audit_file;
mod line;
mod logs;
mod metrics;
mod trace_span;
mod traces;

pub use audit::{Audit, Caller, Draft, Entry, Reason, rfc_3339};
pub use logs::Logs;
pub use metrics::{CacheOutcome, Metrics, ObjectKind};
pub use trace_span::TraceSpan;
