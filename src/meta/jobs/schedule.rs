//! Work that is done once in a while: when it was last enqueued, and what came of the last run.

use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{FromRow, Row as _};

use super::{NewJob, Urgency, milliseconds};
use crate::meta::Error;
use crate::meta::database::{Meta, Writing};
use crate::meta::scope::Scope;
use crate::meta::table::{Column, rows};

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So long after it was enqueued last, for the first time so long after it was first known.
    Every(Duration),
    /// In each span of time that begins at a whole multiple of this (each hour, each day), as soon as there is a replica.
    InEach(Duration),
}

/// What is done once in a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    pub queue: &'static str,
    /// The name of a replica that does it for itself; empty where one does it for all.
    pub key: String,
    /// `None` for what is done only when somebody asks.
    pub when: Option<When>,
}

/// A job of the schedule, and its last run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScheduleRow {
    pub is_running: bool,
    /// It waits, and its time has come.
    pub is_due: bool,
    pub run: u64,
    pub run_by: String,
    pub started_at_ms: Option<i64>,
    pub ended_at_ms: Option<i64>,
    pub done: u64,
    pub total: u64,
    pub bytes: u64,
    /// JSON.
    pub result: Option<String>,
    pub error: Option<String>,
}

struct Row {
    state: Option<String>,
    due_in_ms: Option<i64>,
    job_done: Option<i64>,
    job_total: Option<i64>,
    job_bytes: Option<i64>,
    run: i64,
    run_by: String,
    started_at_ms: Option<i64>,
    ended_at_ms: Option<i64>,
    done: i64,
    total: i64,
    bytes: i64,
    result: Option<String>,
    error: Option<String>,
}

impl FromRow<'_, AnyRow> for Row {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            state: row.try_get("state")?,
            due_in_ms: row.try_get("due_in_ms")?,
            job_done: row.try_get("job_done")?,
            job_total: row.try_get("job_total")?,
            job_bytes: row.try_get("job_bytes")?,
            run: row.try_get("run")?,
            run_by: row.try_get("run_by")?,
            started_at_ms: row.try_get("started_at_ms")?,
            ended_at_ms: row.try_get("ended_at_ms")?,
            done: row.try_get("done")?,
            total: row.try_get("total")?,
            bytes: row.try_get("bytes")?,
            result: row.try_get("result")?,
            error: row.try_get("error")?,
        })
    }
}

impl When {
    fn every_ms(self) -> i64 {
        let (Self::Every(every) | Self::InEach(every)) = self;
        milliseconds(every).max(1)
    }

    const fn is_aligned(self) -> bool {
        matches!(self, Self::InEach(_))
    }
}

