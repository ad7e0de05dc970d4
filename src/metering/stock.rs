//! Taking stock, once an hour: what repositories of one's own hold, and which hours are too old to be kept.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::hour::Hour;
use super::meter::Meter;
use crate::meta::{Error, Meta, StoredRow};

/// Repositories that are looked at in one query.
const PAGE_REPOSITORIES: u32 = 200;

/// Rows that are removed in one transaction.
const BATCH_ROWS: u32 = 1000;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stock {
    pub repositories: u64,
    /// What they hold.
    pub bytes: u64,
    /// Rows of old hours that were removed.
    pub removed: u64,
}

/// Where a round is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockPosition {
    /// Another hour has a stock of its own.
    hour_ms: i64,
    /// The last repository that was looked at.
    account: String,
    repository: String,
    so_far: Stock,
}

impl Meter {
    /// Whether somebody has taken stock in this hour. What they found is told by the metrics from now on.
    pub async fn has_stock(&self, meta: &Meta, now: SystemTime) -> Result<bool, Error> {
        let Some(inner) = self.inner() else { return Ok(true) };
        let found = meta.stored_in(Hour::of(now).ms()).await?;
        if let Some(bytes) = found {
            inner.metrics.metered_stored_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        Ok(found.is_some())
    }

    /// Writes what was counted and what repositories hold now, and removes what is too old. `keep` is told of the position, from which
    /// another round of the same hour may go on. Ends early at `stop`.
    pub async fn take_stock(
        &self,
        meta: &Meta,
        now: SystemTime,
        position: StockPosition,
        keep: impl Fn(&StockPosition),
        stop: &CancellationToken,
    ) -> Result<Stock, Error> {
        self.flush(meta).await;
        let Some(inner) = self.inner() else { return Ok(Stock::default()) };
        let hour = Hour::of(now);
        let mut position = match position.hour_ms == hour.ms() {
            true => position,
            false => StockPosition { hour_ms: hour.ms(), ..StockPosition::default() },
        };
        let mut stock = position.so_far;
        let mut last = position.account.parse().ok().map(|account| StoredRow {
            account,
            repository: position.repository.clone(),
            bytes: 0,
        });
        while !stop.is_cancelled() {
            let rows = meta.stored_now(last.as_ref(), PAGE_REPOSITORIES).await?;
            stock.repositories += rows.len() as u64;
            stock.bytes += rows.iter().map(|row| row.bytes).sum::<u64>();
            meta.put_stored(hour.ms(), &rows).await?;
            if rows.len() < PAGE_REPOSITORIES as usize {
                break;
            }
            last = rows.into_iter().next_back();
            if let Some(last) = &last {
                (position.account, position.repository) = (last.account.to_string(), last.repository.clone());
                position.so_far = stock;
                keep(&position);
            }
        }
        inner.metrics.metered_stored_bytes.set(i64::try_from(stock.bytes).unwrap_or(i64::MAX));
        while inner.keep > Duration::ZERO && !stop.is_cancelled() {
            match meta.remove_usage(hour.minus(inner.keep).ms(), BATCH_ROWS).await? {
                0 => break,
                removed => stock.removed += removed,
            }
        }
        Ok(stock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MeteringSettings;
    use crate::meta::{RepositorySettings, UsageCounts, UsageRow};
    use crate::oci::QualifiedName;
    use crate::telemetry::Metrics;

    #[tokio::test]
    async fn old_hours_go_and_stock_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta::open(&folder.path().join("db")).await.unwrap();
        let account = "000000000000".parse().unwrap();
        let keep = Duration::from_secs(2 * 86_400);
        let meter =
            Meter::new(&MeteringSettings { enabled: true, keep, max_keys: 10 }, account, Metrics::new().unwrap());
        let now = SystemTime::now();
        let days = |count: u64| Hour::of(now).minus(Duration::from_secs(count * 86_400)).ms();
        let row = |hour_ms| UsageRow {
            hour_ms,
            account,
            repository: "a".to_owned(),
            principal: "me".to_owned(),
            counts: UsageCounts::default(),
        };
        meta.add_usage(&[row(days(4)), row(days(3)), row(days(2)), row(days(1))]).await.unwrap();
        for n in 0..PAGE_REPOSITORIES + 1 {
            let name = QualifiedName::new(account, format!("r{n:04}").parse().unwrap());
            meta.add_repository(&name, None, &RepositorySettings::default(), 1).await.unwrap();
        }
        assert!(!meter.has_stock(&meta, now).await.unwrap());
        let stop = CancellationToken::new();
        let kept = std::cell::RefCell::new(StockPosition::default());
        let keep = |position: &StockPosition| *kept.borrow_mut() = position.clone();
        let stock = meter.take_stock(&meta, now, StockPosition::default(), keep, &stop).await.unwrap();
        assert_eq!(stock, Stock { repositories: u64::from(PAGE_REPOSITORIES) + 1, bytes: 0, removed: 2 });
        assert!(meter.has_stock(&meta, now).await.unwrap());
        // A round that ended early goes on where it was, in the same hour.
        let first = kept.borrow().clone();
        assert_eq!(first.so_far.repositories, u64::from(PAGE_REPOSITORIES));
        let stock = meter.take_stock(&meta, now, first.clone(), |_| {}, &stop).await.unwrap();
        assert_eq!(stock.repositories, u64::from(PAGE_REPOSITORIES) + 1);
        let later = now + Duration::from_secs(3_600);
        let stock = meter.take_stock(&meta, later, first, keep, &stop).await.unwrap();
        assert_eq!(stock.repositories, u64::from(PAGE_REPOSITORIES) + 1, "another hour begins at the first");
        stop.cancel();
        let stock = meter.take_stock(&meta, now, StockPosition::default(), |_| {}, &stop).await.unwrap();
        assert_eq!(stock, Stock::default(), "it ends early");
    }
}
