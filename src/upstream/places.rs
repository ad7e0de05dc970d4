//! Places below `max_fetches`: which blob fetches run, and whose is next.
//!
//! Fetches that run at the pace of a client have at most half of the places (rounded up), so that fills never wait for all of
//! them. Places that come free go to the askers in turn: somebody with a thousand fetches waiting delays somebody with one by
//! one fetch, not by a thousand. Waiting has an end, and a future that is dropped while it waits leaves the queue.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::sync::oneshot;

/// Fetches that may wait for one upstream. Beyond them none waits: it is refused at once.
const MAX_WAITING: usize = 10_000;

/// On whose behalf a fetch is made: an opaque key, equal for equal clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Asker(u64);

/// The speed at which a fetch runs, and so for how long it may keep its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// As fast as upstream sends, such as into a file.
    Full,
    /// As fast as one client reads.
    Readers,
}

pub(super) struct Places {
    shared: Arc<Shared>,
    patience: Duration,
}

struct Shared {
    state: Mutex<State>,
    waiting: IntGauge,
}

struct State {
    free: usize,
    /// How many more may run at the pace of clients.
    free_for_readers: usize,
    full: Queue,
    readers: Queue,
    /// Which of the two was served last, so that neither starves the other.
    readers_were_last: bool,
    next_id: u64,
}

/// Waiting fetches of one pace: a queue for each asker, and the askers in turn. No queue is empty.
#[derive(Default)]
struct Queue {
    of: HashMap<Asker, VecDeque<Waiter>>,
    turns: VecDeque<Asker>,
    length: usize,
}

struct Waiter {
    id: u64,
    sender: oneshot::Sender<Place>,
}

/// A place below `max_fetches`, given back when it is dropped.
pub struct Place {
    shared: Arc<Shared>,
    pace: Pace,
}

/// A fetch in the queue; it leaves when it is dropped, however it ends.
struct Waiting<'a> {
    shared: &'a Shared,
    pace: Pace,
    asker: Asker,
    id: u64,
}

/// No place came free in time, or too many wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoPlace;

impl Asker {
    /// Of whoever goes by this text. Two that share a key by chance share their turns.
    pub fn named(text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl Places {
    /// `patience` is how long a fetch waits.
    pub(super) fn new(places: usize, patience: Duration, waiting: IntGauge) -> Self {
        let places = places.max(1);
        let state = State {
            free: places,
            free_for_readers: places.div_ceil(2),
            full: Queue::default(),
            readers: Queue::default(),
            readers_were_last: true,
            next_id: 0,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), waiting }), patience }
    }

    pub(super) async fn take(&self, pace: Pace, asker: Asker) -> Result<Place, NoPlace> {
        let shared = &self.shared;
        let (receiver, _waiting) = {
            let mut state = shared.lock();
            // Whoever waits could not have gone: nobody is overtaken.
            if state.take(pace) {
                return Ok(Place { shared: shared.clone(), pace });
            }
            if state.full.length + state.readers.length >= MAX_WAITING {
                return Err(NoPlace);
            }
            let (sender, receiver) = oneshot::channel();
            let id = state.next_id;
            state.next_id += 1;
            state.queue(pace).push(asker, Waiter { id, sender });
            shared.waiting.inc();
            (receiver, Waiting { shared, pace, asker, id })
        };
        match tokio::time::timeout(self.patience, receiver).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(NoPlace),
        }
    }
}

impl Place {
    /// From now on the fetch runs at the pace of a client. `false`, and nothing has changed, where as many do already.
    pub(super) fn turn_to_readers(&mut self) -> bool {
        if self.pace == Pace::Readers {
            return true;
        }
        let mut state = self.shared.lock();
        let Some(left) = state.free_for_readers.checked_sub(1) else { return false };
        state.free_for_readers = left;
        self.pace = Pace::Readers;
        true
    }
}

