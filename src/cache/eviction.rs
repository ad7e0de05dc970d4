//! Which blob goes when room is needed: S3-FIFO, by bytes.
//!
//! New blobs enter a small queue; only those that are used again before they reach its end move on to the main queue, so
//! one scan through many images does not push out what is used every day. What left the small queue is remembered by
//! digest for a while, and goes straight to the main queue if it comes back. (Yang et al., "FIFO queues are all you need
//! for cache eviction", SOSP 2023.)
//!
//! Pure: no IO, no clock.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::oci::Digest;

/// The small queue's share of the bytes.
const SMALL_SHARE: u64 = 10;

/// Uses beyond this do not count.
const MAX_USES: u8 = 3;

/// Digests remembered after they left the small queue.
const MAX_GHOSTS: usize = 65_536;

/// A file that was published under a digest. Another may follow it while it is still read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Instance {
    /// Tells two files of one digest apart.
    pub(super) id: u64,
    /// Bytes of the blob, where `bytes` of its entry are what it takes on disk.
    pub(super) size: u64,
    /// This process has seen that its bytes are the digest's.
    pub(super) verified: bool,
}

/// What was taken out while it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) instance: Instance,
    pub(super) bytes: u64,
    pub(super) pins: u32,
}

#[derive(Debug)]
pub(super) struct Eviction {
    entries: HashMap<Digest, Entry>,
    small: VecDeque<Digest>,
    main: VecDeque<Digest>,
    ghosts: HashSet<Digest>,
    ghost_order: VecDeque<Digest>,
    small_bytes: u64,
    main_bytes: u64,
    /// Of entries that are being read.
    pinned_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    instance: Instance,
    bytes: u64,
    uses: u8,
    /// Readers that have it open.
    pins: u32,
    queue: Queue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    Small,
    Main,
}

impl Eviction {
    pub(super) fn new() -> Self {
        Self {
            entries: HashMap::new(),
            small: VecDeque::new(),
            main: VecDeque::new(),
            ghosts: HashSet::new(),
            ghost_order: VecDeque::new(),
            small_bytes: 0,
            main_bytes: 0,
            pinned_bytes: 0,
        }
    }

    /// Bytes that cannot go now, because they are being read.
    pub(super) fn pinned_bytes(&self) -> u64 {
        self.pinned_bytes
    }

