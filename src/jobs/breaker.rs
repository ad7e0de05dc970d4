//! A breaker for each destination: while a server does not answer, its jobs wait, and one of them asks now and then whether it is back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// Destinations that are remembered as failing. Of more, the one that is to be asked next is forgotten: it is asked at once.
const MAX_DESTINATIONS: usize = 10_000;

/// What this process knows of destinations. Those that work are not in it.
#[derive(Default)]
pub(super) struct Breakers(Mutex<HashMap<String, Open>>);

struct Open {
    /// In a row.
    failures: u32,
    until: Instant,
    /// A job is asking.
    is_asked: bool,
}

/// How many jobs of a destination may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Free,
    /// To see whether it is back.
    One,
    Shut(Instant),
    /// The job that asks has not ended.
    Asked,
}

impl Breakers {
    pub(super) fn way(&self, destination: &str, now: Instant) -> Way {
        match self.lock().get(destination) {
            None => Way::Free,
            Some(open) if open.is_asked => Way::Asked,
            Some(open) if open.until > now => Way::Shut(open.until),
            Some(_) => Way::One,
        }
    }

    /// A job for it begins.
    pub(super) fn begins(&self, destination: &str) {
        if let Some(open) = self.lock().get_mut(destination) {
            open.is_asked = true;
        }
    }

    /// It answered, whatever it said.
    pub(super) fn answered(&self, destination: &str) {
        self.lock().remove(destination);
    }

    /// It did not. `random` is from 0 to 1.
    pub(super) fn failed(&self, destination: &str, now: Instant, random: f64) {
        if destination.is_empty() {
            return;
        }
        let mut destinations = self.lock();
        if destinations.len() >= MAX_DESTINATIONS && !destinations.contains_key(destination) {
            let next = destinations.iter().min_by_key(|(_, open)| open.until).map(|(name, _)| name.clone());
            next.map(|name| destinations.remove(&name));
        }
        let open =
            destinations.entry(destination.to_owned()).or_insert(Open { failures: 0, until: now, is_asked: false });
        // Jobs that were under way together are one failure.
        if open.until > now && !open.is_asked {
            return;
        }
        open.failures = open.failures.saturating_add(1);
        let pause = FIRST_PAUSE.saturating_mul(1 << (open.failures - 1).min(10)).min(LONGEST_PAUSE);
        *open = Open { failures: open.failures, until: now + pause.mul_f64(0.8 + 0.4 * random), is_asked: false };
    }

    /// The job ended and says nothing of it.
    pub(super) fn said_nothing(&self, destination: &str) {
        if let Some(open) = self.lock().get_mut(destination) {
            open.is_asked = false;
        }
    }

    /// Held for one operation on a map: a panic leaves it whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_asks_whether_it_is_back() {
        let breakers = Breakers::default();
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(breakers.way("a", at(0)), Way::Free);
        breakers.begins("a");
        breakers.failed("a", at(0), 0.5);
        // Others that were under way say the same.
        breakers.failed("a", at(1), 0.5);
        assert_eq!(breakers.way("a", at(4)), Way::Shut(at(5)));
        assert_eq!(breakers.way("b", at(4)), Way::Free);
        assert_eq!(breakers.way("a", at(5)), Way::One);
        breakers.begins("a");
        assert_eq!(breakers.way("a", at(6)), Way::Asked);
        breakers.failed("a", at(6), 0.5);
        assert_eq!(breakers.way("a", at(15)), Way::Shut(at(16)));
        breakers.begins("a");
        breakers.said_nothing("a");
        assert_eq!(breakers.way("a", at(16)), Way::One);
        breakers.begins("a");
        breakers.answered("a");
        assert_eq!(breakers.way("a", at(17)), Way::Free);
        let mut now = at(100);
        for _ in 0..20 {
            breakers.failed("a", now, 0.5);
            now += LONGEST_PAUSE;
        }
        assert_eq!(breakers.way("a", now - Duration::from_secs(1)), Way::Shut(now));
        breakers.failed("", at(0), 0.5);
        assert_eq!(breakers.way("", at(0)), Way::Free, "a job that depends on no server");
    }

    #[test]
    fn failing_destinations_are_bounded() {
        let breakers = Breakers::default();
        let now = Instant::now();
        for n in 0..MAX_DESTINATIONS + 100 {
            breakers.failed(&n.to_string(), now, 0.5);
        }
        assert_eq!(breakers.lock().len(), MAX_DESTINATIONS);
    }
}
