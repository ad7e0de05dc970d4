//! What is to be done once in a while becomes a job when its time has come.
//!
//! When it was enqueued last is in the database, so that a restart puts nothing off, and one of all replicas enqueues it.

use std::time::Duration;

use super::dispatch::Trouble;
use super::listed::{Jobs, Queue};
use crate::meta::{self, Scheduled, Urgency};

/// At the longest: the database's clock may have been set.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// At the shortest: an interval may be a millisecond.
const SHORTEST: Duration = Duration::from_millis(10);

impl Jobs {
    pub(super) async fn follow_the_clock(&self) {
        let scheduled: Vec<Scheduled> = self.inner.queues.iter().filter_map(|queue| queue.scheduled.clone()).collect();
        let mut trouble = Trouble::default();
        while !self.inner.stop.is_cancelled() {
            let pause = match self.enqueue_due(&scheduled).await {
                Ok(pause) => {
                    trouble.is_over();
                    pause
                }
                Err(error) => trouble.pause(&error),
            };
            self.inner.stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    /// Returns for how long nothing is due.
    async fn enqueue_due(&self, scheduled: &[Scheduled]) -> Result<Duration, meta::Error> {
        let meta = &self.inner.meta;
        let due = meta.due_by_schedule(scheduled).await?;
        let mut pause = LOOK_EVERY;
        for one in scheduled.iter().filter(|one| one.when.is_some()) {
            match due.iter().find(|(known, _)| known == one) {
                None => {
                    meta.put_on_schedule(one).await?;
                    pause = SHORTEST;
                }
                Some((_, due_in_ms)) if *due_in_ms <= 0 => {
                    meta.enqueue_scheduled(one, &Queue::scheduled_job(one, Urgency::Clock)).await?;
                    pause = SHORTEST;
                }
                Some((_, due_in_ms)) => {
                    pause = pause.min(Duration::from_millis(u64::try_from(*due_in_ms).unwrap_or_default()));
                }
            }
        }
        Ok(pause.max(SHORTEST))
    }
}
