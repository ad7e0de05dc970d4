//! Bodies that must be in memory before the signature over them can be checked.
//!
//! Whoever sends one has proven nothing yet. Small ones are let be; large ones are read only of those who show a key that exists, and take
//! room as they come (`memory`).

use super::proof::Refusal;
use crate::meta;

/// What nearly every request has.
const SMALL_BYTES: u64 = 64 << 10;

/// Why a body is not read.
#[derive(Debug)]
pub enum NotRead {
    Refused(Refusal),
    Unavailable(meta::Error),
}

pub(super) fn is_small(bytes: u64) -> bool {
    bytes <= SMALL_BYTES
}
