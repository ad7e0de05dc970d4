//! When blobs were used. Written in batches, read once at start.

use std::collections::HashMap;

use super::database::Meta;
use super::error::Error;
use crate::oci::Digest;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobUse {
    pub digest: Digest,
    pub used_at_ms: i64,
    /// Uses that eviction still counts.
    pub uses: u8,
}

impl Meta {
    pub async fn put_blob_uses(&self, uses: &[BlobUse], removed: &[Digest]) -> Result<(), Error> {
        let mut transaction = self.write().await?;
        for one in uses {
            sqlx::query(
                "INSERT INTO blob_use (digest, used_at_ms, uses) VALUES ($1, $2, $3) \
                 ON CONFLICT (digest) DO UPDATE SET used_at_ms = excluded.used_at_ms, uses = excluded.uses",
            )
            .bind(one.digest.to_string())
            .bind(one.used_at_ms)
            .bind(i64::from(one.uses))
            .execute(transaction.connection())
            .await
            .map_err(Error::Query)?;
        }
        for digest in removed {
            sqlx::query("DELETE FROM blob_use WHERE digest = $1")
                .bind(digest.to_string())
                .execute(transaction.connection())
                .await
                .map_err(Error::Query)?;
        }
        transaction.commit().await
    }

    pub async fn blob_uses(&self) -> Result<HashMap<Digest, BlobUse>, Error> {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as("SELECT digest, used_at_ms, uses FROM blob_use")
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        Ok(rows
            .into_iter()
            .filter_map(|(digest, used_at_ms, uses)| {
                let digest = digest.parse().ok()?;
                Some((digest, BlobUse { digest, used_at_ms, uses: u8::try_from(uses).unwrap_or(u8::MAX) }))
            })
            .collect())
    }
}
