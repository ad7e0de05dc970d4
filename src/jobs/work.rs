//! What a kind of work has to say of itself, and what it is given when it runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::retry::Retry;
use crate::meta::{JobProgress, NewJob, TakenJob};

/// A kind of work. Whoever implements it reads the state when it runs, and can be cut off anywhere and run again.
pub trait Work: Send + Sync + 'static {
    /// What came of a run, which operators are told.
    type Done: Serialize + Send;

    /// The queue of its jobs, which is its name for operators as well.
    fn queue(&self) -> &'static str;

    fn policy(&self) -> Policy {
        Policy::default()
    }

    fn run(&self, run: &Run) -> impl Future<Output = Result<Self::Done, Failure>> + Send;
}

/// Bounds of a kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Jobs at once in this process.
    pub places: u32,
    /// After a process died, its job stands still for so long.
    pub lease: Duration,
    /// A run that takes longer has failed. `None` for rounds over everything, however much that is.
    pub timeout: Option<Duration>,
    pub retry: Retry,
}

/// Why a run came to no end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It is tried again.
    #[error("{0}")]
    Failed(String),
    /// So is this; and no other job of this destination begins before it is known to answer again.
    #[error("{0}")]
    Unreachable(String),
    /// No further try would help.
    #[error("{0}")]
    Hopeless(String),
    /// [`Run::stop`] said so. It goes on elsewhere or later, and this was no try.
    #[error("it was stopped")]
    Stopped,
}

/// A run of a job.
pub struct Run {
    /// `None` for work on what this process has in memory.
    job: Option<TakenJob>,
    progress: Progress,
    next: Next,
    stop: CancellationToken,
}

/// How far a run is. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<Counts>);

#[derive(Default)]
struct Counts {
    done: AtomicU64,
    total: AtomicU64,
    bytes: AtomicU64,
    position: Mutex<Option<String>>,
}

/// Jobs that follow from a run.
pub(super) type Next = Arc<Mutex<Vec<NewJob>>>;

impl Default for Policy {
    fn default() -> Self {
        Self {
            places: 4,
            lease: Duration::from_secs(60),
            timeout: Some(Duration::from_secs(60 * 60)),
            retry: Retry::USUAL,
        }
    }
}

impl Policy {
    /// One at a time, for as long as it takes. Its position is written with each renewal of the lease, every ten seconds.
    pub fn round() -> Self {
        Self { places: 1, lease: Duration::from_secs(30), timeout: None, retry: Retry::SCHEDULED }
    }
}

impl Run {
    pub(super) fn new(job: Option<TakenJob>, progress: Progress, next: Next, stop: CancellationToken) -> Self {
        if let Some(job) = &job {
            *lock(&progress.0.position) = job.position.clone();
        }
        Self { job, progress, next, stop }
    }

    /// Names the object.
    pub fn key(&self) -> &str {
        self.job.as_ref().map_or("", |job| &job.key)
    }

    pub fn destination(&self) -> &str {
        self.job.as_ref().map_or("", TakenJob::destination)
    }

    /// Counts tries, from 1.
    pub fn attempt(&self) -> u32 {
        self.job.as_ref().map_or(1, |job| job.attempt)
    }

    /// When it began, by the clock that replicas share.
    pub fn began_at(&self) -> SystemTime {
        let shared = self.job.as_ref().and_then(|job| u64::try_from(job.taken_at_ms).ok());
        shared.map_or_else(SystemTime::now, |ms| UNIX_EPOCH + Duration::from_millis(ms))
    }

    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let text = self.job.as_ref().map_or("null", |job| &job.payload);
        serde_json::from_str(text).map_err(|error| Failure::Hopeless(format!("its payload cannot be read: {error}")))
    }

    /// Where the last run came to that did not end. One that another version wrote and this one cannot read begins anew.
    pub fn position<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(lock(&self.progress.0.position).as_deref()?).ok()
    }

    /// A run that follows this one, if it does not end, goes on from here. It is written down with the next renewal of the lease, so that at
    /// most some seconds of work are done twice.
    pub fn keep(&self, position: &impl Serialize) {
        *lock(&self.progress.0.position) = serde_json::to_string(position).ok();
    }

    pub fn expect(&self, total: u64) {
        self.progress.0.total.store(total, Ordering::Relaxed);
    }

    pub fn advance(&self, objects: u64, bytes: u64) {
        self.progress.0.done.fetch_add(objects, Ordering::Relaxed);
        self.progress.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Enqueues a job in the transaction that ends this one, if it ends well.
    pub fn then(&self, job: NewJob) {
        lock(&self.next).push(job);
    }

    /// When it says so, the run should end with [`Failure::Stopped`] within seconds.
    pub const fn stop(&self) -> &CancellationToken {
        &self.stop
    }
}

impl Progress {
    pub(super) fn read(&self) -> JobProgress {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        JobProgress {
            position: lock(&self.0.position).clone(),
            done: count(&self.0.done),
            total: count(&self.0.total),
            bytes: count(&self.0.bytes),
        }
    }
}

/// Held for one assignment: a panic leaves it whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Any kind of work.
pub(super) trait AnyWork: Send + Sync {
    fn queue(&self) -> &'static str;

    fn policy(&self) -> Policy;

    /// What came of it as JSON.
    fn start(self: Arc<Self>, run: Run) -> BoxFuture<'static, Result<String, Failure>>;
}

impl<W: Work> AnyWork for W {
    fn queue(&self) -> &'static str {
        Work::queue(self)
    }

    fn policy(&self) -> Policy {
        Work::policy(self)
    }

    fn start(self: Arc<Self>, run: Run) -> BoxFuture<'static, Result<String, Failure>> {
        Box::pin(async move {
            let done = self.run(&run).await?;
            serde_json::to_string(&done).map_err(|error| Failure::Hopeless(format!("it cannot be told: {error}")))
        })
    }
}
