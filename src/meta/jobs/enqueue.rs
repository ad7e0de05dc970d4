//! Enqueueing, within the transaction of the fact that causes it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lane::Lane;
use super::milliseconds;
use crate::meta::changes::Change;
use crate::meta::database::{Meta, Writing};
use crate::meta::scope::Scope;
use crate::meta::table::{Column, rows};
use crate::meta::{Error, twice};
use crate::oci::AccountId;

/// A payload says what the key does not, and never what can be read when the job runs.
pub const MAX_PAYLOAD_BYTES: usize = 16 << 10;

/// Bytes of a key, and of a destination.
const MAX_KEY_BYTES: usize = 1_024;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    pub queue: &'static str,
    /// Names the object. A queue has one job of a key at a time.
    pub key: String,
    /// Whose job it is; accounts take turns. `None` for the registry's own.
    pub account: Option<AccountId>,
    /// Where the work depends on a server: its name. While one does not answer, its jobs wait, and those of others go on.
    pub destination: String,
    /// JSON.
    pub payload: String,
    pub delay: Duration,
    pub urgency: Urgency,
}

/// What an enqueue asks of a job that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A fact changed: a run under way may not have seen it, so another one follows. A job that has failed goes on waiting.
    Fact,
    /// Its time has come: a run under way is as good. A job that has failed goes on waiting.
    Clock,
    /// Somebody asked for it now: a run under way is as good. A job that waits waits no longer, and its tries begin anew.
    Request,
}

impl NewJob {
    /// A fact of the registry's own, without a payload.
    pub fn new(queue: &'static str, key: impl Into<String>) -> Self {
        Self {
            queue,
            key: key.into(),
            account: None,
            destination: String::new(),
            payload: "{}".to_owned(),
            delay: Duration::ZERO,
            urgency: Urgency::Fact,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let of = |what, bytes: usize, limit: usize| match bytes > limit {
            true => Err(Error::TooLong { what, bytes, limit }),
            false => Ok(()),
        };
        of("payload of a job", self.payload.len(), MAX_PAYLOAD_BYTES)?;
        of("key of a job", self.key.len(), MAX_KEY_BYTES)?;
        of("destination of a job", self.destination.len(), MAX_KEY_BYTES)
    }
}

impl Meta {
    /// Enqueues in a transaction of its own: for whoever has no fact to write.
    pub async fn enqueue(&self, jobs: &[NewJob]) -> Result<(), Error> {
        twice(|| async {
            let mut writing = self.write(Scope::Rows).await?;
            writing.enqueue(jobs).await?;
            writing.commit().await
        })
        .await
    }
}

impl Writing {
    /// Enqueues as soon as this is committed, or never. A transaction calls it once, with all its jobs: rows of jobs are then taken in the
    /// order of their keys, and two transactions do not wait for each other in a circle.
    pub(in crate::meta) async fn enqueue(&mut self, jobs: &[NewJob]) -> Result<(), Error> {
        if jobs.is_empty() {
            return Ok(());
        }
        let mut by_key = BTreeMap::new();
        for job in jobs {
            job.check()?;
            by_key.insert((job.queue, job.key.as_str()), job);
        }
        let parameter: Vec<_> = by_key
            .into_values()
            .map(|job| {
                let lane = Lane::name_of(job.account, &job.destination);
                let again = i64::from(job.urgency == Urgency::Fact);
                let urgent = i64::from(job.urgency == Urgency::Request);
                (job.queue, job.key.as_str(), lane, job.payload.as_str(), milliseconds(job.delay), again, urgent)
            })
            .collect();
        let table = self.dialect.table(
            1,
            &[
                Column::Text("queue"),
                Column::Text("key"),
                Column::Text("lane"),
                Column::Text("payload"),
                Column::Number("delay_ms"),
                Column::Number("again"),
                Column::Number("urgent"),
            ],
        );
        let now = self.dialect.now();
        // `again` means nothing before a job is taken, which clears it; here it carries the urgency, which has no column of its own. 0 is the
        // clock, 1 a fact, 2 a request.
        let statement = format!(
            "INSERT INTO job (queue, key, lane, payload, state, run_at_ms, again, created_at_ms) \
             SELECT queue, key, lane, payload, 'ready', {now} + delay_ms, again + 2 * urgent, {now} FROM {table} AS asked \
             WHERE true ORDER BY queue, key \
             ON CONFLICT (queue, key) DO UPDATE SET lane = excluded.lane, payload = excluded.payload, \
             again = CASE WHEN job.state = 'leased' AND excluded.again = 1 THEN 1 \
             WHEN job.state = 'leased' THEN job.again ELSE 0 END, \
             run_at_ms = CASE WHEN job.state = 'leased' THEN job.run_at_ms \
             WHEN job.state = 'dead' OR excluded.again = 2 THEN excluded.run_at_ms \
             WHEN job.attempts > 0 OR job.run_at_ms < excluded.run_at_ms THEN job.run_at_ms ELSE excluded.run_at_ms END, \
             attempts = CASE WHEN job.state = 'dead' OR (job.state = 'ready' AND excluded.again = 2) THEN 0 \
             ELSE job.attempts END, \
             state = CASE WHEN job.state = 'dead' THEN 'ready' ELSE job.state END"
        );
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(rows(&parameter))
            .execute(self.connection())
            .await
            .map_err(Error::waiting)?;
        self.announce(Change::Jobs).await
    }
}
