//! Removes what upstreams said long ago.

use serde::Serialize;

use super::failed;
use crate::jobs::{Failure, Policy, Run, Work};
use crate::registry::Registry;

pub(super) struct Trim {
    pub(super) registry: Registry,
}

#[derive(Serialize)]
pub(super) struct Trimmed {
    rows: u64,
}

impl Work for Trim {
    type Done = Trimmed;

    fn queue(&self) -> &'static str {
        "trim"
    }

    fn policy(&self) -> Policy {
        Policy::round()
    }

    async fn run(&self, run: &Run) -> Result<Trimmed, Failure> {
        let rows = self.registry.trim_upstreams(run.stop()).await.map_err(failed)?;
        if run.stop().is_cancelled() { Err(Failure::Stopped) } else { Ok(Trimmed { rows }) }
    }
}
