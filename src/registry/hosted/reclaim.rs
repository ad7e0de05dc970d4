//! Removing what nobody needs any more, a little at a time, while pushes and pulls go on.
//!
//! Nothing is removed that was needed within the grace: a client that has uploaded a blob, or has asked whether it is there,
//! has that long to push the manifest. Who brings a blob and who removes it take turns at its row, so neither waits for more than
//! one file (`meta/hosted/reclaim.rs`).

use std::time::Duration;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::Hosted;
use crate::meta::now_ms;
use crate::oci::UploadId;
use crate::registry::Error;

/// Rows of one step; between steps others have their turn.
const STEP: u32 = 200;

/// Blobs that are removed at once.
const AT_ONCE: usize = 4;

/// A file in the staging folder that belongs to no upload of this replica is removed when it is older than this, or than the grace: one
/// that is being taken over has just been made.
const STRAY: Duration = Duration::from_secs(10 * 60);

/// What one round removed, or would remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reclaimed {
    pub uploads: u64,
    /// Rights of repositories to blobs that they did not use.
    pub links: u64,
    pub blobs: u64,
    pub bytes: u64,
    /// Blobs and files that could not be removed; the log says why.
    pub failed: u64,
}

/// Where a round is. Within a step nothing is done twice: what was removed is not found again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReclaimPosition {
    /// Steps that were done.
    steps: u32,
    so_far: Reclaimed,
}

impl Hosted {
    /// One round. What this round condemns goes in a later one, when the grace is over for it as well. `keep` is told of the position, from
    /// which another round may go on. Ends early at `stop`.
    pub async fn reclaim(
        &self,
        position: ReclaimPosition,
        keep: impl Fn(&ReclaimPosition),
        stop: &CancellationToken,
    ) -> Result<Reclaimed, Error> {
        let before = now_ms() - milliseconds(self.inner.settings.grace);
        let ReclaimPosition { mut steps, so_far: mut reclaimed } = position;
        while steps < 4 && !stop.is_cancelled() {
            let removed = (reclaimed.blobs, reclaimed.bytes);
            match steps {
                0 => self.remove_uploads(stop, &mut reclaimed).await?,
                1 => self.unlink_forgotten(before, stop, &mut reclaimed).await?,
                2 => self.remove_condemned(before, stop, &mut reclaimed).await?,
                _ => self.condemn_unneeded(before, stop).await?,
            }
            let metrics = &self.inner.metrics;
            metrics.reclaimed_blobs.inc_by(reclaimed.blobs - removed.0);
            metrics.reclaimed_bytes.inc_by(reclaimed.bytes - removed.1);
            steps += u32::from(!stop.is_cancelled());
            keep(&ReclaimPosition { steps, so_far: reclaimed });
        }
        Ok(reclaimed)
    }

    /// Uploads that nobody goes on with, and what lies here of those that have gone.
    async fn remove_uploads(&self, stop: &CancellationToken, reclaimed: &mut Reclaimed) -> Result<(), Error> {
        self.let_go_of_uploads().await?;
        let expired_before = now_ms() - milliseconds(self.inner.settings.upload_ttl);
        // What lies in the bucket is everybody's; what lies in files only its holder can remove.
        let holder = Some(self.inner.depot.holder()).filter(|_| !self.inner.depot.is_shared());
        while !stop.is_cancelled() {
            let expired = self.meta.idle_uploads(holder, expired_before, STEP).await?;
            let mut gone = 0;
            for id in expired.iter().filter_map(|id| id.parse::<UploadId>().ok()) {
                match self.give_up_idle(&id, expired_before).await {
                    Some(true) => gone += 1,
                    Some(false) => reclaimed.failed += 1,
                    None => {}
                }
            }
            reclaimed.uploads += gone;
            // Those that somebody goes on with would be found again and again.
            if gone == 0 || expired.len() < STEP as usize {
                break;
            }
        }
        reclaimed.failed += self.remove_stray_files().await?;
        let (ended, failed) = self.inner.depot.end_abandoned().await?;
        if ended > 0 {
            tracing::info!(uploads = ended, "uploads to the bucket that nobody went on with were ended");
        }
        reclaimed.failed += failed;
        Ok(())
    }

