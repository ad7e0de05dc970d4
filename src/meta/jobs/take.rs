//! Taking jobs, with a lease for each, and keeping it.

use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{FromRow, Row as _};

use super::finish::JobProgress;
use super::lane::{Lane, MAX_LANES};
use super::{JobId, JobLease, milliseconds};
use crate::meta::database::Meta;
use crate::meta::scope::Scope;
use crate::meta::table::{Column, rows};
use crate::meta::{Error, twice};

/// What is taken in one transaction.
#[derive(Clone, Copy, Debug)]
pub struct Taking<'a> {
    pub queue: &'a str,
    /// Names of lanes, each with how many of its jobs are wanted.
    pub lanes: &'a [(&'a str, u32)],
    /// How long the lease is, unless it is renewed.
    pub lease: Duration,
    /// A job whose lease ended in this many tries is dead.
    pub max_attempts: u32,
    /// This replica, for operators.
    pub by: &'a str,
}

/// A job, and the lease of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenJob {
    pub lease: JobLease,
    pub queue: String,
    pub key: String,
    pub lane: String,
    pub payload: String,
    /// Where the last try came to.
    pub position: Option<String>,
    /// Counts tries, from 1.
    pub attempt: u32,
    /// By the database's clock.
    pub taken_at_ms: i64,
}

struct Row {
    id: i64,
    lease: i64,
    key: String,
    payload: String,
    position: Option<String>,
    attempts: i64,
    leased_at_ms: i64,
}

impl FromRow<'_, AnyRow> for Row {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            lease: row.try_get("lease")?,
            key: row.try_get("key")?,
            payload: row.try_get("payload")?,
            position: row.try_get("position")?,
            attempts: row.try_get("attempts")?,
            leased_at_ms: row.try_get("leased_at_ms")?,
        })
    }
}

impl TakenJob {
    /// Empty where it depends on none.
    pub fn destination(&self) -> &str {
        self.lane.split_once('/').map_or("", |(_, destination)| destination)
    }
}

impl Meta {
    /// When the first job of each of these queues may be taken, from now on. Queues without jobs are left out.
    pub async fn due(&self, queues: &[&str]) -> Result<Vec<(String, i64)>, Error> {
        let asked: Vec<_> = queues.iter().map(|queue| (*queue,)).collect();
        let table = self.dialect.table(1, &[Column::Text("queue")]);
        let statement = format!(
            "SELECT queue, run_at_ms - {} FROM (SELECT asked.queue, (SELECT MIN(job.run_at_ms) FROM job \
             WHERE job.queue = asked.queue AND job.state <> 'dead') AS run_at_ms FROM {table} AS asked) AS due \
             WHERE run_at_ms IS NOT NULL",
            self.dialect.now()
        );
        let due = sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(rows(&asked));
        due.fetch_all(&self.pool).await.map_err(Error::Query)
    }

