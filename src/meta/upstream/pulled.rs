//! Blobs of upstreams that lie in the bucket, and whose turn it is to fetch one.

use std::collections::BTreeSet;

use crate::meta::database::twice;
use crate::meta::scope::Scope;
use crate::meta::table::{Column, rows};
use crate::meta::{Claim, Error, Meta};
use crate::oci::Digest;
use crate::storage::OriginId;

/// A use is written down once in this time.
const USE_STEP_MS: i64 = 60 * 60 * 1000;

/// A fetch of a blob from an origin. What one origin sends is nothing that another's readers wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    pub origin: OriginId,
    pub digest: Digest,
}

impl Fetch {
    fn key(&self) -> String {
        format!("{} {}", self.digest, self.origin)
    }
}

/// A blob of an upstream that is in the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PulledBlob {
    /// Bytes.
    pub size: u64,
    pub claim: Claim,
}

impl Meta {
    /// The blob, if it is in the bucket.
    pub async fn pulled_blob(&self, digest: &Digest) -> Result<Option<PulledBlob>, Error> {
        let row: Option<(i64, i64)> = sqlx::query_as(
            "SELECT blob.size, blob.claimed_at_ms FROM pulled_blob JOIN blob ON blob.digest = pulled_blob.digest \
             WHERE pulled_blob.digest = $1 AND blob.lost_at_ms IS NULL",
        )
        .bind(digest.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(Error::Query)?;
        let blob = |(size, claim)| PulledBlob { size: u64::try_from(size).unwrap_or_default(), claim: Claim(claim) };
        Ok(row.map(blob))
    }

    /// The blob's bytes are in the bucket. False when its row, which was claimed before, is gone.
    pub async fn add_pulled_blob(&self, digest: &Digest, now_ms: i64) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        if !writing.claim_again(digest, now_ms).await? {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO pulled_blob (digest, used_at_ms) VALUES ($1, $2) \
             ON CONFLICT (digest) DO UPDATE SET used_at_ms = excluded.used_at_ms",
        )
        .bind(digest.to_string())
        .bind(now_ms)
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?;
        writing.commit().await?;
        Ok(true)
    }

    /// Somebody used these, if they are in the bucket.
    pub async fn use_pulled_blobs(&self, digests: &[Digest], now_ms: i64) -> Result<(), Error> {
        // Rows in the same order: replicas do not wait for each other in a circle.
        let digests: BTreeSet<_> = digests.iter().map(ToString::to_string).collect();
        let digests: Vec<_> = digests.into_iter().map(|digest| (digest,)).collect();
        twice(|| self.write_pulled_uses(rows(&digests), now_ms)).await
    }

    async fn write_pulled_uses(&self, digests: String, now_ms: i64) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let statement = format!(
            "UPDATE pulled_blob SET used_at_ms = $2 WHERE digest IN (SELECT digest FROM pulled_blob \
             WHERE digest IN (SELECT digest FROM {} AS used) AND used_at_ms < $3 ORDER BY digest{})",
            self.dialect.table(1, &[Column::Text("digest")]),
            self.for_update()
        );
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(digests)
            .bind(now_ms)
            .bind(now_ms - USE_STEP_MS)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        writing.commit().await
    }

    /// Bytes of upstreams' blobs in the bucket.
    pub async fn pulled_bytes(&self) -> Result<u64, Error> {
        let bytes: i64 = sqlx::query_scalar(
            "SELECT CAST(COALESCE(SUM(blob.size), 0) AS BIGINT) FROM pulled_blob JOIN blob ON blob.digest = pulled_blob.digest",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(Error::Query)?;
        Ok(u64::try_from(bytes).unwrap_or_default())
    }

    /// Lets go of those that were used longest ago, until `bytes` are let go of or `most` blobs: the bucket is rid of them as of
    /// any blob that nobody needs. Returns how many.
    pub async fn drop_pulled_blobs(&self, bytes: u64, most: u32) -> Result<u64, Error> {
        let oldest: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT pulled_blob.digest, blob.size, pulled_blob.used_at_ms FROM pulled_blob JOIN blob ON blob.digest = pulled_blob.digest \
             ORDER BY pulled_blob.used_at_ms, pulled_blob.digest LIMIT $1",
        )
        .bind(i64::from(most))
        .fetch_all(&self.pool)
        .await
        .map_err(Error::Query)?;
        let mut writing = self.write(Scope::Rows).await?;
        let (mut dropped, mut freed) = (0, 0);
        for (digest, size, used_at_ms) in oldest {
            if freed >= bytes {
                break;
            }
            // One that was used since stays.
            dropped += sqlx::query("DELETE FROM pulled_blob WHERE digest = $1 AND used_at_ms = $2")
                .bind(digest)
                .bind(used_at_ms)
                .execute(writing.connection())
                .await
                .map_err(Error::Query)?
                .rows_affected();
            freed += u64::try_from(size).unwrap_or_default();
        }
        writing.commit().await?;
        Ok(dropped)
    }

    /// Whether it is `holder`'s turn to fetch the blob, until `until_ms`: asked again, its turn is longer.
    pub async fn lease_fetch(&self, fetch: Fetch, holder: &str, now_ms: i64, until_ms: i64) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let leased = sqlx::query(
            "INSERT INTO fetch_lease (digest, holder, until_ms) VALUES ($1, $2, $3) ON CONFLICT (digest) DO UPDATE \
             SET holder = excluded.holder, until_ms = excluded.until_ms \
             WHERE fetch_lease.until_ms < $4 OR fetch_lease.holder = excluded.holder",
        )
        .bind(fetch.key())
        .bind(holder)
        .bind(until_ms)
        .bind(now_ms)
        .execute(writing.connection())
        .await
        .map_err(Error::Query)?;
        writing.commit().await?;
        Ok(leased.rows_affected() > 0)
    }

    /// The turn is over.
    pub async fn end_fetch(&self, fetch: Fetch, holder: &str) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        sqlx::query("DELETE FROM fetch_lease WHERE digest = $1 AND holder = $2")
            .bind(fetch.key())
            .bind(holder)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        writing.commit().await
    }
}
