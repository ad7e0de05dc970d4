//! Durable small facts in SQL: which repositories refer to which bytes, what tags meant when upstream was last asked,
//! lists that upstream gave, and when blobs were used.
//!
//! SQLite inside the process, in WAL mode: one file that opens at once after a crash and that `sqlite3` can read. Every
//! statement of the program is in this room. Times are milliseconds since 1970.
//!
//! *Never* here: bytes of blobs, decisions about freshness, or a query on the path of a request that memory can answer.

mod database;
mod error;
mod links;
mod listings;
mod tags;
mod usage;

pub use database::Meta;
pub use error::Error;
pub use links::{Link, LinkKind};
pub use listings::Listing;
pub use tags::TagRow;
pub use usage::BlobUse;