    pub(super) fn bytes(&self) -> u64 {
        self.small_bytes + self.main_bytes
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn digests(&self) -> Vec<Digest> {
        self.entries.keys().copied().collect()
    }

    pub(super) fn contains(&self, digest: &Digest) -> bool {
        self.entries.contains_key(digest)
    }

    pub(super) fn instance(&self, digest: &Digest) -> Option<Instance> {
        self.entries.get(digest).map(|entry| entry.instance)
    }

    pub(super) fn uses(&self, digest: &Digest) -> Option<u8> {
        self.entries.get(digest).map(|entry| entry.uses)
    }

    /// Adds what has arrived. What is there already stays as it is.
    pub(super) fn insert(&mut self, digest: Digest, bytes: u64, instance: Instance) {
        let queue = if self.ghosts.remove(&digest) { Queue::Main } else { Queue::Small };
        self.insert_into(queue, digest, bytes, 0, instance);
    }

    /// Adds what an earlier process kept, oldest use first.
    pub(super) fn restore(&mut self, digest: Digest, bytes: u64, uses: u8, instance: Instance) {
        let queue = if uses > 0 { Queue::Main } else { Queue::Small };
        self.insert_into(queue, digest, bytes, uses.min(MAX_USES), instance);
    }

    fn insert_into(&mut self, queue: Queue, digest: Digest, bytes: u64, uses: u8, instance: Instance) {
        if self.entries.contains_key(&digest) {
            return;
        }
        self.entries.insert(digest, Entry { instance, bytes, uses, pins: 0, queue });
        self.enqueue(queue, digest, bytes);
    }

    /// Counts a use and keeps the blob until [`Self::unpin`]. `None` when it is not here.
    pub(super) fn pin(&mut self, digest: &Digest) -> Option<Instance> {
        self.touch(digest);
        self.hold(digest)
    }

    /// Keeps the blob until [`Self::unpin`] without counting a use: having been fetched is not having been used again.
    pub(super) fn hold(&mut self, digest: &Digest) -> Option<Instance> {
        let entry = self.entries.get_mut(digest)?;
        if entry.pins == 0 {
            self.pinned_bytes += entry.bytes;
        }
        entry.pins += 1;
        Some(entry.instance)
    }

    /// False when this file of the digest is not here any more.
    pub(super) fn unpin(&mut self, digest: &Digest, id: u64) -> bool {
        let Some(entry) = self.entries.get_mut(digest).filter(|entry| entry.instance.id == id) else { return false };
        if entry.pins == 1 {
            self.pinned_bytes -= entry.bytes;
        }
        entry.pins = entry.pins.saturating_sub(1);
        true
    }

    /// Notes that the bytes of this file are the digest's.
    pub(super) fn verified(&mut self, digest: &Digest, id: u64) {
        if let Some(entry) = self.entries.get_mut(digest).filter(|entry| entry.instance.id == id) {
            entry.instance.verified = true;
        }
    }

    /// Counts a use of what was served from elsewhere (memory, a manifest's link).
    pub(super) fn touch(&mut self, digest: &Digest) {
        if let Some(entry) = self.entries.get_mut(digest) {
            entry.uses = (entry.uses + 1).min(MAX_USES);
        }
    }

    /// Takes out what is gone, or must go whoever reads it.
    pub(super) fn remove(&mut self, digest: &Digest) -> Option<Removed> {
        let Entry { instance, bytes, pins, queue, .. } = self.entries.remove(digest)?;
        // The queue still names it; it is passed over when it comes up.
        *self.queue_bytes(queue) -= bytes;
        if pins > 0 {
            self.pinned_bytes -= bytes;
        }
        Some(Removed { instance, bytes, pins })
    }

    /// Takes out the next blob to go and returns its size, or `None` when all that is left is being read.
    pub(super) fn evict(&mut self) -> Option<(Digest, u64)> {
        // Every blob comes up at most once for each use that it has to lose, and once more for a pin.
        let enough = (self.small.len() + self.main.len()) * (usize::from(MAX_USES) + 2);
        for turn in 0..2 * enough {
            let small_is_due = self.small_bytes.saturating_mul(100) >= self.bytes().saturating_mul(SMALL_SHARE);
            // When all that is due is being read, the small queue is gone through whatever its share.
            let from_small = !self.small.is_empty() && (small_is_due || turn >= enough);
            let evicted = if from_small || self.main.is_empty() { self.turn_small() } else { self.turn_main() };
            if evicted.is_some() {
                return evicted;
            }
        }
        None
    }

    fn turn_small(&mut self) -> Option<(Digest, u64)> {
        let (digest, entry) = self.dequeue(Queue::Small)?;
        if entry.pins > 0 || entry.uses > 0 {
            // Being read is being used: it has earned its place.
            self.update(&digest, |entry| entry.uses = entry.uses.saturating_sub(1));
            self.enqueue(Queue::Main, digest, entry.bytes);
            return None;
        }
        self.entries.remove(&digest);
        self.remember(digest);
        Some((digest, entry.bytes))
    }

    fn turn_main(&mut self) -> Option<(Digest, u64)> {
        let (digest, entry) = self.dequeue(Queue::Main)?;
        if entry.pins > 0 || entry.uses > 0 {
            self.update(&digest, |entry| entry.uses = entry.uses.saturating_sub(1));
            self.enqueue(Queue::Main, digest, entry.bytes);
            return None;
        }
        self.entries.remove(&digest);
        Some((digest, entry.bytes))
    }

    fn update(&mut self, digest: &Digest, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.get_mut(digest) {
            change(entry);
        }
    }

    fn enqueue(&mut self, queue: Queue, digest: Digest, bytes: u64) {
        self.update(&digest, |entry| entry.queue = queue);
        *self.queue_bytes(queue) += bytes;
        match queue {
            Queue::Small => self.small.push_back(digest),
            Queue::Main => self.main.push_back(digest),
        }
    }

    /// The oldest of a queue that is still here.
    fn dequeue(&mut self, queue: Queue) -> Option<(Digest, Entry)> {
        loop {
            let digest = match queue {
                Queue::Small => self.small.pop_front()?,
                Queue::Main => self.main.pop_front()?,
            };
            if let Some(entry) = self.entries.get(&digest).copied().filter(|entry| entry.queue == queue) {
                *self.queue_bytes(queue) -= entry.bytes;
                return Some((digest, entry));
            }
        }
    }

    fn queue_bytes(&mut self, queue: Queue) -> &mut u64 {
        match queue {
            Queue::Small => &mut self.small_bytes,
            Queue::Main => &mut self.main_bytes,
        }
    }

    fn remember(&mut self, digest: Digest) {
        if self.ghosts.insert(digest) {
            self.ghost_order.push_back(digest);
        }
        while self.ghost_order.len() > MAX_GHOSTS {
            if let Some(oldest) = self.ghost_order.pop_front() {
                self.ghosts.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: Instance = Instance { id: 1, size: 0, verified: false };

    fn digest(n: u32) -> Digest {
        Digest::of(&n.to_le_bytes())
    }

    #[test]
    fn a_scan_does_not_push_out_what_is_used() {
        let mut eviction = Eviction::new();
        for n in 0..50 {
            eviction.insert(digest(n), 10, FILE);
            assert!(eviction.pin(&digest(n)).is_some());
            eviction.unpin(&digest(n), FILE.id);
        }
        for n in 1000..3000 {
            eviction.insert(digest(n), 10, FILE);
            while eviction.bytes() > 1000 {
                eviction.evict().unwrap();
            }
        }
        let kept = (0..50).filter(|n| eviction.contains(&digest(*n))).count();
        assert!(kept >= 45, "{kept} of 50 used blobs survived the scan");
    }

    #[test]
    fn what_is_being_read_stays() {
        let mut eviction = Eviction::new();
        eviction.insert(digest(1), 10, FILE);
        eviction.insert(digest(2), 10, FILE);
        assert!(eviction.pin(&digest(1)).is_some());
        assert_eq!(eviction.evict(), Some((digest(2), 10)));
        assert_eq!(eviction.evict(), None);
        eviction.unpin(&digest(1), FILE.id);
        assert_eq!(eviction.evict(), Some((digest(1), 10)));
        assert_eq!(eviction.evict(), None);
    }

    /// Once no victim was found although one was there: all of the main queue was being read, and the small one was below
    /// its share.
    #[test]
    fn a_small_blob_goes_when_all_large_ones_are_being_read() {
        let mut eviction = Eviction::new();
        eviction.insert(digest(1), 1000, FILE);
        assert!(eviction.pin(&digest(1)).is_some());
        assert_eq!(eviction.evict(), None);
        eviction.insert(digest(2), 1, FILE);
        assert_eq!(eviction.evict(), Some((digest(2), 1)));
    }

    #[test]
    fn what_comes_back_is_kept_longer() {
        let mut eviction = Eviction::new();
        eviction.insert(digest(1), 10, FILE);
        assert_eq!(eviction.evict(), Some((digest(1), 10)));
        eviction.insert(digest(1), 10, FILE);
        eviction.insert(digest(2), 10, FILE);
        assert_eq!(eviction.evict(), Some((digest(2), 10)));
    }

    proptest! {
        /// Whatever happens, bytes are the sum of what is there, pinned blobs stay, and eviction ends.
        #[test]
        fn bytes_add_up(steps in prop::collection::vec((0u8..6, 0u32..20, 1u64..100), 1..300)) {
            let mut eviction = Eviction::new();
            let mut model: HashMap<Digest, (u64, u32)> = HashMap::new();
            for (what, n, bytes) in steps {
                let digest = digest(n);
                match what {
                    0 | 1 => {
                        eviction.insert(digest, bytes, FILE);
                        model.entry(digest).or_insert((bytes, 0));
                    }
                    2 => {
                        if eviction.pin(&digest).is_some() {
                            model.get_mut(&digest).unwrap().1 += 1;
                        }
                    }
                    3 => {
                        eviction.unpin(&digest, FILE.id);
                        if let Some(entry) = model.get_mut(&digest) {
                            entry.1 = entry.1.saturating_sub(1);
                        }
                    }
                    4 => {
                        eviction.remove(&digest);
                        model.remove(&digest);
                    }
                    _ => match eviction.evict() {
                        Some((gone, bytes)) => prop_assert_eq!(model.remove(&gone), Some((bytes, 0))),
                        None => prop_assert!(model.values().all(|(_, pins)| *pins > 0)),
                    },
                }
                prop_assert_eq!(eviction.bytes(), model.values().map(|(bytes, _)| bytes).sum::<u64>());
                prop_assert_eq!(eviction.len(), model.len());
                let pinned = model.values().filter(|(_, pins)| *pins > 0).map(|(bytes, _)| bytes).sum::<u64>();
                prop_assert_eq!(eviction.pinned_bytes(), pinned);
            }
        }
    }
}
