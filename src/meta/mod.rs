//! Durable small facts in SQL: what was pushed here and who refers to what, what upstreams said when they were last asked,
//! when blobs were used, who used how much, and what is to be done (`jobs/`).
//!
//! SQLite inside the process by default, in WAL mode: one file that opens at once after a crash and that `sqlite3` can read;
//! PostgreSQL where several replicas share a registry. Both understand the same statements, and every statement of the program is
//! in this room. Times are milliseconds since 1970. A write announces what kind of thing it changed (`changes.rs`), so that
//! whoever remembers such things forgets them, here and in other replicas.
//!
//! *Never* here: bytes of blobs, decisions about freshness, or a query on the path of a request that memory can answer.

mod accounts;
mod availability;
mod changes;
mod clock;
mod database;
mod error;
mod hosted;
mod identities;
mod jobs;
mod last_known;
mod list_turn;
mod listener;
mod pool;
mod registry;
mod scope;
mod table;
mod tag_keys;
mod upstream;
mod usage;
mod usage_hours;
mod usage_sums;

pub use accounts::{Made, PasswordNow, RoleColumns, StillHas, TagsChange};
pub use availability::{Cause, Unavailable};
pub use changes::{Change, Changes};
pub use clock::now_ms;
pub use database::{Connections, Meta};
pub use error::Error;
pub use hosted::{
    BareRepository, Begun, BlobLink, Claim, Condemned, ForgottenLink, Holdings, ImageRow, ManifestRow, Most,
    NewManifest, PieceRow, Put, Reclaimable, Reference, ReferenceKind, ReferrerRow, Removed, RepositoryColumn,
    RepositoryId, RepositoryRow, RepositorySettings, StoredBlobRow, TagMove, TagWrites, Unlinked, UploadLimits,
    UploadRow,
};
pub use identities::{
    AccessKeyInfo, AccessKeyRow, NamedPolicy, NewPrincipal, PrincipalId, PrincipalKind, PrincipalRow,
};
pub use jobs::{
    Ending, JobFilter, JobId, JobLease, JobProgress, JobRow, JobState, Lane, MAX_LANES, MAX_PAYLOAD_BYTES, NewJob,
    QueueCount, ScheduleRow, Scheduled, TakenJob, Taking, Urgency, When,
};
pub use list_turn::ListTurn;
pub use registry::{DocumentKind, DocumentRow, Hidden, MadeRule, NewRule};
pub use tag_keys::in_other_capitals;
pub use upstream::{Fetch, Link, LinkKind, Listing, Speaker, TagRow, UpstreamLimits};
pub use usage::BlobUse;
pub use usage_hours::{StoredRow, UsageCounts, UsageRow};
pub use usage_sums::{UsageBy, UsageRange, UsageSum};

use database::twice;

#[cfg(test)]
mod concurrency;
#[cfg(test)]
pub(crate) mod tests;
