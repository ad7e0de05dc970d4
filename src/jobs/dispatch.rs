//! Taking jobs when there are places for them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::Way;
use super::listed::{Jobs, Queue, Turn};
use super::turns::share;
use super::work::lock;
use crate::meta::{self, Change, Lane, Taking};

/// An announcement may be lost; nothing waits for longer than this.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Jobs that are due and cannot be had are being taken or merged by others.
const HELD_BY_OTHERS: Duration = Duration::from_millis(100);

/// While the database fails: seconds, from the first pause to the longest.
const PAUSES: [u64; 6] = [1, 2, 4, 8, 15, 30];

/// Between two counts of what waits.
const COUNT_EVERY: Duration = Duration::from_secs(15);

/// The name under which metrics count the jobs of queues that this version does not know.
const UNKNOWN: &str = "unknown";

/// Failures of the database in a row; the first is told.
#[derive(Default)]
pub(super) struct Trouble(usize);

impl Trouble {
    pub(super) fn is_over(&mut self) {
        if std::mem::take(&mut self.0) > 0 {
            tracing::info!("the queue of jobs can be reached again");
        }
    }

    /// How long to wait.
    pub(super) fn pause(&mut self, error: &meta::Error) -> Duration {
        if self.0 == 0 {
            tracing::warn!(%error, "the queue of jobs cannot be reached, and no job begins: look at the database");
        }
        let pause = Duration::from_secs(PAUSES.get(self.0).or(PAUSES.last()).copied().unwrap_or(30));
        self.0 += 1;
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

impl Jobs {
    /// Takes jobs and starts them until these are closed; with `only`, those of one queue.
    pub(super) async fn dispatch(&self, only: Option<&str>) {
        let (inner, mut changes, mut trouble) = (&self.inner, self.inner.meta.changes(), Trouble::default());
        while !inner.stop.is_cancelled() {
            let pause = match self.look(only).await {
                Ok(pause) => {
                    trouble.is_over();
                    pause
                }
                Err(error) => {
                    let pause = tokio::time::sleep(trouble.pause(&error));
                    inner.stop.run_until_cancelled(pause).await;
                    continue;
                }
            };
            tokio::select! {
                () = inner.stop.cancelled() => {}
                () = changes.next_of(Change::Jobs) => {}
                () = inner.freed.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Takes what there are places for. Returns how long nothing more is to be expected.
    async fn look(&self, only: Option<&str>) -> Result<Duration, meta::Error> {
        let free = |queue: &&Arc<Queue>| queue.places.available_permits() > 0;
        let asked = self.inner.queues.iter().filter(|queue| only.is_none_or(|only| queue.name() == only));
        let asked: Vec<_> = asked.filter(free).collect();
        let names: Vec<&str> = asked.iter().map(|queue| queue.name()).collect();
        let mut pause = LOOK_EVERY;
        if names.is_empty() {
            return Ok(pause);
        }
        for (name, due_in_ms) in self.inner.meta.due(&names).await? {
            let Some(queue) = asked.iter().find(|queue| queue.name() == name) else { continue };
            pause = pause.min(match u64::try_from(due_in_ms) {
                Ok(ms) if ms > 0 => Duration::from_millis(ms),
                _ => self.take_of(queue).await?,
            });
        }
        Ok(pause)
    }

    /// Takes jobs of a queue, as many as there are places, and starts them.
    async fn take_of(&self, queue: &Arc<Queue>) -> Result<Duration, meta::Error> {
        let inner = &self.inner;
        let turn = lock(&queue.turn).clone();
        let found = inner.meta.lanes(queue.name(), &turn.lane).await?;
        // The next look goes on behind these; past the last lane it begins at the first.
        let next_lane = match found.last() {
            Some(last) if found.len() >= meta::MAX_LANES as usize => last.name().to_owned(),
            _ => String::new(),
        };
        let has_more = !next_lane.is_empty();
        let own = Lane::name_of(None, &inner.replica);
        let lanes: Vec<Lane> = found.into_iter().filter(|lane| !queue.is_own || lane.name() == own).collect();
        let (now, places) = (Instant::now(), u32::try_from(queue.places.available_permits()).unwrap_or(u32::MAX));
        let mut pause = LOOK_EVERY;
        let mut is_held = false;
        for lane in &lanes {
            pause = pause.min(match (u64::try_from(lane.due_in_ms), inner.breakers.way(lane.destination(), now)) {
                (Ok(ms), _) if ms > 0 => Duration::from_millis(ms),
                (_, Way::Shut(until)) => until - now,
                (_, Way::Asked) => LOOK_EVERY,
                (_, Way::Free | Way::One) => {
                    is_held = true;
                    LOOK_EVERY
                }
            });
        }
        let shares = share(&lanes, places, &turn.account, |lane| match inner.breakers.way(lane.destination(), now) {
            Way::Free => u32::MAX,
            Way::One => 1,
            Way::Shut(_) | Way::Asked => 0,
        });
        let account = shares.last().map(|(lane, _)| lane.split_once('/').map_or("", |(account, _)| account).to_owned());
        *lock(&queue.turn) = Turn { account: account.unwrap_or(turn.account), lane: next_lane };
        if shares.is_empty() {
            return Ok(if has_more { Duration::ZERO } else { pause });
        }
        let policy = queue.work.policy();
        let wanted: Vec<(&str, u32)> = shares.iter().map(|(lane, count)| (lane.as_str(), *count)).collect();
        let taking = Taking {
            queue: queue.name(),
            lanes: &wanted,
            lease: policy.lease,
            max_attempts: policy.retry.attempts,
            by: &inner.replica,
        };
        // The lease may have begun at any time from here on.
        let began = Instant::now();
        let taken = inner.meta.take(&taking).await?;
        if taken.is_empty() {
            return Ok(if is_held { HELD_BY_OTHERS } else { pause });
        }
        for job in taken {
            inner.breakers.begins(job.destination());
            let Ok(place) = queue.places.clone().try_acquire_owned() else {
                // Nobody else takes places; its lease would end by itself.
                tracing::error!(queue = queue.name(), key = job.key, "a job was taken without a place for it");
                continue;
            };
            let running = self.clone().run(queue.clone(), job, began + policy.lease, place);
            inner.tasks.spawn(running);
        }
        Ok(Duration::ZERO)
    }

    /// Tells metrics what waits, until these are closed.
    pub(super) async fn observe(&self) {
        let inner = &self.inner;
        while !inner.stop.is_cancelled() {
            // A failure is told by whoever takes jobs.
            if let Ok(counts) = inner.meta.count_jobs(&inner.replica).await {
                let known = inner.queues.iter().map(|queue| queue.name());
                for name in known.chain([UNKNOWN]) {
                    let is_meant = |queue: &str| match name {
                        UNKNOWN => inner.queues.iter().all(|known| known.name() != queue),
                        _ => queue == name,
                    };
                    let (mut waiting, mut dead, mut oldest_ms) = (0, 0, 0);
                    for count in counts.iter().filter(|count| is_meant(&count.queue)) {
                        waiting += count.waiting;
                        dead += count.dead;
                        oldest_ms = count.oldest_ms.max(oldest_ms);
                    }
                    let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
                    inner.metrics.jobs.with_label_values(&[name]).set(gauge(waiting));
                    inner.metrics.jobs_dead.with_label_values(&[name]).set(gauge(dead));
                    inner.metrics.jobs_oldest_seconds.with_label_values(&[name]).set(gauge(oldest_ms / 1_000));
                }
            }
            inner.stop.run_until_cancelled(tokio::time::sleep(COUNT_EVERY)).await;
        }
    }
}
