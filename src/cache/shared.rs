//! The bucket behind the caches of all replicas: what one has fetched from an upstream, none fetches again.
//!
//! A replica that lacks a blob takes it from the bucket if it is there. Otherwise it asks for the turn to fetch it, a lease in the
//! database that it renews while it fetches; the bytes go on to the bucket while they come. A replica whose turn it is not waits a
//! while for the other, and then fetches for itself: a client waits for no replica that is slow or gone.
//!
//! A bucket or a database that is away costs nothing but this: each replica goes to the upstream by itself.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::meta::{self, Claim, Fetch, Meta, now_ms};
use crate::oci::Digest;
use crate::storage::{self, Bucket, Errand, OriginId, Sending};
use crate::telemetry::Metrics;

/// Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    inner: Arc<Inner>,
}

struct Inner {
    bucket: Arc<Bucket>,
    meta: Meta,
    /// This replica.
    holder: Arc<str>,
    /// How long another's turn is waited for.
    patience: Duration,
    /// Bytes of upstreams' blobs that the bucket may keep.
    limit: u64,
    copies: Copies,
    metrics: Metrics,
    tasks: TaskTracker,
}

/// Copies that are on their way to the bucket while nobody waits for them.
struct Copies {
    number: Arc<Semaphore>,
    /// Bytes of those that are in memory.
    memory: Arc<Semaphore>,
}

/// A copy's right to be on its way.
struct OnItsWay {
    _number: OwnedSemaphorePermit,
    _memory: OwnedSemaphorePermit,
}

/// More than that, and a blob stays on the disk of the replica that has fetched it, until it is fetched again.
const MAX_COPIES: usize = 256;
const MAX_COPIES_IN_MEMORY: usize = 32 << 20;

impl Copies {
    fn new() -> Self {
        Self { number: Arc::new(Semaphore::new(MAX_COPIES)), memory: Arc::new(Semaphore::new(MAX_COPIES_IN_MEMORY)) }
    }

    /// Of a copy with so many bytes in memory; `None` where there are too many.
    fn begin(&self, in_memory: usize) -> Option<OnItsWay> {
        let memory = u32::try_from(in_memory).ok()?;
        Some(OnItsWay {
            _number: self.number.clone().try_acquire_owned().ok()?,
            _memory: self.memory.clone().try_acquire_many_owned(memory).ok()?,
        })
    }
}

/// Where a blob is to be had from.
pub(super) enum Turn {
    Bucket(Arc<Bucket>, Claim),
    /// From the upstream, and it is this replica's turn.
    Ours(Lease),
    /// From the upstream, and what comes is not sent to the bucket.
    Alone,
}

/// The turn to fetch a blob. Dropped, it is given back.
pub(super) struct Lease {
    shared: Shared,
    fetch: Fetch,
    _renewing: AbortOnDropHandle<()>,
}

/// How long a turn is, unless it is renewed: after this time a replica that died stands in nobody's way.
const TURN: Duration = Duration::from_secs(20);

/// Blobs that are let go of in one transaction.
const TRIM_STEP: u32 = 200;

