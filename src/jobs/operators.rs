//! What operators see of the work that has a name, and how they start it.

use std::time::Duration;

use super::listed::{Jobs, Queue};
use super::state::State;
use super::work::{Progress, lock};
use crate::meta::{self, JobFilter, JobId, JobRow, Urgency};

/// Between two looks whether a job has ended that somebody waits for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Jobs {
    /// Of every job that has a name.
    pub async fn states(&self) -> Result<Vec<State>, meta::Error> {
        let mut states = Vec::new();
        let queues = self.inner.queues.iter().filter(|queue| queue.scheduled.is_some()).map(|queue| queue.name());
        for name in queues.chain(self.inner.locals.iter().map(|local| local.name())) {
            states.extend(self.state(name).await?);
        }
        Ok(states)
    }

    /// `None` if there is no job of this name.
    pub async fn state(&self, name: &str) -> Result<Option<State>, meta::Error> {
        if let Some(local) = self.inner.locals.iter().find(|local| local.name() == name) {
            return Ok(Some(local.state()));
        }
        let Some(queue) = self.named(name) else { return Ok(None) };
        let Some(scheduled) = &queue.scheduled else { return Ok(None) };
        let row = self.inner.meta.scheduled_run(scheduled.queue, &scheduled.key).await?;
        let mut state = State::of_row(queue.name(), row.unwrap_or_default());
        if let Some(progress) = lock(&queue.progress).as_ref().map(Progress::read) {
            (state.done, state.total, state.bytes) = (progress.done, progress.total, progress.bytes);
        }
        Ok(Some(state))
    }

    /// Asks for a run now, unless one is under way. Returns its state; `None` if there is no job of this name.
    pub async fn start(&self, name: &str) -> Result<Option<State>, meta::Error> {
        let queue = self.named(name);
        let local = queue.and_then(|queue| queue.asks_for).unwrap_or(name);
        if let Some(local) = self.inner.locals.iter().find(|known| known.name() == local).cloned()
            && local.claim(&self.inner.stop)
        {
            let stop = self.inner.stop.child_token();
            self.inner.tasks.spawn(async move { local.run(stop).await });
        }
        if let Some(scheduled) = queue.and_then(|queue| queue.scheduled.as_ref()) {
            self.inner.meta.put_on_schedule(scheduled).await?;
            self.inner.meta.enqueue(&[Queue::scheduled_job(scheduled, Urgency::Request)]).await?;
        }
        self.state(name).await
    }

    /// Runs a job to its end where nobody serves; where another replica does, it may be the one that runs it. `None` if there is no job of
    /// this name.
    pub async fn run_now(&self, name: &str) -> Result<Option<State>, meta::Error> {
        let Some(mut state) = self.start(name).await? else { return Ok(None) };
        let this = self.clone();
        let only = state.name;
        self.inner.tasks.spawn(async move { this.dispatch(Some(only)).await });
        while state.running {
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(now) = self.state(name).await? else { return Ok(None) };
            state = now;
        }
        Ok(Some(state))
    }

    /// Jobs of all queues, those that this version does not know included, in the order of their ids.
    pub async fn list(&self, filter: &JobFilter, after: Option<JobId>, limit: u32) -> Result<Vec<JobRow>, meta::Error> {
        self.inner.meta.jobs(filter, after, limit).await
    }

    pub async fn find(&self, id: JobId) -> Result<Option<JobRow>, meta::Error> {
        self.inner.meta.job(id).await
    }

    /// False if there is none that does not run.
    pub async fn retry(&self, id: JobId) -> Result<bool, meta::Error> {
        self.inner.meta.retry_job(id).await
    }

    pub async fn retry_dead(&self, queue: &str) -> Result<u64, meta::Error> {
        self.inner.meta.retry_dead(queue).await
    }

    /// False if there is none that does not run.
    pub async fn drop_job(&self, id: JobId) -> Result<bool, meta::Error> {
        self.inner.meta.drop_job(id).await
    }

    fn named(&self, name: &str) -> Option<&Queue> {
        self.inner.queues.iter().find(|queue| queue.name() == name && queue.scheduled.is_some()).map(AsRef::as_ref)
    }
}
