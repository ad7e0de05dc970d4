//! The disk tier: opening, publishing and removing files, and making room for them.
//!
//! Every byte is accounted before it is written ([`Room`]). Whether a blob may enter is decided before anything is evicted
//! for it.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::room::{Going, LeftOver, Room, on_disk};
use super::shortage::Shortage;
use crate::config::CacheSettings;
use crate::meta::BlobUse;
use crate::oci::{Digest, Hasher};
use crate::storage::{self, OriginId, Staged, Storage};
use crate::telemetry::Metrics;

pub(super) struct Disk {
    storage: Storage,
    room: Mutex<Room>,
    /// Held from the choice of what goes until its files are gone: nobody is promised room that is not there yet. Taken
    /// before `room`, and only where waiting for a disk is allowed.
    clearing: Mutex<()>,
    /// Held while a file is read again because somebody doubts its size.
    rereading: Mutex<()>,
    shortage: Shortage,
    metrics: Metrics,
}

/// Bytes that are read again at a time.
const REREAD_BYTES: usize = 1 << 20;

/// A published blob, open for reading, safe from eviction until dropped.
pub(super) struct Opened {
    pub(super) file: Arc<File>,
    pub(super) size: u64,
    pub(super) pin: Arc<Pin>,
}

/// Keeps a file's bytes accounted, and its blob from eviction, until dropped.
pub(super) struct Pin {
    disk: Arc<Disk>,
    digest: Digest,
    /// Of the file: the digest may have another by now.
    id: u64,
}

/// Room for a fill; given back when dropped.
pub(super) struct Reservation {
    disk: Arc<Disk>,
    bytes: u64,
}

impl Disk {
    /// Reads what earlier processes left. Blocks on IO for as long as that takes.
    pub(super) fn load(
        storage: Storage,
        settings: &CacheSettings,
        uses: &HashMap<Digest, BlobUse>,
        metrics: Metrics,
    ) -> Result<Arc<Self>, storage::Error> {
        let mut blobs = storage.scan()?;
        let used_at_ms = |blob: &storage::StoredBlob| {
            uses.get(&blob.digest).map_or_else(|| milliseconds(blob.modified), |one| one.used_at_ms)
        };
        blobs.sort_by_cached_key(used_at_ms);
        let mut room = Room::new(settings.disk, settings.disk_object);
        for blob in &blobs {
            room.restore(blob.digest, blob.size, uses.get(&blob.digest).map_or(0, |one| one.uses));
        }
        for left in storage.scan_left_overs()? {
            let expired = left.modified.elapsed().is_ok_and(|age| age > settings.staging_ttl);
            if expired || room.eviction.contains(&left.digest) {
                storage.remove_left_over(&left.name)?;
                continue;
            }
            let found = LeftOver { name: left.name, bytes: on_disk(left.size) };
            if let Some(other) = room.add_left_over(left.digest, left.origin, found) {
                storage.remove_left_over(&other.name)?;
            }
        }
        let disk = Arc::new(Self {
            storage,
            room: Mutex::new(room),
            clearing: Mutex::new(()),
            rereading: Mutex::new(()),
            shortage: Shortage::default(),
            metrics,
        });
        disk.clear(|room| Some(room.shrink()));
        Ok(disk)
    }

    pub(super) fn contains(&self, digest: &Digest) -> bool {
        self.room().eviction.contains(digest)
    }