impl Shared {
    /// Nothing that holds the lock panics, awaits or drops a place.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(self: &Arc<Self>, pace: Pace) {
        let mut state = self.lock();
        state.free += 1;
        if pace == Pace::Readers {
            state.free_for_readers += 1;
        }
        let mut next = Vec::new();
        while let Some(granted) = state.grant() {
            next.push(granted);
        }
        drop(state);
        for (pace, waiter) in next {
            // One who has left gives the place back as it is dropped here.
            let _ = waiter.sender.send(Place { shared: self.clone(), pace });
        }
    }
}

impl State {
    fn has(&self, pace: Pace) -> bool {
        self.free > 0 && (pace == Pace::Full || self.free_for_readers > 0)
    }

    fn take(&mut self, pace: Pace) -> bool {
        let has = self.has(pace);
        if has {
            self.free -= 1;
            self.free_for_readers -= usize::from(pace == Pace::Readers);
        }
        has
    }

    fn queue(&mut self, pace: Pace) -> &mut Queue {
        match pace {
            Pace::Full => &mut self.full,
            Pace::Readers => &mut self.readers,
        }
    }

    /// Takes a place for the fetch whose turn it is, if there is one of each.
    fn grant(&mut self) -> Option<(Pace, Waiter)> {
        let order = if self.readers_were_last { [Pace::Full, Pace::Readers] } else { [Pace::Readers, Pace::Full] };
        for pace in order {
            if self.has(pace)
                && let Some(waiter) = self.queue(pace).pop()
            {
                self.take(pace);
                self.readers_were_last = pace == Pace::Readers;
                return Some((pace, waiter));
            }
        }
        None
    }
}

impl Queue {
    fn push(&mut self, asker: Asker, waiter: Waiter) {
        self.length += 1;
        let queue = self.of.entry(asker).or_default();
        if queue.is_empty() {
            self.turns.push_back(asker);
        }
        queue.push_back(waiter);
    }

    /// The first of the asker whose turn it is; that asker comes last then.
    fn pop(&mut self) -> Option<Waiter> {
        let asker = self.turns.pop_front()?;
        let Entry::Occupied(mut queue) = self.of.entry(asker) else { return None };
        let waiter = queue.get_mut().pop_front();
        if queue.get().is_empty() {
            queue.remove();
        } else {
            self.turns.push_back(asker);
        }
        self.length -= usize::from(waiter.is_some());
        waiter
    }

    fn remove(&mut self, asker: Asker, id: u64) -> Option<Waiter> {
        let Entry::Occupied(mut queue) = self.of.entry(asker) else { return None };
        let at = queue.get().iter().position(|waiter| waiter.id == id)?;
        let waiter = queue.get_mut().remove(at);
        if queue.get().is_empty() {
            queue.remove();
            self.turns.retain(|other| *other != asker);
        }
        self.length -= 1;
        waiter
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.give_back(self.pace);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let left = self.shared.lock().queue(self.pace).remove(self.asker, self.id);
        drop(left);
        self.shared.waiting.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn places(count: usize, patience: Duration) -> Places {
        Places::new(count, patience, IntGauge::new("a", "b").unwrap())
    }

    fn now<F: Future + ?Sized>(future: Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    type Taking<'a> = Pin<Box<dyn Future<Output = Result<Place, NoPlace>> + 'a>>;

    fn take<'a>(places: &'a Places, pace: Pace, asker: &str) -> Taking<'a> {
        let asker = Asker::named(asker);
        let mut taking: Taking<'a> = Box::pin(places.take(pace, asker));
        assert!(now(taking.as_mut()).is_none(), "a place was free");
        taking
    }

    fn free(places: &Places) -> (usize, usize) {
        let state = places.shared.lock();
        (state.free, state.free_for_readers)
    }

    async fn taken(places: &Places, pace: Pace) -> Place {
        places.take(pace, Asker::default()).await.unwrap()
    }

    fn granted(taking: &mut Taking<'_>) -> Option<Place> {
        now(taking.as_mut()).map(|place| place.unwrap())
    }

