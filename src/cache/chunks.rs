//! Parts of blobs that lie in the bucket, in memory: who reads a large layer piece by piece asks for the same places again.
//!
//! A chunk is fetched once for everyone who waits for it. Long ranges go past: they would only push out what is asked for again.
//!
//! A range is not verified: its digest is that of the whole. So a chunk is of an object as it was brought once ([`Version`]), and one of an
//! object that turned out to be wrong, or lost, is no chunk of what is brought in its place.

use bytes::Bytes;
use foyer_memory::{Cache, CacheBuilder, S3FifoConfig};
use futures_util::stream;

use super::error::Error;
use super::origin::Origin;
use super::pass_through::{self, ByteStream};
use crate::meta;
use crate::oci::{ByteRange, Digest};

const CHUNK_BYTES: u64 = 1 << 20;

/// A range of more chunks is not kept.
const MAX_CHUNKS: u64 = 8;

/// What an entry costs beside its bytes, estimated.
const OVERHEAD_BYTES: usize = 256;

/// With less room than this nothing is kept.
const LEAST_BYTES: usize = 4 << 20;

/// A blob in the bucket.
#[derive(Clone, Copy, Debug)]
pub struct Version {
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// When it was brought: another one each time.
    pub claim: meta::Claim,
}

/// With the chunk's number.
type Key = (Digest, meta::Claim, u64);

#[derive(Clone)]
pub(super) struct Chunks {
    /// `None` where there is no room.
    cache: Option<Cache<Key, Bytes>>,
}

impl Chunks {
    /// Bytes in all, a hard limit.
    pub(super) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let cache = (limit >= LEAST_BYTES).then(|| {
            CacheBuilder::new(limit)
                .with_name("chunks")
                .with_shards(1)
                .with_eviction_config(S3FifoConfig::default())
                .with_weighter(|_: &Key, bytes: &Bytes| bytes.len() + OVERHEAD_BYTES)
                .build()
        });
        Self { cache }
    }

    pub(super) fn bytes(&self) -> usize {
        self.cache.as_ref().map_or(0, Cache::usage)
    }

    /// The bucket has something else in the blob's place, or nothing.
    pub(super) fn forget(&self, version: Version) {
        if let Some(cache) = &self.cache {
            for index in 0..version.size.div_ceil(CHUNK_BYTES) {
                cache.remove(&version.key(index));
            }
        }
    }

    pub(super) async fn range(&self, origin: &Origin, version: Version, range: ByteRange) -> Result<ByteStream, Error> {
        let (first, last) = (range.start / CHUNK_BYTES, range.end.saturating_sub(1) / CHUNK_BYTES);
        let Some(cache) = self.cache.clone().filter(|_| last - first < MAX_CHUNKS) else {
            return pass_through::range(origin.clone(), range).await;
        };
        let whole = Whole { cache, origin: origin.clone(), version };
        // The first is there before the answer begins, so that a bucket that fails is told with a status.
        let begun = whole.part(first, range).await?;
        let rest = stream::try_unfold((whole, first + 1), move |(whole, index)| async move {
            if index > last {
                return Ok(None);
            }
            let part = whole.part(index, range).await?;
            Ok(Some((part, (whole, index + 1))))
        });
        let begun = stream::once(async move { Ok(begun) });
        Ok(Box::pin(futures_util::StreamExt::chain(begun, rest)))
    }
}

impl Version {
    fn key(&self, index: u64) -> Key {
        (self.digest, self.claim, index)
    }
}

struct Whole {
    cache: Cache<Key, Bytes>,
    origin: Origin,
    version: Version,
}

impl Whole {
    /// What of the range lies in the chunk.
    async fn part(&self, index: u64, range: ByteRange) -> Result<Bytes, Error> {
        let start = index * CHUNK_BYTES;
        let (origin, size) = (&self.origin, self.version.size);
        let chunk = ByteRange { start, end: (start + CHUNK_BYTES).min(size) };
        let fetched = self.cache.get_or_fetch(&self.version.key(index), || {
            let origin = origin.clone();
            async move { collect(&origin, chunk, size).await }
        });
        let bytes = match fetched.await {
            Ok(entry) => entry.value().clone(),
            // Asked again, so that the reason is told as it is.
            Err(_) => collect(origin, chunk, size).await?,
        };
        let within = |offset: u64| {
            usize::try_from(offset.clamp(chunk.start, chunk.end) - chunk.start).unwrap_or(usize::MAX).min(bytes.len())
        };
        Ok(bytes.slice(within(range.start)..within(range.end)))
    }
}

/// A chunk of a blob of `size` bytes: an object of another length is another object.
async fn collect(origin: &Origin, chunk: ByteRange, size: u64) -> Result<Bytes, Error> {
    let mut stream = origin.open_chunk(chunk).await?;
    if stream.total.is_some_and(|total| total != size) {
        origin.distrust(true);
        return Err(Error::Lost { digest: *origin.digest() });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(chunk.len()).unwrap_or_default());
    while let Some(some) = stream.chunk().await? {
        bytes.extend_from_slice(&some);
    }
    if bytes.len() as u64 == chunk.len() { Ok(bytes.into()) } else { Err(Error::Stopped { digest: *origin.digest() }) }
}
