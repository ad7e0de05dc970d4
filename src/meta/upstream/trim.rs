//! What upstreams said goes by age and by number: whoever may pull makes rows, and nobody ever deletes them.
//!
//! What speaks of bytes that are kept, here or in the bucket, does not go by age: it is what lets them be served. What was noted since a
//! row was looked at keeps it, since it goes only as it was then. Forgetting costs a question to upstream, no more.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::meta::scope::Scope;
use crate::meta::table::{Column, rows};
use crate::meta::{Error, Meta};

/// Rows that are removed in one transaction, so that nobody waits for long.
const STEP: u32 = 500;

/// How much of what upstreams said is kept.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamLimits {
    /// Older rows go, unless they are of what is kept.
    pub before_ms: i64,
    /// Rows of each kind.
    pub rows: u64,
    /// Of lists, together.
    pub list_bytes: u64,
}

/// A kind of rows.
struct Table {
    name: &'static str,
    keys: &'static [Column],
    at: &'static str,
    /// Speaks of an object.
    has_digest: bool,
}

const TABLES: [Table; 5] = [
    Table {
        name: "upstream_right",
        keys: &[Column::Number("repository_id"), Column::Text("digest"), Column::Text("kind"), Column::Text("origin")],
        at: "noted_at_ms",
        has_digest: true,
    },
    Table {
        name: "upstream_sent",
        keys: &[Column::Text("digest"), Column::Text("origin")],
        at: "noted_at_ms",
        has_digest: true,
    },
    Table {
        name: "upstream_link",
        keys: &[Column::Number("repository_id"), Column::Text("digest")],
        at: "noted_at_ms",
        has_digest: true,
    },
    Table {
        name: "upstream_tag",
        keys: &[Column::Number("repository_id"), Column::Text("name"), Column::Number("accept")],
        at: "checked_at_ms",
        has_digest: true,
    },
    LISTS,
];

const LISTS: Table = Table {
    name: "upstream_listing",
    keys: &[Column::Number("repository_id"), Column::Text("name")],
    at: "checked_at_ms",
    has_digest: false,
};

impl Table {
    fn names(&self) -> String {
        let name = |column: &Column| match column {
            Column::Text(name) | Column::Number(name) => *name,
        };
        self.keys.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    /// Key and time of some rows, the oldest first. In the condition the row is `old`.
    fn oldest(&self, condition: &str) -> String {
        let column = |column: &Column| match column {
            Column::Text(name) | Column::Number(name) => format!("CAST(old.{name} AS TEXT)"),
        };
        let keys = self.keys.iter().map(column).collect::<Vec<_>>().join(", ");
        let Self { name, at, .. } = self;
        format!("SELECT {keys}, old.{at} FROM {name} AS old WHERE {condition} ORDER BY old.{at}, {keys} LIMIT {STEP}")
    }

    /// As the statement that removes it wants it.
    fn read(&self, row: &AnyRow) -> Result<Value, sqlx::Error> {
        let mut values = Vec::with_capacity(self.keys.len() + 1);
        for (at, column) in self.keys.iter().enumerate() {
            let text: String = row.try_get(at)?;
            values.push(match column {
                Column::Text(_) => json!(text),
                Column::Number(_) => json!(text.parse::<i64>().unwrap_or(-1)),
            });
        }
        values.push(json!(row.try_get::<i64, _>(self.keys.len())?));
        Ok(Value::Array(values))
    }
}

impl Meta {
    /// Removes some hundreds of rows of each kind. Returns the kinds of which there may be more, and how many rows went of each.
    pub async fn trim_upstreams(&self, limits: UpstreamLimits) -> Result<Vec<(&'static str, u64)>, Error> {
        let mut trimmed = Vec::new();
        for table in &TABLES {
            let old = self.old_rows(table, limits).await?;
            trimmed.push((table.name, self.remove_rows(table, &old).await?));
        }
        trimmed.push(("upstream_repository", self.remove_empty_upstream_repositories().await?));
        trimmed.retain(|(_, removed)| *removed > 0);
        Ok(trimmed)
    }

