//! Reads everything that this replica keeps of upstreams again.

use crate::cache::{BlobCache, CacheScrubPosition, CacheScrubbed};
use crate::jobs::{Failure, Policy, Run, Work};

pub const SCRUB_CACHE: &str = "scrub-cache";

pub(super) struct ScrubCache {
    pub(super) cache: BlobCache,
    /// Bytes a second.
    pub(super) rate: u64,
}

impl Work for ScrubCache {
    type Done = CacheScrubbed;

    fn queue(&self) -> &'static str {
        SCRUB_CACHE
    }

    fn policy(&self) -> Policy {
        Policy::round()
    }

    async fn run(&self, run: &Run) -> Result<CacheScrubbed, Failure> {
        let position: CacheScrubPosition = run.position().unwrap_or_default();
        run.expect(self.cache.count());
        run.advance(position.so_far().blobs, 0);
        let (advance, keep) = (|blobs| run.advance(blobs, 0), |position: &CacheScrubPosition| run.keep(position));
        let scrubbed = self.cache.scrub(self.rate, position, advance, keep, run.stop()).await;
        if run.stop().is_cancelled() { Err(Failure::Stopped) } else { Ok(scrubbed) }
    }
}