impl Meta {
    /// Makes sure that the schedule has this work; what it knows of the last run stays.
    pub async fn put_on_schedule(&self, scheduled: &Scheduled) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let first = match scheduled.when {
            Some(When::InEach(_)) => "0",
            _ => writing.dialect.now(),
        };
        let statement = format!(
            "INSERT INTO schedule (queue, key, enqueued_at_ms) VALUES ($1, $2, {first}) ON CONFLICT (queue, key) DO NOTHING"
        );
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(scheduled.queue)
            .bind(scheduled.key.as_str())
            .execute(writing.connection())
            .await?;
        writing.commit().await
    }

    /// When each of these is due, from now on. What is not on the schedule is left out.
    pub async fn due_by_schedule(&self, scheduled: &[Scheduled]) -> Result<Vec<(Scheduled, i64)>, Error> {
        let asked: Vec<_> = scheduled
            .iter()
            .filter_map(|one| {
                let when = one.when?;
                Some((one.queue, one.key.as_str(), when.every_ms(), i64::from(when.is_aligned())))
            })
            .collect();
        let columns =
            [Column::Text("queue"), Column::Text("key"), Column::Number("every_ms"), Column::Number("aligned")];
        // A time that lies ahead was written before the database's clock was set back: nobody waits for it.
        let statement = format!(
            "SELECT asked.queue, asked.key, CASE WHEN schedule.enqueued_at_ms > {now} THEN 0 \
             WHEN asked.aligned = 1 THEN (schedule.enqueued_at_ms / asked.every_ms + 1) * asked.every_ms - {now} \
             ELSE schedule.enqueued_at_ms + asked.every_ms - {now} END \
             FROM {table} AS asked JOIN schedule ON schedule.queue = asked.queue AND schedule.key = asked.key",
            now = self.dialect.now(),
            table = self.dialect.table(1, &columns)
        );
        let due: Vec<(String, String, i64)> =
            sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(rows(&asked)).fetch_all(&self.pool).await?;
        Ok(due
            .into_iter()
            .filter_map(|(queue, key, due_in_ms)| {
                let of = scheduled.iter().find(|one| one.queue == queue && one.key == key)?;
                Some((of.clone(), due_in_ms))
            })
            .collect())
    }

    /// Enqueues it if it is due, which of several replicas one does.
    pub async fn enqueue_scheduled(&self, scheduled: &Scheduled, job: &NewJob) -> Result<bool, Error> {
        let Some(when) = scheduled.when else { return Ok(false) };
        let mut writing = self.write(Scope::Rows).await?;
        let statement = format!(
            "UPDATE schedule SET enqueued_at_ms = {now} WHERE queue = $1 AND key = $2 AND (enqueued_at_ms > {now} OR \
             CASE WHEN $4 = 1 THEN (enqueued_at_ms / $3 + 1) * $3 ELSE enqueued_at_ms + $3 END <= {now})",
            now = writing.dialect.now()
        );
        let claimed = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(scheduled.queue)
            .bind(scheduled.key.as_str())
            .bind(when.every_ms())
            .bind(i64::from(when.is_aligned()))
            .execute(writing.connection())
            .await
            .map_err(Error::waiting)?;
        if claimed.rows_affected() == 0 {
            return Ok(false);
        }
        let job = NewJob { urgency: Urgency::Clock, ..job.clone() };
        writing.enqueue(&[job]).await?;
        writing.commit().await?;
        Ok(true)
    }

    /// `None` if it is not on the schedule.
    pub async fn scheduled_run(&self, queue: &str, key: &str) -> Result<Option<ScheduleRow>, Error> {
        let statement = format!(
            "SELECT job.state, job.run_at_ms - {} AS due_in_ms, job.done AS job_done, job.total AS job_total, job.bytes AS job_bytes, \
             run, run_by, started_at_ms, ended_at_ms, schedule.done, schedule.total, schedule.bytes, result, error \
             FROM schedule LEFT JOIN job ON job.queue = schedule.queue AND job.key = schedule.key \
             WHERE schedule.queue = $1 AND schedule.key = $2",
            self.dialect.now()
        );
        let row: Option<Row> =
            sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(queue).bind(key).fetch_optional(&self.pool).await?;
        Ok(row.map(ScheduleRow::from))
    }

    /// Forgets what replicas were to do for themselves that have enqueued nothing for so long: they are gone. Returns how many rows.
    pub async fn forget_replicas(&self, gone_for: Duration) -> Result<u64, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let forgotten = writing.forget_replicas(gone_for).await?;
        writing.commit().await?;
        Ok(forgotten)
    }
}

impl Writing {
    async fn forget_replicas(&mut self, gone_for: Duration) -> Result<u64, Error> {
        let (now, gone_for) = (self.dialect.now(), milliseconds(gone_for));
        let jobs = format!(
            "DELETE FROM job WHERE key <> '' AND run_at_ms < {now} - $1 AND EXISTS (SELECT 1 FROM schedule \
             WHERE schedule.queue = job.queue AND schedule.key = job.key AND enqueued_at_ms < {now} - $1)"
        );
        sqlx::query(sqlx::AssertSqlSafe(jobs)).bind(gone_for).execute(self.connection()).await?;
        let rows = format!(
            "DELETE FROM schedule WHERE key <> '' AND enqueued_at_ms < {now} - $1 AND COALESCE(started_at_ms, 0) < {now} - $1 \
             AND NOT EXISTS (SELECT 1 FROM job WHERE schedule.queue = job.queue AND schedule.key = job.key)"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(rows)).bind(gone_for).execute(self.connection()).await?;
        Ok(rows.rows_affected())
    }
}

impl From<Row> for ScheduleRow {
    fn from(row: Row) -> Self {
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        let is_running = row.state.as_deref() == Some("leased") && row.due_in_ms.is_some_and(|due| due > 0);
        // While it runs the job knows how far it is.
        let of_run =
            |job: Option<i64>, last: i64| if is_running { count(job.unwrap_or_default()) } else { count(last) };
        Self {
            is_running,
            is_due: matches!(row.state.as_deref(), Some("ready" | "leased"))
                && row.due_in_ms.is_some_and(|due| due <= 0),
            run: count(row.run),
            run_by: row.run_by,
            started_at_ms: row.started_at_ms,
            ended_at_ms: row.ended_at_ms,
            done: of_run(row.job_done, row.done),
            total: of_run(row.job_total, row.total),
            bytes: of_run(row.job_bytes, row.bytes),
            result: row.result,
            error: row.error,
        }
    }
}
