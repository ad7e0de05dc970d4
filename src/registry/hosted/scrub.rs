//! Reading everything that was pushed again, slowly: bits that have turned are found before somebody needs them.
//!
//! What is damaged is set aside, never served, and reported; pushing it again heals it. It is read twice before that, after a while where
//! it comes from a bucket: a gateway may send a page of its own, and a wrong bit may come on the way. In a bucket the object stays, so that
//! a round that finds it right gives it back. Bytes that no row knows are removed
//! when they are older than the grace: an upload that was killed between its bytes and its row leaves such. A blob that cannot be read is
//! counted and told, and the round goes on; only where one after the other fails, or comes wrong from a bucket, the store is not itself,
//! and the round waits. From a bucket that has more unknown objects than known ones nothing is removed: they may be another registry's.

use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::Hosted;
use crate::meta::{Claim, StoredBlobRow, now_ms};
use crate::oci::Digest;
use crate::registry::Error;
use crate::storage::{self, Condition, Pace};

/// Rows of one step.
const STEP: u32 = 200;

/// Digests that a report names.
const MAX_NAMED: usize = 100;

/// After so many failures in a row the store is away.
const MAX_FAILURES: u32 = 20;

/// After so many wrong blobs in a row a bucket is not believed.
const MAX_DOUBTFUL: usize = 10;

/// Orphans that are removed in one round.
const MAX_ORPHANS: usize = 10_000;

/// Time before what was wrong is read from a bucket again.
const PAUSE: Duration = Duration::from_secs(5);

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
            let (mut doubtful, mut in_a_row) = (Vec::new(), 0);
            for row in &rows {
                if stop.is_cancelled() {
                    break 'all;
                }
                match self.is_right(row, &mut pace).await {
                    Ok(true) => (failures, in_a_row) = (0, 0),
                    Ok(false) => {
                        (failures, in_a_row) = (0, in_a_row + 1);
                        doubtful.push(row);
                        if in_a_row > MAX_DOUBTFUL && self.inner.depot.is_shared() {
                            return Err(storage::Error::NotItself { blobs: in_a_row }.into());
                        }
                    }
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
                if failures == 0 && doubtful.is_empty() {
                    keep(&ScrubPosition { last: Some(row.digest.to_string()), so_far: scrubbed.clone() });
                }
            }
            self.read_again(&doubtful, &mut pace, &mut scrubbed).await?;
            last = rows.last().map(|row| row.digest);
            if failures == 0 && last.is_some() {
                keep(&ScrubPosition { last: last.map(|last| last.to_string()), so_far: scrubbed.clone() });
            }
            if rows.len() < STEP as usize {
                break;
            }
        }
        self.remove_orphans(&mut scrubbed, stop).await?;
        Ok(scrubbed)
    }

    /// Whether the blob is as it should be, or known not to be; what was lost and is right again is given back.
    async fn is_right(&self, row: &StoredBlobRow, pace: &mut Pace) -> Result<bool, Error> {
        let StoredBlobRow { digest, claim, is_lost, .. } = row;
        match self.inner.depot.check(digest, pace).await? {
            Condition::Good if *is_lost => self.meta.find_blob(digest, *claim).await?,
            Condition::Good => {}
            Condition::Damaged | Condition::Missing => return Ok(*is_lost),
        }
        Ok(true)
    }

    /// What was wrong, and is again, is set aside.
    async fn read_again(
        &self,
        doubtful: &[&StoredBlobRow],
        pace: &mut Pace,
        scrubbed: &mut Scrubbed,
    ) -> Result<(), Error> {
        if !doubtful.is_empty() && self.inner.depot.is_shared() {
            tokio::time::sleep(PAUSE).await;
        }
        for row in doubtful {
            let condition = self.inner.depot.check(&row.digest, pace).await?;
            // A blob that was removed, or is on its way, since its row was read is not missed.
            if condition != Condition::Good && self.meta.is_linked(&row.digest).await? {
                self.set_aside(&row.digest, row.claim, condition, scrubbed).await?;
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
            let place = if self.inner.depot.is_shared() { "the bucket" } else { "quarantine" };
            tracing::error!(%digest, "a pushed blob is damaged: it is kept from clients and left in {place}; push it again to heal it");
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
        let (mut known, mut unknown, mut orphans) = (0u64, 0u64, Vec::new());
        while let Some((digest, modified)) = stored.try_next().await? {
            if stop.is_cancelled() {
                return Ok(());
            }
            if !is_older(modified, grace) {
                continue;
            }
            if self.meta.is_blob(&digest).await? {
                known += 1;
                continue;
            }
            unknown += 1;
            if orphans.len() < MAX_ORPHANS {
                orphans.push(digest);
            }
        }
        // Another registry's, or those of a database that was lost.
        if unknown > known && self.inner.depot.is_shared() {
            scrubbed.failed += 1;
            tracing::error!(
                known,
                unknown,
                "the database knows fewer than half of the objects in the bucket: nothing is removed there, as they may be another \
                 registry's; each needs a `storage.prefix` of its own, and replicas need one `meta.url`"
            );
            return Ok(());
        }
        for digest in orphans {
            if stop.is_cancelled() {
                return Ok(());
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
