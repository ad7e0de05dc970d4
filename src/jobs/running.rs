//! One run of one job: its handler in a task of its own, the lease that is renewed beside it, and the end.
//!
//! Who renews too late lets go: by its own clock, from before the lease was asked for, this process stops a handler no later than
//! another replica may begin. What ends a job is refused where another lease was given for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::listed::{Jobs, Queue};
use super::work::{Failure, Next, Progress, Run, lock};
use crate::meta::{Ending, TakenJob};

/// A handler that was told to stop, or that was given up, ends within this or is cut off.
const DRAIN: Duration = Duration::from_secs(10);

/// Between two attempts to write down how a job ended.
const END_PAUSE: Duration = Duration::from_millis(500);

/// How a run ended.
enum Ended {
    Done(String),
    Failed(Failure),
    /// By the end of this process.
    CutOff,
    /// The lease ended, or is another's.
    Lost,
}

/// Given back when dropped.
struct Place<'a> {
    jobs: &'a Jobs,
    queue: &'a Queue,
    place: Option<OwnedSemaphorePermit>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *lock(&self.queue.progress) = None;
        self.place = None;
        self.jobs.inner.freed.notify_one();
    }
}

impl Jobs {
    /// `deadline` is when the lease ends, unless it is renewed.
    pub(super) async fn run(self, queue: Arc<Queue>, job: TakenJob, deadline: Instant, place: OwnedSemaphorePermit) {
        let _place = Place { jobs: &self, queue: &queue, place: Some(place) };
        let (progress, next, started) = (Progress::default(), Next::default(), Instant::now());
        if queue.scheduled.is_some() {
            *lock(&queue.progress) = Some(progress.clone());
        }
        let run = Run::new(Some(job.clone()), progress.clone(), next.clone(), self.inner.stop.child_token());
        let handler = AbortOnDropHandle::new(tokio::spawn(queue.work.clone().start(run)));
        let mut deadline = deadline;
        let ended = self.follow_run(&queue, &job, &progress, handler, &mut deadline).await;
        self.tell_breaker(&job, &ended);
        let next = std::mem::take(&mut *lock(&next));
        let result = self.end(&queue, &job, &ended, &progress, &next, deadline).await;
        let metrics = &self.inner.metrics;
        metrics.jobs_runs.with_label_values(&[queue.name(), result]).inc();
        metrics.jobs_run_seconds.with_label_values(&[queue.name()]).observe(started.elapsed().as_secs_f64());
    }

