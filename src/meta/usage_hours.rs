//! What was used in each hour, by repository and principal, and what repositories held.
//!
//! Rows are added to, never replaced, so that replicas need not know of each other. Reading sums them up; `usage_sums.rs` does that.

use std::ops::AddAssign;

use super::database::Meta;
use super::error::Error;
use super::hosted::{from_sql, to_sql};
use super::scope::Scope;
use crate::oci::AccountId;

/// What is counted. Bytes are those of bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageCounts {
    pub requests: u64,
    /// Manifests that were read.
    pub pulls: u64,
    /// Manifests that were put.
    pub pushes: u64,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    /// Of the bytes sent, those of repositories of upstreams.
    pub relayed_bytes: u64,
    /// Bytes that upstreams sent.
    pub fetched_bytes: u64,
}

/// What one principal did with one repository in an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// The hour's beginning.
    pub hour_ms: i64,
    pub account: AccountId,
    pub repository: String,
    pub principal: String,
    pub counts: UsageCounts,
}

/// What a repository of one's own holds: its blobs, each at its full size whoever else has it, and its manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    pub account: AccountId,
    pub repository: String,
    pub bytes: u64,
}

impl AddAssign for UsageCounts {
    fn add_assign(&mut self, more: Self) {
        self.requests += more.requests;
        self.pulls += more.pulls;
        self.pushes += more.pushes;
        self.received_bytes += more.received_bytes;
        self.sent_bytes += more.sent_bytes;
        self.relayed_bytes += more.relayed_bytes;
        self.fetched_bytes += more.fetched_bytes;
    }
}

impl Meta {
    /// Adds to the rows of these hours, all or nothing. Rows in the order of their keys never wait for those of another replica in
    /// a circle.
    pub async fn add_usage(&self, rows: &[UsageRow]) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        for row in rows {
            let counts = row.counts;
            sqlx::query(
                "INSERT INTO usage_hour (hour_ms, account, repository, principal, requests, pulls, pushes, received_bytes, \
                 sent_bytes, relayed_bytes, fetched_bytes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                 ON CONFLICT (hour_ms, account, repository, principal) DO UPDATE SET \
                 requests = usage_hour.requests + excluded.requests, pulls = usage_hour.pulls + excluded.pulls, \
                 pushes = usage_hour.pushes + excluded.pushes, \
                 received_bytes = usage_hour.received_bytes + excluded.received_bytes, \
                 sent_bytes = usage_hour.sent_bytes + excluded.sent_bytes, \
                 relayed_bytes = usage_hour.relayed_bytes + excluded.relayed_bytes, \
                 fetched_bytes = usage_hour.fetched_bytes + excluded.fetched_bytes",
            )
            .bind(row.hour_ms)
            .bind(row.account.as_str())
            .bind(row.repository.as_str())
            .bind(row.principal.as_str())
            .bind(to_sql(counts.requests))
            .bind(to_sql(counts.pulls))
            .bind(to_sql(counts.pushes))
            .bind(to_sql(counts.received_bytes))
            .bind(to_sql(counts.sent_bytes))
            .bind(to_sql(counts.relayed_bytes))
            .bind(to_sql(counts.fetched_bytes))
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        }
        writing.commit().await
    }

    /// What repositories of one's own hold now, in order of their accounts and names, after `last`.
    pub async fn stored_now(&self, last: Option<&StoredRow>, limit: u32) -> Result<Vec<StoredRow>, Error> {
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT account, name, CAST(\
             (SELECT COALESCE(SUM(blob_link.size), 0) FROM blob_link WHERE blob_link.repository_id = repository.id) + \
             (SELECT COALESCE(SUM(manifest.size), 0) FROM manifest WHERE manifest.repository_id = repository.id) AS BIGINT) \
             FROM repository WHERE (account, name) > ($1, $2) AND upstream IS NULL ORDER BY account, name LIMIT $3",
        )
        .bind(last.map_or("", |last| last.account.as_str()))
        .bind(last.map_or("", |last| last.repository.as_str()))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(Error::Query)?;
        let row = |(account, repository, bytes): (String, String, i64)| {
            let account = account.parse().map_err(|_| Error::Malformed { what: "an account", text: account })?;
            Ok(StoredRow { account, repository, bytes: from_sql(bytes) })
        };
        rows.into_iter().map(row).collect()
    }

    /// Notes what repositories held in an hour. What was noted before is replaced.
    pub async fn put_stored(&self, hour_ms: i64, rows: &[StoredRow]) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        for row in rows {
            sqlx::query(
                "INSERT INTO stored_hour (hour_ms, account, repository, bytes) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (hour_ms, account, repository) DO UPDATE SET bytes = excluded.bytes",
            )
            .bind(hour_ms)
            .bind(row.account.as_str())
            .bind(row.repository.as_str())
            .bind(to_sql(row.bytes))
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        }
        writing.commit().await
    }

    /// What all repositories held in an hour, if anyone noted it.
    pub async fn stored_in(&self, hour_ms: i64) -> Result<Option<u64>, Error> {
        let sum: Option<i64> =
            sqlx::query_scalar("SELECT CAST(SUM(bytes) AS BIGINT) FROM stored_hour WHERE hour_ms = $1")
                .bind(hour_ms)
                .fetch_one(&self.pool)
                .await
                .map_err(Error::Query)?;
        Ok(sum.map(from_sql))
    }

    /// Removes at most `limit` rows of each kind of hours before this one. Returns how many.
    pub async fn remove_usage(&self, before_ms: i64, limit: u32) -> Result<u64, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let mut removed = 0;
        for statement in [
            "DELETE FROM usage_hour WHERE (hour_ms, account, repository, principal) IN \
             (SELECT hour_ms, account, repository, principal FROM usage_hour WHERE hour_ms < $1 \
             ORDER BY hour_ms, account, repository, principal LIMIT $2)",
            "DELETE FROM stored_hour WHERE (hour_ms, account, repository) IN \
             (SELECT hour_ms, account, repository FROM stored_hour WHERE hour_ms < $1 \
             ORDER BY hour_ms, account, repository LIMIT $2)",
        ] {
            let done = sqlx::query(statement)
                .bind(before_ms)
                .bind(i64::from(limit))
                .execute(writing.connection())
                .await
                .map_err(Error::Query)?;
            removed += done.rows_affected();
        }
        writing.commit().await?;
        Ok(removed)
    }
}
