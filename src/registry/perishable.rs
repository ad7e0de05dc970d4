//! Answers that go off: what a tag means, what a list holds.
//!
//! They are kept in memory in front of the database. Past its time an answer is asked for again, by one question at a time
//! for each key, whoever asks and whoever leaves; everyone who waits gets the same answer or the same error. When upstream
//! fails, the old answer stands in; when upstream refuses, that is the answer.

use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_util::task::TaskTracker;

use super::answer::Staleness;
use super::freshness::{QUIET_AFTER_FAILURE, Rules, Verdict};
use super::single_flight::{Pending, SingleFlight};
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
    /// Upstream says that there is no such thing.
    fn forget(&self) -> impl Future<Output = ()> + Send;
}

pub(super) struct Perishables<Q: Question> {
    entries: moka::sync::Cache<Q::Key, Arc<Entry<Q>>>,
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
    /// At most `max_entries` in memory.
    pub(super) fn new(max_entries: u64, tasks: TaskTracker) -> Self {
        Self { entries: moka::sync::Cache::new(max_entries), questions: SingleFlight::new(tasks) }
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
                if let Some(error) = recent(QUIET_AFTER_FAILURE) {
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
        self.entries.iter().filter(|(_, entry)| is_due(entry)).map(|(_, entry)| entry.question.clone()).collect()
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
                let lost = error.is_not_found() && !question.keeps_what_upstream_lost();
                if lost {
                    question.forget().await;
                }
                let known =
                    if lost { None } else { self.entries.get(&question.key()).and_then(|entry| entry.known.clone()) };
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

pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A clock that was set back makes answers young, never negative.
fn elapsed(then_ms: i64, now_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or_default())
}
