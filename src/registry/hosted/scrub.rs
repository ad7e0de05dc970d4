//! Reading everything that was pushed again, slowly: bits that have turned are found before somebody needs them.
//!
//! What is damaged is set aside, never served, and reported; pushing it again heals it. Bytes that no row knows are removed
//! when they are older than the grace: an upload that was killed between its bytes and its row leaves such. A blob that cannot be read is
//! counted and told, and the round goes on; only where one after the other fails the store is away, and the round waits.

use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
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

/// After so many failures in a row the store is away.
const MAX_FAILURES: u32 = 20;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scrubbed {
    pub blobs: u64,
    pub bytes: u64,
    pub damaged: u64,
    pub missing: u64,
    /// Some of those that are damaged or missing.
    pub named: Vec<String>,
    pub orphans_removed: u64,
    /// Blobs that could not be read, and what could not be removed; the log says why. The next round reads them again.
    pub failed: u64,
}

/// Where a round is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubPosition {
    /// The last blob that was read.
    last: Option<String>,
    /// What the round has found so far.
    so_far: Scrubbed,
}

impl ScrubPosition {
    pub const fn so_far(&self) -> &Scrubbed {
        &self.so_far
    }
}

impl Hosted {
    /// `advance` is told of each blob and its bytes, `keep` of the position, from which another round may go on. Ends early at `stop`.
    pub async fn scrub(
        &self,
        bytes_per_second: u64,
        position: ScrubPosition,
        advance: impl Fn(u64, u64),
        keep: impl Fn(&ScrubPosition),
        stop: &CancellationToken,
    ) -> Result<Scrubbed, Error> {
        let mut pace = Pace::new(bytes_per_second);
        let mut last: Option<Digest> = position.last.and_then(|text| text.parse().ok());
        let mut scrubbed = position.so_far;
        let mut failures = 0;
        'all: loop {
            let rows = self.meta.blobs(last.as_ref(), STEP).await?;
            for row in &rows {
                if stop.is_cancelled() {
                    break 'all;
                }
                match self.scrub_blob(row, &mut pace, &mut scrubbed).await {
                    Ok(()) => failures = 0,
                    Err(error) => {
                        failures += 1;
                        if failures > MAX_FAILURES {
                            return Err(error);
                        }
                        tracing::warn!(%error, digest = %row.digest, "a pushed blob could not be read again");
                        scrubbed.failed += 1;
                    }
                }
                scrubbed.blobs += 1;
                scrubbed.bytes += row.size;
                advance(1, row.size);
                if failures == 0 {
                    keep(&ScrubPosition { last: Some(row.digest.to_string()), so_far: scrubbed.clone() });
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

    async fn scrub_blob(&self, row: &StoredBlobRow, pace: &mut Pace, scrubbed: &mut Scrubbed) -> Result<(), Error> {
        let StoredBlobRow { digest, claim, is_lost, .. } = row;
        let condition = self.inner.depot.check(digest, pace).await?;
        match condition {
            Condition::Good if *is_lost => self.meta.find_blob(digest, *claim).await?,
            Condition::Good => {}
            Condition::Damaged | Condition::Missing => {
                // A blob that was removed, or is on its way, since its row was read is not missed.
                if self.meta.is_linked(digest).await? {
                    self.set_aside(digest, *claim, condition, scrubbed).await?;
                }
            }
        }
        Ok(())
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
            match self.meta.remove_orphan(&digest, || self.inner.depot.remove(&digest)).await? {
                Ok(true) => {
                    scrubbed.orphans_removed += 1;
                    tracing::info!(%digest, "bytes that no repository knows were removed");
                }
                Ok(false) => {}
                Err(error) => {
                    scrubbed.failed += 1;
                    tracing::warn!(%error, %digest, "bytes that no repository knows could not be removed");
                }
            }
        }
        let mut pieces = self.inner.depot.pieces();
        while let Some((upload, piece, modified)) = pieces.try_next().await? {
            if stop.is_cancelled() {
                break;
            }
            let known = self.meta.upload_pieces(&upload).await?.iter().any(|known| known.name == piece);
            if !is_older(modified, grace) || known {
                continue;
            }
            match self.inner.depot.remove_piece(&upload, &piece).await {
                Ok(()) => scrubbed.orphans_removed += 1,
                Err(error) => {
                    scrubbed.failed += 1;
                    tracing::warn!(%error, upload, piece, "a piece of an upload that nobody knows could not be removed");
                }
            }
        }
        Ok(())
    }
}

fn is_older(modified: SystemTime, age: Duration) -> bool {
    modified.elapsed().is_ok_and(|elapsed| elapsed > age)
}
