//! How much goes between here and a bucket at once: what is sent, by bytes in memory, and objects that are read, by number.
//!
//! What somebody waits for and copies that nobody waits for are sent in lines of their own, so that no copy stands before a push.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The least that a part counts for: small objects are so many requests at once at the most.
const UNIT_BYTES: u64 = 1 << 20;

/// Units of parts in memory of what somebody waits for, and of copies.
const AWAITED_UNITS: u32 = 64;
const COPY_UNITS: u32 = 32;

/// Objects that are read at once, over all clients.
const MAX_READS: usize = 128;

/// How long a place to read is waited for.
const READ_WAIT: Duration = Duration::from_secs(30);

/// For whom an object is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// A client waits until it is there.
    Awaited,
    /// Nobody waits for it.
    Copy,
}

pub(super) struct Traffic {
    awaited: Arc<Semaphore>,
    copies: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    /// Those who wait for a place to read.
    waiting: AtomicUsize,
}

/// No place to read came free in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoPlace;

impl Traffic {
    pub(super) fn new() -> Self {
        Self {
            awaited: Arc::new(Semaphore::new(AWAITED_UNITS as usize)),
            copies: Arc::new(Semaphore::new(COPY_UNITS as usize)),
            reads: Arc::new(Semaphore::new(MAX_READS)),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Waits until a part of so many bytes may be in memory. A part that is longer than all that may be there waits for all of it.
    pub(super) async fn part(&self, errand: Errand, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let (line, most) = match errand {
            Errand::Awaited => (&self.awaited, AWAITED_UNITS),
            Errand::Copy => (&self.copies, COPY_UNITS),
        };
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(most).clamp(1, most);
        // Never closed.
        line.clone().acquire_many_owned(units).await.ok()
    }

    /// Waits for a place to read an object.
    pub(super) async fn read(&self) -> Result<OwnedSemaphorePermit, NoPlace> {
        if let Ok(place) = self.reads.clone().try_acquire_owned() {
            return Ok(place);
        }
        let _waiting = Waiting::begin(&self.waiting);
        match tokio::time::timeout(READ_WAIT, self.reads.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(NoPlace),
        }
    }

    /// Whether somebody waits for a place to read.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// Counts one who waits, however that ends.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn h15_no_copy_stands_before_what_is_awaited() {
        let traffic = Traffic::new();
        let mut copies = Vec::new();
        while let Some(turn) = traffic.part(Errand::Copy, 1).now_or_never() {
            copies.push(turn);
        }
        assert_eq!(copies.len(), COPY_UNITS as usize);
        let long = traffic.part(Errand::Awaited, u64::MAX).now_or_never();
        assert!(long.is_some() && traffic.part(Errand::Awaited, 1).now_or_never().is_none());
        copies.pop();
        assert!(traffic.part(Errand::Copy, 1).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn h07_so_many_objects_are_read_at_once() {
        let traffic = Traffic::new();
        let mut held = Vec::new();
        for _ in 0..MAX_READS {
            held.push(traffic.read().await.unwrap());
        }
        assert!(!traffic.is_waited_for());
        let (refused, waited) = tokio::join!(traffic.read(), async {
            tokio::task::yield_now().await;
            traffic.is_waited_for()
        });
        assert!(waited && refused.unwrap_err() == NoPlace && !traffic.is_waited_for());
        held.pop();
        assert!(traffic.read().await.is_ok());
    }
}
