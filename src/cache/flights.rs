//! One fetch at a time for each key, whoever asks and whoever leaves.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Fetches under way. A flight belongs to its own task; askers hold only a view of it.
pub(crate) struct Flights<K, F> {
    under_way: Mutex<HashMap<K, Arc<F>>>,
}

/// Takes the flight off the list when its task ends, however it ends.
pub(crate) struct Landing<K: Eq + Hash, F> {
    flights: Arc<Flights<K, F>>,
    key: K,
}

pub(crate) enum Boarding<F, L> {
    /// Somebody else's.
    Joined(Arc<F>),
    /// The caller must fly it, holding the landing until it has ended.
    Started(Arc<F>, L),
    /// The caller's last look said that there is no need.
    Declined,
}

impl<K: Eq + Hash + Clone, F> Flights<K, F> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { under_way: Mutex::new(HashMap::new()) })
    }

    pub(crate) fn get(&self, key: &K) -> Option<Arc<F>> {
        self.lock().get(key).cloned()
    }

    /// Joins the flight of `key` or starts one, unless `still_needed` says no: it is asked under the lock, so that a
    /// flight that landed since the caller looked is not flown again.
    pub(crate) fn board(
        self: &Arc<Self>,
        key: &K,
        still_needed: impl FnOnce() -> bool,
        start: impl FnOnce() -> F,
    ) -> Boarding<F, Landing<K, F>> {
        let mut under_way = self.lock();
        if let Some(flight) = under_way.get(key) {
            return Boarding::Joined(flight.clone());
        }
        if !still_needed() {
            return Boarding::Declined;
        }
        let flight = Arc::new(start());
        under_way.insert(key.clone(), flight.clone());
        Boarding::Started(flight, Landing { flights: self.clone(), key: key.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Arc<F>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, F> Drop for Landing<K, F> {
    fn drop(&mut self) {
        self.flights.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
