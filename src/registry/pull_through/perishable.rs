//! Answers that go off: what a tag means, what a list holds.
//!
//! They are kept in memory in front of the database. Past its time an answer is asked for again, by one question at a time
//! for each key, whoever asks and whoever leaves; everyone who waits gets the same answer or the same error. When upstream
//! fails, the old answer stands in; when upstream refuses, that is the answer.

use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::freshness::{QUIET_AFTER_FAILURE, Rules, Verdict};
use super::single_flight::{Pending, SingleFlight};
use crate::memory::{self, Map};
use crate::meta::now_ms;
use crate::registry::Staleness;
use crate::telemetry::CacheOutcome;
use crate::upstream::{Error, Upstream};

/// A value that upstream confirmed at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Confirmed<V> {
    pub(super) value: V,
    pub(super) checked_at_ms: i64,
    /// Good only as long as a refusal is.
    pub(super) short_lived: bool,
}

/// What came of asking.
pub(super) struct Served<V> {
    pub(super) value: V,
    pub(super) outcome: CacheOutcome,
    pub(super) staleness: Option<Staleness>,
}

/// A question about one key. Cloned into the task that asks.
pub(super) trait Question: Clone + Send + Sync + 'static {
    type Key: Clone + Eq + Hash + Send + Sync + 'static;
    type Value: Clone + Send + Sync + 'static;

    fn key(&self) -> Self::Key;
    fn upstream(&self) -> &Upstream;
    fn rules(&self) -> Rules;
    /// Whether a "not found" is passed on, or the old answer kept.
    fn keeps_what_upstream_lost(&self) -> bool;
    /// What the database knows.
    fn recall(&self) -> impl Future<Output = Option<Confirmed<Self::Value>>> + Send;
    /// Asks upstream and writes the answer down.
    fn ask(&self, known: Option<Self::Value>) -> impl Future<Output = Result<Confirmed<Self::Value>, Error>> + Send;
    /// Bytes that the question and its key point to.
    fn bytes(&self) -> usize;
    /// Bytes that a value points to.
    fn value_bytes(value: &Self::Value) -> usize;
    /// Upstream says that there is no such thing, or that it is not for us.
    fn forget(&self, refusal: &Error) -> impl Future<Output = ()> + Send;
}

pub(super) struct Perishables<Q: Question> {
    entries: Map<Q::Key, Arc<Entry<Q>>>,
    questions: SingleFlight<Q::Key, Confirmed<Q::Value>>,
}

struct Entry<Q: Question> {
    /// To ask again in the background.
    question: Q,
    known: Option<Confirmed<Q::Value>>,
    /// The last question failed, or was refused, then.
    trouble: Option<(Error, i64)>,
    /// Served since the last check.
    used: AtomicBool,
}

impl<Q: Question> Perishables<Q> {
    pub(super) fn new(kind: memory::Kind, tasks: TaskTracker) -> Self {
        Self { entries: Map::new(kind, |_, entry| entry.bytes()), questions: SingleFlight::new(tasks) }
    }

    pub(super) async fn get(self: &Arc<Self>, question: &Q) -> Result<Served<Q::Value>, Error> {
        let key = question.key();
        let entry = match self.entries.get(&key) {
            Some(entry) => entry,
            None => match question.recall().await {
                Some(known) => self.put(question, Some(known), None),
                None => return self.first(question).await,
            },
        };
        entry.used.store(true, Ordering::Relaxed);
        let now_ms = now_ms();
        let rules = question.rules();
        let recent = |since: Duration| {
            entry.trouble.as_ref().filter(|(_, at_ms)| elapsed(*at_ms, now_ms) < since).map(|(error, _)| error.clone())
        };
        let Some(known) = &entry.known else {
            return match recent(rules.negative_time_to_live) {
                Some(refusal) => Err(refusal),
                None => self.first(question).await,
            };
        };
        let age = elapsed(known.checked_at_ms, now_ms);
        let refusal = recent(rules.negative_time_to_live).filter(|error| self.is_final(question, error));
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let value = known.value.clone();
        let stale = |reason: Option<String>| Served {
            value: value.clone(),
            outcome: CacheOutcome::Stale,
            staleness: Some(Staleness { age, reason }),
        };
        let verdict = match rules.judge(age, known.short_lived) {
            // Who was refused last time is not served before upstream has changed its mind.
            Verdict::Revalidate if self.was_refused(question, &entry) => Verdict::AskFirst,
            verdict => verdict,
        };
        match verdict {
            Verdict::Fresh => Ok(Served { value, outcome: CacheOutcome::Hit, staleness: None }),
            Verdict::Expired => self.first(question).await,
            verdict => {
                let failure = recent(QUIET_AFTER_FAILURE).filter(|error| !self.is_final(question, error));
                if let Some(error) = failure {
                    return Ok(stale(Some(error.to_string())));
                }
                let pending = self.ask(question, Some(known.value.clone()));
                if verdict == Verdict::Revalidate {
                    return Ok(stale(None));
                }
                match pending.answer().await {
                    Ok(known) => Ok(Served { value: known.value, outcome: CacheOutcome::Hit, staleness: None }),
                    Err(error) if self.is_final(question, &error) => Err(error),
                    Err(error) => Ok(stale(Some(error.to_string()))),
                }
            }
        }
    }