    /// Lanes of a queue in which jobs are ready, wait or run, in order, after that of the name `after`. Costs a look into an index for each,
    /// however many jobs wait.
    pub async fn lanes(&self, queue: &str, after: &str) -> Result<Vec<Lane>, Error> {
        let statement = lanes_statement(self.dialect.now());
        let lanes: Vec<(String, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(queue)
            .bind(after)
            .bind(i64::from(MAX_LANES))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        Ok(lanes.into_iter().map(|(name, due_in_ms)| Lane::new(name, due_in_ms)).collect())
    }

    /// Takes what is due, the longest due first in each lane. Nobody else takes it before its lease ends. A job whose lease has ended in its
    /// last try is dead instead.
    pub async fn take(&self, taking: &Taking<'_>) -> Result<Vec<TakenJob>, Error> {
        twice(|| self.take_once(taking)).await
    }

    async fn take_once(&self, taking: &Taking<'_>) -> Result<Vec<TakenJob>, Error> {
        let (now, skip) = (self.dialect.now(), self.skip_locked());
        let bury = format!(
            "UPDATE job SET state = 'dead', run_at_ms = {now}, leased_by = '', last_error = \
             'the lease ended in the last of ' || attempts || ' tries: the process that ran it died or was cut off' \
             WHERE id IN (SELECT id FROM job WHERE queue = $1 AND lane = $2 AND state <> 'dead' AND state = 'leased' \
             AND run_at_ms <= {now} AND attempts >= $3 AND again = 0{skip})"
        );
        let take = take_statement(now, skip);
        let mut writing = self.write(Scope::Rows).await?;
        let mut taken = Vec::new();
        for (lane, wanted) in taking.lanes {
            sqlx::query(sqlx::AssertSqlSafe(bury.clone()))
                .bind(taking.queue)
                .bind(*lane)
                .bind(i64::from(taking.max_attempts))
                .execute(writing.connection())
                .await
                .map_err(Error::waiting)?;
            let found: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(take.clone()))
                .bind(taking.queue)
                .bind(*lane)
                .bind(i64::from(*wanted))
                .bind(milliseconds(taking.lease))
                .bind(i64::from(taking.max_attempts))
                .bind(taking.by)
                .fetch_all(writing.connection())
                .await
                .map_err(Error::waiting)?;
            for row in found {
                let mark = format!(
                    "UPDATE schedule SET run = run + 1, run_by = $3, started_at_ms = {now}, ended_at_ms = NULL, done = 0, total = 0, \
                     bytes = 0 WHERE queue = $1 AND key = $2"
                );
                sqlx::query(sqlx::AssertSqlSafe(mark))
                    .bind(taking.queue)
                    .bind(row.key.as_str())
                    .bind(taking.by)
                    .execute(writing.connection())
                    .await
                    .map_err(Error::waiting)?;
                taken.push(TakenJob {
                    lease: JobLease { job: JobId(row.id), number: row.lease },
                    queue: taking.queue.to_owned(),
                    key: row.key,
                    lane: (*lane).to_owned(),
                    payload: row.payload,
                    position: row.position,
                    attempt: u32::try_from(row.attempts).unwrap_or(u32::MAX),
                    taken_at_ms: row.leased_at_ms,
                });
            }
        }
        writing.commit().await?;
        Ok(taken)
    }

    /// Keeps a lease for so much longer, and writes down how far the work is. False when another one was given for the job: whoever held this
    /// one has to stop.
    pub async fn renew(&self, lease: JobLease, longer: Duration, progress: &JobProgress) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let statement = format!(
            "UPDATE job SET run_at_ms = {} + $3, position = $4, done = $5, total = $6, bytes = $7 \
             WHERE id = $1 AND lease = $2 AND state = 'leased'",
            self.dialect.now()
        );
        let renewed = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(lease.job.0)
            .bind(lease.number)
            .bind(milliseconds(longer))
            .bind(progress.position.as_deref())
            .bind(progress.done_sql())
            .bind(progress.total_sql())
            .bind(progress.bytes_sql())
            .execute(writing.connection())
            .await
            .map_err(Error::waiting)?;
        writing.commit().await?;
        Ok(renewed.rows_affected() > 0)
    }

    /// Whoever takes jobs passes over those that others are taking or merging (PostgreSQL; SQLite has one writer).
    fn skip_locked(&self) -> &'static str {
        match self.for_update() {
            "" => "",
            _ => " FOR UPDATE SKIP LOCKED",
        }
    }
}

/// Each step finds the next lane in the index, and none of the jobs between.
fn lanes_statement(now: &str) -> String {
    format!(
        "WITH RECURSIVE lanes(lane) AS (\
         SELECT (SELECT MIN(job.lane) FROM job WHERE job.queue = $1 AND job.state <> 'dead' AND job.lane > $2) \
         UNION ALL \
         SELECT (SELECT MIN(job.lane) FROM job WHERE job.queue = $1 AND job.state <> 'dead' AND job.lane > lanes.lane) \
         FROM lanes WHERE lanes.lane IS NOT NULL) \
         SELECT lane, (SELECT MIN(job.run_at_ms) FROM job \
         WHERE job.queue = $1 AND job.state <> 'dead' AND job.lane = lanes.lane) - {now} \
         FROM lanes WHERE lane IS NOT NULL LIMIT $3"
    )
}