    /// Opens a kept blob and counts the use. One whose file is gone or was cut is forgotten: it will be fetched again (C70).
    ///
    /// `told` is the size that somebody else says: a reason to read a file again that this process has not verified, and none
    /// to doubt one that it has.
    pub(super) fn open(self: &Arc<Self>, digest: &Digest, told: Option<u64>) -> Result<Option<Opened>, storage::Error> {
        let instance = {
            let mut room = self.room();
            let Some(instance) = room.eviction.pin(digest) else { return Ok(None) };
            room.used.insert(*digest);
            instance
        };
        let pin = Arc::new(Pin { disk: self.clone(), digest: *digest, id: instance.id });
        let found = self.storage.open_blob(digest)?;
        let size = found.as_ref().map(|(_, size)| *size);
        if let Some((file, size)) = found
            && size == instance.size
            && (instance.verified || told.is_none_or(|told| told == size) || self.verifies(digest, &file, instance.id))
        {
            return Ok(Some(Opened { file: Arc::new(file), size, pin }));
        }
        tracing::warn!(%digest, ?size, expected = instance.size, "a kept blob is gone or damaged; it will be fetched again");
        self.forget_file(digest, instance.id);
        Ok(None)
    }

    /// Reads the file again, one at a time: a second reader who doubts another file meanwhile gets it as one who does not.
    fn verifies(&self, digest: &Digest, file: &File, id: u64) -> bool {
        let Ok(_rereading) = self.rereading.try_lock() else { return true };
        let (mut hasher, mut buffer, mut at) = (Hasher::new(digest.algorithm()), vec![0; REREAD_BYTES], 0);
        loop {
            let Ok(count) = file.read_at(&mut buffer, at) else { return false };
            if count == 0 {
                break;
            }
            hasher.update(buffer.get(..count).unwrap_or_default());
            at += count as u64;
        }
        let verifies = hasher.finish() == *digest;
        if verifies {
            self.room().eviction.verified(digest, id);
        }
        verifies
    }

    /// What is kept, now.
    pub(super) fn digests(&self) -> Vec<Digest> {
        self.room().eviction.digests()
    }

    /// Opens a kept blob without counting a use; the number tells it from a later file of the digest.
    pub(super) fn peek(&self, digest: &Digest) -> Result<Option<(File, u64)>, storage::Error> {
        let Some(instance) = self.room().eviction.instance(digest) else { return Ok(None) };
        Ok(self.storage.open_blob(digest)?.map(|(file, _)| (file, instance.id)))
    }

    /// Counts a use of a blob whose copy in memory was served.
    pub(super) fn touch(&self, digest: &Digest) {
        let mut room = self.room();
        room.eviction.touch(digest);
        room.used.insert(*digest);
    }

    /// Drops a file that is not what its name says, unless another has taken its place. That it cannot be removed is no reason
    /// not to fetch the blob again.
    pub(super) fn forget_file(&self, digest: &Digest, id: u64) {
        // No file is published between the look and the removal.
        let _clearing = self.clearing();
        if self.room().forget(digest, Some(id))
            && let Err(error) = self.storage.remove_blob(digest)
        {
            self.failed("remove", &error);
        }
    }

    /// Bytes on disk of what an earlier fill from there left.
    pub(super) fn left_over_bytes(&self, digest: &Digest, origin: OriginId) -> Option<u64> {
        self.room().left_over_bytes(digest, origin)
    }

    /// A staging file of the origin's own, with what an earlier fill from there left in it, and the room that this takes.
    pub(super) fn stage(
        self: &Arc<Self>,
        digest: &Digest,
        origin: OriginId,
    ) -> Result<(Staged, Reservation), storage::Error> {
        let (left, mut reservation) = {
            let mut room = self.room();
            let left = room.take_left_over(digest, origin);
            let bytes = left.as_ref().map_or(0, |left| left.bytes);
            room.hold(bytes);
            (left, Reservation { disk: self.clone(), bytes })
        };
        let staged = match left {
            Some(left) => self.storage.resume(&left.name)?,
            None => self.storage.stage(digest, origin)?,
        };
        if staged.is_empty() {
            reservation.shrink_to(0);
        }
        Ok((staged, reservation))
    }

