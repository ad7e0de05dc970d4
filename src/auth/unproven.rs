//! Bodies that must be in memory before the signature over them can be checked.
//!
//! Whoever sends one has proven nothing yet. Small ones are let be: there are no more of them than connections. Of large ones
//! there is room for so many bytes, and only for those who show a key that exists.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::proof::Refusal;
use crate::meta;

/// What nearly every request has.
const SMALL_BYTES: u64 = 64 << 10;

const UNIT_BYTES: u64 = 1 << 10;

/// All large bodies together, in units: nine of the largest, over all listeners.
const ROOM_UNITS: usize = 256 << 10;

/// How long one waits for room.
const WAIT: Duration = Duration::from_secs(10);

pub(super) struct Unproven {
    room: Arc<Semaphore>,
}

/// Given back when the body is gone.
#[derive(Debug)]
pub struct Room {
    _held: Option<OwnedSemaphorePermit>,
}

/// Too much is being sent by too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// Why a body is not read.
#[derive(Debug)]
pub enum NotRead {
    Refused(Refusal),
    NoRoom,
    Unavailable(meta::Error),
}

impl Unproven {
    pub fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(ROOM_UNITS)) }
    }

    pub fn is_small(bytes: u64) -> bool {
        bytes <= SMALL_BYTES
    }

    /// For a small body at once, for a large one when there is room.
    pub async fn room(&self, bytes: u64) -> Result<Room, NoRoom> {
        if Self::is_small(bytes) {
            return Ok(Room { _held: None });
        }
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).map_err(|_| NoRoom)?;
        let taken = tokio::time::timeout(WAIT, self.room.clone().acquire_many_owned(units)).await;
        match taken {
            Ok(Ok(permit)) => Ok(Room { _held: Some(permit) }),
            Ok(Err(_)) | Err(_) => Err(NoRoom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_bodies_take_turns_and_small_ones_need_none() {
        let unproven = Unproven::new();
        let waits = async || tokio::time::timeout(Duration::from_millis(20), unproven.room(28 << 20)).await.is_err();
        let mut held = Vec::new();
        for _ in 0..9 {
            held.push(unproven.room(28 << 20).await.unwrap());
        }
        assert!(waits().await);
        assert!(unproven.room(SMALL_BYTES).await.is_ok());
        held.pop();
        assert!(!waits().await);
        assert_eq!(unproven.room(u64::MAX).await.unwrap_err(), NoRoom);
    }
}
