//! The disk tier: which blobs are kept, how much room there is, and what goes to make some.
//!
//! Every byte is accounted before it is written: published blobs, room reserved by fills, and what earlier processes left
//! unfinished together never exceed the limit.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::eviction::Eviction;
use crate::meta::BlobUse;
use crate::oci::Digest;
use crate::storage::{self, Staged, Storage};
use crate::telemetry::Metrics;

/// Files take whole blocks.
const BLOCK_BYTES: u64 = 4096;

pub(super) struct Disk {
    storage: Storage,
    state: Mutex<State>,
    /// Held from the choice of what goes until its files are gone: nobody is promised room that is not there yet. Taken
    /// before `state`, and only where waiting for a disk is allowed.
    clearing: Mutex<()>,
    metrics: Metrics,
}

struct State {
    limit: u64,
    eviction: Eviction,
    /// Bytes that fills have been promised.
    reserved: u64,
    /// Unfinished files that no fill is using, with their bytes.
    left_overs: HashMap<Digest, u64>,
    /// Used since the last flush.
    used: HashSet<Digest>,
    /// Gone since the last flush.
    gone: HashSet<Digest>,
}

/// A published blob, open for reading, safe from eviction until dropped.
pub(super) struct Opened {
    pub(super) file: Arc<File>,
    pub(super) size: u64,
    pub(super) pin: Arc<Pin>,
}

pub(super) struct Pin {
    disk: Arc<Disk>,
    digest: Digest,
}

/// Room for a fill; given back when dropped.
pub(super) struct Reservation {
    disk: Arc<Disk>,
    bytes: u64,
}

fn on_disk(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(BLOCK_BYTES).unwrap_or(u64::MAX)
}

impl Disk {
    /// Reads what earlier processes left. Blocks on IO for as long as that takes.
    pub(super) fn load(
        storage: Storage,
        limit: u64,
        staging_ttl: Duration,
        uses: &HashMap<Digest, BlobUse>,
        metrics: Metrics,
    ) -> Result<Arc<Self>, storage::Error> {
        let mut blobs = storage.scan()?;
        let used_at_ms = |blob: &storage::StoredBlob| {
            uses.get(&blob.digest).map_or_else(|| milliseconds(blob.modified), |one| one.used_at_ms)
        };
        blobs.sort_by_cached_key(used_at_ms);
        let mut eviction = Eviction::new();
        for blob in &blobs {
            eviction.restore(blob.digest, on_disk(blob.size), uses.get(&blob.digest).map_or(0, |one| one.uses));
        }
        let mut left_overs = HashMap::new();
        for left in storage.scan_left_overs()? {
            let expired = left.modified.elapsed().is_ok_and(|age| age > staging_ttl);
            if expired || eviction.contains(&left.digest) {
                storage.remove_left_over(&left.digest)?;
            } else {
                left_overs.insert(left.digest, on_disk(left.size));
            }
        }
        let state = State { limit, eviction, reserved: 0, left_overs, used: HashSet::new(), gone: HashSet::new() };
        let disk = Arc::new(Self { storage, state: Mutex::new(state), clearing: Mutex::new(()), metrics });
        disk.make_room(0);
        Ok(disk)
    }

    pub(super) fn contains(&self, digest: &Digest) -> bool {
        self.state().eviction.contains(digest)
    }

    /// Opens a kept blob and counts the use. One whose file is gone, or is not `expected` bytes long, is forgotten: it will
    /// be fetched again (C70).
    pub(super) fn open(
        self: &Arc<Self>,
        digest: &Digest,
        expected: Option<u64>,
    ) -> Result<Option<Opened>, storage::Error> {
        {
            let mut state = self.state();
            if !state.eviction.pin(digest) {
                return Ok(None);
            }
            state.used.insert(*digest);
        }
        let pin = Arc::new(Pin { disk: self.clone(), digest: *digest });
        match self.storage.open_blob(digest)? {
            Some((file, size)) if expected.is_none_or(|expected| expected == size) => {
                Ok(Some(Opened { file: Arc::new(file), size, pin }))
            }
            found => {
                let size = found.map(|(_, size)| size);
                tracing::warn!(%digest, ?size, ?expected, "a kept blob is gone or has another size; it will be fetched again");
                self.forget(digest);
                Ok(None)
            }
        }
    }

    /// What is kept, now.
    pub(super) fn digests(&self) -> Vec<Digest> {
        self.state().eviction.digests()
    }

    /// Opens a kept blob without counting a use.
    pub(super) fn peek(&self, digest: &Digest) -> Result<Option<File>, storage::Error> {
        Ok(self.storage.open_blob(digest)?.map(|(file, _)| file))
    }

