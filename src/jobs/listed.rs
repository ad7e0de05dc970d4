//! All kinds of work of a process, and the owner of what runs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::breaker::Breakers;
use super::local::Local;
use super::work::{AnyWork, Progress, Work};
use crate::meta::{Meta, NewJob, Scheduled, Urgency, When};
use crate::telemetry::Metrics;

/// All jobs of the process. Cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    pub(super) inner: Arc<Inner>,
}

/// A kind of work, and when it is done.
pub struct Listed {
    work: Arc<dyn AnyWork>,
    by: By,
    asks_for: Option<&'static str>,
}

enum By {
    /// Facts; of several replicas one does each job.
    Facts,
    /// The schedule, or whoever asks; of several replicas one does it.
    Registry(Option<When>),
    /// The same, and each replica does it for itself.
    Replica(Option<When>),
    /// This process alone, because it has in memory what the work is about. Nothing of it outlives the process.
    Process(Option<Duration>),
}

pub(super) struct Inner {
    pub(super) meta: Meta,
    /// This replica's name, which stays the same as long as its data folder does.
    pub(super) replica: Arc<str>,
    pub(super) metrics: Metrics,
    pub(super) queues: Vec<Arc<Queue>>,
    pub(super) locals: Vec<Arc<Local>>,
    pub(super) breakers: Breakers,
    /// A place was given back.
    pub(super) freed: Notify,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

/// A queue that this process takes jobs of.
pub(super) struct Queue {
    pub(super) work: Arc<dyn AnyWork>,
    /// The one job of a queue that operators and the schedule know by the queue's name.
    pub(super) scheduled: Option<Scheduled>,
    /// Whether only jobs for this replica are taken.
    pub(super) is_own: bool,
    pub(super) places: Arc<Semaphore>,
    pub(super) turn: Mutex<Turn>,
    /// How far the run of the scheduled job is, while this process runs it; the database knows it some seconds later.
    pub(super) progress: Mutex<Option<Progress>>,
    /// Work of this process that is started when somebody asks for this.
    pub(super) asks_for: Option<&'static str>,
}

/// Whose turn it was.
#[derive(Clone, Default)]
pub(super) struct Turn {
    pub(super) account: String,
    /// The next look at lanes begins behind this one.
    pub(super) lane: String,
}

impl Listed {
    pub fn after_facts(work: impl Work) -> Self {
        Self { work: Arc::new(work), by: By::Facts, asks_for: None }
    }

    pub fn once_for_all(work: impl Work, when: Option<When>) -> Self {
        Self { work: Arc::new(work), by: By::Registry(when), asks_for: None }
    }

    pub fn by_each_replica(work: impl Work, when: Option<When>) -> Self {
        Self { work: Arc::new(work), by: By::Replica(when), asks_for: None }
    }

    pub fn by_this_process(work: impl Work, every: Option<Duration>) -> Self {
        Self { work: Arc::new(work), by: By::Process(every), asks_for: None }
    }

    /// Whoever asks for it asks this process for that work as well.
    pub fn asks_for(self, name: &'static str) -> Self {
        Self { asks_for: Some(name), ..self }
    }
}

impl Jobs {
    pub fn new(meta: Meta, replica: &str, metrics: Metrics, listed: Vec<Listed>) -> Self {
        let (mut queues, mut locals) = (Vec::new(), Vec::new());
        for Listed { work, by, asks_for } in listed {
            let (key, when, is_own) = match by {
                By::Process(every) => {
                    locals.push(Arc::new(Local::new(work, every)));
                    continue;
                }
                By::Facts => (None, None, false),
                By::Registry(when) => (Some(String::new()), when, false),
                By::Replica(when) => (Some(replica.to_owned()), when, true),
            };
            let scheduled = key.map(|key| Scheduled { queue: work.queue(), key, when });
            let places = usize::try_from(work.policy().places).unwrap_or(1);
            let places = Arc::new(Semaphore::new(places));
            queues.push(Arc::new(Queue {
                work,
                scheduled,
                is_own,
                places,
                turn: Mutex::default(),
                progress: Mutex::default(),
                asks_for,
            }));
        }
        let inner = Inner {
            meta,
            replica: replica.into(),
            metrics,
            queues,
            locals,
            breakers: Breakers::default(),
            freed: Notify::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Does what there is to do, until it is closed.
    pub async fn work(&self) {
        let locals =
            futures_util::future::join_all(self.inner.locals.iter().map(|local| local.follow(&self.inner.stop)));
        tokio::join!(self.dispatch(None), self.follow_the_clock(), self.observe(), locals);
    }

    /// Stops what runs and waits for it. What comes to no end within seconds is cut off; it goes back to the queue.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl Queue {
    pub(super) fn name(&self) -> &'static str {
        self.work.queue()
    }

    /// Its job that the schedule or an operator asks for.
    pub(super) fn scheduled_job(scheduled: &Scheduled, urgency: Urgency) -> NewJob {
        let destination = scheduled.key.clone();
        NewJob { destination, urgency, ..NewJob::new(scheduled.queue, scheduled.key.clone()) }
    }
}
