//! One world from its beginning to its end.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::client::Seen;
use super::disk_usage::{bytes_at_rest, listing, taken_bytes, unlinked, wrong_blobs};
use super::front::{Front, Rights};
use super::judge::judge;
use super::plan::{Blob, End, Fault, Life, Plan, REPOSITORIES, Visit};
use super::script::{Asked, Nature, Scripted};
use crate::cache::{BlobCache, Claim, Origin};
use crate::config::CacheSettings;
use crate::storage::Storage;
use crate::telemetry::Metrics;

/// Longer than any script: a client that waits so long is never answered.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// Looks at the disk, 2 ms apart, before what is there is called wrong: a busy machine may keep a thread waiting for seconds.
const LOOKS: usize = 10_000;

const STAGING: &str = "staging";
const STAGING_AWAY: &str = "staging-away";

/// Runs the plan and panics with what is wrong.
pub(super) fn run(plan: &Plan) {
    fastrand::seed(plan.seed);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).max_blocking_threads(2).build().unwrap();
    runtime.block_on(async {
        let mut data = folder();
        let rights = Rights::default();
        for (number, life) in plan.lives.iter().enumerate() {
            let process = Process::start(plan, data.path(), rights.clone());
            let after = process.live(life).await;
            if let Some(after) = after {
                data = after;
            }
            if number + 1 == plan.lives.len() {
                Process::start(plan, data.path(), rights.clone()).empty().await;
            }
        }
    });
}

/// In memory where that can be: syncing is no part of what is simulated.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

struct Process<'a> {
    plan: &'a Plan,
    data: PathBuf,
    front: Front,
    metrics: Metrics,
    /// By server.
    asked: Vec<Arc<Asked>>,
    /// Of the disk, in bytes.
    limit: Cell<u64>,
}

impl<'a> Process<'a> {
    fn start(plan: &'a Plan, data: &Path, rights: Rights) -> Self {
        let metrics = Metrics::new().unwrap();
        let storage = Storage::open(data).unwrap();
        let cache = BlobCache::load(storage, &settings(plan, None), &HashMap::new(), false, None, metrics.clone());
        let front = Front { cache: cache.unwrap(), rights };
        let asked = plan.servers.iter().map(|_| Arc::default()).collect();
        let process = Self { plan, data: data.to_owned(), front, metrics, asked, limit: Cell::new(plan.disk) };
        process.check_ledger("at the start", plan.disk);
        process
    }

    /// Returns the folder that is left where it is another one.
    async fn live(self, life: &Life) -> Option<TempDir> {
        let mut clients = JoinSet::new();
        self.answer(life, &mut clients).await;
        bring_back(&self.data);
        let mut left = None;
        match life.end {
            _ if clients.is_empty() => self.rest(life).await,
            End::Kill(_) => {
                let after = left.insert(folder());
                copy(&self.data, after.path());
            }
            End::Stop(_) | End::Rest => {}
        }
        clients.shutdown().await;
        self.stop().await;
        left
    }

    /// Answers clients until none is left, or the process ends before.
    async fn answer(&self, life: &Life, clients: &mut JoinSet<(usize, Option<Seen>)>) {
        let began = Instant::now();
        for (number, visit) in life.visits.iter().enumerate() {
            let (front, visit, source) = (self.front.clone(), visit.clone(), self.source(visit));
            let content = self.plan.blobs[visit.blob].content.clone();
            clients.spawn(async move {
                sleep_until(began + visit.at).await;
                let seen = timeout(FOR_EVER, front.visit(source, &visit, &content)).await;
                (number, seen.ok())
            });
        }
        let end = match life.end {
            End::Rest => FOR_EVER * 2,
            End::Stop(after) | End::Kill(after) => after,
        };
        let most = Cell::new(self.plan.disk);
        let befalling = self.befall(life, began, &most);
        tokio::pin!(befalling);
        loop {
            tokio::select! {
                biased;
                joined = clients.join_next() => {
                    let Some(joined) = joined else { return };
                    let (number, seen) = joined.unwrap();
                    self.judge(number, &life.visits[number], seen.as_ref());
                    if !life.loses_files() {
                        self.check_limit(most.get());
                    }
                }
                () = &mut befalling => {}
                () = sleep_until(began + end) => return,
            }
        }
    }

    fn source(&self, visit: &Visit) -> Scripted {
        Scripted {
            server: self.plan.servers[visit.server].clone(),
            asked: self.asked[visit.server].clone(),
            repository: visit.repository,
            blob: visit.blob,
            digest: self.plan.blobs[visit.blob].digest,
            breaks: Arc::default(),
        }
    }

    fn judge(&self, number: usize, visit: &Visit, seen: Option<&Seen>) {
        let judged = match seen {
            Some(seen) => judge(self.plan, visit, seen),
            None => Err("no answer at all".to_owned()),
        };
        if let Err(wrong) = judged {
            let name = &self.plan.servers[visit.server].name;
            panic!(
                "visit {number} of {name}, repository {}, blob {}: {wrong}\n{visit:?}",
                visit.repository, visit.blob
            );
        }
    }

    /// All clients have left: nothing of them remains.
    async fn rest(&self, life: &Life) {
        let resting = async {
            while self.metrics.cache_fills_in_flight.get() > 0 {
                sleep(Duration::from_secs(1)).await;
            }
            sleep(Duration::from_secs(60)).await;
        };
        timeout(FOR_EVER, resting).await.expect("a fill ends");
        if !life.loses_files() {
            // Also where it was lowered while more than that was read.
            self.check_ledger("at rest", self.limit.get());
        }
        assert!(unlinked(&self.data).is_empty(), "a file is held that is not there any more");
        assert_eq!(wrong_blobs(&self.data), Vec::<PathBuf>::new());
        for (server, asked) in self.plan.servers.iter().zip(&self.asked) {
            assert_eq!(asked.open.load(Ordering::SeqCst), 0, "bodies of {} are still open", server.name);
            if self.plan.is_roomy && server.nature != Nature::Wrong {
                self.check_fetches(asked, &server.name);
            }
        }
        self.check_flights().await;
    }