/// Time between two looks whether another replica is done.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Shared {
    pub fn new(
        bucket: Arc<Bucket>,
        meta: Meta,
        holder: &str,
        patience: Duration,
        limit: u64,
        metrics: Metrics,
    ) -> Self {
        let (holder, copies, tasks) = (holder.into(), Copies::new(), TaskTracker::new());
        let inner = Inner { bucket, meta, holder, patience, limit, copies, metrics, tasks };
        Self { inner: Arc::new(inner) }
    }

    pub(super) async fn turn(&self, fetch: Fetch) -> Turn {
        let digest = &fetch.digest;
        match self.find_turn(fetch).await {
            Ok(turn) => turn,
            Err(error) => {
                tracing::warn!(%error, %digest, "it is not known whether the bucket has a blob; it is fetched from upstream");
                Turn::Alone
            }
        }
    }

    async fn find_turn(&self, fetch: Fetch) -> Result<Turn, meta::Error> {
        let digest = &fetch.digest;
        let started = tokio::time::Instant::now();
        loop {
            if let Some(blob) = self.inner.meta.pulled_blob(digest).await? {
                return Ok(Turn::Bucket(self.inner.bucket.clone(), blob.claim));
            }
            if self.renew(fetch).await? {
                let lease = self.hold(fetch);
                // It may have come between the two questions.
                return Ok(match self.inner.meta.pulled_blob(digest).await? {
                    Some(blob) => Turn::Bucket(self.inner.bucket.clone(), blob.claim),
                    None => Turn::Ours(lease),
                });
            }
            if started.elapsed() >= self.inner.patience {
                tracing::info!(%digest, "another replica has not fetched a blob in time; it is fetched here as well");
                return Ok(Turn::Alone);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether the origin has ever sent the blob, to any replica.
    pub(super) async fn has_sent(&self, origin: OriginId, digest: &Digest) -> bool {
        self.inner.meta.has_sent(origin, digest).await.unwrap_or_else(|error| {
            tracing::warn!(%error, %digest, "it is not known who has sent a blob; it is fetched from upstream");
            false
        })
    }

    /// A small object that is in the bucket; at most `limit` bytes.
    pub(super) async fn read(&self, digest: &Digest, limit: u64) -> Option<Bytes> {
        let blob = self.inner.meta.pulled_blob(digest).await.ok().flatten().filter(|blob| blob.size <= limit)?;
        let mut stream = self.inner.bucket.get_in_turn(digest, 0, None).await.ok().flatten()?;
        let mut bytes = Vec::with_capacity(usize::try_from(blob.size).ok()?);
        while let Some(chunk) = stream.chunk().await.ok()? {
            if bytes.len() + chunk.len() > usize::try_from(limit).unwrap_or(usize::MAX) {
                return None;
            }
            bytes.extend_from_slice(&chunk);
        }
        if digest.verifies(&bytes) {
            return Some(bytes.into());
        }
        self.lose(digest, blob.claim).await;
        None
    }

    /// Puts a small verified object into the bucket, behind the back of whoever brought it.
    pub(super) fn keep(&self, digest: Digest, bytes: Bytes) {
        let this = self.clone();
        let Some(on_its_way) = self.begin_copy(&digest, bytes.len()) else { return };
        self.inner.tasks.spawn(async move {
            let _on_its_way = on_its_way;
            if matches!(this.inner.meta.pulled_blob(&digest).await, Ok(Some(_))) {
                return;
            }
            let size = bytes.len() as u64;
            let put = this.bring(&digest, size, async { this.inner.bucket.put(&digest, bytes).await });
            this.report(&digest, put.await);
        });
    }

    /// Begins to send a file that is being filled.
    pub(super) fn send(&self, digest: &Digest, file: &Arc<File>, present: u64) -> Sending {
        self.inner.bucket.send(digest, file, present, Errand::Copy)
    }

    /// The file is whole and verified: it comes to lie in the bucket, behind the back of whoever reads it, and then the turn is over.
    pub(super) fn finish(&self, digest: Digest, size: u64, sending: Sending, lease: Lease) {
        let this = self.clone();
        let Some(on_its_way) = self.begin_copy(&digest, 0) else { return };
        self.inner.tasks.spawn(async move {
            let _on_its_way = on_its_way;
            let sent = this.bring(&digest, size, sending.finish(size)).await;
            this.report(&digest, sent);
            drop(lease);
        });
    }

    /// What the bucket had at that claim is not what it should be: nobody takes it from there until it was brought again.
    pub(super) async fn lose(&self, digest: &Digest, claim: Claim) {
        tracing::error!(%digest, "the bucket has lost a blob; it will be fetched from upstream again");
        if let Err(error) = self.inner.meta.lose_blob(digest, claim, now_ms()).await {
            tracing::warn!(%error, %digest, "that could not be written down");
        }
    }

    /// Somebody used these here.
    pub(super) async fn note_uses(&self, digests: &[Digest]) -> Result<(), meta::Error> {
        self.inner.meta.use_pulled_blobs(digests, now_ms()).await
    }

    /// Lets go of what was used longest ago, until what is left is within the limit. Returns how many blobs.
    pub(super) async fn trim(&self) -> Result<u64, meta::Error> {
        let mut dropped = 0;
        loop {
            let excess = self.inner.meta.pulled_bytes().await?.saturating_sub(self.inner.limit);
            if excess == 0 {
                return Ok(dropped);
            }
            let step = self.inner.meta.drop_pulled_blobs(excess, TRIM_STEP).await?;
            dropped += step;
            if step == 0 {
                return Ok(dropped);
            }
        }
    }

    /// Waits for what is still on its way to the bucket.
    pub(super) async fn close(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// Claims the blob's row, brings its bytes, and says that they are there: in this order, so that whoever removes unneeded
    /// blobs never removes these.
    async fn bring(
        &self,
        digest: &Digest,
        size: u64,
        bytes: impl Future<Output = Result<(), storage::Error>>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.inner.meta.claim_blob(digest, size, now_ms()).await?;
        bytes.await?;
        if !self.inner.meta.add_pulled_blob(digest, now_ms()).await? {
            tracing::warn!(%digest, "it took so long to send a blob to the bucket that it was taken for forgotten");
        }
        Ok(())
    }

    fn begin_copy(&self, digest: &Digest, in_memory: usize) -> Option<OnItsWay> {
        let begun = self.inner.copies.begin(in_memory);
        if begun.is_none() {
            self.inner.metrics.cache_copies_left_out.inc();
            tracing::debug!(%digest, "the bucket takes copies too slowly; a blob is kept on this replica's disk only");
        }
        begun
    }

    fn report(&self, digest: &Digest, brought: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
        if let Err(error) = brought {
            tracing::warn!(%error, %digest, "a blob that was fetched is kept on this replica's disk only");
        }
    }

    /// Without other replicas it is always this one's turn.
    async fn renew(&self, fetch: Fetch) -> Result<bool, meta::Error> {
        let Inner { meta, holder, .. } = &*self.inner;
        if !meta.is_shared() {
            return Ok(true);
        }
        let now_ms = now_ms();
        let turn_ms = i64::try_from(TURN.as_millis()).unwrap_or(i64::MAX);
        meta.lease_fetch(fetch, holder, now_ms, now_ms.saturating_add(turn_ms)).await
    }

    fn hold(&self, fetch: Fetch) -> Lease {
        let this = self.clone();
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(TURN / 4).await;
                if let Err(error) = this.renew(fetch).await {
                    tracing::warn!(%error, digest = %fetch.digest, "the turn to fetch a blob was not renewed; another replica may fetch it as well");
                }
            }
        });
        Lease { shared: self.clone(), fetch, _renewing: AbortOnDropHandle::new(renewing) }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (shared, fetch) = (self.shared.clone(), self.fetch);
        if !shared.inner.meta.is_shared() {
            return;
        }
        self.shared.inner.tasks.spawn(async move {
            if let Err(error) = shared.inner.meta.end_fetch(fetch, &shared.inner.holder).await {
                tracing::warn!(%error, digest = %fetch.digest, "the turn to fetch a blob was not given back; it ends by itself");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h08_copies_on_their_way_are_so_many() {
        let copies = Copies::new();
        let large: Vec<_> = (0..10).map_while(|_| copies.begin(4 << 20)).collect();
        assert_eq!(large.len(), 8);
        let on_disk: Vec<_> = (0..1000).map_while(|_| copies.begin(0)).collect();
        assert_eq!(on_disk.len(), MAX_COPIES - 8);
        drop((large, on_disk));
        assert!(copies.begin(4 << 20).is_some());
    }
}
