//! Writes down when cached blobs were used.

use std::time::SystemTime;

use crate::cache::BlobCache;
use crate::jobs::{Failure, Policy, Run, Work};
use crate::meta::Meta;

pub(super) struct Uses {
    pub(super) cache: BlobCache,
    pub(super) meta: Meta,
}

impl Work for Uses {
    type Done = ();

    fn queue(&self) -> &'static str {
        "uses"
    }

    fn policy(&self) -> Policy {
        Policy::round()
    }

    async fn run(&self, _: &Run) -> Result<(), Failure> {
        self.cache.flush_uses(&self.meta, SystemTime::now()).await;
        Ok(())
    }
}
