//! Whether blobs find no room on the disk because of what is there and cannot go: clients that take next to nothing keep it there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// After the last blob that found no room.
const LASTS: Duration = Duration::from_secs(60);

/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shortage(Arc<Mutex<Option<Instant>>>);

impl Shortage {
    /// A blob that would fit on an idle disk has found no room.
    pub(crate) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub fn is_now(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|noted| noted.elapsed() < LASTS)
    }
}
