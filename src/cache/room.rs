//! The bytes of the disk tier, counted: which blobs are kept, what is promised to fills, what earlier ones left, and what is
//! unlinked but still read. Together they never exceed the limit.
//!
//! Pure: no IO, no clock.

use std::collections::{HashMap, HashSet};

use super::eviction::{Eviction, Instance, Removed};
use crate::oci::Digest;
use crate::storage::OriginId;

/// Files take whole blocks.
pub(super) const BLOCK_BYTES: u64 = 4096;

pub(super) struct Room {
    limit: u64,
    /// Larger blobs are not kept.
    max_object: u64,
    pub(super) eviction: Eviction,
    /// Bytes that fills have been promised.
    reserved: u64,
    left_overs: HashMap<(Digest, OriginId), LeftOver>,
    left_over_bytes: u64,
    /// Files that were unlinked while they are read, by the id of their [`Instance`]: the file system frees their bytes when
    /// the last reader leaves.
    unlinked: HashMap<u64, Unlinked>,
    unlinked_bytes: u64,
    next_id: u64,
    /// Used since the last flush.
    pub(super) used: HashSet<Digest>,
    /// Gone since the last flush.
    pub(super) gone: HashSet<Digest>,
}

/// An unfinished file that no fill is using.
pub(super) struct LeftOver {
    /// In the staging folder.
    pub(super) name: String,
    /// On disk.
    pub(super) bytes: u64,
}

struct Unlinked {
    bytes: u64,
    pins: u32,
}

/// What was chosen to go: its files are still to be removed.
#[derive(Default)]
pub(super) struct Going {
    pub(super) left_overs: Vec<String>,
    /// With the bytes that each frees.
    pub(super) blobs: Vec<(Digest, u64)>,
}

pub(super) fn on_disk(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(BLOCK_BYTES).unwrap_or(u64::MAX)
}