    async fn old_rows(&self, table: &Table, limits: UpstreamLimits) -> Result<Vec<Value>, Error> {
        let Table { name, at, has_digest, .. } = table;
        let aged = if *has_digest {
            format!(
                "old.{at} < $1 AND NOT EXISTS (SELECT 1 FROM blob_use WHERE blob_use.digest = old.digest) \
                 AND NOT EXISTS (SELECT 1 FROM pulled_blob WHERE pulled_blob.digest = old.digest)"
            )
        } else {
            format!("old.{at} < $1")
        };
        let mut old = self.rows_of(table, &aged, limits.before_ms).await?;
        if !old.is_empty() {
            return Ok(old);
        }
        // The time of the first row that is too many, from the newest on.
        let first = format!("SELECT {at} FROM {name} ORDER BY {at} DESC LIMIT 1 OFFSET $1");
        let first: Option<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(first))
            .bind(i64::try_from(limits.rows).unwrap_or(i64::MAX))
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::Query)?;
        if let Some(first) = first {
            old = self.rows_of(table, &format!("old.{at} <= $1"), first).await?;
            let excess = self.count(name).await?.saturating_sub(limits.rows);
            old.truncate(usize::try_from(excess).unwrap_or(usize::MAX));
        }
        if old.is_empty() && table.name == LISTS.name {
            old = self.long_lists(limits.list_bytes).await?;
        }
        Ok(old)
    }

    async fn rows_of(&self, table: &Table, condition: &str, time_ms: i64) -> Result<Vec<Value>, Error> {
        let found = sqlx::query(sqlx::AssertSqlSafe(table.oldest(condition)))
            .bind(time_ms)
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        found.iter().map(|row| table.read(row).map_err(Error::Query)).collect()
    }

    async fn count(&self, table: &str) -> Result<u64, Error> {
        let statement = format!("SELECT CAST(COUNT(*) AS BIGINT) FROM {table}");
        let count: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&self.pool).await.map_err(Error::Query)?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// The oldest, until what is left is short enough together.
    async fn long_lists(&self, limit: u64) -> Result<Vec<Value>, Error> {
        let bytes: i64 =
            sqlx::query_scalar("SELECT CAST(COALESCE(SUM(LENGTH(body)), 0) AS BIGINT) FROM upstream_listing")
                .fetch_one(&self.pool)
                .await
                .map_err(Error::Query)?;
        let mut excess = u64::try_from(bytes).unwrap_or_default().saturating_sub(limit);
        let mut old = Vec::new();
        if excess == 0 {
            return Ok(old);
        }
        let statement = format!(
            "SELECT CAST(repository_id AS TEXT), name, checked_at_ms, CAST(LENGTH(body) AS BIGINT) FROM upstream_listing \
             ORDER BY checked_at_ms, repository_id, name LIMIT {STEP}"
        );
        let found = sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&self.pool).await.map_err(Error::Query)?;
        for row in &found {
            if excess == 0 {
                break;
            }
            old.push(LISTS.read(row).map_err(Error::Query)?);
            let bytes: i64 = row.try_get(3).map_err(Error::Query)?;
            excess = excess.saturating_sub(u64::try_from(bytes).unwrap_or_default());
        }
        Ok(old)
    }

    /// Those that are as they were found.
    async fn remove_rows(&self, table: &Table, old: &[Value]) -> Result<u64, Error> {
        if old.is_empty() {
            return Ok(0);
        }
        let Table { name, keys, at, .. } = table;
        let names = table.names();
        let columns: Vec<Column> = keys.iter().copied().chain([Column::Number(at)]).collect();
        let statement = format!(
            "DELETE FROM {name} WHERE ({names}, {at}) IN (SELECT {names}, {at} FROM {} AS gone)",
            self.dialect.table(1, &columns)
        );
        let mut writing = self.write(Scope::Rows).await?;
        let removed = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(rows(old))
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?
            .rows_affected();
        writing.commit().await?;
        Ok(removed)
    }

    /// Names of which nothing is known any more.
    async fn remove_empty_upstream_repositories(&self) -> Result<u64, Error> {
        const EMPTY: &str = "NOT EXISTS (SELECT 1 FROM upstream_right WHERE upstream_right.repository_id = upstream_repository.id) \
             AND NOT EXISTS (SELECT 1 FROM upstream_link WHERE upstream_link.repository_id = upstream_repository.id) \
             AND NOT EXISTS (SELECT 1 FROM upstream_tag WHERE upstream_tag.repository_id = upstream_repository.id) \
             AND NOT EXISTS (SELECT 1 FROM upstream_listing WHERE upstream_listing.repository_id = upstream_repository.id)";
        let statement = format!("SELECT id FROM upstream_repository WHERE {EMPTY} ORDER BY id LIMIT {STEP}");
        let empty: Vec<i64> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_all(&self.pool).await.map_err(Error::Query)?;
        if empty.is_empty() {
            return Ok(0);
        }
        let mut writing = self.write(Scope::Rows).await?;
        let mut removed = 0;
        // Who adds to it takes turns at its row: what came since is seen by the statement after the lock.
        let lock = format!("SELECT id FROM upstream_repository WHERE id = $1{}", self.for_update());
        let remove = format!("DELETE FROM upstream_repository WHERE id = $1 AND {EMPTY}");
        for id in empty {
            sqlx::query(sqlx::AssertSqlSafe(lock.as_str()))
                .bind(id)
                .execute(writing.connection())
                .await
                .map_err(Error::Query)?;
            removed += sqlx::query(sqlx::AssertSqlSafe(remove.as_str()))
                .bind(id)
                .execute(writing.connection())
                .await
                .map_err(Error::Query)?
                .rows_affected();
        }
        writing.commit().await?;
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::meta::tests::on_each;
    use crate::meta::{BlobUse, Link, LinkKind, Listing, TagRow};
    use crate::oci::{AcceptSet, Digest, MediaType, RepositoryName};
    use crate::storage::OriginId;

    fn digest(number: u8) -> Digest {
        Digest::of(&[number])
    }

    #[tokio::test]
    async fn t22_what_upstreams_said_goes_by_age_and_by_number() {
        on_each(async |meta| {
            let (repository, origin) = ("u/a".parse::<RepositoryName>().unwrap(), OriginId::of("o"));
            for number in 0..10 {
                let noted = i64::from(number) + 1;
                meta.put_right(&repository, &digest(number), LinkKind::Blob, origin, true, noted).await.unwrap();
            }
            let kept = BlobUse { digest: digest(0), used_at_ms: 1, uses: 1 };
            meta.put_blob_uses(&[kept], &[]).await.unwrap();
            let limits = |before_ms, rows| UpstreamLimits { before_ms, rows, list_bytes: 100 };
            let left = async || {
                let mut left = Vec::new();
                for number in 0..10 {
                    let has = meta.has_right(&repository, &digest(number), LinkKind::Blob, origin).await.unwrap();
                    assert_eq!(meta.has_sent(origin, &digest(number)).await.unwrap(), has);
                    left.extend(has.then_some(number));
                }
                left
            };
            let trimmed = meta.trim_upstreams(limits(4, 100)).await.unwrap();
            assert_eq!(trimmed, [("upstream_right", 2), ("upstream_sent", 2)]);
            assert_eq!(left().await, [0, 3, 4, 5, 6, 7, 8, 9], "what is kept stays");
            assert_eq!(meta.trim_upstreams(limits(4, 8)).await.unwrap(), []);
            meta.trim_upstreams(limits(0, 5)).await.unwrap();
            assert_eq!(left().await, [5, 6, 7, 8, 9]);
        })
        .await;
    }

    #[tokio::test]
    async fn t22_names_of_which_nothing_is_known_go() {
        on_each(async |meta| {
            let repository = "u/a".parse::<RepositoryName>().unwrap();
            let link = Link { digest: digest(1), kind: LinkKind::Blob, media_type: MediaType::new("x"), size: None };
            meta.put_links(&repository, &[link], 5).await.unwrap();
            let row = TagRow { digest: digest(2), media_type: MediaType::new("x"), size: None, checked_at_ms: 6 };
            let tag = "latest".parse().unwrap();
            meta.put_tag(&repository, &tag, AcceptSet::current(), &row, None).await.unwrap();
            for (name, checked_at_ms) in [("tags", 7), ("referrers x", 8)] {
                let listing = Listing { body: Bytes::from_static(&[b'x'; 80]), checked_at_ms };
                meta.put_listing(&repository, name, &listing, None).await.unwrap();
            }
            let limits = |before_ms| UpstreamLimits { before_ms, rows: 100, list_bytes: 100 };
            assert_eq!(meta.trim_upstreams(limits(0)).await.unwrap(), [("upstream_listing", 1)]);
            assert!(meta.listing(&repository, "tags").await.unwrap().is_none(), "the older one");
            assert_eq!(meta.trim_upstreams(limits(7)).await.unwrap(), [("upstream_link", 1), ("upstream_tag", 1)]);
            let last = meta.trim_upstreams(limits(9)).await.unwrap();
            assert_eq!(last, [("upstream_listing", 1), ("upstream_repository", 1)]);
            assert_eq!(meta.trim_upstreams(limits(9)).await.unwrap(), []);
        })
        .await;
    }
}
