//! When: work that is done once in a while, or when an operator asks.
//!
//! A job runs once at a time, whoever starts it, and tells how far it is. *Never* here: what the work is.

use crate::meta::now_ms;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What came of a run: what it did, as JSON, or why it failed.
pub type Outcome = Result<Value, String>;

type Work = dyn Fn(Progress, CancellationToken) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync;

/// How far a run is. Cheap to clone.
#[derive(Clone, Default)]
pub struct Progress(Arc<Counts>);

#[derive(Default)]
struct Counts {
    done: AtomicU64,
    total: AtomicU64,
    bytes: AtomicU64,
}

/// All jobs of the process. Cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    jobs: Arc<[Job]>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// One kind of work.
pub struct Job {
    name: &'static str,
    /// Time between two runs; `None` for one that runs only when it is asked for.
    every: Option<Duration>,
    work: Box<Work>,
    running: AtomicBool,
    last: Mutex<Run>,
}

#[derive(Default)]
struct Run {
    /// Counts the runs of this process.
    number: u64,
    progress: Progress,
    started_at_ms: Option<i64>,
    ended_at_ms: Option<i64>,
    outcome: Option<Outcome>,
}

/// A job as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct State {
    pub name: &'static str,
    pub running: bool,
    pub run: u64,
    /// Objects that were looked at, of how many; 0 where that is not known.
    pub done: u64,
    pub total: u64,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<i64>,
    /// What the last run that has ended did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Progress {
    pub fn expect(&self, total: u64) {
        self.0.total.store(total, Ordering::Relaxed);
    }

    pub fn advance(&self, objects: u64, bytes: u64) {
        self.0.done.fetch_add(objects, Ordering::Relaxed);
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Job {
    pub fn new<F>(
        name: &'static str,
        every: Option<Duration>,
        work: impl Fn(Progress, CancellationToken) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let work: Box<Work> = Box::new(move |progress, stop| Box::pin(work(progress, stop)));
        Self { name, every, work, running: AtomicBool::new(false), last: Mutex::default() }
    }

    fn state(&self) -> State {
        let last = self.last();
        let (result, error) = match &last.outcome {
            Some(Ok(result)) => (Some(result.clone()), None),
            Some(Err(error)) => (None, Some(error.clone())),
            None => (None, None),
        };
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        State {
            name: self.name,
            running: self.running.load(Ordering::Acquire),
            run: last.number,
            done: count(&last.progress.0.done),
            total: count(&last.progress.0.total),
            bytes: count(&last.progress.0.bytes),
            started_at_ms: last.started_at_ms,
            ended_at_ms: last.ended_at_ms,
            result,
            error,
        }
    }

    fn last(&self) -> MutexGuard<'_, Run> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that the run is over, however it ends.
struct Running<'a>(&'a Job);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Release);
    }
}

impl Jobs {
    pub fn new(jobs: Vec<Job>) -> Self {
        Self { jobs: jobs.into(), tasks: TaskTracker::new(), stop: CancellationToken::new() }
    }

    pub fn states(&self) -> Vec<State> {
        self.jobs.iter().map(Job::state).collect()
    }

    pub fn state(&self, name: &str) -> Option<State> {
        self.jobs.iter().find(|job| job.name == name).map(Job::state)
    }

    /// Starts a job that is not running yet, in the background. `None` if there is no job of this name.
    pub fn start(&self, name: &str) -> Option<State> {
        let index = self.jobs.iter().position(|job| job.name == name)?;
        let this = self.clone();
        let claimed = self.claim(index);
        if claimed {
            self.tasks.spawn(async move { this.run(index).await });
        }
        self.state(name)
    }

    /// Runs a job to its end.
    pub async fn run_now(&self, name: &str) -> Option<Outcome> {
        let index = self.jobs.iter().position(|job| job.name == name)?;
        if self.claim(index) {
            self.run(index).await;
        }
        self.jobs.get(index)?.last().outcome.clone()
    }

    /// Starts each job when its time has come, until they are closed.
    pub async fn follow_the_clock(&self) {
        let clocks = self.jobs.iter().enumerate().filter_map(|(index, job)| Some((index, job.every?)));
        let each = clocks.map(|(index, every)| async move {
            loop {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = tokio::time::sleep(every) => {}
                }
                if self.claim(index) {
                    self.run(index).await;
                }
            }
        });
        futures_util::future::join_all(each).await;
    }

    /// Stops what runs and waits for it.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Whether the caller is the one who runs it now.
    fn claim(&self, index: usize) -> bool {
        let Some(job) = self.jobs.get(index) else { return false };
        // Nobody would wait for it.
        if self.stop.is_cancelled() || job.running.swap(true, Ordering::AcqRel) {
            return false;
        }
        let mut last = job.last();
        let number = last.number + 1;
        *last = Run { number, started_at_ms: Some(now_ms()), ..Run::default() };
        true
    }

    async fn run(&self, index: usize) {
        let Some(job) = self.jobs.get(index) else { return };
        let _running = Running(job);
        let progress = job.last().progress.clone();
        let outcome = (job.work)(progress, self.stop.child_token()).await;
        if let Err(error) = &outcome {
            tracing::warn!(job = job.name, error, "a job failed; it is tried again when its time comes");
        }
        let mut last = job.last();
        last.ended_at_ms = Some(now_ms());
        last.outcome = Some(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(every: Option<Duration>) -> (Jobs, Arc<AtomicU64>) {
        let runs = Arc::new(AtomicU64::new(0));
        let counted = runs.clone();
        let job = Job::new("count", every, move |progress, _| {
            let runs = counted.clone();
            async move {
                progress.expect(2);
                progress.advance(1, 10);
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(Value::from(runs.fetch_add(1, Ordering::SeqCst) + 1))
            }
        });
        (Jobs::new(vec![job]), runs)
    }

    #[tokio::test]
    async fn once_at_a_time() {
        let (jobs, runs) = counting(None);
        for _ in 0..5 {
            assert!(jobs.start("count").unwrap().running);
        }
        tokio::task::yield_now().await;
        let state = jobs.state("count").unwrap();
        assert_eq!((state.run, state.done, state.total, state.bytes), (1, 1, 2, 10));
        while jobs.state("count").unwrap().running {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert_eq!(jobs.run_now("count").await, Some(Ok(Value::from(2))));
        assert!(jobs.start("other").is_none());
        jobs.close().await;
        assert!(!jobs.start("count").unwrap().running, "it is too late");
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn by_the_clock() {
        let (jobs, runs) = counting(Some(Duration::from_millis(1)));
        let clock = {
            let jobs = jobs.clone();
            tokio::spawn(async move { jobs.follow_the_clock().await })
        };
        while runs.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        jobs.close().await;
        clock.await.unwrap();
    }
}
