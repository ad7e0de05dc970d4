//! Failed logins, limited by whose they are: of an address, or of one user at an address.
//!
//! Each key has a debt of time: every failure adds one interval to it, and it is paid off as time passes (the generic
//! cell rate algorithm). That is one number a key. A source is an IPv4 address or an IPv6 /64, which is what one customer
//! of a provider has. Where more keys fail than there is room for, those with the least debt are forgotten.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptLimit {
    /// So many failures at once are borne; none where it is 0.
    pub failures: u32,
    /// After so long all of them are forgotten; one of them, after its share of it.
    pub window: Duration,
    /// So many keys are remembered, at least one; each takes about 60 bytes.
    pub max_keys: usize,
}

/// Which source an address is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptSource(IpAddr);

pub struct Attempts<K> {
    limit: AttemptLimit,
    /// When each key's debt is paid.
    debts: Mutex<HashMap<K, Instant>>,
}

/// Refused without looking at the credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: try again in {} seconds", .wait.as_secs().saturating_add(1))]
pub struct TooManyAttempts {
    what: &'static str,
    /// For `Retry-After`.
    pub wait: Duration,
}

impl TooManyAttempts {
    /// Of one user at one address.
    pub const fn of_user(wait: Duration) -> Self {
        Self { what: "too many failed logins of this user from this address", wait }
    }

    pub const fn of_address(wait: Duration) -> Self {
        Self { what: "too many failed logins from this address", wait }
    }

    /// More logins wait than can be checked soon.
    pub const fn waiting(wait: Duration) -> Self {
        Self { what: "too many logins are waiting to be checked", wait }
    }
}

impl Default for AttemptLimit {
    /// 10 failures a minute, 65,536 keys.
    fn default() -> Self {
        Self { failures: 10, window: Duration::from_secs(60), max_keys: 1 << 16 }
    }
}

impl From<IpAddr> for AttemptSource {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        })
    }
}

impl<K: Copy + Eq + Hash> Attempts<K> {
    pub fn new(limit: AttemptLimit) -> Self {
        Self { limit, debts: Mutex::new(HashMap::new()) }
    }

    /// Ask before credentials are looked at. An error is how long to wait.
    pub fn check(&self, key: K, now: Instant) -> Result<(), Duration> {
        let known = self.debts.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        let debt = known.map_or(Duration::ZERO, |paid| paid.saturating_duration_since(now));
        let bearable = self.limit.window.saturating_sub(self.interval());
        match debt.checked_sub(bearable) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(()),
        }
    }

    pub fn failed(&self, key: K, now: Instant) {
        let mut debts = self.debts.lock().unwrap_or_else(PoisonError::into_inner);
        if debts.len() >= self.limit.max_keys && !debts.contains_key(&key) {
            forget(&mut debts, self.limit.max_keys, now);
        }
        let paid = debts.get(&key).copied().filter(|paid| *paid > now).unwrap_or(now);
        // Failures that were already under way when the limit was reached add no more than one window.
        let most = now.checked_add(self.limit.window);
        if let Some(paid) = paid.checked_add(self.interval()).and_then(|paid| most.map(|most| paid.min(most))) {
            debts.insert(key, paid);
        }
    }

    /// A success pays the whole debt: people mistype.
    pub fn succeeded(&self, key: K) {
        self.debts.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    fn interval(&self) -> Duration {
        self.limit.window / self.limit.failures.max(1)
    }
}

