//! How a client takes an answer, and when it is given up: one that takes nothing for too long, and one that takes next to nothing while
//! others need what it holds.
//!
//! Only time counts in which there was something to take: a client that waits for its upstream is not slow.

use std::time::Duration;

use tokio::time::Instant;

use super::buffers::{self, Client};
use crate::cache::Shortage;

/// A client that takes nothing of an answer in memory is given up after this where memory is short.
const SHORT_STALL: Duration = Duration::from_secs(10);

/// Where room on the disk is short, a client is given up that takes less than [`LEAST_RATE`] over so much waiting.
const WINDOW: Duration = Duration::from_secs(30);

/// Bytes a second.
const LEAST_RATE: u64 = 16 << 10;

/// How long a client is waited for.
#[derive(Clone)]
pub(super) struct Patience {
    /// For a client that takes nothing.
    pub(super) stall_timeout: Duration,
    pub(super) client: Client,
    /// Room on the disk: what a client reads cannot go.
    pub(super) shortage: Shortage,
}

/// What a client has taken, and how long it was waited for.
#[derive(Default)]
pub(super) struct Taking {
    /// Since when it has taken nothing.
    since: Option<Instant>,
    window: Window,
}

#[derive(Default)]
struct Window {
    /// Until when waiting was counted, while there is something to take.
    until: Option<Instant>,
    waited: Duration,
    bytes: u64,
}

impl Taking {
    /// There is something to take.
    pub(super) fn waits(&mut self, now: Instant) {
        self.since.get_or_insert(now);
        self.window.until.get_or_insert(now);
    }

    /// The client took so many bytes, and nothing is left to take.
    pub(super) fn took(&mut self, bytes: u64) {
        self.window.bytes = self.window.bytes.saturating_add(bytes);
        if self.since.take().is_some() {
            self.window.count(Instant::now());
            self.window.until = None;
        }
    }

    /// When it is to be looked at again; `None` when the client is given up. `holds_memory`: what it does not take is memory of ours.
    pub(super) fn look(&mut self, now: Instant, patience: &Patience, holds_memory: bool) -> Option<Instant> {
        let is_short = holds_memory && buffers::is_short(patience.client);
        let limit = if is_short { patience.stall_timeout.min(SHORT_STALL) } else { patience.stall_timeout };
        // Memory, or room, may become short meanwhile.
        let soon = now + SHORT_STALL;
        let is_slow = self.window.is_slow(now, patience.stall_timeout.min(WINDOW));
        let Some(since) = self.since else { return Some(soon.min(now + limit)) };
        if now.saturating_duration_since(since) >= limit || (is_slow && patience.shortage.is_now()) {
            return None;
        }
        Some(soon.min(since + limit))
    }
}

impl Window {
    fn count(&mut self, now: Instant) {
        if let Some(until) = &mut self.until {
            self.waited += now.saturating_duration_since(*until);
            *until = now;
        }
    }

    /// Whether this is the end of a window in which too little was taken.
    fn is_slow(&mut self, now: Instant, window: Duration) -> bool {
        self.count(now);
        if self.waited < window {
            return false;
        }
        let is_slow = self.bytes < LEAST_RATE.saturating_mul(window.as_secs().max(1));
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        is_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Seconds after which a client is given up that takes so many bytes each second.
    async fn given_up(rate: u64, is_short: bool) -> Option<u64> {
        let patience = Patience { stall_timeout: 300 * SECOND, client: None, shortage: Shortage::default() };
        let mut taking = Taking::default();
        for second in 0..1000 {
            if is_short {
                patience.shortage.note();
            }
            taking.waits(Instant::now());
            tokio::time::sleep(SECOND).await;
            if rate > 0 {
                taking.took(rate);
                taking.waits(Instant::now());
            }
            if taking.look(Instant::now(), &patience, false).is_none() {
                return Some(second + 1);
            }
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn d24_whoever_takes_next_to_nothing_goes_where_room_is_short() {
        for (rate, is_short, expected) in [
            (0, false, Some(300)),
            (1, false, None),
            (0, true, Some(30)),
            (1, true, Some(30)),
            (LEAST_RATE / 2, true, Some(30)),
            (LEAST_RATE, true, None),
        ] {
            assert_eq!(given_up(rate, is_short).await, expected, "{rate} {is_short}");
        }
    }

    /// A client is slow only while there is something to take.
    #[tokio::test(start_paused = true)]
    async fn d24_a_client_that_waits_is_not_slow() {
        let patience = Patience { stall_timeout: 300 * SECOND, client: None, shortage: Shortage::default() };
        let mut taking = Taking::default();
        for _ in 0..1000 {
            patience.shortage.note();
            taking.waits(Instant::now());
            taking.took(1);
            tokio::time::sleep(10 * SECOND).await;
            assert!(taking.look(Instant::now(), &patience, false).is_some());
        }
    }
}
