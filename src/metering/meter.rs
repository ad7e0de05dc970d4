//! Counting: from many threads, without waiting.
//!
//! One short lock guards the table of counts, which is taken out whole to be written. What could not be written goes back into it, so
//! that nothing is lost while the database is away. A commit whose answer was lost counts as one that did not happen: its rows,
//! at most [`BATCH_ROWS`], may then be counted twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use prometheus::IntCounter;

use super::hour::Hour;
use super::ledger::{Entry, Ledger};
use crate::config::MeteringSettings;
use crate::meta::{Error, Meta, UsageCounts, UsageRow};
use crate::oci::AccountId;
use crate::storage::joined;
use crate::telemetry::Metrics;

/// Rows of one transaction: others wait for it with SQLite.
const BATCH_ROWS: usize = 500;

/// Whose fetches are: they belong to tasks of the registry, which work for everyone who asks meanwhile.
const NOBODY_IN_PARTICULAR: &str = "-";

/// Cheap to clone. The default one counts nothing.
#[derive(Clone, Default)]
pub struct Meter(Option<Arc<Inner>>);

pub(super) struct Inner {
    ledger: Mutex<Ledger>,
    /// To write: one after the other.
    turn: tokio::sync::Mutex<()>,
    /// Of the home registry.
    pub(super) account: AccountId,
    pub(super) keep: Duration,
    pub(super) metrics: Metrics,
    received: IntCounter,
    sent: IntCounter,
    fetched: IntCounter,
}

/// Whose use something is.
#[derive(Clone, Copy)]
pub struct Whose<'a> {
    /// Of the registry that the repository belongs to.
    pub account: AccountId,
    /// As policies and lists know it.
    pub repository: &'a str,
    pub principal: &'a str,
}

/// Bytes that come from an upstream for one repository. They are counted when it is dropped, however that comes.
#[derive(Default)]
pub struct Fetched {
    meter: Meter,
    registry: Option<AccountId>,
    repository: String,
    bytes: u64,
}

/// Rows on their way to the database: dropped before they are written, they go back.
struct Taken<'a> {
    inner: &'a Inner,
    rows: Vec<UsageRow>,
}

impl Meter {
    pub fn new(settings: &MeteringSettings, account: AccountId, metrics: Metrics) -> Self {
        if !settings.enabled {
            return Self::default();
        }
        let direction = |name| metrics.metered_bytes.with_label_values(&[name]);
        Self(Some(Arc::new(Inner {
            ledger: Mutex::new(Ledger::new(settings.max_keys)),
            turn: tokio::sync::Mutex::new(()),
            account,
            keep: settings.keep,
            received: direction("received"),
            sent: direction("sent"),
            fetched: direction("fetched"),
            metrics,
        })))
    }

    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn inner(&self) -> Option<&Inner> {
        self.0.as_deref()
    }

    /// Counts for the hour of `now`.
    pub fn count(&self, whose: Whose<'_>, counts: UsageCounts, now: SystemTime) {
        let Some(inner) = self.inner() else { return };
        inner.received.inc_by(counts.received_bytes);
        inner.sent.inc_by(counts.sent_bytes);
        inner.fetched.inc_by(counts.fetched_bytes);
        let Whose { account, repository, principal } = whose;
        inner.add(&Entry { hour: Hour::of(now), account, repository, principal }, counts);
    }

    /// Something that begins to come from an upstream, for a repository by its name here. `registry` has the upstream for itself;
    /// what comes from those of the configuration is for all, and counts for the home registry.
    pub fn fetch(&self, registry: Option<AccountId>, repository: impl FnOnce() -> String) -> Fetched {
        match self.inner() {
            Some(_) => Fetched { meter: self.clone(), registry, repository: repository(), bytes: 0 },
            None => Fetched::default(),
        }
    }

    /// Writes what was counted. What cannot be written is kept, to be written with what comes.
    pub async fn flush(&self, meta: &Meta) {
        let Some(inner) = self.0.clone() else { return };
        let result = match inner.clone().write(meta).await {
            Ok(0) => return,
            Ok(_) => "written",
            Err(error) => {
                tracing::warn!(%error, "counts of usage were not written; they are kept and written later");
                "failed"
            }
        };
        inner.metrics.metering_writes.with_label_values(&[result]).inc();
    }

