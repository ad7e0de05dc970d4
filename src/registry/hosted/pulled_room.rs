//! Room in the database for images that are pulled through, which whoever may pull fills.
//!
//! Bytes of manifests are counted: by the database once a minute, and by what this process adds in between. When `hosted.pulled_bytes` is
//! reached, those that were pulled longest ago leave the list, down to nine tenths; at each count those leave it that nobody pulled for
//! `hosted.pulled_ttl`. Several replicas may go beyond the limit together by what they add in a minute.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::Hosted;
use crate::meta::now_ms;
use crate::registry::Error;

const COUNT_EVERY: Duration = Duration::from_secs(60);

/// Rounds of removing before an image is not listed for want of room.
const MAX_ROUNDS: usize = 16;

pub(super) struct PulledRoom {
    known: Mutex<Option<Known>>,
    /// Counting and removing go on once at a time.
    turn: Semaphore,
}

#[derive(Clone, Copy)]
struct Known {
    bytes: u64,
    counted: Instant,
}

impl PulledRoom {
    pub(super) fn new() -> Self {
        Self { known: Mutex::default(), turn: Semaphore::new(1) }
    }

    fn known(&self) -> Option<Known> {
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.filter(|known| known.counted.elapsed() < COUNT_EVERY)
    }

    /// Takes `more` bytes if they fit.
    fn take(&self, more: u64, limit: u64) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *known {
            Some(known) if known.counted.elapsed() < COUNT_EVERY && known.bytes.saturating_add(more) <= limit => {
                known.bytes += more;
                true
            }
            _ => false,
        }
    }

    fn set(&self, bytes: u64, counted: Instant) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Known { bytes, counted });
    }
}

impl Hosted {
    /// Whether a manifest of so many bytes may be listed, making room for it if there is none.
    pub(super) async fn has_pulled_room(&self, more: u64) -> Result<bool, Error> {
        let (room, settings) = (&self.inner.pulled_room, &self.inner.settings);
        let limit = settings.pulled_bytes;
        if room.take(more, limit) {
            return Ok(true);
        }
        let _turn = room.turn.acquire().await;
        let (mut bytes, counted) = match room.known() {
            Some(known) => (known.bytes, known.counted),
            None => (self.meta.pulled_images_bytes().await?, Instant::now()),
        };
        let ttl_ms = i64::try_from(settings.pulled_ttl.as_millis()).unwrap_or(i64::MAX);
        let before_ms = now_ms().saturating_sub(ttl_ms);
        for _ in 0..MAX_ROUNDS {
            let full = bytes.saturating_add(more) > limit;
            let excess = if full { bytes.saturating_add(more).saturating_sub(limit / 10 * 9) } else { 0 };
            let (freed, repositories) = self.meta.trim_pulled_images(before_ms, excess).await?;
            bytes = bytes.saturating_sub(freed);
            for repository in &repositories {
                self.inner.remembered.changed(*repository);
            }
            if repositories.is_empty() || bytes.saturating_add(more) <= limit {
                break;
            }
        }
        room.set(bytes, counted);
        Ok(room.take(more, limit))
    }
}
