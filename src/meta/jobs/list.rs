//! What operators see of the queue, and what they may do to it.

use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{FromRow, Row as _};

use super::JobId;
use crate::meta::changes::Change;
use crate::meta::database::Meta;
use crate::meta::scope::Scope;
use crate::meta::{Error, twice};

/// Jobs that are dropped in one transaction.
const STEP: i64 = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// It is ready, or will be at its time.
    Waiting,
    Running,
    /// Its tries have come to an end.
    Dead,
}

/// Which jobs are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    pub queue: Option<String>,
    pub state: Option<JobState>,
}

/// A job as it is shown. Times are the database's; `now_ms` says what they are to be compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobRow {
    pub id: i64,
    pub queue: String,
    pub key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub destination: String,
    pub payload: String,
    pub state: JobState,
    /// Of one that waits: when it may run. Of one that runs: when its lease ends. Of a dead one: since when.
    pub at_ms: i64,
    pub attempts: u32,
    /// Whether it runs once more, because it was enqueued while it ran.
    pub again: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub replica: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    pub done: u64,
    pub total: u64,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub created_at_ms: i64,
    pub now_ms: i64,
}

/// How many jobs a queue has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueCount {
    pub queue: String,
    /// Those that wait or run.
    pub waiting: u64,
    pub dead: u64,
    /// How long the one that is due longest has been due; 0 when none is.
    pub oldest_ms: u64,
}

struct Row {
    id: i64,
    queue: String,
    key: String,
    lane: String,
    payload: String,
    state: String,
    run_at_ms: i64,
    attempts: i64,
    leased_by: String,
    again: i64,
    position: Option<String>,
    done: i64,
    total: i64,
    bytes: i64,
    last_error: Option<String>,
    created_at_ms: i64,
    now_ms: i64,
}

impl FromRow<'_, AnyRow> for Row {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            queue: row.try_get("queue")?,
            key: row.try_get("key")?,
            lane: row.try_get("lane")?,
            payload: row.try_get("payload")?,
            state: row.try_get("state")?,
            run_at_ms: row.try_get("run_at_ms")?,
            attempts: row.try_get("attempts")?,
            leased_by: row.try_get("leased_by")?,
            again: row.try_get("again")?,
            position: row.try_get("position")?,
            done: row.try_get("done")?,
            total: row.try_get("total")?,
            bytes: row.try_get("bytes")?,
            last_error: row.try_get("last_error")?,
            created_at_ms: row.try_get("created_at_ms")?,
            now_ms: row.try_get("now_ms")?,
        })
    }
}

impl JobState {
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Running, Self::Dead];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Dead => "dead",
        }
    }

    const fn stored(self) -> &'static str {
        match self {
            Self::Waiting => "ready",
            Self::Running => "leased",
            Self::Dead => "dead",
        }
    }
}

impl From<Row> for JobRow {
    fn from(row: Row) -> Self {
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        let (account, destination) = row.lane.split_once('/').unwrap_or_default();
        let state = match row.state.as_str() {
            "leased" => JobState::Running,
            "dead" => JobState::Dead,
            _ => JobState::Waiting,
        };
        Self {
            id: row.id,
            queue: row.queue,
            key: row.key,
            account: account.to_owned(),
            destination: destination.to_owned(),
            payload: row.payload,
            state,
            at_ms: row.run_at_ms,
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
            again: state == JobState::Running && row.again == 1,
            replica: row.leased_by,
            position: row.position,
            done: count(row.done),
            total: count(row.total),
            bytes: count(row.bytes),
            error: row.last_error,
            created_at_ms: row.created_at_ms,
            now_ms: row.now_ms,
        }
    }
}