/// A job that was enqueued while its last try ran, and whose lease ended then, begins anew.
fn take_statement(now: &str, skip: &str) -> String {
    format!(
        "WITH next AS MATERIALIZED (SELECT id FROM job WHERE queue = $1 AND lane = $2 AND state <> 'dead' \
         AND run_at_ms <= {now} ORDER BY run_at_ms LIMIT $3{skip}) \
         UPDATE job SET attempts = CASE WHEN attempts >= $5 THEN 1 ELSE attempts + 1 END, state = 'leased', \
         run_at_ms = {now} + $4, lease = lease + 1, leased_by = $6, leased_at_ms = {now}, again = 0, done = 0, total = 0, bytes = 0 \
         WHERE id IN (SELECT id FROM next) RETURNING id, lease, key, payload, position, attempts, leased_at_ms"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::jobs::NewJob;
    use crate::meta::tests::on_each;

    /// A queue of 100,000 jobs is looked at through its indexes.
    #[tokio::test]
    async fn a_hundred_thousand_jobs_are_taken_by_index() {
        on_each(async |meta| {
            let jobs: Vec<_> = (0..100_000)
                .map(|n| NewJob {
                    account: Some(format!("{:012}", n % 7).parse().unwrap()),
                    delay: Duration::from_secs(u64::from(n % 2 == 0) * 3_600),
                    ..NewJob::new("many", format!("{n:06}"))
                })
                .collect();
            for some in jobs.chunks(10_000) {
                meta.enqueue(some).await.unwrap();
            }
            if meta.is_shared() {
                meta.execute("ANALYZE job".to_owned()).await.unwrap();
            }
            let lanes = meta.lanes("many", "").await.unwrap();
            assert_eq!(lanes.len(), 7);
            assert!(lanes.iter().all(|lane| lane.due_in_ms <= 0), "{lanes:?}");
            let (now, skip) = (meta.dialect.now(), meta.skip_locked());
            let (lane, queue) = ("'000000000003/'", "'many'");
            let plain = |statement: String| {
                let statement = statement.replace("$1", queue).replace("$2", lane).replace("$3", "5");
                statement.replace("$4", "1").replace("$5", "9").replace("$6", "'me'")
            };
            for statement in [plain(take_statement(now, skip)), plain(lanes_statement(now))] {
                let plan = match meta.is_shared() {
                    true => {
                        let plan = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("EXPLAIN {statement}")));
                        // `EXPLAIN` of a write is refused where only reading is allowed.
                        let mut writing = meta.write(Scope::Rows).await.unwrap();
                        let plan: Vec<String> = plan.fetch_all(writing.connection()).await.unwrap();
                        plan.join("\n")
                    }
                    false => {
                        let plan = sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")));
                        let plan: Vec<(i64, i64, i64, String)> = plan.fetch_all(&meta.pool).await.unwrap();
                        plan.into_iter().map(|(.., step)| step).collect::<Vec<_>>().join("\n")
                    }
                };
                assert!(plan.contains("job_lane"), "{plan}");
                assert!(!plan.contains("Seq Scan on job") && !plan.contains("SCAN job"), "{plan}");
            }
            let taking = Taking {
                queue: "many",
                lanes: &[("000000000003/", 20), ("000000000005/", 20)],
                lease: Duration::from_secs(60),
                max_attempts: 3,
                by: "me",
            };
            for _ in 0..20 {
                assert_eq!(meta.take(&taking).await.unwrap().len(), 40);
            }
        })
        .await;
    }
}
