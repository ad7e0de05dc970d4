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

use super::blob::{Away, Blob, Held};
use super::chunks::{Chunks, Version};
use super::disk::Disk;
use super::error::Error;
use super::fill::{Fill, Waiting};
use super::filler::Filler;
use super::flights::{Boarding, Flights, Landing};
use super::memory::Memory;
use super::origin::Origin;
use super::scrub::{CacheScrubPosition, CacheScrubbed};
use super::shared::Shared;
use super::shortage::Shortage;
use super::supply::Supply;
use crate::config::CacheSettings;
use crate::meta::{self, BlobUse, Meta};
use crate::oci::Digest;
use crate::storage::{self, Bucket, Condition, OriginId, Pace, Staged, Storage, check_file, joined};
use crate::telemetry::{CacheOutcome, Metrics};

/// A fetch under way is of one origin: what another sends, refuses or breaks off is none of its readers' business.
pub(super) type FlightKey = (OriginId, Digest);

/// How often a reader asks again after a fetch that it had joined came to nothing.
const MAX_ROUNDS: u32 = 8;

/// A repository's right to bytes that are kept or under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// The origin confirms that the repository has the blob. Otherwise the bytes must come in answer to the repository's own
    /// question.
    pub confirmed: bool,
    /// The origin has sent the blob's bytes before. Otherwise what others sent is not served in its name.
    pub sent: bool,
}

impl Claim {
    /// To a blob that was pushed into the repository.
    pub const PUSHED: Self = Self { confirmed: true, sent: true };

