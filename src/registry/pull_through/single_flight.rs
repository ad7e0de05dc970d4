//! One question to upstream at a time for each key; everyone who waits gets its answer, or its error.

use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::cache::{Boarding, Flights};
use crate::config::UpstreamName;
use crate::telemetry::CacheOutcome;
use crate::upstream::{Error, ErrorKind};

type Answer<V> = watch::Sender<Option<Result<V, Error>>>;

pub(super) struct SingleFlight<K, V> {
    flights: Arc<Flights<K, Answer<V>>>,
    tasks: TaskTracker,
}

/// An answer that will come, whoever else leaves.
pub(super) struct Pending<V> {
    answer: Arc<Answer<V>>,
    /// Whether this asker started the question or joined it.
    pub(super) outcome: CacheOutcome,
}

/// Whoever asks owes everyone who waits an answer, even if it panics.
struct Asking<V> {
    upstream: UpstreamName,
    answer: Arc<Answer<V>>,
}

impl<K, V> SingleFlight<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(tasks: TaskTracker) -> Self {
        Self { flights: Flights::new(), tasks }
    }

    /// Joins the question about `key`, or asks it in a task of its own.
    pub(super) fn ask<F>(&self, key: &K, upstream: &UpstreamName, question: impl FnOnce() -> F) -> Pending<V>
    where
        F: Future<Output = Result<V, Error>> + Send + 'static,
    {
        match self.flights.board(key, || true, || watch::Sender::new(None)) {
            Boarding::Started(answer, landing) => {
                let asking = Asking { upstream: upstream.clone(), answer: answer.clone() };
                let question = question();
                self.tasks.spawn(async move {
                    let result = question.await;
                    // First the landing: who asks after having seen the answer asks anew.
                    drop(landing);
                    asking.answer.send_replace(Some(result));
                });
                Pending { answer, outcome: CacheOutcome::Miss }
            }
            Boarding::Joined(answer) => Pending { answer, outcome: CacheOutcome::Coalesced },
            Boarding::Declined => unreachable!("the question is always needed"),
        }
    }
}

impl<V: Clone> Pending<V> {
    pub(super) async fn answer(self) -> Result<V, Error> {
        let mut answer = self.answer.subscribe();
        let landed = answer.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        match landed {
            Some(result) => result,
            // The sender is ours as well, so it cannot have gone.
            None => std::future::pending().await,
        }
    }
}

impl<V> Drop for Asking<V> {
    fn drop(&mut self) {
        self.answer.send_if_modified(|answer| {
            let unanswered = answer.is_none();
            if unanswered {
                let kind = ErrorKind::Unreachable { detail: "the question was abandoned; ask again".to_owned() };
                *answer = Some(Err(Error { upstream: self.upstream.clone(), kind }));
            }
            unanswered
        });
    }
}
