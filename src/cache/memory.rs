//! The memory tier: small objects, whole.

use bytes::Bytes;
use foyer_memory::{Cache, CacheBuilder, S3FifoConfig};

use crate::oci::Digest;

/// What an entry costs beside its bytes: key, record, index and queues, estimated.
const OVERHEAD_BYTES: usize = 256;

/// Locks; each has its share of the limit.
const SHARDS: usize = 4;

pub(super) struct Memory {
    cache: Cache<Digest, Bytes>,
    /// Objects larger than this are not kept here.
    max_object: usize,
}

impl Memory {
    /// Both in bytes. The limit holds at all times: what must go goes before what comes is counted.
    pub(super) fn new(limit: u64, max_object: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let max_object = usize::try_from(max_object).unwrap_or(usize::MAX).min(limit / SHARDS);
        let cache = CacheBuilder::new(limit)
            .with_name("memory")
            .with_shards(SHARDS)
            .with_eviction_config(S3FifoConfig::default())
            .with_weighter(|_: &Digest, bytes: &Bytes| bytes.len() + OVERHEAD_BYTES)
            .build();
        Self { cache, max_object }
    }

    pub(super) fn takes(&self, size: u64) -> bool {
        usize::try_from(size).is_ok_and(|size| size + OVERHEAD_BYTES <= self.max_object)
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<Bytes> {
        self.cache.get(digest).map(|entry| entry.value().clone())
    }

    /// Keeps a copy of its own, so that a small object never holds on to a large buffer.
    pub(super) fn insert(&self, digest: Digest, bytes: &Bytes) {
        if self.takes(bytes.len() as u64) {
            self.cache.insert(digest, Bytes::copy_from_slice(bytes));
        }
    }

    pub(super) fn resize(&self, limit: u64) {
        if let Err(error) = self.cache.resize(usize::try_from(limit).unwrap_or(usize::MAX)) {
            tracing::warn!(%error, "the memory tier keeps its size until the next start");
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.cache.capacity()
    }

    pub(super) fn bytes(&self) -> usize {
        self.cache.usage()
    }

    pub(super) fn objects(&self) -> usize {
        self.cache.entries()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_after_every_insert() {
        let memory = Memory::new(1 << 20, 64 << 10);
        for n in 0..1000u32 {
            let bytes = Bytes::from(vec![0; 1 + (n as usize * 97) % 60_000]);
            memory.insert(Digest::of(&n.to_le_bytes()), &bytes);
            assert!(memory.bytes() <= 1 << 20);
        }
        assert!(memory.objects() > 5);
    }

    #[test]
    fn large_objects_stay_out() {
        let memory = Memory::new(1 << 20, 1000);
        let bytes = Bytes::from(vec![0; 1001]);
        memory.insert(Digest::of(&bytes), &bytes);
        assert_eq!(memory.objects(), 0);
    }
}
