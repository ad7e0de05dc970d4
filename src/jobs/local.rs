//! Work on what this process has in memory: nothing of it outlives the process, and no other could do it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use super::state::State;
use super::work::{AnyWork, Next, Progress, Run, lock};
use crate::meta::now_ms;

pub(super) struct Local {
    work: Arc<dyn AnyWork>,
    /// Time between two runs; `None` for one that runs only when it is asked for.
    every: Option<Duration>,
    is_running: AtomicBool,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    /// Counts the runs of this process.
    number: u64,
    progress: Progress,
    started_at_ms: Option<i64>,
    ended_at_ms: Option<i64>,
    outcome: Option<Result<String, String>>,
}

/// Says that the run is over, however it ends.
struct Running<'a>(&'a Local);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.is_running.store(false, Ordering::Release);
    }
}

impl Local {
    pub(super) fn new(work: Arc<dyn AnyWork>, every: Option<Duration>) -> Self {
        Self { work, every, is_running: AtomicBool::new(false), last: Mutex::default() }
    }

    pub(super) fn name(&self) -> &'static str {
        self.work.queue()
    }

    pub(super) fn state(&self) -> State {
        let last = lock(&self.last);
        let progress = last.progress.read();
        let (result, error) = match &last.outcome {
            Some(Ok(result)) => (serde_json::from_str(result).ok(), None),
            Some(Err(error)) => (None, Some(error.clone())),
            None => (None, None),
        };
        State {
            name: self.name(),
            running: self.is_running.load(Ordering::Acquire),
            run: last.number,
            done: progress.done,
            total: progress.total,
            bytes: progress.bytes,
            started_at_ms: last.started_at_ms,
            ended_at_ms: last.ended_at_ms,
            replica: None,
            result,
            error,
        }
    }
}

impl Local {
    /// Runs it every now and then, until `stop`.
    pub(super) async fn follow(&self, stop: &CancellationToken) {
        let Some(every) = self.every else { return };
        while !stop.is_cancelled() {
            if self.claim(stop) {
                self.run(stop.child_token()).await;
            }
            stop.run_until_cancelled(tokio::time::sleep(every)).await;
        }
    }

    /// Whether the caller is the one who runs it now.
    pub(super) fn claim(&self, stop: &CancellationToken) -> bool {
        // Nobody would wait for it.
        if stop.is_cancelled() || self.is_running.swap(true, Ordering::AcqRel) {
            return false;
        }
        let mut last = lock(&self.last);
        let number = last.number + 1;
        *last = Last { number, started_at_ms: Some(now_ms()), ..Last::default() };
        true
    }

    /// By whoever has claimed it.
    pub(super) async fn run(&self, stop: CancellationToken) {
        let _running = Running(self);
        let progress = lock(&self.last).progress.clone();
        let run = Run::new(None, progress, Next::default(), stop);
        let ended = std::panic::AssertUnwindSafe(self.work.clone().start(run)).catch_unwind().await;
        let outcome = match ended {
            Ok(ended) => ended.map_err(|failure| failure.to_string()),
            Err(_) => Err("it panicked, which is a bug of entrepot".to_owned()),
        };
        if let Err(error) = &outcome {
            tracing::warn!(job = self.name(), error, "a job failed; it is tried again when its time comes");
        }
        let mut last = lock(&self.last);
        last.ended_at_ms = Some(now_ms());
        last.outcome = Some(outcome);
    }
}
