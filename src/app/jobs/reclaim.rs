//! Removes what nobody needs.

use std::time::Duration;

use super::failed;
use crate::cache::BlobCache;
use crate::jobs::{Failure, Policy, Run, Work};
use crate::meta::Meta;
use crate::registry::{Hosted, Reclaimed};

pub const RECLAIM: &str = "gc";

/// For so long a job that is dead can be looked at, and what a replica did that is gone is known.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(super) struct Reclaim {
    pub(super) hosted: Hosted,
    pub(super) cache: BlobCache,
    pub(super) meta: Meta,
    /// The longest time in which a replica has nothing to say of itself.
    pub(super) scrub_every: Duration,
}

impl Work for Reclaim {
    type Done = Reclaimed;

    fn queue(&self) -> &'static str {
        RECLAIM
    }

    fn policy(&self) -> Policy {
        Policy::round()
    }

    async fn run(&self, run: &Run) -> Result<Reclaimed, Failure> {
        self.cache.trim_bucket().await.map_err(failed)?;
        let position = run.position().unwrap_or_default();
        let reclaimed =
            self.hosted.reclaim(position, |position| run.keep(position), run.stop()).await.map_err(failed)?;
        if run.stop().is_cancelled() {
            return Err(Failure::Stopped);
        }
        let dropped = self.meta.drop_long_dead(REMEMBERED).await.map_err(failed)?;
        if dropped > 0 {
            tracing::warn!(jobs = dropped, "jobs that had been dead for 30 days were dropped");
        }
        self.meta.forget_replicas(REMEMBERED.max(self.scrub_every * 2)).await.map_err(failed)?;
        if reclaimed != Reclaimed::default() {
            tracing::info!(
                blobs = reclaimed.blobs,
                bytes = reclaimed.bytes,
                uploads = reclaimed.uploads,
                failed = reclaimed.failed,
                "what nobody needs was removed"
            );
        }
        Ok(reclaimed)
    }
}
