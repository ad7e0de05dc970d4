//! Writes down when images were pulled.

use crate::jobs::{Failure, Policy, Run, Work};
use crate::registry::Hosted;

pub(super) struct Pulls {
    pub(super) hosted: Hosted,
}

impl Work for Pulls {
    type Done = ();

    fn queue(&self) -> &'static str {
        "pulls"
    }

    fn policy(&self) -> Policy {
        Policy::round()
    }

    async fn run(&self, _: &Run) -> Result<(), Failure> {
        self.hosted.flush_pulls().await;
        Ok(())
    }
}