impl Meta {
    /// Jobs in the order of their ids, after `after`.
    pub async fn jobs(&self, filter: &JobFilter, after: Option<JobId>, limit: u32) -> Result<Vec<JobRow>, Error> {
        let statement = format!(
            "{} WHERE ($1 = '' OR queue = $1) AND ($2 = '' OR state = $2) AND id > $3 ORDER BY id LIMIT $4",
            self.select()
        );
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(filter.queue.as_deref().unwrap_or_default())
            .bind(filter.state.map(JobState::stored).unwrap_or_default())
            .bind(after.map_or(i64::MIN, |id| id.0))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.into_iter().map(JobRow::from).collect())
    }

    pub async fn job(&self, id: JobId) -> Result<Option<JobRow>, Error> {
        let statement = format!("{} WHERE id = $1", self.select());
        let row: Option<Row> =
            sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(id.0).fetch_optional(&self.pool).await?;
        Ok(row.map(JobRow::from))
    }

    /// Lets a job that is dead or waits run now, its tries beginning anew. False if there is none, or it runs.
    pub async fn retry_job(&self, id: JobId) -> Result<bool, Error> {
        self.retry(id.0, "").await.map(|retried| retried > 0)
    }

    /// The same for the dead jobs of a queue. Returns how many.
    pub async fn retry_dead(&self, queue: &str) -> Result<u64, Error> {
        self.retry(i64::MIN, queue).await
    }

    async fn retry(&self, id: i64, queue_of_dead: &str) -> Result<u64, Error> {
        twice(|| async {
            let mut writing = self.write(Scope::Rows).await?;
            let statement = format!(
                "UPDATE job SET state = 'ready', run_at_ms = {}, attempts = 0 WHERE id IN (SELECT id FROM job \
                 WHERE (id = $1 AND state <> 'leased') OR (queue = $2 AND state = 'dead') ORDER BY id{})",
                self.dialect.now(),
                self.for_update()
            );
            let retried = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(id).bind(queue_of_dead);
            let retried = retried.execute(writing.connection()).await.map_err(Error::waiting)?.rows_affected();
            writing.announce(Change::Jobs).await?;
            writing.commit().await?;
            Ok(retried)
        })
        .await
    }

    /// Forgets a job that is dead or waits: nobody does it. False if there is none, or it runs.
    pub async fn drop_job(&self, id: JobId) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let statement = "DELETE FROM job WHERE id = $1 AND state <> 'leased'";
        let dropped = sqlx::query(statement).bind(id.0).execute(writing.connection()).await.map_err(Error::waiting)?;
        writing.commit().await?;
        Ok(dropped.rows_affected() > 0)
    }

    /// Forgets jobs that have been dead for longer than this. Returns how many.
    pub async fn drop_long_dead(&self, longer: std::time::Duration) -> Result<u64, Error> {
        let statement = format!(
            "DELETE FROM job WHERE id IN (SELECT id FROM job WHERE state = 'dead' AND run_at_ms < {} - $1 ORDER BY id LIMIT $2)",
            self.dialect.now()
        );
        let mut dropped = 0;
        loop {
            let mut writing = self.write(Scope::Rows).await?;
            let some = sqlx::query(sqlx::AssertSqlSafe(statement.clone()))
                .bind(super::milliseconds(longer))
                .bind(STEP)
                .execute(writing.connection())
                .await?
                .rows_affected();
            writing.commit().await?;
            dropped += some;
            if some < STEP.cast_unsigned() {
                return Ok(dropped);
            }
        }
    }

    /// How many jobs each queue has that has any. Those that only another replica can do are left out: it tells of them.
    pub async fn count_jobs(&self, replica: &str) -> Result<Vec<QueueCount>, Error> {
        let statement = format!(
            "SELECT queue, CAST(SUM(CASE WHEN state = 'dead' THEN 0 ELSE 1 END) AS BIGINT), \
             CAST(SUM(CASE WHEN state = 'dead' THEN 1 ELSE 0 END) AS BIGINT), \
             {} - MIN(CASE WHEN state = 'dead' THEN NULL ELSE run_at_ms END) FROM job \
             WHERE key = $1 OR NOT EXISTS (SELECT 1 FROM schedule WHERE schedule.queue = job.queue AND schedule.key = job.key \
             AND schedule.key <> '') GROUP BY queue ORDER BY queue",
            self.dialect.now()
        );
        let rows: Vec<(String, i64, i64, Option<i64>)> =
            sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(replica).fetch_all(&self.pool).await?;
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        Ok(rows
            .into_iter()
            .map(|(queue, waiting, dead, oldest)| QueueCount {
                queue,
                waiting: count(waiting),
                dead: count(dead),
                oldest_ms: count(oldest.unwrap_or_default()),
            })
            .collect())
    }

    fn select(&self) -> String {
        format!(
            "SELECT id, queue, key, lane, payload, state, run_at_ms, attempts, leased_by, again, position, done, total, bytes, last_error, \
             created_at_ms, {} AS now_ms FROM job",
            self.dialect.now()
        )
    }
}
