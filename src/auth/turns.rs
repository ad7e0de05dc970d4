//! Turns at checking passwords.
//!
//! A check takes a core and 19 MiB for a moment, so that few run at once, and whoever sends many passwords must not keep others
//! from having theirs checked. Users who lately logged in from their address and everybody else have every other turn; among
//! those that are not known, addresses take turns, and within an address the users that are named.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::proof::AttemptSource;

/// A user name at an address, by a keyed hash of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    pub(super) source: AttemptSource,
    pub(super) user: u64,
}

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Turns(Arc<Mutex<State>>);

/// Dropped, it is the next one's.
pub(super) struct Turn(Option<Turns>);

/// More wait than there is room for.
#[derive(Debug)]
pub(super) struct Full;

struct State {
    free: usize,
    known: Queue,
    strangers: Strangers,
    /// Whether the next turn is of somebody who is known.
    known_next: bool,
}

type Waiter = oneshot::Sender<Turn>;

/// By user and address.
#[derive(Default)]
struct Queue {
    count: usize,
    lines: Rounds<Pair, VecDeque<Waiter>>,
}

/// By address, and there by user.
#[derive(Default)]
struct Strangers {
    count: usize,
    queues: Rounds<AttemptSource, Queue>,
}

/// Those that wait of an address that is not known, and of a user at an address who is.
const MAX_WAITING_OF_ONE: usize = 1024;

/// Those that wait of each of the two classes.
const MAX_WAITING: usize = 8192;

impl Turns {
    pub(super) fn new(at_once: usize) -> Self {
        let state = State { free: at_once, known: Queue::default(), strangers: Strangers::default(), known_next: true };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Waits for a turn. `is_known`: the user lately logged in from there.
    pub(super) async fn next(&self, pair: Pair, is_known: bool) -> Result<Turn, Full> {
        let waits = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                return Ok(Turn(Some(self.clone())));
            }
            let (waiter, waits) = oneshot::channel();
            state.wait(pair, is_known, waiter)?;
            waits
        };
        waits.await.map_err(|_| Full)
    }

    fn hand_on(&self) {
        loop {
            let next = {
                let mut state = self.lock();
                let next = state.pop();
                state.free += usize::from(next.is_none());
                next
            };
            let Some(next) = next else { return };
            match next.send(Turn(Some(self.clone()))) {
                Ok(()) => return,
                // Its client left; the turn is the next one's.
                Err(mut turn) => turn.0 = None,
            }
        }
    }

    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.lock().free
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.hand_on();
        }
    }
}

impl State {
    fn wait(&mut self, pair: Pair, is_known: bool, waiter: Waiter) -> Result<(), Full> {
        if is_known {
            if self.known.is_full(pair) {
                self.known.forget_those_who_left();
                if self.known.is_full(pair) {
                    return Err(Full);
                }
            }
            self.known.push(pair, waiter);
            return Ok(());
        }
        if self.strangers.is_full(pair.source) {
            self.strangers.forget_those_who_left();
            if self.strangers.is_full(pair.source) {
                return Err(Full);
            }
        }
        self.strangers.push(pair, waiter);
        Ok(())
    }

    fn pop(&mut self) -> Option<Waiter> {
        self.known_next = !self.known_next;
        if !self.known_next {
            self.known.pop().or_else(|| self.strangers.pop())
        } else {
            self.strangers.pop().or_else(|| self.known.pop())
        }
    }
}

impl Queue {
    fn is_full(&self, pair: Pair) -> bool {
        let of_one = self.lines.get(pair).map_or(0, VecDeque::len);
        self.count >= MAX_WAITING || of_one >= MAX_WAITING_OF_ONE
    }

    fn push(&mut self, pair: Pair, waiter: Waiter) {
        self.lines.line(pair).push_back(waiter);
        self.count += 1;
    }

    fn pop(&mut self) -> Option<Waiter> {
        let waiter = self.lines.take(VecDeque::pop_front)?;
        self.count -= 1;
        Some(waiter)
    }

    fn forget_those_who_left(&mut self) {
        self.lines.each(|line| line.retain(|waiter| !waiter.is_closed()));
        self.count = self.lines.sum(VecDeque::len);
    }
}

impl Strangers {
    fn is_full(&self, source: AttemptSource) -> bool {
        let of_one = self.queues.get(source).map_or(0, |queue| queue.count);
        self.count >= MAX_WAITING || of_one >= MAX_WAITING_OF_ONE
    }

    fn push(&mut self, pair: Pair, waiter: Waiter) {
        self.queues.line(pair.source).push(pair, waiter);
        self.count += 1;
    }

    fn pop(&mut self) -> Option<Waiter> {
        let waiter = self.queues.take(Queue::pop)?;
        self.count -= 1;
        Some(waiter)
    }

    fn forget_those_who_left(&mut self) {
        self.queues.each(Queue::forget_those_who_left);
        self.count = self.queues.sum(|queue| queue.count);
    }
}