    /// Counts a use of a blob whose copy in memory was served.
    pub(super) fn touch(&self, digest: &Digest) {
        let mut state = self.state();
        state.eviction.touch(digest);
        state.used.insert(*digest);
    }

    /// Drops what is not right. That it cannot be removed is no reason not to fetch it again.
    pub(super) fn forget(&self, digest: &Digest) {
        {
            let mut state = self.state();
            state.eviction.remove(digest);
            state.gone.insert(*digest);
        }
        if let Err(error) = self.storage.remove_blob(digest) {
            self.failed("remove", &error);
        }
    }

    /// The staging file of `digest`, with what an earlier fill left in it, and the room that this takes.
    pub(super) fn stage(self: &Arc<Self>, digest: &Digest) -> Result<(Staged, Reservation), storage::Error> {
        let _clearing = self.clearing.lock().unwrap_or_else(PoisonError::into_inner);
        let staged = self.storage.stage(digest)?;
        let bytes = on_disk(staged.len());
        let mut state = self.state();
        state.left_overs.remove(digest);
        state.reserved += bytes;
        drop(state);
        Ok((staged, Reservation { disk: self.clone(), bytes }))
    }

    /// Leaves an unfinished file to be resumed, accounted as such.
    pub(super) fn leave(&self, digest: &Digest, staged: Staged, reservation: Reservation) {
        if staged.is_empty() {
            return;
        }
        let bytes = on_disk(staged.len());
        if let Err(error) = staged.sync().and_then(|()| staged.keep()) {
            self.failed("write", &error);
            return;
        }
        self.state().left_overs.insert(*digest, bytes);
        drop(reservation);
    }

    /// Accounts a verified blob that was just published, and keeps it for a reader.
    pub(super) fn publish(self: &Arc<Self>, digest: &Digest, size: u64, reservation: Reservation) -> Pin {
        {
            let mut state = self.state();
            state.eviction.insert(*digest, on_disk(size));
            state.eviction.hold(digest);
            state.used.insert(*digest);
            state.gone.remove(digest);
        }
        drop(reservation);
        Pin { disk: self.clone(), digest: *digest }
    }

    /// Takes in a file of verified bytes, if there is room; else it is removed.
    pub(super) fn adopt(self: &Arc<Self>, digest: &Digest, staged: Staged) -> Result<(), storage::Error> {
        let size = staged.len();
        let mut reservation = Reservation { disk: self.clone(), bytes: 0 };
        if self.contains(digest) || !reservation.grow_to(size) {
            return Ok(());
        }
        staged.bound_for(self.storage.blobs()).publish(digest)?;
        drop(self.publish(digest, size, reservation));
        Ok(())
    }

    pub(super) fn set_limit(&self, limit: u64) {
        self.state().limit = limit;
        self.make_room(0);
    }

    /// What changed since the last call: to be written to the database.
    pub(super) fn take_changes(&self, now: SystemTime) -> (Vec<BlobUse>, Vec<Digest>) {
        let mut state = self.state();
        let used = std::mem::take(&mut state.used);
        let gone = std::mem::take(&mut state.gone);
        let used_at_ms = milliseconds(now);
        let uses = used
            .into_iter()
            .filter_map(|digest| Some(BlobUse { digest, used_at_ms, uses: state.eviction.uses(&digest)? }))
            .collect();
        (uses, gone.into_iter().collect())
    }

    pub(super) fn failed(&self, operation: &'static str, error: &storage::Error) {
        self.metrics.storage_errors.with_label_values(&[operation]).inc();
        tracing::error!(%error, "the disk failed");
    }

    pub(super) fn observe(&self) {
        let state = self.state();
        let gauge = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.metrics.cache_bytes.with_label_values(&["disk"]).set(gauge(state.used_bytes()));
        self.metrics.cache_limit_bytes.with_label_values(&["disk"]).set(gauge(state.limit));
        self.metrics.cache_objects.with_label_values(&["disk"]).set(gauge(state.eviction.len() as u64));
    }

