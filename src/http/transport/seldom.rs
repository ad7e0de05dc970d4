//! Saying something once a minute at most, however often clients give cause to.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

const EVERY_S: i64 = 60;

pub(super) struct Seldom {
    last_s: AtomicI64,
}

impl Seldom {
    pub(super) const fn new() -> Self {
        Self { last_s: AtomicI64::new(0) }
    }

    /// Whether it is time to say it again.
    pub(super) fn now(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let last = self.last_s.load(Ordering::Relaxed);
        now - last >= EVERY_S && self.last_s.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