/// Lines that take turns.
struct Rounds<K, L> {
    order: VecDeque<K>,
    lines: HashMap<K, L>,
}

impl<K, L> Default for Rounds<K, L> {
    fn default() -> Self {
        Self { order: VecDeque::new(), lines: HashMap::new() }
    }
}

impl<K: Copy + Eq + Hash, L: Default> Rounds<K, L> {
    fn get(&self, key: K) -> Option<&L> {
        self.lines.get(&key)
    }

    /// The line of this key, which is the last in order if it is new.
    fn line(&mut self, key: K) -> &mut L {
        self.lines.entry(key).or_insert_with(|| {
            self.order.push_back(key);
            L::default()
        })
    }

    /// From the line whose turn it is. Lines that have nothing left are gone.
    fn take<T>(&mut self, mut from: impl FnMut(&mut L) -> Option<T>) -> Option<T> {
        while let Some(key) = self.order.pop_front() {
            if let Some(taken) = self.lines.get_mut(&key).and_then(&mut from) {
                self.order.push_back(key);
                return Some(taken);
            }
            self.lines.remove(&key);
        }
        None
    }

    fn each(&mut self, change: impl FnMut(&mut L)) {
        self.lines.values_mut().for_each(change);
    }

    fn sum(&self, count: impl Fn(&L) -> usize) -> usize {
        self.lines.values().map(count).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use futures_util::poll;

    use super::*;

    fn pair(source: u8, user: u64) -> Pair {
        Pair { source: IpAddr::V4(Ipv4Addr::new(192, 0, 2, source)).into(), user }
    }

    /// Those that wait in this order, as they get their turns.
    async fn order(turns: &Turns, waiting: &[(Pair, bool)]) -> Vec<usize> {
        let held = turns.next(pair(0, 0), false).await.unwrap();
        let mut waits: Vec<_> =
            waiting.iter().map(|(pair, known)| Box::pin(turns.next(*pair, *known))).map(Some).collect();
        for wait in waits.iter_mut().flatten() {
            assert!(poll!(wait).is_pending());
        }
        drop(held);
        let mut order = Vec::new();
        while order.len() < waiting.len() {
            for (at, slot) in waits.iter_mut().enumerate() {
                let Some(wait) = slot else { continue };
                if let std::task::Poll::Ready(turn) = poll!(wait) {
                    order.push(at);
                    *slot = None;
                    drop(turn.unwrap());
                }
            }
        }
        order
    }

    /// Whoever sends many passwords is one of several: others behind the address, and other addresses, come between.
    #[tokio::test]
    async fn t13_whoever_sends_many_passwords_keeps_nobody_waiting() {
        let turns = Turns::new(1);
        let guesser = [(pair(1, 1), false); 4];
        let others = [(pair(1, 2), false), (pair(2, 1), false), (pair(1, 3), true)];
        let waiting: Vec<_> = guesser.into_iter().chain(others).collect();
        let order = order(&turns, &waiting).await;
        let place = |of: usize| order.iter().position(|at| *at == of).unwrap();
        // Known: the first. Another address: after one of the guesser's. Another user of the address: after one round more.
        assert_eq!([place(6), place(0), place(5), place(4)], [0, 1, 2, 3], "{order:?}");
        assert_eq!(turns.free(), 1);
    }

    /// Many names at one address are one of several addresses.
    #[tokio::test]
    async fn t13_many_names_are_one_address() {
        let turns = Turns::new(1);
        let names: Vec<_> = (0..50).map(|user| (pair(1, user), false)).collect();
        let waiting: Vec<_> = names.into_iter().chain([(pair(2, 1), false)]).collect();
        let order = order(&turns, &waiting).await;
        assert_eq!(order.get(1), Some(&50), "{order:?}");
    }

    #[tokio::test]
    async fn who_waits_is_bounded_and_who_left_counts_no_more() {
        let turns = Turns::new(1);
        let held = turns.next(pair(0, 0), false).await.unwrap();
        let mut waits = Vec::new();
        for user in 0..MAX_WAITING_OF_ONE as u64 {
            let mut wait = Box::pin(turns.next(pair(1, user), false));
            assert!(poll!(&mut wait).is_pending());
            waits.push(wait);
        }
        assert!(matches!(turns.next(pair(1, 1), false).await, Err(Full)));
        // Others are not in their way.
        let mut other = Box::pin(turns.next(pair(2, 1), false));
        assert!(poll!(&mut other).is_pending());
        let mut known = Box::pin(turns.next(pair(1, 1), true));
        assert!(poll!(&mut known).is_pending());
        waits.pop();
        let mut next = Box::pin(turns.next(pair(1, 1), false));
        assert!(poll!(&mut next).is_pending());
        drop((waits, next));
        drop(held);
        drop(known.await.unwrap());
        drop(other.await.unwrap());
        assert_eq!(turns.free(), 1);
    }
}