    /// The last write: what cannot be written now is lost.
    pub async fn close(&self, meta: &Meta) {
        let Some(inner) = self.0.clone() else { return };
        if let Err(error) = inner.clone().write(meta).await {
            let rows = inner.ledger().take().count();
            tracing::error!(%error, rows, "the last counts of usage could not be written and are lost");
        }
    }
}

impl Inner {
    /// How many rows were written. The work goes on though nobody waits for it any more: whether a commit has happened knows only whoever
    /// hears its answer.
    async fn write(self: Arc<Self>, meta: &Meta) -> Result<usize, Error> {
        let meta = meta.clone();
        joined(tokio::spawn(async move { self.write_batches(&meta).await }).await).await
    }

    async fn write_batches(&self, meta: &Meta) -> Result<usize, Error> {
        let _turn = self.turn.lock().await;
        let mut rows: Vec<UsageRow> = self.ledger().take().collect();
        // Replicas that add to the same rows in the same order never wait for each other in a circle.
        rows.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        let count = rows.len();
        let batches: Vec<_> =
            rows.chunks(BATCH_ROWS).map(|batch| Taken { inner: self, rows: batch.to_vec() }).collect();
        for mut batch in batches {
            meta.add_usage(&batch.rows).await?;
            batch.rows.clear();
        }
        Ok(count)
    }

