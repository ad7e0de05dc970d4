//! Room for what is being received, taken as its bytes come.
//!
//! Whoever announces much and sends little holds little. Those who have begun never wait for each other in a circle: as much as the
//! largest may take is kept for the one that came first, so that it always gets to its end, and the rest is for all others. Of that an asker
//! may hold three bytes for each one that is left free, so that whoever comes finds some.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::turns::{Asker, SHARE};

/// How long what has begun to come waits for room, in all.
const WAIT: Duration = Duration::from_secs(10);

/// Cheap to clone.
#[derive(Clone)]
pub struct Room {
    state: Arc<Mutex<State>>,
    /// Some of the room was given back.
    freed: Arc<Notify>,
}

struct State {
    /// Bytes, in all.
    limit: usize,
    /// Bytes that one may have, and that are kept for the first one.
    largest: usize,
    /// Bytes that are taken, the first one's included.
    used: usize,
    /// Bytes of each asker; none is zero.
    of: HashMap<Asker, usize>,
    /// Bytes of each that is being received, in the order in which they began.
    received: BTreeMap<u64, usize>,
    next: u64,
}

/// The room of one that is being received; given back when it is dropped.
pub struct Held {
    room: Room,
    asker: Asker,
    number: u64,
    /// What it has waited.
    waited: Duration,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// Others held it all the time.
    Taken,
    /// It takes more than one alone may have.
    TooLarge,
}

impl Room {
    pub fn new(limit: usize, largest: usize) -> Self {
        let state = State { limit, largest, used: 0, of: HashMap::new(), received: BTreeMap::new(), next: 0 };
        Self { state: Arc::new(Mutex::new(state)), freed: Arc::default() }
    }

    /// Sets the limits, for what is taken from now on.
    pub fn limit(&self, bytes: usize, largest: usize) {
        let mut state = self.lock();
        (state.limit, state.largest) = (bytes, largest);
    }

    /// For something that begins to come now; nothing is taken yet.
    pub fn begin(&self, asker: Asker) -> Held {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.received.insert(number, 0);
        Held { room: self.clone(), asker, number, waited: Duration::ZERO }
    }

    /// Bytes that are taken, and that there are.
    pub fn usage(&self) -> (usize, usize) {
        let state = self.lock();
        (state.used, state.limit)
    }

    /// Nothing that holds the lock panics or awaits.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Takes room for as many more bytes. Waits for it where others have it, at most ten seconds over all calls.
    pub async fn grow(&mut self, bytes: usize) -> Result<(), NoRoom> {
        loop {
            let freed = self.room.freed.clone();
            let mut freed = std::pin::pin!(freed.notified());
            // What is given back from here on is noticed.
            freed.as_mut().enable();
            match self.room.lock().take(self.asker, self.number, bytes) {
                Err(NoRoom::Taken) => {}
                taken => return taken,
            }
            let since = Instant::now();
            let waited = tokio::time::timeout(WAIT.saturating_sub(self.waited), freed).await;
            self.waited += since.elapsed();
            waited.map_err(|_| NoRoom::Taken)?;
        }
    }
}

impl State {
    fn take(&mut self, asker: Asker, number: u64, bytes: usize) -> Result<(), NoRoom> {
        let shared = self.limit.saturating_sub(self.largest);
        let (first, of_first) = self.received.first_key_value().map_or((number, 0), |(first, bytes)| (*first, *bytes));
        let Some(own) = self.received.get_mut(&number) else { return Err(NoRoom::Taken) };
        if *own + bytes > self.largest {
            return Err(NoRoom::TooLarge);
        }
        let of = self.of.get(&asker).copied().unwrap_or_default();
        let left = shared.checked_sub(self.used - of_first + bytes);
        if number != first && left.is_none_or(|left| of + bytes > SHARE * left) {
            return Err(NoRoom::Taken);
        }
        *own += bytes;
        self.used += bytes;
        if bytes > 0 {
            *self.of.entry(asker).or_default() += bytes;
        }
        Ok(())
    }

    fn give_back(&mut self, asker: Asker, number: u64) {
        let bytes = self.received.remove(&number).unwrap_or_default();
        self.used -= bytes;
        if let Some(of) = self.of.get_mut(&asker) {
            *of -= bytes;
            if *of == 0 {
                self.of.remove(&asker);
            }
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.lock().give_back(self.asker, self.number);
        self.room.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn asker(name: &str) -> Asker {
        Asker::work(name)
    }

    fn takes(held: &mut Held, bytes: usize) -> bool {
        held.grow(bytes).now_or_never().is_some_and(|taken| taken.is_ok())
    }

    fn usage(room: &Room) -> usize {
        room.usage().0
    }

    #[tokio::test]
    async fn one_sender_does_not_hold_all_room() {
        let room = Room::new(160, 80);
        // It came first, and its half is not the others'.
        let mut first = room.begin(asker("first"));
        assert!(takes(&mut first, 80));
        assert_eq!(first.grow(1).await, Err(NoRoom::TooLarge));
        let mut flood: Vec<_> = (0..100).map(|_| room.begin(asker("flood"))).collect();
        let taken = flood.iter_mut().filter_map(|held| held.grow(10).now_or_never()?.ok()).count();
        assert_eq!((taken, usage(&room)), (6, 140));
        let mut honest = room.begin(asker("honest"));
        assert!(takes(&mut honest, 15));
        assert!(!takes(&mut honest, 10));
        drop(first);
        // The eldest of the flood is the first now, and not in the way of the others.
        assert!(takes(&mut flood[0], 70) && takes(&mut honest, 2));
        assert_eq!(usage(&room), 147);
        drop((flood, honest));
        let state = room.lock();
        assert!(state.used == 0 && state.of.is_empty() && state.received.is_empty());
    }

    /// Each has half of what it needs, and none gives it back: the eldest goes on, then the next.
    #[tokio::test]
    async fn whoever_came_first_gets_to_the_end() {
        let room = Room::new(200, 100);
        let mut all: Vec<_> = (0..4).map(|n| (n, room.begin(asker(&n.to_string())))).collect();
        for (n, held) in &mut all {
            assert!(takes(held, 20), "{n}");
        }
        while !all.is_empty() {
            let (n, mut held) = all.remove(0);
            assert!(takes(&mut held, 80), "{n}");
            assert!(usage(&room) <= 200);
        }
    }

    #[tokio::test]
    async fn what_is_given_back_is_noticed() {
        let room = Room::new(100, 50);
        let mut first = room.begin(asker("a"));
        assert!(takes(&mut first, 50));
        let mut second = room.begin(asker("b"));
        let mut waits = Box::pin(second.grow(40));
        assert!((&mut waits).now_or_never().is_none());
        drop(first);
        assert_eq!((&mut waits).now_or_never(), Some(Ok(())));
        drop(waits);
        assert_eq!(usage(&room), 40);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_has_an_end() {
        let room = Room::new(100, 50);
        let mut first = room.begin(asker("a"));
        assert!(takes(&mut first, 50));
        let mut second = room.begin(asker("b"));
        assert_eq!(second.grow(40).await, Err(NoRoom::Taken));
        assert_eq!(second.waited.as_secs(), WAIT.as_secs());
        assert_eq!(second.grow(40).now_or_never(), Some(Err(NoRoom::Taken)), "the patience is over");
    }
}
