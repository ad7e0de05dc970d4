//! Usage: written down while the program serves, and told whether it serves or not.

use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::existing::Existing;
use super::jobs::STOCK;
use super::run::FLUSH_EVERY;
use crate::jobs::Jobs;
use crate::meta::Meta;
use crate::metering::{Hour, Meter, Question, Report, report};

/// Writes what was counted every now and then, and once an hour what repositories hold, until `stop`.
pub(super) async fn follow(meter: Meter, meta: Meta, jobs: Jobs, stop: CancellationToken) {
    let mut looked_at = None;
    loop {
        let now = SystemTime::now();
        if looked_at != Some(Hour::of(now)) {
            match meter.has_stock(&meta, now).await {
                // Of several replicas the first does it.
                Ok(true) => looked_at = Some(Hour::of(now)),
                Ok(false) => {
                    jobs.start(STOCK);
                    looked_at = Some(Hour::of(now));
                }
                Err(error) => tracing::warn!(%error, "it is not known what repositories hold; it is tried again"),
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(FLUSH_EVERY) => meter.flush(&meta).await,
        }
    }
}

/// What the database says, whoever writes to it at the same time.
pub async fn usage(existing: &Existing, question: &Question) -> Result<Report, Error> {
    let meta = existing.meta().await?;
    let told = report(&meta, question).await;
    meta.close().await;
    Ok(told?)
}
