//! The cache as the registry sees it.

use std::collections::HashMap;
use std::future::Future;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::blob::{Blob, Held};
use super::chunks::Chunks;
use super::disk::Disk;
use super::error::Error;
use super::fill::Fill;
use super::filler::Filler;
use super::flights::{Boarding, Flights, Landing};
use super::memory::Memory;
use super::origin::Origin;
use super::shared::Shared;
use super::supply::Supply;
use crate::config::CacheSettings;
use crate::meta::{self, BlobUse, Meta};
use crate::oci::Digest;
use crate::storage::{self, Bucket, Condition, Pace, Staged, Storage, check_file, joined};
use crate::telemetry::{CacheOutcome, Metrics};

/// Cheap to clone.
#[derive(Clone)]
pub struct BlobCache {
    inner: Arc<Inner>,
}

struct Inner {
    memory: Memory,
    chunks: Chunks,
    /// Part of the memory is for parts of what lies there.
    has_bucket: bool,
    disk: Arc<Disk>,
    flights: Arc<Flights<Digest, Fill>>,
    range_window: AtomicU64,
    fill_attempts: u32,
    /// The bucket behind it.
    shared: Option<Shared>,
    metrics: Metrics,
    fillers: TaskTracker,
    stop: CancellationToken,
}

impl BlobCache {
    /// Reads what earlier processes kept. Blocks on IO.
    pub fn load(
        storage: Storage,
        settings: &CacheSettings,
        uses: &HashMap<Digest, BlobUse>,
        has_bucket: bool,
        shared: Option<Shared>,
        metrics: Metrics,
    ) -> Result<Self, storage::Error> {
        let disk = Disk::load(storage, settings.disk, settings.staging_ttl, uses, metrics.clone())?;
        let chunks = chunks_share(settings.memory, has_bucket);
        let inner = Inner {
            memory: Memory::new(settings.memory - chunks, settings.memory_object),
            chunks: Chunks::new(chunks),
            has_bucket,
            disk,
            flights: Flights::new(),
            range_window: AtomicU64::new(settings.range_window),
            fill_attempts: settings.fill_attempts,
            shared,
            metrics,
            fillers: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What is kept, or coming; nothing is fetched. `expected` is the size in bytes, if a manifest told it.
    pub async fn kept(&self, digest: &Digest, expected: Option<u64>) -> Result<Option<Blob>, Error> {
        if let Some(bytes) = self.inner.memory.get(digest) {
            self.inner.disk.touch(digest);
            return Ok(Some(self.blob(digest, CacheOutcome::Hit, Held::Memory(bytes))));
        }
        if let Some(fill) = self.inner.flights.get(digest) {
            return self.join(fill, CacheOutcome::Coalesced).await.map(Some);
        }
        let held = self.open(digest, expected).await?;
        Ok(held.map(|held| self.blob(digest, CacheOutcome::Hit, held)))
    }

    /// A blob of so many bytes that is kept, or coming, or can be had from the bucket: nothing is fetched before it is known what
    /// of it is asked for.
    pub async fn reach(&self, bucket: Arc<Bucket>, digest: &Digest, size: u64) -> Result<Blob, Error> {
        if let Some(blob) = self.kept(digest, Some(size)).await? {
            return Ok(blob);
        }
        let held = Held::Away { cache: self.clone(), bucket, size };
        Ok(self.blob(digest, CacheOutcome::Miss, held))
    }

    pub(super) fn chunks(&self) -> &Chunks {
        &self.inner.chunks
    }

    /// Whether the blob is kept, without opening it.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.inner.memory.get(digest).is_some() || self.inner.disk.contains(digest)
    }

    /// What is kept, or what `source` gives: one fetch for everyone who asks while it runs. Returns when the size is known
    /// or upstream has begun to answer.
    pub async fn fetch(&self, source: Origin, expected: Option<u64>) -> Result<Blob, Error> {
        let digest = *source.digest();
        loop {
            if let Some(blob) = self.kept(&digest, expected).await? {
                return Ok(blob);
            }
            let still_needed = || !self.inner.disk.contains(&digest);
            match self.inner.flights.board(&digest, still_needed, || Fill::new(source.clone())) {
                Boarding::Declined => {}
                Boarding::Joined(fill) => return self.join(fill, CacheOutcome::Coalesced).await,
                Boarding::Started(fill, landing) => {
                    self.spawn(fill.clone(), landing, expected);
                    return self.join(fill, CacheOutcome::Miss).await;
                }
            }
        }
    }

    /// Keeps a small verified object, such as a manifest, in memory and on disk. A disk that cannot take it is no failure.
    pub async fn keep(&self, digest: Digest, bytes: Bytes) {
        self.inner.memory.insert(digest, &bytes);
        if self.inner.disk.contains(&digest) {
            return;
        }
        if let Some(shared) = &self.inner.shared {
            shared.keep(digest, bytes.clone());
        }
        self.keep_here(digest, bytes).await;
    }

    async fn keep_here(&self, digest: Digest, bytes: Bytes) {
        let disk = self.inner.disk.clone();
        let store = move || {
            let size = bytes.len() as u64;
            let stored = disk.stage(&digest).and_then(|(mut staged, mut reservation)| {
                if !staged.is_empty() {
                    staged.restart()?;
                }
                if !reservation.grow_to(size) {
                    return Ok(());
                }
                staged.write(&bytes)?;
                staged.publish(&digest)?;
                drop(disk.publish(&digest, size, reservation));
                Ok(())
            });
            if let Err(error) = stored {
                disk.failed("commit", &error);
            }
        };
        run_blocking(store).await;
    }

    /// Keeps a file of verified bytes that somebody else no longer needs. That it cannot be kept is no failure.
    pub async fn adopt(&self, digest: Digest, staged: Staged) {
        let disk = self.inner.disk.clone();
        run_blocking(move || {
            if let Err(error) = disk.adopt(&digest, staged) {
                disk.failed("commit", &error);
            }
        })
        .await;
    }

    /// The bytes of a small object that is kept, such as a manifest; at most `limit`.
    pub async fn read(&self, digest: &Digest, limit: u64) -> Result<Option<Bytes>, Error> {
        if let Some(bytes) = self.inner.memory.get(digest) {
            self.inner.disk.touch(digest);
            return Ok(Some(bytes));
        }
        let (disk, digest) = (self.inner.disk.clone(), *digest);
        let read = run_blocking(move || {
            let Some(opened) = disk.open(&digest, None)? else { return Ok(None) };
            let mut bytes = Vec::with_capacity(usize::try_from(opened.size.min(limit)).unwrap_or_default());
            match (&*opened.file).take(limit).read_to_end(&mut bytes) {
                Ok(_) if digest.verifies(&bytes) => Ok(Some(Bytes::from(bytes))),
                // Too long, cut, or rotten: fetch it again.
                _ => {
                    disk.forget(&digest);
                    Ok(None)
                }
            }
        })
        .await;
        let bytes = read.map_err(|error| self.unreadable(&digest, error))?;
        if let Some(bytes) = &bytes {
            self.inner.memory.insert(digest, bytes);
            return Ok(Some(bytes.clone()));
        }
        let Some(shared) = &self.inner.shared else { return Ok(None) };
        let found = shared.read(&digest, limit).await;
        if let Some(bytes) = &found {
            self.inner.memory.insert(digest, bytes);
            self.keep_here(digest, bytes.clone()).await;
        }
        Ok(found)
    }

    /// Reads everything that is kept on disk again, slowly, and forgets what is no longer what it was: it is fetched again when
    /// it is needed. Returns how many blobs were read and how many were damaged. `advance` is told of each blob.
    pub async fn scrub(
        &self,
        bytes_per_second: u64,
        advance: impl Fn(u64),
        stop: &CancellationToken,
    ) -> Result<(u64, u64), storage::Error> {
        let (mut checked, mut damaged) = (0, 0);
        let mut pace = Pace::new(bytes_per_second);
        for digest in self.inner.disk.digests() {
            if stop.is_cancelled() {
                break;
            }
            let disk = self.inner.disk.clone();
            let Some(file) = run_blocking(move || disk.peek(&digest)).await? else { continue };
            if check_file(file, &digest, &mut pace).await? == Condition::Damaged {
                damaged += 1;
                self.inner.metrics.scrub_damaged.inc();
                tracing::error!(%digest, "a cached blob is damaged; it will be fetched again");
                let disk = self.inner.disk.clone();
                run_blocking(move || disk.forget(&digest)).await;
            }
            checked += 1;
            advance(1);
        }
        Ok((checked, damaged))
    }

    /// Keeps what upstreams sent within its limit in the bucket. Returns how many blobs were let go of.
    pub async fn trim_bucket(&self) -> Result<u64, meta::Error> {
        match &self.inner.shared {
            Some(shared) => shared.trim().await,
            None => Ok(0),
        }
    }

    /// Blobs that are kept on disk.
    pub fn count(&self) -> u64 {
        self.inner.disk.digests().len() as u64
    }

    pub fn apply(&self, settings: &CacheSettings) {
        self.inner.memory.resize(settings.memory - chunks_share(settings.memory, self.inner.has_bucket));
        self.inner.disk.set_limit(settings.disk);
        self.inner.range_window.store(settings.range_window, Ordering::Relaxed);
    }

    /// Writes when blobs were used, so that a restart evicts in the same order.
    pub async fn flush_uses(&self, meta: &Meta, now: SystemTime) {
        let (uses, gone) = self.inner.disk.take_changes(now);
        if uses.is_empty() && gone.is_empty() {
            return;
        }
        if let Some(shared) = &self.inner.shared {
            let used: Vec<Digest> = uses.iter().map(|one| one.digest).collect();
            if let Err(error) = shared.note_uses(&used).await {
                tracing::warn!(%error, "uses of blobs were not written; the bucket may be rid of the wrong ones");
            }
        }
        if let Err(error) = meta.put_blob_uses(&uses, &gone).await {
            tracing::warn!(%error, "uses of blobs were not written; eviction after a restart will know less");
        }
    }

    /// Brings the gauges up to date.
    pub fn observe(&self) {
        let (metrics, memory) = (&self.inner.metrics, &self.inner.memory);
        let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.cache_bytes.with_label_values(&["memory"]).set(gauge(memory.bytes() + self.inner.chunks.bytes()));
        metrics.cache_limit_bytes.with_label_values(&["memory"]).set(gauge(memory.limit()));
        metrics.cache_objects.with_label_values(&["memory"]).set(gauge(memory.objects()));
        self.inner.disk.observe();
    }

    /// Stops fills, keeping what has arrived to be resumed, and waits for them.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        self.inner.fillers.close();
        self.inner.fillers.wait().await;
        if let Some(shared) = &self.inner.shared {
            shared.close().await;
        }
    }

