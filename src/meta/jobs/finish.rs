//! Ending a run, by the holder of the lease and nobody else.

use super::{JobLease, NewJob, milliseconds, shortened};
use crate::meta::changes::Change;
use crate::meta::database::{Meta, Writing};
use crate::meta::scope::Scope;
use crate::meta::{Error, twice};
use std::time::Duration;

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobProgress {
    /// Where another run goes on, as JSON.
    pub position: Option<String>,
    /// Objects that were looked at, of how many; 0 where that is not known.
    pub done: u64,
    pub total: u64,
    pub bytes: u64,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending<'a> {
    /// The job is done and gone, unless it was enqueued meanwhile. What follows from it is enqueued in the same transaction.
    Done { result: &'a str, next: &'a [NewJob] },
    /// It is tried again after `delay`; where this was the last try it is dead, unless it was enqueued meanwhile.
    Failed { error: &'a str, delay: Duration, is_last: bool },
    /// It did not come to its end, through no fault of its own: it is ready again, and this was no try.
    CutOff,
}

impl JobProgress {
    pub(super) fn done_sql(&self) -> i64 {
        i64::try_from(self.done).unwrap_or(i64::MAX)
    }

    pub(super) fn total_sql(&self) -> i64 {
        i64::try_from(self.total).unwrap_or(i64::MAX)
    }

    pub(super) fn bytes_sql(&self) -> i64 {
        i64::try_from(self.bytes).unwrap_or(i64::MAX)
    }
}

impl Meta {
    /// Ends a run. False, and nothing has changed, when another lease was given for the job, or it was dropped.
    pub async fn end_job(&self, lease: JobLease, ending: &Ending<'_>, progress: &JobProgress) -> Result<bool, Error> {
        twice(|| async {
            let mut writing = self.write(Scope::Rows).await?;
            if !writing.end_job(lease, ending, progress).await? {
                return Ok(false);
            }
            writing.commit().await?;
            Ok(true)
        })
        .await
    }
}

impl Writing {
    /// The same in the transaction of what the job has changed in this database: both happen, or neither. Where it is false, the transaction
    /// must be given up.
    pub(in crate::meta) async fn end_job(
        &mut self,
        lease: JobLease,
        ending: &Ending<'_>,
        progress: &JobProgress,
    ) -> Result<bool, Error> {
        let Some((queue, key)) = self.hold(lease).await? else { return Ok(false) };
        let now = self.dialect.now();
        match ending {
            Ending::Done { result, next } => {
                let gone = "DELETE FROM job WHERE id = $1 AND again = 0";
                let gone = sqlx::query(gone).bind(lease.job.0).execute(self.connection()).await?.rows_affected();
                if gone == 0 {
                    let again = format!(
                        "UPDATE job SET state = 'ready', run_at_ms = {now}, attempts = 0, again = 0, position = NULL, leased_by = '' \
                         WHERE id = $1"
                    );
                    sqlx::query(sqlx::AssertSqlSafe(again)).bind(lease.job.0).execute(self.connection()).await?;
                    self.announce(Change::Jobs).await?;
                }
                self.record(&queue, &key, Ok(result), progress).await?;
                self.enqueue(next).await?;
            }
            Ending::Failed { error, delay, is_last } => {
                let error = shortened(error);
                let failed = format!(
                    "UPDATE job SET run_at_ms = CASE WHEN $4 = 1 AND again = 0 THEN {now} ELSE {now} + $2 END, \
                     state = CASE WHEN $4 = 1 AND again = 0 THEN 'dead' ELSE 'ready' END, \
                     attempts = CASE WHEN $4 = 1 AND again = 1 THEN 0 ELSE attempts END, \
                     again = 0, last_error = $3, position = $5, leased_by = '' WHERE id = $1"
                );
                sqlx::query(sqlx::AssertSqlSafe(failed))
                    .bind(lease.job.0)
                    .bind(milliseconds(*delay))
                    .bind(error.as_str())
                    .bind(i64::from(*is_last))
                    .bind(progress.position.as_deref())
                    .execute(self.connection())
                    .await?;
                self.record(&queue, &key, Err(&error), progress).await?;
            }
            Ending::CutOff => {
                let cut = format!(
                    "UPDATE job SET state = 'ready', run_at_ms = {now}, attempts = CASE WHEN attempts > 0 THEN attempts - 1 ELSE 0 END, \
                     again = 0, position = $2, leased_by = '' WHERE id = $1"
                );
                let cut = sqlx::query(sqlx::AssertSqlSafe(cut)).bind(lease.job.0).bind(progress.position.as_deref());
                cut.execute(self.connection()).await?;
                self.announce(Change::Jobs).await?;
            }
        }
        Ok(true)
    }

    /// The row, held until the end of the transaction; `None` if the lease is not that of the job any more.
    async fn hold(&mut self, lease: JobLease) -> Result<Option<(String, String)>, Error> {
        // A write holds the row in both databases alike.
        let held =
            "UPDATE job SET lease = lease WHERE id = $1 AND lease = $2 AND state = 'leased' RETURNING queue, key";
        let held = sqlx::query_as(held).bind(lease.job.0).bind(lease.number);
        held.fetch_optional(self.connection()).await.map_err(Error::waiting)
    }

    /// What came of the last run of work that is scheduled.
    async fn record(
        &mut self,
        queue: &str,
        key: &str,
        came_of_it: Result<&str, &str>,
        progress: &JobProgress,
    ) -> Result<(), Error> {
        let statement = format!(
            "UPDATE schedule SET ended_at_ms = {}, result = $3, error = $4, done = $5, total = $6, bytes = $7 \
             WHERE queue = $1 AND key = $2",
            self.dialect.now()
        );
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(queue)
            .bind(key)
            .bind(came_of_it.ok())
            .bind(came_of_it.err())
            .bind(progress.done_sql())
            .bind(progress.total_sql())
            .bind(progress.bytes_sql())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
