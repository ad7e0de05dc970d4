//! When blobs were used. Written in batches, read once at start.

use std::collections::{BTreeMap, HashMap};

use super::database::{Meta, twice};
use super::error::Error;
use super::scope::Scope;
use super::table::{Column, rows};
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
        // Replicas that write the same rows in the same order do not wait for each other in a circle.
        let uses: BTreeMap<String, &BlobUse> = uses.iter().map(|one| (one.digest.to_string(), one)).collect();
        let uses: Vec<_> = uses.into_iter().map(|(digest, one)| (digest, one.used_at_ms, one.uses)).collect();
        let removed: Vec<_> = removed.iter().map(|digest| (digest.to_string(),)).collect();
        twice(|| self.write_blob_uses(rows(&uses), rows(&removed))).await
    }

    async fn write_blob_uses(&self, uses: String, removed: String) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let table =
            self.dialect.table(1, &[Column::Text("digest"), Column::Number("used_at_ms"), Column::Number("uses")]);
        let put = format!(
            "INSERT INTO blob_use (digest, used_at_ms, uses) SELECT digest, used_at_ms, uses FROM {table} AS used \
             WHERE true ORDER BY digest \
             ON CONFLICT (digest) DO UPDATE SET used_at_ms = excluded.used_at_ms, uses = excluded.uses"
        );
        let table = self.dialect.table(1, &[Column::Text("digest")]);
        let remove = format!(
            "DELETE FROM blob_use WHERE digest IN (SELECT digest FROM blob_use \
             WHERE digest IN (SELECT digest FROM {table} AS gone) ORDER BY digest{})",
            self.for_update()
        );
        for (statement, parameter) in [(put, uses), (remove, removed)] {
            let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(parameter);
            query.execute(writing.connection()).await.map_err(Error::Query)?;
        }
        writing.commit().await
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