    async fn follow_run(
        &self,
        queue: &Queue,
        job: &TakenJob,
        progress: &Progress,
        mut handler: AbortOnDropHandle<Result<String, Failure>>,
        deadline: &mut Instant,
    ) -> Ended {
        let policy = queue.work.policy();
        let timeout = policy.timeout.map(|timeout| (Instant::now() + timeout, timeout));
        let never = Instant::now() + Duration::from_secs(60 * 60 * 24 * 365);
        let mut renewal = *deadline - policy.lease + policy.lease / 3;
        let mut cut_off = never;
        let mut is_stopping = false;
        loop {
            tokio::select! {
                biased;
                ended = &mut handler => return of_handler(ended, is_stopping),
                () = sleep_until(*deadline) => {
                    give_up(handler).await;
                    return Ended::Lost;
                }
                () = sleep_until(cut_off) => {
                    give_up(handler).await;
                    return Ended::CutOff;
                }
                () = sleep_until(timeout.map_or(never, |(at, _)| at)) => {
                    give_up(handler).await;
                    let seconds = timeout.map_or(0, |(_, timeout)| timeout.as_secs());
                    return Ended::Failed(Failure::Failed(format!("it took longer than {seconds} s, and was given up")));
                }
                () = self.inner.stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    cut_off = Instant::now() + DRAIN;
                }
                () = sleep_until(renewal) => {
                    let asked = Instant::now();
                    let told = progress.read();
                    let renewed = self.inner.meta.renew(job.lease, policy.lease, &told);
                    match timeout_at(*deadline, renewed).await {
                        Ok(Ok(true)) => {
                            *deadline = asked + policy.lease;
                            renewal = asked + policy.lease / 3;
                        }
                        Ok(Ok(false)) => {
                            give_up(handler).await;
                            return Ended::Lost;
                        }
                        Ok(Err(error)) => {
                            tracing::warn!(%error, queue = queue.name(), key = job.key, "a job's lease could not be renewed; it is tried again");
                            renewal = Instant::now() + policy.lease / 12;
                        }
                        Err(_) => {}
                    }
                }
            }
        }
    }

    fn tell_breaker(&self, job: &TakenJob, ended: &Ended) {
        let (breakers, destination) = (&self.inner.breakers, job.destination());
        match ended {
            Ended::Done(_) => breakers.answered(destination),
            Ended::Failed(Failure::Unreachable(_)) => breakers.failed(destination, Instant::now(), fastrand::f64()),
            Ended::Failed(_) | Ended::CutOff | Ended::Lost => breakers.said_nothing(destination),
        }
    }

    /// Writes down how it ended, for as long as that is this process's to say. Returns the word for it in metrics.
    async fn end(
        &self,
        queue: &Queue,
        job: &TakenJob,
        ended: &Ended,
        progress: &Progress,
        next: &[crate::meta::NewJob],
        deadline: Instant,
    ) -> &'static str {
        let (name, key, retry) = (queue.name(), job.key.as_str(), queue.work.policy().retry);
        let error;
        let (ending, word) = match ended {
            Ended::Done(result) => (Ending::Done { result, next }, "done"),
            Ended::CutOff => (Ending::CutOff, "cut_off"),
            Ended::Lost => {
                tracing::warn!(
                    queue = name,
                    key,
                    "the lease of a job ended while it ran: it is done again, here or by another replica"
                );
                return "lost";
            }
            Ended::Failed(failure) => {
                error = failure.to_string();
                let is_last = matches!(failure, Failure::Hopeless(_)) || retry.is_last(job.attempt);
                let delay = retry.pause(job.attempt, fastrand::f64());
                let attempt = job.attempt;
                if is_last {
                    tracing::error!(
                        queue = name,
                        key,
                        attempt,
                        error,
                        "a job is dead; `entrepot jobs retry {}` lets it begin anew",
                        job.lease.job.0
                    );
                } else {
                    let seconds = delay.as_secs();
                    tracing::warn!(queue = name, key, attempt, error, seconds, "a job failed; it is tried again");
                }
                (Ending::Failed { error: &error, delay, is_last }, if is_last { "dead" } else { "failed" })
            }
        };
        let told = progress.read();
        let mut was_told = false;
        loop {
            match timeout_at(deadline, self.inner.meta.end_job(job.lease, &ending, &told)).await {
                Ok(Ok(true)) => return word,
                Ok(Ok(false)) => {
                    tracing::warn!(
                        queue = name,
                        key,
                        "a job was dropped, or another replica has it: how it ended here is not written"
                    );
                    return "lost";
                }
                Ok(Err(error)) if Instant::now() + END_PAUSE < deadline => {
                    if !std::mem::replace(&mut was_told, true) {
                        tracing::warn!(%error, queue = name, key, "how a job ended could not be written; it is tried again");
                    }
                    tokio::time::sleep(END_PAUSE).await;
                }
                Ok(Err(_)) | Err(_) => {
                    tracing::warn!(queue = name, key, "how a job ended could not be written in time: it is done again");
                    return "lost";
                }
            }
        }
    }
}

fn of_handler(ended: Result<Result<String, Failure>, JoinError>, is_stopping: bool) -> Ended {
    match ended {
        Ok(Ok(result)) => Ended::Done(result),
        Ok(Err(Failure::Stopped)) => Ended::CutOff,
        // Much fails while everything is closed.
        Ok(Err(Failure::Failed(_) | Failure::Unreachable(_))) if is_stopping => Ended::CutOff,
        Ok(Err(failure)) => Ended::Failed(failure),
        Err(error) => Ended::Failed(Failure::Failed(panicked(error))),
    }
}

/// What a panic said.
fn panicked(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "its task was ended".to_owned() };
    let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    format!("it panicked, which is a bug of entrepot: {said}")
}

/// Ends the handler's task. One that never yields cannot be ended, and is left behind.
async fn give_up(handler: AbortOnDropHandle<Result<String, Failure>>) {
    handler.abort();
    if tokio::time::timeout(DRAIN, handler).await.is_err() {
        tracing::error!("a handler of jobs cannot be stopped; a thread stays busy with it");
    }
}
