//! A number of places, and a line before them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{Asker, Line, SHARE};

/// Cheap to clone.
#[derive(Clone)]
pub struct Turns {
    state: Arc<Mutex<State>>,
}

struct State {
    free: usize,
    /// Places that askers have; none is zero.
    held: HashMap<Asker, usize>,
    line: Line<oneshot::Sender<Turn>>,
    next: u64,
}

/// A place, given back when it is dropped.
pub struct Turn {
    turns: Turns,
    asker: Asker,
}

/// One who waits; it leaves the line when it is dropped, however it ends.
struct Waiting<'a> {
    turns: &'a Turns,
    number: u64,
}

impl Turns {
    pub fn new(places: usize) -> Self {
        let state = State { free: places.max(1), held: HashMap::new(), line: Line::default(), next: 0 };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Waits for a place. A future that is dropped leaves the line.
    pub async fn take(&self, asker: Asker) -> Turn {
        loop {
            let (receiver, _waiting) = {
                let mut state = self.lock();
                // Whoever waits could not have gone: nobody is overtaken.
                if state.take(asker) {
                    return Turn { turns: self.clone(), asker };
                }
                let (sender, receiver) = oneshot::channel();
                let number = state.next;
                state.next += 1;
                state.line.push(number, sender, asker);
                (receiver, Waiting { turns: self, number })
            };
            if let Ok(turn) = receiver.await {
                return turn;
            }
        }
    }

    /// Nothing that holds the lock panics, awaits or drops a place.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has(&self, asker: Asker) -> bool {
        self.held.get(&asker).copied().unwrap_or_default() < SHARE * self.free
    }

    fn take(&mut self, asker: Asker) -> bool {
        let has = self.has(asker);
        if has {
            self.free -= 1;
            *self.held.entry(asker).or_default() += 1;
        }
        has
    }

    fn give_back(&mut self, asker: Asker) {
        self.free += 1;
        if let Some(held) = self.held.get_mut(&asker) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&asker);
            }
        }
    }

    /// Takes a place for the one whose turn it is.
    fn grant(&mut self) -> Option<(Asker, oneshot::Sender<Turn>)> {
        let mut line = std::mem::take(&mut self.line);
        let next = line.pop(|asker| self.has(asker));
        self.line = line;
        if let Some((asker, _)) = &next {
            self.take(*asker);
        }
        next
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut next = Vec::new();
        let mut state = self.turns.lock();
        state.give_back(self.asker);
        next.extend(std::iter::from_fn(|| state.grant()));
        drop(state);
        for (asker, sender) in next {
            // One who has left gives the place on as it is dropped here.
            let _ = sender.send(Self { turns: self.turns.clone(), asker });
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let left = self.turns.lock().line.remove(self.number);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_flood_delays_others_by_one_turn() {
        let turns = Turns::new(1);
        let held = turns.take(Asker::work("flood")).await;
        let mut flood: Vec<_> = (0..1000).map(|_| Box::pin(turns.take(Asker::work("flood")))).collect();
        assert!(flood.iter_mut().all(|one| one.now_or_never().is_none()));
        let mut honest = Box::pin(turns.take(Asker::work("honest")));
        assert!((&mut honest).now_or_never().is_none());
        drop(held);
        let first = (&mut flood[0]).now_or_never().unwrap();
        assert!((&mut honest).now_or_never().is_none());
        drop(first);
        let turn = (&mut honest).now_or_never().unwrap();
        drop(turn);
        drop((flood, honest));
        assert!(turns.lock().line.is_empty());
        assert_eq!(turns.lock().free, 1);
    }

    #[tokio::test]
    async fn a_turn_that_was_not_seen_goes_on_to_the_next() {
        let turns = Turns::new(2);
        let held = (turns.take(Asker::work("a")).await, turns.take(Asker::work("a")).await);
        let mut left = Box::pin(turns.take(Asker::work("b")));
        let mut stays = Box::pin(turns.take(Asker::work("c")));
        assert!((&mut left).now_or_never().is_none() && (&mut stays).now_or_never().is_none());
        drop(held.0);
        // It was given to the first, who leaves without having looked.
        drop(left);
        let turn = (&mut stays).now_or_never().unwrap();
        drop((turn, held.1));
        assert_eq!(turns.lock().free, 2);
    }

    #[tokio::test]
    async fn one_asker_does_not_hold_all_places() {
        let turns = Turns::new(4);
        let mut held = Vec::new();
        while let Some(turn) = turns.take(Asker::work("flood")).now_or_never() {
            held.push(turn);
        }
        assert_eq!(held.len(), 3);
        let mut waits = Box::pin(turns.take(Asker::work("flood")));
        assert!((&mut waits).now_or_never().is_none());
        held.push(turns.take(Asker::work("honest")).now_or_never().unwrap());
        held.truncate(2);
        assert!((&mut waits).now_or_never().is_some());
        drop((held, waits));
        assert!(turns.lock().held.is_empty() && turns.lock().free == 4);
    }
}
