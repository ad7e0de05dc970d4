//! Parts of blobs that lie in the bucket, in memory: who reads a large layer piece by piece asks for the same places again.
//!
//! A chunk is fetched once for everyone who waits for it. Long ranges go past: they would only push out what is asked for again.

use std::sync::Arc;

use bytes::Bytes;
use foyer_memory::{Cache, CacheBuilder, S3FifoConfig};
use futures_util::stream;

use super::error::Error;
use super::origin::Origin;
use super::pass_through::{self, ByteStream};
use crate::oci::{ByteRange, Digest};
use crate::storage::Bucket;

const CHUNK_BYTES: u64 = 1 << 20;

/// A range of more chunks is not kept.
const MAX_CHUNKS: u64 = 8;

/// What an entry costs beside its bytes, estimated.
const OVERHEAD_BYTES: usize = 256;

/// With less room than this nothing is kept.
const LEAST_BYTES: usize = 4 << 20;

#[derive(Clone)]
pub(super) struct Chunks {
    /// `None` where there is no room.
    cache: Option<Cache<(Digest, u64), Bytes>>,
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
                .with_weighter(|_: &(Digest, u64), bytes: &Bytes| bytes.len() + OVERHEAD_BYTES)
                .build()
        });
        Self { cache }
    }

    pub(super) fn bytes(&self) -> usize {
        self.cache.as_ref().map_or(0, Cache::usage)
    }

    /// A range of a blob of `size` bytes.
    pub(super) async fn range(
        &self,
        bucket: &Arc<Bucket>,
        digest: Digest,
        size: u64,
        range: ByteRange,
    ) -> Result<ByteStream, Error> {
        let (first, last) = (range.start / CHUNK_BYTES, range.end.saturating_sub(1) / CHUNK_BYTES);
        let Some(cache) = self.cache.clone().filter(|_| last - first < MAX_CHUNKS) else {
            return pass_through::range(Origin::Bucket(bucket.clone(), digest), range).await;
        };
        let whole = Whole { cache, bucket: bucket.clone(), digest, size };
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

/// A blob in the bucket.
struct Whole {
    cache: Cache<(Digest, u64), Bytes>,
    bucket: Arc<Bucket>,
    digest: Digest,
    size: u64,
}

impl Whole {
    /// What of the range lies in the chunk.
    async fn part(&self, index: u64, range: ByteRange) -> Result<Bytes, Error> {
        let start = index * CHUNK_BYTES;
        let chunk = ByteRange { start, end: (start + CHUNK_BYTES).min(self.size) };
        let (origin, digest) = (Origin::Bucket(self.bucket.clone(), self.digest), self.digest);
        let fetched = self.cache.get_or_fetch(&(digest, index), || {
            let origin = origin.clone();
            async move { collect(&origin, chunk).await }
        });
        let bytes = match fetched.await {
            Ok(entry) => entry.value().clone(),
            // Asked again, so that the reason is told as it is.
            Err(_) => collect(&origin, chunk).await?,
        };
        let within = |offset: u64| {
            usize::try_from(offset.clamp(chunk.start, chunk.end) - chunk.start).unwrap_or(usize::MAX).min(bytes.len())
        };
        Ok(bytes.slice(within(range.start)..within(range.end)))
    }
}

async fn collect(origin: &Origin, chunk: ByteRange) -> Result<Bytes, Error> {
    let mut stream = origin.open_range(chunk).await?;
    let mut bytes = Vec::with_capacity(usize::try_from(chunk.len()).unwrap_or_default());
    while let Some(some) = stream.chunk().await? {
        bytes.extend_from_slice(&some);
    }
    if bytes.len() as u64 == chunk.len() { Ok(bytes.into()) } else { Err(Error::Stopped { digest: *origin.digest() }) }
}