    async fn unlink_forgotten(
        &self,
        before_ms: i64,
        stop: &CancellationToken,
        reclaimed: &mut Reclaimed,
    ) -> Result<(), Error> {
        let mut last = None;
        while !stop.is_cancelled() {
            let links = self.meta.forgotten_links(last.as_ref(), before_ms, STEP).await?;
            if !links.is_empty() {
                reclaimed.links += self.meta.unlink_forgotten(&links, before_ms).await?;
            }
            if links.len() < STEP as usize {
                break;
            }
            last = links.into_iter().next_back();
        }
        Ok(())
    }

    async fn condemn_unneeded(&self, before_ms: i64, stop: &CancellationToken) -> Result<(), Error> {
        let mut last = None;
        while !stop.is_cancelled() {
            let blobs = self.meta.unneeded_blobs(last.as_ref(), before_ms, STEP).await?;
            if !blobs.is_empty() {
                self.meta.condemn_blobs(&blobs, before_ms, now_ms()).await?;
            }
            if blobs.len() < STEP as usize {
                break;
            }
            last = blobs.last().copied();
        }
        Ok(())
    }

    /// What a round would come to, if nobody needed anything meanwhile.
    pub async fn reclaimable(&self) -> Result<Reclaimed, Error> {
        let settings = &self.inner.settings;
        let (before, idle_before) =
            (now_ms() - milliseconds(settings.grace), now_ms() - milliseconds(settings.upload_ttl));
        let found = self.meta.reclaimable(before, idle_before).await?;
        Ok(Reclaimed { blobs: found.blobs, bytes: found.bytes, uploads: found.uploads, ..Reclaimed::default() })
    }

    /// Files of uploads that have ended, or gone on, at another replica. Returns how many could not be removed.
    pub async fn remove_stray_files(&self) -> Result<u64, Error> {
        let (depot, meta) = (&self.inner.depot, &self.meta);
        let mut failed = 0;
        for (id, modified) in depot.upload_files().await? {
            let is_old = modified.elapsed().is_ok_and(|age| age > self.inner.settings.grace.min(STRAY));
            if is_old
                && meta.upload(&id).await?.is_none_or(|row| row.holder != depot.holder())
                && let Err(error) = depot.remove_upload(&id).await
            {
                failed += 1;
                tracing::warn!(%error, upload = id, "the file of an upload that is not here any more cannot be removed");
            }
        }
        Ok(failed)
    }

    async fn remove_condemned(
        &self,
        before_ms: i64,
        stop: &CancellationToken,
        reclaimed: &mut Reclaimed,
    ) -> Result<(), Error> {
        let mut last = None;
        while !stop.is_cancelled() {
            let condemned = self.meta.condemned_blobs(last.as_ref(), before_ms, STEP).await?;
            if condemned.is_empty() {
                break;
            }
            last = condemned.last().cloned();
            // An object store takes its time for each, so several are asked at once.
            let mut removing = futures_util::stream::iter(condemned)
                .map(|blob| async move {
                    let remove = || self.inner.depot.remove(&blob.digest);
                    let removed = self.meta.reclaim_blob(&blob.digest, before_ms, remove).await;
                    (blob, removed)
                })
                .buffer_unordered(AT_ONCE);
            while let Some((blob, removed)) = removing.next().await {
                match removed? {
                    Ok(true) => {
                        reclaimed.blobs += 1;
                        reclaimed.bytes += blob.size;
                    }
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(%error, digest = %blob.digest, "a blob that nobody needs cannot be removed");
                        reclaimed.failed += 1;
                    }
                }
            }
        }
        Ok(())
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