    /// Leaves an unfinished file to be resumed by a fill from the same origin, accounted as such.
    pub(super) fn leave(&self, digest: &Digest, origin: OriginId, staged: Staged) {
        if staged.is_empty() {
            return;
        }
        let bytes = on_disk(staged.len());
        let name = match staged.sync().and_then(|()| staged.keep()) {
            Ok(name) => name,
            Err(error) => {
                self.failed("write", &error);
                return;
            }
        };
        let before = self.room().add_left_over(*digest, origin, LeftOver { name, bytes });
        if let Some(before) = before
            && let Err(error) = self.storage.remove_left_over(&before.name)
        {
            self.failed("remove", &error);
        }
    }

    /// Publishes a file of verified bytes and accounts it, and keeps it for a reader.
    pub(super) fn publish(
        self: &Arc<Self>,
        digest: &Digest,
        mut staged: Staged,
        reservation: Reservation,
    ) -> Result<Pin, (storage::Error, Reservation)> {
        let size = staged.len();
        // The last step of room that was made went beyond the end, where upstream had not told the size.
        if let Err(error) = staged.trim().and_then(|()| staged.sync()) {
            return Err((error, reservation));
        }
        let (id, shard) = {
            // The file and its entry change together: nobody forgets the one and removes the other.
            let _clearing = self.clearing();
            match staged.place(digest) {
                Ok(shard) => (self.room().publish(*digest, size), shard),
                Err(error) => return Err((error, reservation)),
            }
        };
        drop(reservation);
        if let Err(error) = storage::sync_folder(&shard) {
            self.failed("commit", &error);
        }
        Ok(Pin { disk: self.clone(), digest: *digest, id })
    }

    /// Takes in a file of verified bytes, if there is room; else it is removed.
    pub(super) fn adopt(self: &Arc<Self>, digest: &Digest, staged: Staged) -> Result<(), storage::Error> {
        let mut reservation = self.reservation();
        if self.contains(digest) || !self.admits(staged.len(), &reservation) || !reservation.grow_to(staged.len()) {
            return Ok(());
        }
        let staged = staged.bound_for(self.storage.blobs());
        self.publish(digest, staged, reservation).map(drop).map_err(|(error, _)| error)
    }

    /// Keeps bytes that the caller has verified, if there is room.
    pub(super) fn keep(self: &Arc<Self>, digest: &Digest, bytes: &[u8]) -> Result<(), storage::Error> {
        let mut reservation = self.reservation();
        let size = bytes.len() as u64;
        if self.contains(digest) || !self.admits(size, &reservation) || !reservation.grow_to(size) {
            return Ok(());
        }
        let mut staged = self.storage.stage(digest, OriginId::of("verified"))?;
        staged.write(bytes)?;
        self.publish(digest, staged, reservation).map(drop).map_err(|(error, _)| error)
    }

    /// Whether a blob of this size may enter, for which the reservation is.
    pub(super) fn admits(&self, size: u64, reservation: &Reservation) -> bool {
        let room = self.room();
        let admits = room.admits(size, reservation.bytes);
        if !admits && room.would_admit(size) {
            self.shortage.note();
        }
        admits
    }

    /// Whether room is short.
    pub(super) fn shortage(&self) -> &Shortage {
        &self.shortage
    }

