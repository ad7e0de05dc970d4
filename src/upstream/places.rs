//! Places below `max_fetches`: which blob fetches run, and whose is next.
//!
//! Fetches that run at the pace of a client have at most half of the places (rounded up), so that fills never wait for all of
//! them. Places that come free go to the askers in turn: somebody with a thousand fetches waiting delays somebody with one by
//! one fetch, not by a thousand. Nor does one asker hold all places while their fetches run: each may hold three times as many as
//! are free, so that alone it has three quarters, and whoever comes finds one.
//!
//! A fetch may be made for several askers, its [`Party`]: it has the earliest of their turns. Waiting has an end, and a future that
//! is dropped while it waits leaves the queue.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::sync::oneshot;

use crate::turns::{Asker, Line, SHARE};

/// Fetches that may wait for one upstream. Beyond them the asker with most is refused.
const MAX_WAITING: usize = 10_000;

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
    full: Line<Sender>,
    readers: Line<Sender>,
    /// Which of the two was served last, so that neither starves the other.
    readers_were_last: bool,
    /// Places that askers have; none is zero.
    held: HashMap<Asker, Held>,
    next_number: u64,
}

type Sender = oneshot::Sender<Place>;

#[derive(Clone, Copy, Default)]
struct Held {
    all: usize,
    readers: usize,
}

/// A place below `max_fetches`, given back when it is dropped.
pub struct Place {
    shared: Arc<Shared>,
    pace: Pace,
    asker: Asker,
}

/// The askers of one fetch. Cheap to clone.
#[derive(Clone)]
pub struct Party {
    shared: Arc<Shared>,
    /// Locked before the places are.
    members: Arc<Mutex<Members>>,
}

struct Members {
    /// Whoever began it. It counts while nobody has joined.
    first: Asker,
    /// How often each has joined.
    joined: BTreeMap<Asker, usize>,
    /// The fetch that waits.
    waiting: Option<u64>,
}

/// An asker's part in a fetch; it leaves when it is dropped.
pub struct Joined {
    party: Party,
    asker: Asker,
}

/// A fetch in the queue; it leaves when it is dropped, however it ends.
struct Waiting<'a> {
    party: &'a Party,
    pace: Pace,
    number: u64,
}

/// No place came free in time, or too many wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoPlace;

impl Places {
    /// `patience` is how long a fetch waits.
    pub(super) fn new(places: usize, patience: Duration, waiting: IntGauge) -> Self {
        let places = places.max(1);
        let state = State {
            free: places,
            free_for_readers: places.div_ceil(2),
            full: Line::default(),
            readers: Line::default(),
            readers_were_last: true,
            held: HashMap::new(),
            next_number: 0,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), waiting }), patience }
    }

    /// For a fetch that `asker` begins.
    pub(super) fn party(&self, asker: Asker) -> Party {
        let members = Members { first: asker, joined: BTreeMap::new(), waiting: None };
        Party { shared: self.shared.clone(), members: Arc::new(Mutex::new(members)) }
    }

    /// Waits for a place. A party waits for one at a time.
    pub(super) async fn take(&self, pace: Pace, party: &Party) -> Result<Place, NoPlace> {
        let shared = &self.shared;
        let (receiver, _waiting, refused) = {
            let mut members = party.members();
            let mut state = shared.lock();
            // Whoever waits could not have gone: nobody is overtaken.
            if let Some(asker) = members.askers().find(|asker| state.take(pace, *asker)) {
                return Ok(Place { shared: shared.clone(), pace, asker });
            }
            let mut askers = members.askers();
            let asker = askers.next().unwrap_or(members.first);
            let refused = if state.full.len() + state.readers.len() < MAX_WAITING {
                None
            } else {
                Some(state.give_way(pace, asker).ok_or(NoPlace)?)
            };
            let (sender, receiver) = oneshot::channel();
            let number = state.next_number;
            state.next_number += 1;
            let line = state.line(pace);
            line.push(number, sender, asker);
            askers.for_each(|asker| line.join(number, asker));
            members.waiting = Some(number);
            shared.waiting.inc();
            (receiver, Waiting { party, pace, number }, refused)
        };
        drop(refused);
        match tokio::time::timeout(self.patience, receiver).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(NoPlace),
        }
    }
}

impl Places {
    /// Whether a fetch waits.
    pub(super) fn is_waited_for(&self) -> bool {
        let state = self.shared.lock();
        state.full.len() + state.readers.len() > 0
    }
}

impl Place {
    /// From now on the fetch runs at the pace of a client. `false`, and nothing has changed, where as many do already.
    pub(super) fn turn_to_readers(&mut self) -> bool {
        if self.pace == Pace::Readers {
            return true;
        }
        let mut state = self.shared.lock();
        if !state.has_for_readers(self.asker) {
            return false;
        }
        state.free_for_readers -= 1;
        state.held.entry(self.asker).or_default().readers += 1;
        self.pace = Pace::Readers;
        true
    }
}