    fn add(&self, entry: &Entry<'_>, counts: UsageCounts) {
        let is_named = self.ledger().add(entry, counts);
        if !is_named {
            self.metrics.metering_unnamed.inc();
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(row: &UsageRow) -> (i64, AccountId, &str, &str) {
    (row.hour_ms, row.account, &row.repository, &row.principal)
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        for row in &self.rows {
            let (repository, principal) = (row.repository.as_str(), row.principal.as_str());
            let entry = Entry { hour: Hour::of_ms(row.hour_ms), account: row.account, repository, principal };
            self.inner.add(&entry, row.counts);
        }
    }
}

impl Fetched {
    pub fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        let Some(inner) = self.meter.inner().filter(|_| self.bytes > 0) else { return };
        let (account, principal) = (self.registry.unwrap_or(inner.account), NOBODY_IN_PARTICULAR);
        let counts = UsageCounts { fetched_bytes: self.bytes, ..UsageCounts::default() };
        self.meter.count(Whose { account, repository: &self.repository, principal }, counts, SystemTime::now());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::meta::{UsageBy, UsageRange};

    fn meter(max_keys: usize) -> (Meter, AccountId) {
        let settings = MeteringSettings { enabled: true, keep: Duration::ZERO, max_keys };
        let account = "000000000000".parse().unwrap();
        (Meter::new(&settings, account, Metrics::new().unwrap()), account)
    }

    async fn database() -> (tempfile::TempDir, Meta) {
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta::open(&folder.path().join("db")).await.unwrap();
        (folder, meta)
    }

    async fn sums(meta: &Meta, account: AccountId) -> Vec<(String, u64, u64)> {
        let range = UsageRange { account, since_ms: 0, until_ms: i64::MAX, repository: "*".to_owned() };
        let sums = meta.usage(&range, UsageBy::Repository, 100_000).await.unwrap();
        sums.into_iter().map(|sum| (sum.of, sum.counts.requests, sum.counts.sent_bytes)).collect()
    }

    /// Nothing is lost and nothing counts twice, while many count, the table is full, and writes go on.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_threads() {
        const THREADS: u64 = 16;
        const EACH: u64 = 5000;
        let (_folder, meta) = database().await;
        let (meter, account) = meter(50);
        let done = Arc::new(AtomicBool::new(false));
        let flushing = {
            let (meter, meta, done) = (meter.clone(), meta.clone(), done.clone());
            tokio::spawn(async move {
                while !done.load(Ordering::SeqCst) {
                    meter.flush(&meta).await;
                }
            })
        };
        let threads = (0..THREADS).map(|thread| {
            let meter = meter.clone();
            std::thread::spawn(move || {
                for n in 0..EACH {
                    let (repository, principal) = (format!("r{}", n % 40), format!("p{thread}"));
                    let whose = Whose { account, repository: &repository, principal: &principal };
                    let counts = UsageCounts { requests: 1, sent_bytes: n, ..UsageCounts::default() };
                    meter.count(whose, counts, SystemTime::now());
                }
            })
        });
        let threads: Vec<_> = threads.collect();
        tokio::task::spawn_blocking(|| threads.into_iter().for_each(|thread| thread.join().unwrap())).await.unwrap();
        done.store(true, Ordering::SeqCst);
        flushing.await.unwrap();
        meter.close(&meta).await;
        let sums = sums(&meta, account).await;
        assert!(sums.iter().any(|(name, ..)| name == "*"), "the table was full");
        assert!(sums.len() > 1, "not all the time");
        let total = sums.iter().fold((0, 0), |(requests, bytes), sum| (requests + sum.1, bytes + sum.2));
        assert_eq!(total, (THREADS * EACH, THREADS * (0..EACH).sum::<u64>()));
        let Some(inner) = meter.inner() else { panic!() };
        assert_eq!(inner.sent.get(), total.1);
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_kept() {
        let (_folder, meta) = database().await;
        let (_other, closed) = database().await;
        closed.close().await;
        let (meter, account) = meter(10_000);
        let count = |repository: &str| {
            let counts = UsageCounts { requests: 1, sent_bytes: 5, ..UsageCounts::default() };
            meter.count(Whose { account, repository, principal: "me" }, counts, SystemTime::now());
        };
        for n in 0..BATCH_ROWS * 2 + 1 {
            count(&format!("r{n}"));
        }
        for _ in 0..3 {
            meter.flush(&closed).await;
        }
        count("r0");
        meter.flush(&meta).await;
        meter.flush(&meta).await;
        let sums = sums(&meta, account).await;
        assert_eq!(sums.len(), BATCH_ROWS * 2 + 1);
        assert_eq!(sums[0], ("r0".to_owned(), 2, 10));
        let Some(inner) = meter.inner() else { panic!() };
        let writes = |result| inner.metrics.metering_writes.with_label_values(&[result]).get();
        assert_eq!((writes("failed"), writes("written")), (3, 1));
    }

    /// A write that nobody waits for any more has either happened or not.
    #[tokio::test]
    async fn a_write_that_is_given_up() {
        let (_folder, meta) = database().await;
        let (meter, account) = meter(10);
        let counts = UsageCounts { requests: 1, ..UsageCounts::default() };
        meter.count(Whose { account, repository: "a", principal: "me" }, counts, SystemTime::now());
        {
            let flush = meter.flush(&meta);
            tokio::pin!(flush);
            assert!(futures_util::poll!(&mut flush).is_pending());
        }
        meter.flush(&meta).await;
        assert_eq!(sums(&meta, account).await, [("a".to_owned(), 1, 0)]);
    }

    #[tokio::test]
    async fn bytes_from_upstreams_belong_to_nobody_in_particular() {
        let (_folder, meta) = database().await;
        let (meter, account) = meter(10);
        let mut fetched = meter.fetch(None, || "hub/a".to_owned());
        fetched.add(3);
        fetched.add(4);
        drop(meter.fetch(None, || "hub/nothing-came".to_owned()));
        drop(fetched);
        meter.flush(&meta).await;
        let range = UsageRange { account, since_ms: 0, until_ms: i64::MAX, repository: "*".to_owned() };
        let sums = meta.usage(&range, UsageBy::Principal, 10).await.unwrap();
        assert_eq!(sums.len(), 1);
        assert_eq!((sums[0].of.as_str(), sums[0].counts.fetched_bytes), ("-", 7));
        let off = Meter::default();
        off.fetch(None, || panic!("nobody wants to know")).add(1);
        off.flush(&meta).await;
    }
}
