//! Writes down what was used and what repositories hold.

use super::failed;
use crate::jobs::{Failure, Policy, Run, Work};
use crate::meta::Meta;
use crate::metering::{Meter, Stock};

pub(super) struct TakeStock {
    pub(super) meter: Meter,
    pub(super) meta: Meta,
}

impl Work for TakeStock {
    type Done = Stock;

    fn queue(&self) -> &'static str {
        "usage"
    }

    fn policy(&self) -> Policy {
        Policy::round()
    }

    async fn run(&self, run: &Run) -> Result<Stock, Failure> {
        let position = run.position().unwrap_or_default();
        let keep = |position: &_| run.keep(position);
        let stock =
            self.meter.take_stock(&self.meta, run.began_at(), position, keep, run.stop()).await.map_err(failed)?;
        if run.stop().is_cancelled() { Err(Failure::Stopped) } else { Ok(stock) }
    }
}