impl Party {
    /// The fetch is made for this asker, too, until what is returned is dropped. If it waits, it may have its turn earlier.
    pub fn join(&self, asker: Asker) -> Joined {
        let mut members = self.members();
        let times = members.joined.entry(asker).or_default();
        *times += 1;
        if *times == 1
            && let Some(number) = members.waiting
        {
            self.shared.lock().join(number, asker);
        }
        drop(members);
        Joined { party: self.clone(), asker }
    }

    /// Nothing that holds the lock panics or awaits.
    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Members {
    fn askers(&self) -> impl Iterator<Item = Asker> {
        let alone = self.joined.is_empty().then_some(self.first);
        self.joined.keys().copied().chain(alone)
    }
}

impl Shared {
    /// Nothing that holds the lock panics, awaits or drops a place.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(self: &Arc<Self>, pace: Pace, asker: Asker) {
        let mut state = self.lock();
        state.give_back(pace, asker);
        let mut next = Vec::new();
        while let Some(granted) = state.grant() {
            next.push(granted);
        }
        drop(state);
        for (pace, asker, sender) in next {
            // One who has left gives the place back as it is dropped here.
            let _ = sender.send(Place { shared: self.clone(), pace, asker });
        }
    }
}

impl State {
    fn has(&self, pace: Pace, asker: Asker) -> bool {
        let held = self.held.get(&asker).map_or(0, |held| held.all);
        held < SHARE * self.free && (pace == Pace::Full || self.has_for_readers(asker))
    }

    fn has_for_readers(&self, asker: Asker) -> bool {
        let held = self.held.get(&asker).map_or(0, |held| held.readers);
        held < SHARE * self.free_for_readers
    }

    fn take(&mut self, pace: Pace, asker: Asker) -> bool {
        let has = self.has(pace, asker);
        if has {
            let held = self.held.entry(asker).or_default();
            held.all += 1;
            self.free -= 1;
            if pace == Pace::Readers {
                held.readers += 1;
                self.free_for_readers -= 1;
            }
        }
        has
    }

    fn give_back(&mut self, pace: Pace, asker: Asker) {
        self.free += 1;
        let Some(held) = self.held.get_mut(&asker) else { return };
        held.all -= 1;
        if pace == Pace::Readers {
            held.readers -= 1;
            self.free_for_readers += 1;
        }
        if held.all == 0 {
            self.held.remove(&asker);
        }
    }

    fn line(&mut self, pace: Pace) -> &mut Line<Sender> {
        match pace {
            Pace::Full => &mut self.full,
            Pace::Readers => &mut self.readers,
        }
    }

    fn join(&mut self, number: u64, asker: Asker) {
        self.full.join(number, asker);
        self.readers.join(number, asker);
    }

    fn leave(&mut self, number: u64, asker: Asker) {
        self.full.leave(number, asker);
        self.readers.leave(number, asker);
    }

    /// One of the asker who has most in a full queue, in favour of `newcomer`.
    fn give_way(&mut self, pace: Pace, newcomer: Asker) -> Option<Sender> {
        let other = if pace == Pace::Full { Pace::Readers } else { Pace::Full };
        self.line(pace).give_way(newcomer).or_else(|| self.line(other).give_way(newcomer))
    }