    /// One fetch serves everyone where all can be kept.
    fn check_fetches(&self, asked: &Asked, name: &str) {
        let fetches = asked.fetches.lock().unwrap();
        let is_small = |blob: &Blob| blob.content.len() as u64 <= self.plan.disk_object;
        for (at, blob) in self.plan.blobs.iter().enumerate().filter(|(_, blob)| is_small(blob)) {
            let count = fetches.iter().filter(|fetched| **fetched == at).count();
            assert!(count <= 1, "{name} was asked {count} times for {blob:?}");
        }
    }

    async fn check_flights(&self) {
        for server in 0..self.plan.servers.len() {
            for (blob, repository) in (0..self.plan.blobs.len()).flat_map(|b| (0..REPOSITORIES).map(move |r| (b, r))) {
                let wants = super::plan::Wants::Head;
                let (at, dwells) = (Duration::ZERO, Duration::ZERO);
                let visit = Visit { at, server, repository, blob, told: None, wants, dwells };
                let source = Origin::Scripted(self.source(&visit));
                let claim = Claim { confirmed: true, sent: false };
                let present = self.front.cache.present(&source, claim, None).await;
                assert!(matches!(present, Ok(None)), "a fill is still listed");
            }
        }
    }

    /// The end of a world: nobody reads, so that everything can go.
    async fn empty(self) {
        self.front.cache.apply(&CacheSettings { disk: 0, disk_object: 0, ..settings(self.plan, None) });
        sleep(Duration::from_secs(1)).await;
        self.check_ledger("with no room", 0);
        self.stop().await;
    }

    async fn stop(self) {
        let stopping = async {
            self.front.cache.close().await;
            // Work on blocking threads ends before the clock goes on.
            sleep(Duration::from_secs(1)).await;
        };
        timeout(FOR_EVER, stopping).await.expect("the process stops");
        let Self { front, data, .. } = self;
        drop(front);
        // A thread that has ended its work may yet have to let go.
        let is_free = (0..LOOKS).any(|_| {
            let opened = Storage::open(&data).is_ok();
            if !opened {
                std::thread::sleep(Duration::from_millis(2));
            }
            opened
        });
        assert!(is_free, "the cache is still held by something");
    }

    fn check_ledger(&self, when: &str, limit: u64) {
        self.front.cache.observe();
        let ledger = self.metrics.cache_bytes.with_label_values(&["disk"]).get();
        let found = bytes_at_rest(&self.data);
        assert_eq!(u64::try_from(ledger).unwrap(), found, "{when} the ledger is not what lies on the disk");
        assert!(found <= limit, "{when} {found} bytes lie on the disk, where {limit} may");
    }

    /// At any time. What is being removed on another thread while it is counted is no excess, however long that thread waits for its turn;
    /// nothing else goes on meanwhile.
    fn check_limit(&self, limit: u64) {
        let mut found = 0;
        for _ in 0..LOOKS {
            found = taken_bytes(&self.data);
            if found <= limit {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.front.cache.observe();
        let counted = self.metrics.cache_bytes.with_label_values(&["disk"]).get();
        panic!("{found} bytes are taken, where {limit} may be; {counted} are counted{}", listing(&self.data));
    }

    /// What befalls the disk, in order; `most` becomes the largest limit that there was. Never ends.
    async fn befall(&self, life: &Life, began: Instant, most: &Cell<u64>) {
        for (at, fault) in &life.faults {
            sleep_until(began + *at).await;
            let published = |blob: usize| {
                let hex = self.plan.blobs[blob].digest.hex();
                self.data.join("blobs/sha256").join(&hex[..2]).join(hex)
            };
            match *fault {
                Fault::Limit(limit) => {
                    most.set(most.get().max(limit));
                    self.limit.set(limit);
                    self.front.cache.apply(&settings(self.plan, Some(limit)));
                }
                Fault::StagingGone(time) => {
                    fs::rename(self.data.join(STAGING), self.data.join(STAGING_AWAY)).unwrap();
                    sleep(time).await;
                    bring_back(&self.data);
                }
                Fault::Obstacle(blob) => {
                    let path = published(blob);
                    if !path.exists() {
                        fs::create_dir_all(path).unwrap();
                    }
                }
                Fault::Unlink(blob) => drop(fs::remove_file(published(blob))),
            }
        }
        std::future::pending().await
    }
}

fn bring_back(data: &Path) {
    if data.join(STAGING_AWAY).exists() {
        fs::rename(data.join(STAGING_AWAY), data.join(STAGING)).unwrap();
    }
}

fn settings(plan: &Plan, disk: Option<u64>) -> CacheSettings {
    let disk = disk.unwrap_or(plan.disk);
    CacheSettings {
        remembered: 1 << 20,
        documents: 32 << 20,
        memory: plan.memory,
        disk,
        disk_object: plan.disk_object.min(disk),
        memory_object: plan.memory_object,
        range_window: plan.range_window,
        fill_attempts: 5,
        staging_ttl: Duration::from_secs(24 * 3600),
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => {
                fs::create_dir_all(&target).unwrap();
                copy(&entry.path(), &target);
            }
            // What goes away meanwhile is not copied.
            _ => drop(fs::copy(entry.path(), target)),
        }
    }
}