    /// Lets go of what is beyond the limit, where something may go now that could not before.
    fn settle(self: &Arc<Self>) {
        if !self.room().has_to_shrink() {
            return;
        }
        let disk = self.clone();
        let shrink = move || {
            disk.clear(|room| Some(room.shrink()));
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(shrink)),
            Err(_) => shrink(),
        }
    }

    /// Blocks on IO.
    pub(super) fn set_limit(&self, limit: u64, max_object: u64) {
        self.clear(|room| {
            room.set_limit(limit, max_object);
            Some(room.shrink())
        });
    }

    /// What changed since the last call: to be written to the database.
    pub(super) fn take_changes(&self, now: SystemTime) -> (Vec<BlobUse>, Vec<Digest>) {
        let mut room = self.room();
        let used = std::mem::take(&mut room.used);
        let gone = std::mem::take(&mut room.gone);
        let used_at_ms = milliseconds(now);
        let uses = used
            .into_iter()
            .filter_map(|digest| Some(BlobUse { digest, used_at_ms, uses: room.eviction.uses(&digest)? }))
            .collect();
        (uses, gone.into_iter().collect())
    }

    pub(super) fn failed(&self, operation: &'static str, error: &storage::Error) {
        self.metrics.storage_errors.with_label_values(&[operation]).inc();
        tracing::error!(%error, "the disk failed");
    }

    pub(super) fn observe(&self) {
        let room = self.room();
        let gauge = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.metrics.cache_bytes.with_label_values(&["disk"]).set(gauge(room.used_bytes()));
        self.metrics.cache_limit_bytes.with_label_values(&["disk"]).set(gauge(room.limit()));
        self.metrics.cache_objects.with_label_values(&["disk"]).set(gauge(room.eviction.len() as u64));
    }

    fn reservation(self: &Arc<Self>) -> Reservation {
        Reservation { disk: self.clone(), bytes: 0 }
    }

    /// Removes the files of what `choose` lets go, before anybody else is promised their room. False when it chose `None`.
    fn clear(&self, choose: impl FnOnce(&mut Room) -> Option<Going>) -> bool {
        let _clearing = self.clearing();
        let Some(going) = choose(&mut self.room()) else { return false };
        for name in &going.left_overs {
            if let Err(error) = self.storage.remove_left_over(name) {
                self.failed("remove", &error);
            }
        }
        for (digest, freed) in &going.blobs {
            self.metrics.cache_evictions.with_label_values(&["disk"]).inc();
            self.metrics.cache_evicted_bytes.with_label_values(&["disk"]).inc_by(*freed);
            if let Err(error) = self.storage.remove_blob(digest) {
                self.failed("remove", &error);
            }
        }
        true
    }

    fn clearing(&self) -> MutexGuard<'_, ()> {
        self.clearing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing that holds this lock awaits or does IO. A panic under it leaves counters that are at worst a little off, so
    /// it is not passed on.
    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// Bytes of all that may be promised.
    pub(super) fn limit(&self) -> u64 {
        self.disk.room().limit()
    }

    /// Whether so many bytes in all are promised.
    pub(super) fn covers(&self, bytes: u64) -> bool {
        on_disk(bytes) <= self.bytes
    }

    /// Makes room until the promise is at least `bytes` in all. False, and nothing goes, when what is left is being read, or the limit or
    /// what one blob may take is too small. Blocks on IO.
    pub(super) fn grow_to(&mut self, bytes: u64) -> bool {
        let more = on_disk(bytes).saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let promised = self.bytes;
        let fits = self.disk.clear(|room| room.reserve(more, promised));
        if fits {
            self.bytes += more;
        } else if self.disk.room().would_admit(bytes) {
            self.disk.shortage.note();
        }
        fits
    }

    /// Gives back what is promised beyond `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: u64) {
        let less = self.bytes.saturating_sub(on_disk(bytes));
        self.disk.room().release(less);
        self.bytes -= less;
    }
}

impl Pin {
    /// Of the file.
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.disk.room().release(self.bytes);
        self.disk.settle();
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.disk.room().unpin(&self.digest, self.id);
        self.disk.settle();
    }
}

