//! What upstreams said leaves the database by age and number.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::PullThrough;
use crate::meta::{Error, UpstreamLimits, now_ms};

/// What is not of bytes that are kept goes when upstream has not said so for this long.
const LONGEST: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Rows of rights, of what was sent, of links, of tags, and of lists.
const MAX_ROWS: u64 = 1_000_000;

/// Of lists, together.
const MAX_LIST_BYTES: u64 = 256 << 20;

impl PullThrough {
    /// Removes what is too old or too much, in small steps. Returns how many rows.
    pub(in crate::registry) async fn trim(&self, stop: &CancellationToken) -> Result<u64, Error> {
        let longest_ms = i64::try_from(LONGEST.as_millis()).unwrap_or(i64::MAX);
        let before_ms = now_ms().saturating_sub(longest_ms);
        let limits = UpstreamLimits { before_ms, rows: MAX_ROWS, list_bytes: MAX_LIST_BYTES };
        let mut rows = 0;
        while !stop.is_cancelled() {
            let step = self.kept.meta.trim_upstreams(limits).await?;
            if step.is_empty() {
                break;
            }
            for (table, removed) in step {
                self.kept.metrics.upstream_rows_trimmed.with_label_values(&[table]).inc_by(removed);
                rows += removed;
            }
        }
        Ok(rows)
    }
}
