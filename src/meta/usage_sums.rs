//! Reading what was used: sums over hours, by one thing at a time.

use super::database::Meta;
use super::error::Error;
use super::hosted::from_sql;
use super::usage_hours::UsageCounts;
use crate::oci::AccountId;

/// By what usage is summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageBy {
    Repository,
    Principal,
    Hour,
}

/// Which usage is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRange {
    pub account: AccountId,
    /// The first hour's beginning.
    pub since_ms: i64,
    /// Hours that begin before this.
    pub until_ms: i64,
    /// A repository's name; `*` stands for any characters, also none.
    pub repository: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageSum {
    /// A repository, a principal, or the milliseconds of an hour's beginning; empty for the sum of all.
    pub of: String,
    pub counts: UsageCounts,
    /// What was held: in the hour, or in the last hour of the range in which it was noted.
    pub stored_bytes: u64,
}

type Columns = (String, i64, i64, i64, i64, i64, i64, i64, i64);

const SUMS: &str = "CAST(COALESCE(SUM(requests), 0) AS BIGINT), CAST(COALESCE(SUM(pulls), 0) AS BIGINT), \
                    CAST(COALESCE(SUM(pushes), 0) AS BIGINT), CAST(COALESCE(SUM(received_bytes), 0) AS BIGINT), \
                    CAST(COALESCE(SUM(sent_bytes), 0) AS BIGINT), CAST(COALESCE(SUM(relayed_bytes), 0) AS BIGINT), \
                    CAST(COALESCE(SUM(fetched_bytes), 0) AS BIGINT), CAST(COALESCE(SUM(stored_bytes), 0) AS BIGINT)";

const IN_RANGE: &str = "account = $1 AND hour_ms >= $2 AND hour_ms < $3 AND repository LIKE $4 ESCAPE '\\'";

const LAST_NOTED: &str =
    "AND hour_ms = (SELECT MAX(hour_ms) FROM stored_hour WHERE account = $1 AND hour_ms >= $2 AND hour_ms < $3)";

impl Meta {
    /// At most `limit` sums: hours in their order, others by the bytes that went to and fro, most first.
    pub async fn usage(&self, range: &UsageRange, by: UsageBy, limit: u32) -> Result<Vec<UsageSum>, Error> {
        let (name, order) = match by {
            UsageBy::Repository => {
                ("repository", "SUM(received_bytes) + SUM(sent_bytes) DESC, SUM(stored_bytes) DESC, 1")
            }
            UsageBy::Principal => ("principal", "SUM(received_bytes) + SUM(sent_bytes) DESC, 1"),
            UsageBy::Hour => ("CAST(hour_ms AS TEXT)", "1"),
        };
        // Nobody in particular holds what is stored.
        let stored = match by {
            UsageBy::Repository => Some(LAST_NOTED),
            UsageBy::Hour => Some(""),
            UsageBy::Principal => None,
        };
        self.usage_sums(range, name, stored, order, limit).await
    }

    /// The sum of all.
    pub async fn usage_total(&self, range: &UsageRange) -> Result<UsageSum, Error> {
        let mut sums = self.usage_sums(range, "''", Some(LAST_NOTED), "1", 1).await?;
        Ok(sums.pop().unwrap_or(UsageSum { of: String::new(), counts: UsageCounts::default(), stored_bytes: 0 }))
    }

    async fn usage_sums(
        &self,
        range: &UsageRange,
        name: &str,
        stored: Option<&str>,
        order: &str,
        limit: u32,
    ) -> Result<Vec<UsageSum>, Error> {
        let stored = stored.map_or_else(String::new, |which| {
            format!(
                " UNION ALL SELECT {name} AS name, 0, 0, 0, 0, 0, 0, 0, bytes FROM stored_hour WHERE {IN_RANGE} {which}"
            )
        });
        let statement = format!(
            "SELECT name, {SUMS} FROM (SELECT {name} AS name, requests, pulls, pushes, received_bytes, sent_bytes, \
             relayed_bytes, fetched_bytes, 0 AS stored_bytes FROM usage_hour WHERE {IN_RANGE}{stored}) AS rows_of_both \
             GROUP BY name ORDER BY {order} LIMIT $5"
        );
        let rows: Vec<Columns> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(range.account.as_str())
            .bind(range.since_ms)
            .bind(range.until_ms)
            .bind(like(&range.repository))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        Ok(rows.into_iter().map(sum).collect())
    }
}

