//! Reading everything that was pushed again, slowly: bits that have turned are found before somebody needs them.
//!
//! What is damaged is set aside, never served, and reported; pushing it again heals it. Bytes that no row knows are removed
//! when they are older than the grace: an upload that was killed between its bytes and its row leaves such.

use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::Hosted;
use crate::meta::{Claim, StoredBlobRow, now_ms};
use crate::oci::Digest;
use crate::registry::Error;
use crate::storage::{Condition, Pace};

/// Rows of one step.
const STEP: u32 = 200;

/// Digests that a report names.
const MAX_NAMED: usize = 100;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scrubbed {
    pub blobs: u64,
    pub bytes: u64,
    pub damaged: u64,
    pub missing: u64,
    /// Some of those that are damaged or missing.
    pub named: Vec<String>,
    pub orphans_removed: u64,
}

impl Hosted {
    /// `advance` is told of each blob and its bytes.
    pub async fn scrub(
        &self,
        bytes_per_second: u64,
        advance: impl Fn(u64, u64),
        stop: &CancellationToken,
    ) -> Result<Scrubbed, Error> {
        let mut scrubbed = Scrubbed::default();
        let mut pace = Pace::new(bytes_per_second);
        let mut last: Option<Digest> = None;
        'all: loop {
            let rows = self.meta.blobs(last.as_ref(), STEP).await?;
            for StoredBlobRow { digest, size, claim, is_lost } in &rows {
                if stop.is_cancelled() {
                    break 'all;
                }
                scrubbed.blobs += 1;
                scrubbed.bytes += size;
                advance(1, *size);
                let condition = self.inner.depot.check(digest, &mut pace).await?;
                match condition {
                    Condition::Good if *is_lost => self.meta.find_blob(digest, *claim).await?,
                    Condition::Good => {}
                    Condition::Damaged | Condition::Missing => {
                        // A blob that was removed, or is on its way, since its row was read is not missed.
                        if self.meta.is_linked(digest).await? {
                            self.set_aside(digest, *claim, condition, &mut scrubbed).await?;
                        }
                    }
                }
            }
            last = rows.last().map(|row| row.digest);
            if rows.len() < STEP as usize {
                break;
            }
        }
        self.remove_orphans(&mut scrubbed, stop).await?;
        Ok(scrubbed)
    }

    /// Whoever brings the blob anew does so before, and then it stays, or after. One that was brought, or mounted, since its row was read
    /// is looked at again by the next round.
    async fn set_aside(
        &self,
        digest: &Digest,
        claim: Claim,
        condition: Condition,
        scrubbed: &mut Scrubbed,
    ) -> Result<(), Error> {
        let is_damaged = condition == Condition::Damaged;
        let quarantine = async || if is_damaged { self.inner.depot.quarantine(digest).await } else { Ok(()) };
        if !self.meta.set_blob_aside(digest, claim, now_ms(), quarantine).await?? {
            return Ok(());
        }
        self.inner.metrics.scrub_damaged.inc();
        if is_damaged {
            scrubbed.damaged += 1;
            tracing::error!(%digest, "a pushed blob is damaged: it was set aside in quarantine; push it again to heal it");
        } else {
            scrubbed.missing += 1;
            tracing::error!(%digest, "a pushed blob is missing; push it again to heal it");
        }
        if scrubbed.named.len() < MAX_NAMED {
            scrubbed.named.push(digest.to_string());
        }
        Ok(())
    }

    async fn remove_orphans(&self, scrubbed: &mut Scrubbed, stop: &CancellationToken) -> Result<(), Error> {
        let grace = self.inner.settings.grace;
        let mut stored = self.inner.depot.list().await?;
        while let Some((digest, modified)) = stored.try_next().await? {
            if stop.is_cancelled() {
                break;
            }
            if !is_older(modified, grace) || self.meta.is_blob(&digest).await? {
                continue;
            }
            if self.meta.remove_orphan(&digest, || self.inner.depot.remove(&digest)).await?? {
                scrubbed.orphans_removed += 1;
                tracing::info!(%digest, "bytes that no repository knows were removed");
            }
        }
        let mut pieces = self.inner.depot.pieces();
        while let Some((upload, piece, modified)) = pieces.try_next().await? {
            if stop.is_cancelled() {
                break;
            }
            let known = self.meta.upload_pieces(&upload).await?.iter().any(|known| known.name == piece);
            if is_older(modified, grace) && !known {
                self.inner.depot.remove_piece(&upload, &piece).await?;
                scrubbed.orphans_removed += 1;
            }
        }
        Ok(())
    }
}

fn is_older(modified: SystemTime, age: Duration) -> bool {
    modified.elapsed().is_ok_and(|elapsed| elapsed > age)
}