fn milliseconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::room::BLOCK_BYTES;

    fn disk(folder: &std::path::Path, limit: u64) -> Arc<Disk> {
        let storage = Storage::open(folder).unwrap();
        let text = format!("[cache]\ndisk = \"{limit}B\"\ndisk_object = \"{limit}B\"");
        let settings = crate::config::parse(&text).unwrap().cache;
        Disk::load(storage, &settings, &HashMap::new(), Metrics::new().unwrap()).unwrap()
    }

    fn origin() -> OriginId {
        OriginId::of("an origin")
    }

    fn keep(disk: &Arc<Disk>, content: &[u8]) -> Option<Pin> {
        let digest = Digest::of(content);
        let (mut staged, mut reservation) = disk.stage(&digest, origin()).unwrap();
        if !reservation.grow_to(content.len() as u64) {
            return None;
        }
        staged.write(content).unwrap();
        disk.publish(&digest, staged, reservation).ok()
    }

    #[test]
    fn room_is_made_only_from_what_nobody_reads() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(folder.path(), 3 * BLOCK_BYTES);
        let pins: Vec<_> = (0..3u8).map(|n| keep(&disk, &[n; 100]).unwrap()).collect();
        let (_staged, mut reservation) = disk.stage(&Digest::of(b"next"), origin()).unwrap();
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

    /// T1, T2: a size that somebody else says removes nothing that was verified.
    #[test]
    fn t02_a_wrong_size_that_is_told_costs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(folder.path(), 10 * BLOCK_BYTES);
        drop(keep(&disk, b"hello").unwrap());
        let digest = Digest::of(b"hello");
        for told in [Some(5), Some(6), Some(0), None] {
            assert_eq!(disk.open(&digest, told).unwrap().unwrap().size, 5);
        }
    }

    /// C70, after a restart: what was cut while the process was away is found when somebody says how long it should be.
    #[test]
    fn a_file_that_is_gone_or_short_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let digest = Digest::of(b"hello");
        let path = {
            let disk = disk(folder.path(), 10 * BLOCK_BYTES);
            drop(keep(&disk, b"hello").unwrap());
            folder.path().join("blobs/sha256").join(&digest.hex()[..2]).join(digest.hex())
        };
        std::fs::write(&path, b"hell").unwrap();
        let disk = disk(folder.path(), 10 * BLOCK_BYTES);
        assert!(disk.open(&digest, Some(5)).unwrap().is_none());
        assert!(!disk.contains(&digest));
        assert_eq!(disk.room().used_bytes(), 0);
        drop(keep(&disk, b"hello").unwrap());
        std::fs::write(&path, b"hell").unwrap();
        assert!(disk.open(&digest, None).unwrap().is_none(), "it was whole in this process");
    }

    /// T10: whether a blob may enter is decided before anything goes for it.
    #[test]
    fn t10_what_cannot_fit_evicts_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(folder.path(), 4 * BLOCK_BYTES);
        (0..4u8).for_each(|n| drop(keep(&disk, &[n; 100]).unwrap()));
        let (_staged, mut reservation) = disk.stage(&Digest::of(b"next"), origin()).unwrap();
        assert!(!disk.admits(5 * BLOCK_BYTES, &reservation));
        assert!(!reservation.grow_to(5 * BLOCK_BYTES));
        assert_eq!(disk.digests().len(), 4);
        let pin = disk.open(&Digest::of(&[0; 100]), None).unwrap();
        assert!(!disk.admits(4 * BLOCK_BYTES, &reservation), "one is being read");
        assert!(!reservation.grow_to(4 * BLOCK_BYTES));
        assert_eq!(disk.digests().len(), 4);
        drop(pin);
        assert!(disk.admits(4 * BLOCK_BYTES, &reservation));
        assert!(reservation.grow_to(4 * BLOCK_BYTES));
        assert!(disk.digests().is_empty());
    }

    /// T20: the file system frees an unlinked file when its last reader leaves, and no earlier.
    #[test]
    fn t20_an_unlinked_file_counts_until_its_last_reader_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(folder.path(), 4 * BLOCK_BYTES);
        drop(keep(&disk, b"hello").unwrap());
        let digest = Digest::of(b"hello");
        let readers = [(); 2].map(|()| disk.open(&digest, None).unwrap().unwrap());
        disk.forget_file(&digest, readers[0].pin.id);
        assert_eq!((disk.contains(&digest), disk.room().used_bytes()), (false, BLOCK_BYTES));
        drop(keep(&disk, b"hello").unwrap());
        disk.forget_file(&digest, readers[0].pin.id);
        assert!(disk.contains(&digest), "the file that took its place is another one");
        assert_eq!(disk.room().used_bytes(), 2 * BLOCK_BYTES);
        let [first, second] = readers;
        drop(first);
        assert_eq!(disk.room().used_bytes(), 2 * BLOCK_BYTES);
        drop(second);
        assert_eq!(disk.room().used_bytes(), BLOCK_BYTES);
    }

    /// T2: what one origin left is no other's to go on with.
    #[test]
    fn t02_a_left_over_is_its_origins() {
        let folder = tempfile::tempdir().unwrap();
        let digest = Digest::of(b"hello");
        {
            let disk = disk(folder.path(), 10 * BLOCK_BYTES);
            let (mut staged, mut reservation) = disk.stage(&digest, OriginId::of("wrong")).unwrap();
            assert!(reservation.grow_to(5));
            staged.write(b"ZZZ").unwrap();
            disk.leave(&digest, OriginId::of("wrong"), staged);
            let (staged, _reservation) = disk.stage(&digest, origin()).unwrap();
            assert!(staged.is_empty());
        }
        let disk = disk(folder.path(), 10 * BLOCK_BYTES);
        assert!(disk.stage(&digest, origin()).unwrap().0.is_empty());
        assert_eq!(disk.stage(&digest, OriginId::of("wrong")).unwrap().0.len(), 3);
        assert!(disk.stage(&digest, OriginId::of("wrong")).unwrap().0.is_empty(), "it has one writer");
    }

    /// T20: where upstream tells no size, room is made in steps, of which the last goes beyond the end.
    #[test]
    fn t20_a_published_file_takes_no_more_than_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(folder.path(), 1 << 20);
        let digest = Digest::of(b"hello");
        let (mut staged, mut reservation) = disk.stage(&digest, origin()).unwrap();
        assert!(reservation.grow_to(100 * BLOCK_BYTES));
        staged.reserve(100 * BLOCK_BYTES).unwrap();
        staged.write(b"hello").unwrap();
        let Ok(_pin) = disk.publish(&digest, staged, reservation) else { panic!() };
        let opened = disk.open(&digest, None).unwrap().unwrap();
        let taken = std::os::unix::fs::MetadataExt::blocks(&opened.file.metadata().unwrap()) * 512;
        assert!(taken <= disk.room().used_bytes(), "{taken}");
    }

    /// A folder that goes by a blob's name is none, and is not served.
    #[test]
    fn a_folder_in_a_blobs_place_is_no_blob() {
        let folder = tempfile::tempdir().unwrap();
        let digest = Digest::of(b"hello");
        let path = folder.path().join("blobs/sha256").join(&digest.hex()[..2]).join(digest.hex());
        std::fs::create_dir_all(path).unwrap();
        let disk = disk(folder.path(), 10 * BLOCK_BYTES);
        assert!(!disk.contains(&digest));
        assert_eq!(disk.room().used_bytes(), 0);
    }

    #[test]
    fn left_overs_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(folder.path(), 2 * BLOCK_BYTES);
        drop(keep(&disk, b"hello").unwrap());
        let digest = Digest::of(b"other");
        let (mut staged, mut reservation) = disk.stage(&digest, origin()).unwrap();
        assert!(reservation.grow_to(5));
        staged.write(b"oth").unwrap();
        disk.leave(&digest, origin(), staged);
        drop(reservation);
        let (_staged, mut reservation) = disk.stage(&Digest::of(b"next"), origin()).unwrap();
        assert!(reservation.grow_to(1));
        assert!(disk.contains(&Digest::of(b"hello")));
        assert!(disk.storage.scan_left_overs().unwrap().is_empty());
    }
}
