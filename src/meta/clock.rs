//! The time, as this room keeps it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    #[cfg(test)]
    let now = now + SKEW_MS.get();
    now
}

#[cfg(test)]
thread_local! {
    static SKEW_MS: std::cell::Cell<i64> = const { std::cell::Cell::new(0) };
}

/// From now on this process's clock is wrong by so much, for a test that runs in one thread.
#[cfg(test)]
pub(super) fn skew_in_this_test(ms: i64) {
    SKEW_MS.set(ms);
}