/// Those who paid, and then those with the least debt until a quarter of the room is free, so that it happens seldom.
fn forget<K: Eq + Hash>(debts: &mut HashMap<K, Instant>, max_keys: usize, now: Instant) {
    debts.retain(|_, paid| *paid > now);
    let mut excess = debts.len().saturating_sub(max_keys / 4 * 3);
    let Some(last) = excess.checked_sub(1) else { return };
    let mut times: Vec<_> = debts.values().copied().collect();
    let limit = *times.select_nth_unstable(last).1;
    debts.retain(|_, paid| {
        let goes = *paid <= limit && excess > 0;
        excess -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const LIMIT: AttemptLimit = AttemptLimit { failures: 10, window: Duration::from_secs(60), max_keys: 100 };

    fn source(text: &str) -> AttemptSource {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn ten_at_once_then_one_in_six_seconds() {
        let (attempts, start, here) = (Attempts::new(LIMIT), Instant::now(), source("192.0.2.1"));
        for _ in 0..10 {
            assert_eq!(attempts.check(here, start), Ok(()));
            attempts.failed(here, start);
        }
        assert_eq!(attempts.check(here, start), Err(Duration::from_secs(6)));
        assert_eq!(attempts.check(source("192.0.2.2"), start), Ok(()));
        let later = start + Duration::from_secs(6);
        assert!(attempts.check(here, later - Duration::from_millis(1)).is_err());
        assert_eq!(attempts.check(here, later), Ok(()));
        attempts.failed(here, later);
        assert!(attempts.check(here, later).is_err());
        attempts.succeeded(here);
        assert_eq!(attempts.check(here, later), Ok(()));
    }

    #[test]
    fn what_was_under_way_adds_one_window_at_most() {
        let (attempts, start, here) = (Attempts::new(LIMIT), Instant::now(), source("192.0.2.1"));
        for _ in 0..10_000 {
            attempts.failed(here, start);
        }
        assert_eq!(attempts.check(here, start).unwrap_err(), Duration::from_secs(6));
        assert_eq!(attempts.check(here, start + Duration::from_secs(60)), Ok(()));
    }

    #[test]
    fn sources() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:ffff:ffff:ffff"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_kept() {
        let (attempts, start, worst) = (Attempts::new(LIMIT), Instant::now(), source("203.0.113.9"));
        for _ in 0..10 {
            attempts.failed(worst, start);
        }
        for n in 0..10_000_u32 {
            attempts.failed(AttemptSource::from(IpAddr::from(n.to_be_bytes())), start);
            assert!(attempts.debts.lock().unwrap().len() <= LIMIT.max_keys);
        }
        assert!(attempts.check(worst, start).is_err());
    }

    #[test]
    fn odd_limits() {
        let (start, here) = (Instant::now(), source("192.0.2.1"));
        for limit in [
            AttemptLimit { failures: 0, ..LIMIT },
            AttemptLimit { failures: 1, window: Duration::ZERO, max_keys: 0 },
            AttemptLimit { window: Duration::MAX, ..LIMIT },
        ] {
            let attempts = Attempts::new(limit);
            for _ in 0..20 {
                attempts.failed(here, start);
                let _ = attempts.check(here, start);
            }
            assert!(attempts.debts.lock().unwrap().len() <= 1);
        }
    }

    proptest::proptest! {
        /// Against a model that remembers every failure: never are more let through in a window than twice the limit, and
        /// never fewer at once than the limit after a quiet window.
        #[test]
        fn against_a_model(gaps in proptest::collection::vec(0_u64..9_000, 1..200)) {
            let (attempts, here, mut now) = (Attempts::new(LIMIT), source("192.0.2.1"), Instant::now());
            let mut recent: VecDeque<Instant> = VecDeque::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                while recent.front().is_some_and(|then| now.duration_since(*then) >= LIMIT.window) {
                    recent.pop_front();
                }
                match attempts.check(here, now) {
                    Ok(()) => {
                        attempts.failed(here, now);
                        recent.push_back(now);
                        proptest::prop_assert!(recent.len() <= 20);
                    }
                    Err(wait) => {
                        proptest::prop_assert!(recent.len() >= 10 && wait <= LIMIT.window);
                        proptest::prop_assert_eq!(attempts.check(here, now + wait), Ok(()));
                    }
                }
            }
        }
    }
}
