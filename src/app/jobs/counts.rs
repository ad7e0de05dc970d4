//! Writes down what was counted of use, and learns once an hour what repositories hold.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::failed;
use crate::jobs::{Failure, Policy, Run, Work};
use crate::meta::Meta;
use crate::metering::{Hour, Meter};

pub(super) const COUNTS: &str = "counts";

pub(super) struct Counts {
    meter: Meter,
    meta: Meta,
    /// The hour whose stock the metrics tell.
    told: Mutex<Option<Hour>>,
}

impl Counts {
    pub(super) fn new(meter: Meter, meta: Meta) -> Self {
        Self { meter, meta, told: Mutex::default() }
    }
}

impl Work for Counts {
    type Done = ();

    fn queue(&self) -> &'static str {
        COUNTS
    }

    fn policy(&self) -> Policy {
        Policy::round()
    }

    async fn run(&self, _: &Run) -> Result<(), Failure> {
        self.meter.flush(&self.meta).await;
        let now = SystemTime::now();
        let told = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Whichever replica has taken stock, the metrics of all tell it.
        if told != Some(Hour::of(now)) && self.meter.has_stock(&self.meta, now).await.map_err(failed)? {
            *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(Hour::of(now));
        }
        Ok(())
    }
}
