//! Tells what removing what nobody needs would come to.

use super::failed;
use crate::jobs::{Failure, Policy, Run, Work};
use crate::registry::{Hosted, Reclaimed};

pub const PREVIEW: &str = "gc-dry-run";

pub(super) struct Preview {
    pub(super) hosted: Hosted,
}

impl Work for Preview {
    type Done = Reclaimed;

    fn queue(&self) -> &'static str {
        PREVIEW
    }

    fn policy(&self) -> Policy {
        Policy::round()
    }

    async fn run(&self, _: &Run) -> Result<Reclaimed, Failure> {
        self.hosted.reclaimable().await.map_err(failed)
    }
}