    /// Takes a place for the fetch whose turn it is, if there is one of each.
    fn grant(&mut self) -> Option<(Pace, Asker, Sender)> {
        let order = if self.readers_were_last { [Pace::Full, Pace::Readers] } else { [Pace::Readers, Pace::Full] };
        for pace in order {
            let mut line = std::mem::take(self.line(pace));
            let popped = line.pop(|asker| self.has(pace, asker));
            *self.line(pace) = line;
            if let Some((asker, sender)) = popped {
                self.take(pace, asker);
                self.readers_were_last = pace == Pace::Readers;
                return Some((pace, asker, sender));
            }
        }
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.give_back(self.pace, self.asker);
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        let mut members = self.party.members();
        let Some(times) = members.joined.get_mut(&self.asker) else { return };
        *times -= 1;
        if *times > 0 {
            return;
        }
        members.joined.remove(&self.asker);
        if let Some(number) = members.waiting {
            self.party.shared.lock().leave(number, self.asker);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let shared = &self.party.shared;
        let left = {
            let mut members = self.party.members();
            members.waiting = members.waiting.filter(|number| *number != self.number);
            shared.lock().line(self.pace).remove(self.number)
        };
        drop(left);
        shared.waiting.dec();
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
        let party = places.party(Asker::work(asker));
        let mut taking: Taking<'a> = Box::pin(async move { places.take(pace, &party).await });
        assert!(now(taking.as_mut()).is_none(), "a place was free");
        taking
    }

    fn free(places: &Places) -> (usize, usize) {
        let state = places.shared.lock();
        (state.free, state.free_for_readers)
    }

    fn nobody(places: &Places) -> Party {
        places.party(Asker::work("nobody"))
    }

    async fn taken(places: &Places, pace: Pace) -> Place {
        places.take(pace, &nobody(places)).await.unwrap()
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
        assert!(state.full.is_empty() && state.held.is_empty());
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
        assert_eq!(places.take(Pace::Full, &nobody(&places)).await.err(), Some(NoPlace));
        assert_eq!(places.shared.waiting.get(), 0);
        drop(held);
        drop(taken(&places, Pace::Full).await);
    }

    #[tokio::test]
    async fn the_queue_has_an_end() {
        let places = places(1, LONG);
        let _held = taken(&places, Pace::Full).await;
        let waiting: Vec<_> = (0..MAX_WAITING).map(|_| take(&places, Pace::Readers, "a")).collect();
        let party = places.party(Asker::work("a"));
        let mut another = pin!(places.take(Pace::Full, &party));
        assert_eq!(now(another.as_mut()).and_then(Result::err), Some(NoPlace), "it has most already");
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

    /// The flood's queue is full; another's fetch takes the place of the flood's last.
    #[tokio::test]
    async fn t18_a_full_queue_is_its_floods() {
        let places = places(1, LONG);
        let held = taken(&places, Pace::Full).await;
        let mut flood: Vec<_> = (0..MAX_WAITING).map(|_| take(&places, Pace::Full, "flood")).collect();
        let mut honest = take(&places, Pace::Full, "honest");
        let mut reader = take(&places, Pace::Readers, "reader");
        for last in [1, 2] {
            let refused = now(flood[MAX_WAITING - last].as_mut()).map(Result::err);
            assert_eq!(refused, Some(Some(NoPlace)));
        }
        drop(held);
        drop(granted(&mut flood[0]).unwrap());
        drop(granted(&mut reader).unwrap());
        assert!(granted(&mut honest).is_some());
    }

    #[tokio::test]
    async fn t18_a_fetch_has_the_earliest_turn_of_its_askers() {
        let places = places(1, LONG);
        let held = taken(&places, Pace::Full).await;
        let mut flood: Vec<_> = (0..300).map(|_| take(&places, Pace::Full, "flood")).collect();
        let party = places.party(Asker::work("flood"));
        let mut shared = Box::pin(places.take(Pace::Full, &party));
        let first = party.join(Asker::work("flood"));
        assert!(now(shared.as_mut()).is_none());
        let honest = (party.join(Asker::work("honest")), party.join(Asker::work("honest")));
        drop(honest.0);
        drop(held);
        drop(granted(&mut flood[0]).unwrap());
        let place = now(shared.as_mut()).unwrap().unwrap();
        assert_eq!(place.asker, Asker::work("honest"));
        drop((place, honest.1, first, flood));
        assert_eq!(free(&places), (1, 1));
    }

    #[tokio::test]
    async fn t18_an_asker_who_leaves_takes_the_turn_along() {
        let places = places(1, LONG);
        let held = taken(&places, Pace::Full).await;
        let mut flood: Vec<_> = (0..2).map(|_| take(&places, Pace::Full, "flood")).collect();
        let party = places.party(Asker::work("flood"));
        let mut shared = Box::pin(places.take(Pace::Full, &party));
        let _first = party.join(Asker::work("flood"));
        assert!(now(shared.as_mut()).is_none());
        drop(party.join(Asker::work("honest")));
        drop(held);
        drop(granted(&mut flood[0]).unwrap());
        assert!(now(shared.as_mut()).is_none());
        drop(granted(&mut flood[1]).unwrap());
        assert!(now(shared.as_mut()).is_some());
    }

    /// One asker's fetches run for hours: others' begin all the same.
    #[tokio::test]
    async fn t18_one_asker_does_not_hold_all_places() {
        let places = places(32, LONG);
        let flood = places.party(Asker::work("flood"));
        let mut running = Vec::new();
        while let Some(place) = now(pin!(places.take(Pace::Full, &flood))) {
            running.push(place.unwrap());
        }
        assert_eq!(running.len(), 24);
        let mut waits = take(&places, Pace::Full, "flood");
        let others: Vec<_> = ["a", "b", "c"].map(|name| places.party(Asker::work(name))).into();
        for other in &others {
            running.push(now(pin!(places.take(Pace::Full, other))).unwrap().unwrap());
        }
        drop(running.split_off(22));
        assert!(granted(&mut waits).is_some());
        drop(running);
        assert_eq!(free(&places), (32, 16));
        assert!(places.shared.lock().held.is_empty());
    }
}