fn sum(columns: Columns) -> UsageSum {
    let (of, requests, pulls, pushes, received, sent, relayed, fetched, stored) = columns;
    let counts = UsageCounts {
        requests: from_sql(requests),
        pulls: from_sql(pulls),
        pushes: from_sql(pushes),
        received_bytes: from_sql(received),
        sent_bytes: from_sql(sent),
        relayed_bytes: from_sql(relayed),
        fetched_bytes: from_sql(fetched),
    };
    UsageSum { of, counts, stored_bytes: from_sql(stored) }
}

/// SQL's way to say it: only `*` means more than itself.
fn like(pattern: &str) -> String {
    let mut like = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        match c {
            '*' => like.push('%'),
            '%' | '_' | '\\' => like.extend(['\\', c]),
            c => like.push(c),
        }
    }
    like
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::tests::{bring, name, on_each, own};
    use crate::meta::{StoredRow, UsageRow};

    fn account() -> AccountId {
        "000000000000".parse().unwrap()
    }

    fn row(hour_ms: i64, repository: &str, principal: &str, sent: u64) -> UsageRow {
        let counts = UsageCounts {
            requests: 1,
            pulls: 2,
            pushes: 3,
            received_bytes: 4,
            sent_bytes: sent,
            relayed_bytes: 6,
            fetched_bytes: 7,
        };
        let (repository, principal) = (repository.to_owned(), principal.to_owned());
        UsageRow { hour_ms, account: account(), repository, principal, counts }
    }

    fn range(since_ms: i64, until_ms: i64, repository: &str) -> UsageRange {
        UsageRange { account: account(), since_ms, until_ms, repository: repository.to_owned() }
    }

    fn told(sums: &[UsageSum]) -> Vec<(&str, u64, u64)> {
        sums.iter().map(|sum| (sum.of.as_str(), sum.counts.sent_bytes, sum.stored_bytes)).collect()
    }

    #[test]
    fn patterns() {
        for (pattern, expected) in [("*", "%"), ("a/*", "a/%"), ("a_b", "a\\_b"), ("a%\\", "a\\%\\\\"), ("", "")] {
            assert_eq!(like(pattern), expected);
        }
    }

    #[tokio::test]
    async fn rows_are_added_to_and_summed_up() {
        on_each(async |meta| {
            let rows = [row(1000, "a/b", "me", 5), row(1000, "a_b", "me", 10), row(2000, "a/b", "you", 100)];
            meta.add_usage(&rows).await.unwrap();
            meta.add_usage(&rows).await.unwrap();
            let stored =
                |repository: &str, bytes| StoredRow { account: account(), repository: repository.to_owned(), bytes };
            meta.put_stored(1000, &[stored("a/b", 1), stored("gone", 2)]).await.unwrap();
            for bytes in [8, 9] {
                meta.put_stored(2000, &[stored("a/b", bytes), stored("idle", 3)]).await.unwrap();
            }
            let all = range(0, 3000, "*");
            let by = async |range: &UsageRange, by, limit| meta.usage(range, by, limit).await.unwrap();
            let repositories = by(&all, UsageBy::Repository, 10).await;
            assert_eq!(told(&repositories), [("a/b", 210, 9), ("a_b", 20, 0), ("idle", 0, 3)]);
            let counts = UsageCounts {
                requests: 4,
                pulls: 8,
                pushes: 12,
                received_bytes: 16,
                sent_bytes: 210,
                relayed_bytes: 24,
                fetched_bytes: 28,
            };
            assert_eq!(repositories[0].counts, counts);
            assert_eq!(told(&by(&all, UsageBy::Principal, 10).await), [("you", 200, 0), ("me", 30, 0)]);
            assert_eq!(told(&by(&all, UsageBy::Hour, 10).await), [("1000", 30, 3), ("2000", 200, 12)]);
            assert_eq!(told(&by(&all, UsageBy::Repository, 1).await), [("a/b", 210, 9)]);
            assert_eq!(told(&[meta.usage_total(&all).await.unwrap()]), [("", 230, 12)]);
            for (range, expected) in [
                (range(0, 2000, "*"), 30),
                (range(1001, 3000, "*"), 200),
                (range(0, 3000, "a_b"), 20),
                (range(0, 3000, "a*"), 230),
                (range(0, 3000, "*/b"), 210),
                (range(0, 3000, "b"), 0),
                (UsageRange { account: "111111111111".parse().unwrap(), ..all.clone() }, 0),
            ] {
                assert_eq!(meta.usage_total(&range).await.unwrap().counts.sent_bytes, expected, "{range:?}");
            }
            assert_eq!(meta.stored_in(2000).await.unwrap(), Some(12));
            assert_eq!(meta.stored_in(3000).await.unwrap(), None);
        })
        .await;
    }

    /// Each replica adds rows of its own and rows that others add to at the same time.
    #[tokio::test(flavor = "multi_thread")]
    async fn several_add_to_the_same_rows() {
        on_each(async |meta| {
            let replicas = (0..4).map(|replica| {
                let meta = meta.clone();
                tokio::spawn(async move {
                    for _ in 0..25 {
                        let own = format!("own-{replica}");
                        let rows = [row(1000, "a", "me", 1), row(1000, "b", "me", 2), row(1000, &own, "me", 3)];
                        meta.add_usage(&rows).await.unwrap();
                    }
                })
            });
            for replica in replicas.collect::<Vec<_>>() {
                replica.await.unwrap();
            }
            let sums = meta.usage(&range(0, 2000, "*"), UsageBy::Repository, 10).await.unwrap();
            let sent: std::collections::BTreeMap<_, _> =
                sums.iter().map(|sum| (sum.of.as_str(), sum.counts.sent_bytes)).collect();
            let expected = [("a", 100), ("b", 200), ("own-0", 75), ("own-1", 75), ("own-2", 75), ("own-3", 75)];
            assert_eq!(sent, std::collections::BTreeMap::from(expected));
        })
        .await;
    }

    #[tokio::test]
    async fn old_hours_go_in_batches() {
        on_each(async |meta| {
            let rows: Vec<_> = (0..5).map(|n| row(1000, &format!("r{n}"), "me", 1)).collect();
            meta.add_usage(&rows).await.unwrap();
            meta.add_usage(&[row(2000, "r0", "me", 1)]).await.unwrap();
            let stored = StoredRow { account: account(), repository: "r0".to_owned(), bytes: 1 };
            for hour in [1000, 2000] {
                meta.put_stored(hour, std::slice::from_ref(&stored)).await.unwrap();
            }
            let mut removed = Vec::new();
            for _ in 0..4 {
                removed.push(meta.remove_usage(2000, 2).await.unwrap());
            }
            assert_eq!(removed, [3, 2, 1, 0]);
            assert_eq!(told(&[meta.usage_total(&range(0, 3000, "*")).await.unwrap()]), [("", 1, 1)]);
            assert_eq!(meta.stored_in(1000).await.unwrap(), None);
        })
        .await;
    }

    #[tokio::test]
    async fn what_repositories_hold() {
        on_each(async |meta| {
            let one = own(&meta, &name("a"), 1).await;
            own(&meta, &name("b"), 1).await;
            bring(&meta, one, "four", 1).await;
            bring(&meta, one, "sixsix", 1).await;
            let manifest = crate::meta::tests::manifest("{}", vec![]);
            meta.put_manifest(one, &manifest, &crate::meta::tests::untagged(), "me", 1).await.unwrap();
            let stored =
                |repository: &str, bytes| StoredRow { account: account(), repository: repository.to_owned(), bytes };
            assert_eq!(meta.stored_now(None, 10).await.unwrap(), [stored("a", 12), stored("b", 0)]);
            assert_eq!(meta.stored_now(Some(&stored("a", 12)), 10).await.unwrap(), [stored("b", 0)]);
            assert_eq!(meta.stored_now(None, 1).await.unwrap(), [stored("a", 12)]);
        })
        .await;
    }
}