    pub(super) fn forget_all(&self) {
        self.entries.clear();
    }

    /// Asks anew whatever is kept: what was kept turned out to be wrong.
    pub(super) async fn renew(self: &Arc<Self>, question: &Q) -> Result<Served<Q::Value>, Error> {
        self.first(question).await
    }

    /// Questions whose answers are in use and past their time, to be asked again before somebody has to wait.
    pub(super) fn due(&self) -> Vec<Q> {
        let now_ms = now_ms();
        let is_due = |entry: &Entry<Q>| {
            entry.known.as_ref().is_some_and(|known| {
                elapsed(known.checked_at_ms, now_ms) >= entry.question.rules().time_to_live && !known.short_lived
            }) && entry.used.swap(false, Ordering::Relaxed)
        };
        self.entries.values().filter(|entry| is_due(entry)).map(|entry| entry.question.clone()).collect()
    }

    /// Asks in the background's name.
    pub(super) async fn refresh(self: &Arc<Self>, question: &Q) {
        let known = self.entries.get(&question.key()).and_then(|entry| Some(entry.known.as_ref()?.value.clone()));
        // The answer is kept, or the trouble is; there is nobody to tell.
        let _ = self.ask(question, known).answer().await;
    }

    async fn first(self: &Arc<Self>, question: &Q) -> Result<Served<Q::Value>, Error> {
        let pending = self.ask(question, None);
        let outcome = pending.outcome;
        Ok(Served { value: pending.answer().await?.value, outcome, staleness: None })
    }

    /// A refusal is told to the client, unless the upstream's rule keeps what upstream lost.
    fn is_final(&self, question: &Q, error: &Error) -> bool {
        error.is_answer() && !(error.is_not_found() && question.keeps_what_upstream_lost())
    }

    fn was_refused(&self, question: &Q, entry: &Entry<Q>) -> bool {
        entry.trouble.as_ref().is_some_and(|(error, _)| self.is_final(question, error))
    }

    fn ask(self: &Arc<Self>, question: &Q, known: Option<Q::Value>) -> Pending<Confirmed<Q::Value>> {
        self.questions.ask(&question.key(), question.upstream().name(), || {
            let (this, question) = (self.clone(), question.clone());
            async move {
                let result = question.ask(known).await;
                this.settle(&question, &result).await;
                result
            }
        })
    }

    async fn settle(&self, question: &Q, result: &Result<Confirmed<Q::Value>, Error>) {
        match result {
            Ok(known) => {
                self.put(question, Some(known.clone()), None);
            }
            Err(error) => {
                // What was refused is not served when a restart, or an upstream that fails, has made us forget the refusal.
                let known = if self.is_final(question, error) {
                    question.forget(error).await;
                    None
                } else {
                    self.entries.get(&question.key()).and_then(|entry| entry.known.clone())
                };
                // What cannot be had now is not remembered as not being there.
                if known.is_some() || error.is_answer() {
                    self.put(question, known, Some((error.clone(), now_ms())));
                }
            }
        }
    }

    fn put(&self, question: &Q, known: Option<Confirmed<Q::Value>>, trouble: Option<(Error, i64)>) -> Arc<Entry<Q>> {
        let entry = Arc::new(Entry { question: question.clone(), known, trouble, used: AtomicBool::new(false) });
        self.entries.insert(question.key(), entry.clone());
        entry
    }
}

impl<Q: Question> Entry<Q> {
    fn bytes(&self) -> usize {
        let known = self.known.as_ref().map_or(0, |known| Q::value_bytes(&known.value));
        let trouble = self.trouble.as_ref().map_or(0, |(error, _)| error.text_bytes());
        size_of::<Self>() + self.question.bytes() + known + trouble
    }
}