    /// Whether what is kept may be served.
    pub fn covers_kept(self) -> bool {
        self.confirmed && self.sent
    }
}

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
    flights: Arc<Flights<FlightKey, Fill>>,
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
        let disk = Disk::load(storage, settings, uses, metrics.clone())?;
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

    /// What is kept, or coming from the origin; nothing is fetched. `told` is the size in bytes that somebody told.
    pub async fn present(&self, source: &Origin, claim: Claim, told: Option<u64>) -> Result<Option<Blob>, Error> {
        let digest = *source.digest();
        if claim.covers_kept()
            && let Some(blob) = self.kept(&digest, told).await?
        {
            return Ok(Some(blob));
        }
        let Some(fill) = self.inner.flights.get(&(source.id(), digest)) else { return Ok(None) };
        if !claim.confirmed && !fill.source.is_same(source) {
            return Ok(None);
        }
        let is_same = fill.source.is_same(source);
        match self.join(fill.wait(), source, CacheOutcome::Coalesced).await {
            Err(Error::Abandoned { .. }) => Ok(None),
            // Another repository's answer: it is no answer to this one.
            Err(_) if !is_same => Ok(None),
            joined => joined.map(Some),
        }
    }

    /// What is kept; whoever asks has a right to it.
    pub async fn kept(&self, digest: &Digest, told: Option<u64>) -> Result<Option<Blob>, Error> {
        if let Some(bytes) = self.inner.memory.get(digest) {
            self.inner.disk.touch(digest);
            return Ok(Some(self.blob(digest, CacheOutcome::Hit, Held::Memory(bytes))));
        }
        let held = self.open(digest, told).await?;
        Ok(held.map(|held| self.blob(digest, CacheOutcome::Hit, held)))
    }

    /// A blob of so many bytes that is kept, or coming, or can be had from the bucket: nothing is fetched before it is known what
    /// of it is asked for. `lost` is called when it turns out that the bucket has something else, or nothing.
    pub async fn reach(
        &self,
        bucket: Arc<Bucket>,
        version: Version,
        lost: impl Fn() + Send + Sync + 'static,
    ) -> Result<Blob, Error> {
        let Version { digest, size, .. } = version;
        let chunks = self.inner.chunks.clone();
        let lost = move || {
            chunks.forget(version);
            lost();
        };
        let origin = Origin::Bucket(bucket, digest, Some(Arc::new(lost)));
        if let Some(blob) = self.present(&origin, Claim::PUSHED, Some(size)).await? {
            return Ok(blob);
        }
        let held = Held::Away(Away { cache: self.clone(), origin, version });
        Ok(self.blob(&digest, CacheOutcome::Miss, held))
    }

    /// A blob that was pushed, whole, from the bucket.
    pub(super) async fn fetch_pushed(&self, away: Away) -> Result<Blob, Error> {
        let Away { origin, version: Version { digest, size, .. }, .. } = away;
        let fetched = self.fetch(origin, || Claim::PUSHED, Some(size), || std::future::ready(())).await?;
        fetched.ok_or(Error::Stopped { digest })
    }

    /// Whether blobs find no room because of what clients do not take.
    pub fn shortage(&self) -> Shortage {
        self.inner.disk.shortage().clone()
    }

    pub(super) fn chunks(&self) -> &Chunks {
        &self.inner.chunks
    }

    /// Whether the blob is kept, without opening it.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.inner.memory.get(digest).is_some() || self.inner.disk.contains(digest)
    }

    /// What is kept, if the claim is for that, or what `source` gives: one fetch from an origin for everyone who asks while it
    /// runs. Returns when the size is known or upstream has begun to answer.
    ///
    /// `claim` is asked whenever it matters: it may have become stronger since. `None` where nothing is confirmed and others'
    /// bytes are there: the origin must be asked whether this repository has the blob. `report` is called when the origin has sent
    /// the blob, if it is this fetch that is begun.
    pub async fn fetch<F>(
        &self,
        source: Origin,
        claim: impl Fn() -> Claim,
        told: Option<u64>,
        report: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Option<Blob>, Error>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let digest = *source.digest();
        let key = (source.id(), digest);
        for _ in 0..MAX_ROUNDS {
            let now = claim();
            if now.sent && !now.confirmed && self.contains(&digest) {
                return Ok(None);
            }
            if now.covers_kept()
                && let Some(blob) = self.kept(&digest, told).await?
            {
                return Ok(Some(blob));
            }
            let still_needed = || !claim().sent || !self.inner.disk.contains(&digest);
            let (fill, outcome) = match self.inner.flights.board(&key, still_needed, || self.fill(&source)) {
                Boarding::Declined => continue,
                Boarding::Joined(fill) if !now.confirmed && !fill.source.is_same(&source) => return Ok(None),
                Boarding::Joined(fill) => (fill, CacheOutcome::Coalesced),
                Boarding::Started(fill, landing) => {
                    // Counted before the task begins, so that it is not taken for forgotten.
                    let waiting = fill.wait();
                    self.spawn(fill, landing, claim(), told, report);
                    return self.join(waiting, &source, CacheOutcome::Miss).await.map(Some);
                }
            };
            let is_same = fill.source.is_same(&source);
            match self.join(fill.wait(), &source, outcome).await {
                Err(Error::Abandoned { .. }) => {}
                // Another repository's answer: it is no answer to this one.
                Err(_) if !is_same => {}
                joined => return joined.map(Some),
            }
        }
        Err(Error::Stopped { digest })
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
        run_blocking(move || {
            if let Err(error) = disk.keep(&digest, &bytes) {
                disk.failed("commit", &error);
            }
        })
        .await;
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

    /// The bytes of a small object that is kept, such as a manifest; `None` for one of more than `limit` bytes.
    pub async fn read(&self, digest: &Digest, limit: u64) -> Result<Option<Bytes>, Error> {
        if let Some(bytes) = self.inner.memory.get(digest) {
            self.inner.disk.touch(digest);
            return Ok(Some(bytes));
        }
        let (disk, digest) = (self.inner.disk.clone(), *digest);
        let read = run_blocking(move || {
            let Some(opened) = disk.open(&digest, None)?.filter(|opened| opened.size <= limit) else { return Ok(None) };
            let mut bytes = Vec::with_capacity(usize::try_from(opened.size.min(limit)).unwrap_or_default());
            match (&*opened.file).take(limit).read_to_end(&mut bytes) {
                Ok(_) if digest.verifies(&bytes) => Ok(Some(Bytes::from(bytes))),
                // Cut or rotten: fetch it again.
                _ => {
                    disk.forget_file(&digest, opened.pin.id());
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
    /// it is needed. Blobs are read in order, those up to `position.last` were. `advance` is told of each blob, `keep` of the position, from
    /// which another round may go on. One that cannot be read is counted and told, and the round goes on.
    pub async fn scrub(
        &self,
        bytes_per_second: u64,
        position: CacheScrubPosition,
        advance: impl Fn(u64),
        keep: impl Fn(&CacheScrubPosition),
        stop: &CancellationToken,
    ) -> CacheScrubbed {
        let CacheScrubPosition { last, so_far: mut scrubbed } = position;
        let last: Option<Digest> = last.and_then(|text| text.parse().ok());
        let mut pace = Pace::new(bytes_per_second);
        let mut digests = self.inner.disk.digests();
        digests.sort_unstable();
        digests.retain(|digest| last.is_none_or(|last| *digest > last));
        for digest in digests {
            if stop.is_cancelled() {
                break;
            }
            match self.scrub_blob(&digest, &mut pace).await {
                Ok(None) => continue,
                Ok(Some(is_damaged)) => scrubbed.damaged += u64::from(is_damaged),
                Err(error) => {
                    scrubbed.failed += 1;
                    tracing::warn!(%error, %digest, "a cached blob could not be read again");
                }
            }
            scrubbed.blobs += 1;
            advance(1);
            keep(&CacheScrubPosition { last: Some(digest.to_string()), so_far: scrubbed });
        }
        scrubbed
    }

    /// Whether it was damaged; `None` if it is not there any more.
    async fn scrub_blob(&self, digest: &Digest, pace: &mut Pace) -> Result<Option<bool>, storage::Error> {
        let (disk, digest) = (self.inner.disk.clone(), *digest);
        let Some((file, id)) = run_blocking(move || disk.peek(&digest)).await? else { return Ok(None) };
        if check_file(file, &digest, pace).await? != Condition::Damaged {
            return Ok(Some(false));
        }
        self.inner.metrics.scrub_damaged.inc();
        tracing::error!(%digest, "a cached blob is damaged; it will be fetched again");
        let disk = self.inner.disk.clone();
        run_blocking(move || disk.forget_file(&digest, id)).await;
        Ok(Some(true))
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
        let (disk, limit, max_object) = (self.inner.disk.clone(), settings.disk, settings.disk_object);
        // It removes files until the rest is within the limit; nobody waits for that.
        drop(run_blocking(move || disk.set_limit(limit, max_object)));
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

    fn spawn<F>(
        &self,
        fill: Arc<Fill>,
        landing: Landing<FlightKey, Fill>,
        claim: Claim,
        told: Option<u64>,
        report: impl FnOnce() -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let filler = Filler {
            supply: Supply::new(fill.source.clone(), self.inner.shared.clone(), claim.confirmed),
            fill: fill.clone(),
            disk: self.inner.disk.clone(),
            metrics: self.inner.metrics.clone(),
            attempts: self.inner.fill_attempts,
            stop: self.inner.stop.clone(),
        };
        self.inner.fillers.spawn(filler.run(told, landing, report));
    }

    fn fill(&self, source: &Origin) -> Fill {
        Fill::new(source.clone(), self.inner.metrics.cache_requests_waiting.clone())
    }

    async fn join(&self, waiting: Waiting, source: &Origin, outcome: CacheOutcome) -> Result<Blob, Error> {
        let fill = waiting.fill().clone();
        let reading = fill.read(source.clone());
        fill.opened().await?;
        drop(waiting);
        let outcome = if fill.file().is_none() { CacheOutcome::PassThrough } else { outcome };
        Ok(self.blob(&fill.digest, outcome, Held::Filling(reading)))
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