    /// Evicts until `bytes` more fit, and promises them. Files are removed before this returns.
    fn make_room(&self, bytes: u64) -> bool {
        let _clearing = self.clearing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left_overs = Vec::new();
        let mut evicted = Vec::new();
        let fits = {
            let mut state = self.state();
            loop {
                if state.used_bytes().saturating_add(bytes) <= state.limit {
                    state.reserved += bytes;
                    break true;
                }
                if let Some(digest) = state.left_overs.keys().next().copied() {
                    state.left_overs.remove(&digest);
                    left_overs.push(digest);
                } else if let Some((digest, freed)) = state.eviction.evict() {
                    state.gone.insert(digest);
                    evicted.push((digest, freed));
                } else {
                    break false;
                }
            }
        };
        for digest in &left_overs {
            if let Err(error) = self.storage.remove_left_over(digest) {
                self.failed("remove", &error);
            }
        }
        for (digest, freed) in &evicted {
            self.metrics.cache_evictions.with_label_values(&["disk"]).inc();
            self.metrics.cache_evicted_bytes.with_label_values(&["disk"]).inc_by(*freed);
            if let Err(error) = self.storage.remove_blob(digest) {
                self.failed("remove", &error);
            }
        }
        fits
    }

    /// Nothing that holds this lock awaits or does IO. A panic under it leaves counters that are at worst a little off, so
    /// it is not passed on.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn used_bytes(&self) -> u64 {
        self.eviction.bytes() + self.reserved + self.left_overs.values().sum::<u64>()
    }
}

impl Reservation {
    /// Makes room until the promise is at least `bytes` in all. False when what is left is being read, or the limit is too
    /// small.
    pub(super) fn grow_to(&mut self, bytes: u64) -> bool {
        let more = on_disk(bytes).saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let fits = self.disk.make_room(more);
        if fits {
            self.bytes += more;
        }
        fits
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        state.reserved = state.reserved.saturating_sub(self.bytes);
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.disk.state().eviction.unpin(&self.digest);
    }
}

fn milliseconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(folder: &std::path::Path, limit: u64) -> Arc<Disk> {
        let storage = Storage::open(folder).unwrap();
        Disk::load(storage, limit, Duration::from_secs(3600), &HashMap::new(), Metrics::new().unwrap()).unwrap()
    }

    fn keep(disk: &Arc<Disk>, content: &[u8]) -> Option<Pin> {
        let digest = Digest::of(content);
        let (mut staged, mut reservation) = disk.stage(&digest).unwrap();
        if !reservation.grow_to(content.len() as u64) {
            return None;
        }
        staged.write(content).unwrap();
        staged.publish(&digest).unwrap();
        Some(disk.publish(&digest, content.len() as u64, reservation))
    }

    #[test]
    fn room_is_made_only_from_what_nobody_reads() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(folder.path(), 3 * BLOCK_BYTES);
        let pins: Vec<_> = (0..3u8).map(|n| keep(&disk, &[n; 100]).unwrap()).collect();
        let (_staged, mut reservation) = disk.stage(&Digest::of(b"next")).unwrap();
        assert!(!reservation.grow_to(1));
        drop(pins);
        assert!(reservation.grow_to(2 * BLOCK_BYTES));
        assert_eq!(disk.storage.scan().unwrap().len(), 1);
        assert!(!reservation.grow_to(4 * BLOCK_BYTES));
    }

    /// C73: a smaller limit after a restart applies to what is there.
    #[test]
    fn a_smaller_limit_applies_to_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let first = disk(folder.path(), 10 * BLOCK_BYTES);
        (0..8u8).for_each(|n| drop(keep(&first, &[n; 100]).unwrap()));
        drop(first);
        let second = disk(folder.path(), 3 * BLOCK_BYTES);
        assert_eq!(second.storage.scan().unwrap().len(), 3);
    }

    #[test]
    fn a_file_that_is_gone_or_short_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(folder.path(), 10 * BLOCK_BYTES);
        drop(keep(&disk, b"hello").unwrap());
        let digest = Digest::of(b"hello");
        assert!(disk.open(&digest, Some(5)).unwrap().is_some());
        assert!(disk.open(&digest, Some(6)).unwrap().is_none());
        assert!(!disk.contains(&digest));
        assert_eq!(disk.state().used_bytes(), 0);
    }

    #[test]
    fn left_overs_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(folder.path(), 2 * BLOCK_BYTES);
        drop(keep(&disk, b"hello").unwrap());
        let digest = Digest::of(b"other");
        let (mut staged, mut reservation) = disk.stage(&digest).unwrap();
        assert!(reservation.grow_to(5));
        staged.write(b"oth").unwrap();
        disk.leave(&digest, staged, reservation);
        let (_staged, mut reservation) = disk.stage(&Digest::of(b"next")).unwrap();
        assert!(reservation.grow_to(1));
        assert!(disk.contains(&Digest::of(b"hello")));
        assert!(disk.storage.scan_left_overs().unwrap().is_empty());
    }
}
