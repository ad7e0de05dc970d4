//! Reads everything that was pushed again.

use super::failed;
use crate::jobs::{Failure, Policy, Run, Work};
use crate::registry::{Hosted, ScrubPosition, Scrubbed};

pub const SCRUB: &str = "scrub";

pub(super) struct Scrub {
    pub(super) hosted: Hosted,
    /// Bytes a second.
    pub(super) rate: u64,
}

impl Work for Scrub {
    type Done = Scrubbed;

    fn queue(&self) -> &'static str {
        SCRUB
    }

    fn policy(&self) -> Policy {
        Policy::round()
    }

    async fn run(&self, run: &Run) -> Result<Scrubbed, Failure> {
        let position: ScrubPosition = run.position().unwrap_or_default();
        run.advance(position.so_far().blobs, position.so_far().bytes);
        let (advance, keep) = (|blobs, bytes| run.advance(blobs, bytes), |position: &ScrubPosition| run.keep(position));
        let scrubbed = self.hosted.scrub(self.rate, position, advance, keep, run.stop()).await.map_err(failed)?;
        if run.stop().is_cancelled() { Err(Failure::Stopped) } else { Ok(scrubbed) }
    }
}