/// A clock that was set back makes answers young, never negative.
fn elapsed(then_ms: i64, now_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::upstream::ErrorKind;

    /// A question whose upstream the test plays.
    #[derive(Clone)]
    struct Asked {
        upstream: Arc<Upstream>,
        answer: Arc<std::sync::Mutex<Result<u32, ErrorKind>>>,
        asked: Arc<AtomicU32>,
        recalled: Option<Confirmed<u32>>,
        keeps: bool,
    }

    impl Question for Asked {
        type Key = u8;
        type Value = u32;

        fn key(&self) -> u8 {
            0
        }
        fn upstream(&self) -> &Upstream {
            &self.upstream
        }
        fn rules(&self) -> Rules {
            Rules::of(self.upstream.settings())
        }
        fn keeps_what_upstream_lost(&self) -> bool {
            self.keeps
        }
        fn bytes(&self) -> usize {
            0
        }
        fn value_bytes(_: &u32) -> usize {
            0
        }
        async fn recall(&self) -> Option<Confirmed<u32>> {
            self.recalled.clone()
        }
        async fn ask(&self, _known: Option<u32>) -> Result<Confirmed<u32>, Error> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            let answer = self.answer.lock().unwrap().clone();
            match answer {
                Ok(value) => Ok(Confirmed { value, checked_at_ms: now_ms(), short_lived: false }),
                Err(kind) => Err(Error { upstream: self.upstream.name().clone(), kind }),
            }
        }
        async fn forget(&self, _refusal: &Error) {}
    }

    fn question(age: Option<Duration>) -> Asked {
        let text = "[[upstream]]\nname = \"docker.io\"\ntag_ttl = \"60s\"\nstale_while_revalidate = \"60s\"\nstale_if_error = \"1h\"\n";
        let settings = crate::config::parse(text).unwrap().upstreams.remove(0);
        let age_ms = age.map(|age| i64::try_from(age.as_millis()).unwrap());
        Asked {
            upstream: Upstream::new(settings, crate::telemetry::Metrics::new().unwrap()).unwrap(),
            answer: Arc::new(std::sync::Mutex::new(Ok(2))),
            asked: Arc::default(),
            recalled: age_ms.map(|age| Confirmed { value: 1, checked_at_ms: now_ms() - age, short_lived: false }),
            keeps: false,
        }
    }

    fn perishables() -> Arc<Perishables<Asked>> {
        Arc::new(Perishables::new(memory::Kind::Tags, TaskTracker::new()))
    }

    /// C20: everyone who waits for a failed question gets the error.
    #[tokio::test(flavor = "multi_thread")]
    async fn c20_many_askers_ask_once_and_all_hear_the_error() {
        let (perishables, question) = (perishables(), question(None));
        *question.answer.lock().unwrap() = Err(ErrorKind::TimedOut);
        let askers: Vec<_> = (0..100)
            .map(|_| {
                let (perishables, question) = (perishables.clone(), question.clone());
                tokio::spawn(async move { perishables.get(&question).await.map(|served| served.value) })
            })
            .collect();
        for asker in askers {
            assert!(matches!(asker.await.unwrap(), Err(Error { kind: ErrorKind::TimedOut, .. })));
        }
        assert!(question.asked.load(Ordering::SeqCst) < 100);
        *question.answer.lock().unwrap() = Ok(3);
        assert_eq!(perishables.get(&question).await.unwrap().value, 3, "a failure is not remembered");
    }

    /// C41: many reads of a fresh answer cost no question.
    #[tokio::test]
    async fn c41_a_fresh_answer_costs_nothing() {
        let (perishables, question) = (perishables(), question(None));
        for _ in 0..1000 {
            assert_eq!(perishables.get(&question).await.unwrap().value, 2);
        }
        assert_eq!(question.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_old_answer_goes_out_while_upstream_is_asked() {
        let (perishables, question) = (perishables(), question(Some(Duration::from_secs(90))));
        let served = perishables.get(&question).await.unwrap();
        assert_eq!((served.value, served.outcome), (1, CacheOutcome::Stale));
        while perishables.get(&question).await.unwrap().value != 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(question.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_older_answer_stands_in_for_a_failing_upstream_and_says_so() {
        let (perishables, question) = (perishables(), question(Some(Duration::from_secs(1800))));
        *question.answer.lock().unwrap() = Err(ErrorKind::TimedOut);
        for _ in 0..10 {
            let served = perishables.get(&question).await.unwrap();
            assert_eq!(served.value, 1);
            assert!(served.staleness.unwrap().reason.unwrap().contains("did not answer in time"));
        }
        assert_eq!(question.asked.load(Ordering::SeqCst), 1, "nobody waits for a failing upstream twice");
    }

    #[tokio::test]
    async fn what_is_too_old_is_not_served() {
        let (perishables, question) = (perishables(), question(Some(Duration::from_secs(7200))));
        *question.answer.lock().unwrap() = Err(ErrorKind::TimedOut);
        assert!(perishables.get(&question).await.is_err());
    }

    /// C39: a tag that upstream deleted is 404, or kept where the rule says so.
    #[tokio::test]
    async fn c39_what_upstream_deleted() {
        for (keeps, expected) in [(false, None), (true, Some(1))] {
            let (perishables, mut question) = (perishables(), question(Some(Duration::from_secs(1800))));
            question.keeps = keeps;
            *question.answer.lock().unwrap() = Err(ErrorKind::NotFound);
            assert_eq!(perishables.get(&question).await.ok().map(|served| served.value), expected);
        }
    }

    #[tokio::test]
    async fn who_was_refused_is_not_served_from_the_cache() {
        let (perishables, question) = (perishables(), question(Some(Duration::from_secs(1800))));
        *question.answer.lock().unwrap() = Err(ErrorKind::Denied);
        for _ in 0..3 {
            assert!(matches!(perishables.get(&question).await, Err(Error { kind: ErrorKind::Denied, .. })));
        }
        assert_eq!(question.asked.load(Ordering::SeqCst), 1);
    }
}