    #[tokio::test]
    async fn t18_askers_take_turns() {
        let places = places(1, LONG);
        let held = taken(&places, Pace::Full).await;
        let mut greedy: Vec<_> = (0..300).map(|_| take(&places, Pace::Full, "greedy")).collect();
        let mut modest = take(&places, Pace::Full, "modest");
        drop(held);
        let first = granted(&mut greedy[0]).unwrap();
        assert!(granted(&mut modest).is_none());
        drop(first);
        assert!(granted(&mut modest).is_some(), "one fetch of the other, not three hundred");
    }

    #[tokio::test]
    async fn t18_dropped_futures_give_their_turn_back() {
        let places = places(1, LONG);
        let held = taken(&places, Pace::Full).await;
        let left: Vec<_> = (0..10).map(|_| take(&places, Pace::Full, "left")).collect();
        let mut stays = take(&places, Pace::Full, "stays");
        assert_eq!(places.shared.waiting.get(), 11);
        drop(left);
        assert_eq!(places.shared.waiting.get(), 1);
        drop(held);
        // One that was granted and is dropped unseen gives the place back as well.
        let next = take(&places, Pace::Full, "next");
        let place = granted(&mut stays).unwrap();
        drop(place);
        drop(next);
        drop(stays);
        assert_eq!(places.shared.waiting.get(), 0);
        drop(taken(&places, Pace::Full).await);
        assert_eq!(free(&places), (1, 1));
        let state = places.shared.lock();
        assert!(state.full.of.is_empty() && state.full.turns.is_empty() && state.full.length == 0);
    }

    #[tokio::test]
    async fn t19_readers_have_half_of_the_places() {
        let places = places(3, LONG);
        let (one, two) = (taken(&places, Pace::Readers).await, taken(&places, Pace::Readers).await);
        let mut third = take(&places, Pace::Readers, "reader");
        let fill = taken(&places, Pace::Full).await;
        let mut second_fill = take(&places, Pace::Full, "fill");
        drop(fill);
        let fill = granted(&mut second_fill).unwrap();
        assert!(granted(&mut third).is_none(), "a place of a fill is not for readers");
        drop(one);
        drop(granted(&mut third).unwrap());
        drop((two, fill));
        assert_eq!(free(&places), (3, 2));
    }

    #[tokio::test]
    async fn t19_fills_and_readers_do_not_starve_each_other() {
        let places = places(1, LONG);
        let held = taken(&places, Pace::Full).await;
        let mut fills: Vec<_> = (0..2).map(|_| take(&places, Pace::Full, "fill")).collect();
        let mut reader = take(&places, Pace::Readers, "reader");
        drop(held);
        drop(granted(&mut fills[0]).unwrap());
        drop(granted(&mut reader).unwrap());
        drop(granted(&mut fills[1]).unwrap());
    }

    #[tokio::test]
    async fn t19_waiting_ends() {
        let places = places(1, Duration::from_millis(5));
        let held = taken(&places, Pace::Full).await;
        assert_eq!(places.take(Pace::Full, Asker::default()).await.err(), Some(NoPlace));
        assert_eq!(places.shared.waiting.get(), 0);
        drop(held);
        drop(taken(&places, Pace::Full).await);
    }

    #[tokio::test]
    async fn the_queue_has_an_end() {
        let places = places(1, LONG);
        let _held = taken(&places, Pace::Full).await;
        let waiting: Vec<_> = (0..MAX_WAITING).map(|_| take(&places, Pace::Readers, "a")).collect();
        let mut another = pin!(places.take(Pace::Full, Asker::default()));
        assert_eq!(now(another.as_mut()).and_then(Result::err), Some(NoPlace));
        drop(waiting);
    }

    #[tokio::test]
    async fn a_fetch_turns_to_the_pace_of_its_reader() {
        let places = places(2, LONG);
        let (mut one, mut two) = (taken(&places, Pace::Full).await, taken(&places, Pace::Full).await);
        assert!(one.turn_to_readers() && one.turn_to_readers());
        assert!(!two.turn_to_readers(), "half of the places");
        drop(one);
        assert!(two.turn_to_readers());
        drop(two);
        assert_eq!(free(&places), (2, 1));
    }
}