    fn spawn(&self, fill: Arc<Fill>, landing: Landing<Digest, Fill>, expected: Option<u64>) {
        let filler = Filler {
            supply: Supply::new(fill.source.clone(), self.inner.shared.clone()),
            fill,
            disk: self.inner.disk.clone(),
            metrics: self.inner.metrics.clone(),
            attempts: self.inner.fill_attempts,
            stop: self.inner.stop.clone(),
        };
        self.inner.fillers.spawn(filler.run(expected, landing));
    }

    async fn join(&self, fill: Arc<Fill>, outcome: CacheOutcome) -> Result<Blob, Error> {
        fill.opened().await?;
        let outcome = if fill.file().is_none() { CacheOutcome::PassThrough } else { outcome };
        Ok(self.blob(&fill.digest.clone(), outcome, Held::Filling(fill)))
    }

    /// A kept blob: a small one is read into memory, a large one is left to the kernel.
    async fn open(&self, digest: &Digest, expected: Option<u64>) -> Result<Option<Held>, Error> {
        if !self.inner.disk.contains(digest) {
            return Ok(None);
        }
        let (disk, wanted) = (self.inner.disk.clone(), *digest);
        let opened = run_blocking(move || disk.open(&wanted, expected)).await;
        let Some(opened) = opened.map_err(|error| self.unreadable(digest, error))? else { return Ok(None) };
        if self.inner.memory.takes(opened.size)
            && let Some(bytes) = self.read(digest, opened.size).await?
        {
            return Ok(Some(Held::Memory(bytes)));
        }
        Ok(Some(opened.into()))
    }

    fn blob(&self, digest: &Digest, outcome: CacheOutcome, held: Held) -> Blob {
        Blob::new(*digest, outcome, self.inner.range_window.load(Ordering::Relaxed), held)
    }

    fn unreadable(&self, digest: &Digest, error: storage::Error) -> Error {
        self.inner.disk.failed("read", &error);
        Error::Storage { digest: *digest, source: Arc::new(error) }
    }
}

/// Of the memory, for parts of blobs; it stays as it was at the start.
fn chunks_share(memory: u64, has_bucket: bool) -> u64 {
    if has_bucket { memory / 4 } else { 0 }
}

fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = T> {
    let task = tokio::task::spawn_blocking(work);
    async move { joined(task.await).await }
}