impl Room {
    pub(super) fn new(limit: u64, max_object: u64) -> Self {
        Self {
            limit,
            max_object,
            eviction: Eviction::new(),
            reserved: 0,
            left_overs: HashMap::new(),
            left_over_bytes: 0,
            unlinked: HashMap::new(),
            unlinked_bytes: 0,
            next_id: 0,
            used: HashSet::new(),
            gone: HashSet::new(),
        }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn set_limit(&mut self, limit: u64, max_object: u64) {
        (self.limit, self.max_object) = (limit, max_object);
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.eviction.bytes() + self.immovable_bytes() - self.eviction.pinned_bytes() + self.left_over_bytes
    }

    /// Bytes that no eviction can free now.
    fn immovable_bytes(&self) -> u64 {
        self.eviction.pinned_bytes() + self.reserved + self.unlinked_bytes
    }

    /// Whether so many more bytes fit once everything has gone that can go.
    fn could_fit(&self, more: u64) -> bool {
        self.immovable_bytes().saturating_add(more) <= self.limit
    }

    /// Whether a blob of this size may enter, when `promised` bytes are reserved for it already. It is asked before anything
    /// is evicted for the blob.
    pub(super) fn admits(&self, size: u64, promised: u64) -> bool {
        let bytes = on_disk(size);
        bytes <= self.max_object && self.could_fit(bytes.saturating_sub(promised))
    }

    /// Whether a blob of this size could enter a disk on which nothing is read or under way.
    pub(super) fn would_admit(&self, size: u64) -> bool {
        on_disk(size) <= self.max_object.min(self.limit)
    }

    /// Whether more lies here than may, and some of it can go: the limit was lowered while that was read.
    pub(super) fn has_to_shrink(&self) -> bool {
        self.used_bytes() > self.limit && self.used_bytes() > self.immovable_bytes()
    }

    /// Promises `bytes` more to a blob that has `promised`, and says what must go for them; `None`, and nothing goes, when they cannot fit
    /// or the blob would become larger than one may be. Of one whose size nobody told this is known only as it comes.
    pub(super) fn reserve(&mut self, bytes: u64, promised: u64) -> Option<Going> {
        if promised.saturating_add(bytes) > self.max_object || !self.could_fit(bytes) {
            return None;
        }
        self.reserved += bytes;
        Some(self.shrink())
    }

    /// Promises bytes that are on disk already.
    pub(super) fn hold(&mut self, bytes: u64) {
        self.reserved += bytes;
    }

    pub(super) fn release(&mut self, bytes: u64) {
        self.reserved = self.reserved.saturating_sub(bytes);
    }

    /// Chooses what goes until the rest is within the limit, as far as it can be.
    pub(super) fn shrink(&mut self) -> Going {
        let mut going = Going::default();
        while self.used_bytes() > self.limit {
            if let Some(key) = self.left_overs.keys().next().copied() {
                going.left_overs.extend(self.take_left_over(&key.0, key.1).map(|left| left.name));
            } else if let Some((digest, freed)) = self.eviction.evict() {
                self.gone.insert(digest);
                going.blobs.push((digest, freed));
            } else {
                break;
            }
        }
        going
    }

    pub(super) fn restore(&mut self, digest: Digest, size: u64, uses: u8) {
        let instance = self.instance(size, false);
        self.eviction.restore(digest, on_disk(size), uses, instance);
    }

    /// Accounts a verified file that was just published, keeps it for a reader, and returns its id. One of the same digest that
    /// it has replaced is unlinked.
    pub(super) fn publish(&mut self, digest: Digest, size: u64) -> u64 {
        let instance = self.instance(size, true);
        if let Some(replaced) = self.eviction.remove(&digest) {
            self.unlink(replaced);
        }
        self.eviction.insert(digest, on_disk(size), instance);
        self.eviction.hold(&digest);
        self.used.insert(digest);
        self.gone.remove(&digest);
        instance.id
    }

    /// Takes out a blob whose file is removed, whoever reads it. False when a file of another id has taken its place.
    pub(super) fn forget(&mut self, digest: &Digest, id: Option<u64>) -> bool {
        if id.is_some_and(|id| self.eviction.instance(digest).is_some_and(|here| here.id != id)) {
            return false;
        }
        if let Some(removed) = self.eviction.remove(digest) {
            self.unlink(removed);
        }
        self.gone.insert(*digest);
        true
    }

    pub(super) fn unpin(&mut self, digest: &Digest, id: u64) {
        if self.eviction.unpin(digest, id) {
            return;
        }
        let Some(unlinked) = self.unlinked.get_mut(&id) else { return };
        unlinked.pins = unlinked.pins.saturating_sub(1);
        if unlinked.pins == 0 {
            self.unlinked_bytes -= unlinked.bytes;
            self.unlinked.remove(&id);
        }
    }

    /// `bytes` are those on disk. One that the same origin left before must have been taken.
    pub(super) fn add_left_over(&mut self, digest: Digest, origin: OriginId, left: LeftOver) -> Option<LeftOver> {
        self.left_over_bytes += left.bytes;
        let before = self.left_overs.insert((digest, origin), left)?;
        self.left_over_bytes -= before.bytes;
        Some(before)
    }

    /// On disk.
    pub(super) fn left_over_bytes(&self, digest: &Digest, origin: OriginId) -> Option<u64> {
        self.left_overs.get(&(*digest, origin)).map(|left| left.bytes)
    }

    /// Whoever gets it is its only writer.
    pub(super) fn take_left_over(&mut self, digest: &Digest, origin: OriginId) -> Option<LeftOver> {
        let left = self.left_overs.remove(&(*digest, origin))?;
        self.left_over_bytes -= left.bytes;
        Some(left)
    }

    fn unlink(&mut self, Removed { instance, bytes, pins }: Removed) {
        if pins > 0 {
            self.unlinked_bytes += bytes;
            self.unlinked.insert(instance.id, Unlinked { bytes, pins });
        }
    }

    fn instance(&mut self, size: u64, verified: bool) -> Instance {
        self.next_id += 1;
        Instance { id: self.next_id, size, verified }
    }
}
