//! The queue and the schedule, from outside: SIGKILL at any moment, restarts, and what operators see and do.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use entrepot::jobs::{Failure, Jobs, Listed, Policy, Retry, Run, Work};
use entrepot::meta::{Connections, Ending, JobFilter, JobId, JobProgress, JobState, Meta, NewJob, Taking};
use entrepot::telemetry::Metrics;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::bound::{until_async, within};
use crate::bucket::{a_database, server};
use crate::proxy::{Proxy, Setup};
use crate::push::{an_image, push_image, run};
use crate::upstream::FakeUpstream;

/// Where the worker of [`killed_hundreds_of_times`] finds its database, and what it is called.
const DATABASE: &str = "SUITE_JOBS_DATABASE";
const NAME: &str = "SUITE_JOBS_NAME";

/// Kills of a round of the test, for each database.
const KILLS: &str = "SUITE_KILLS";
const USUAL_KILLS: usize = 100;

/// Processes at once, of which one is killed at a time.
const WORKERS: usize = 2;

/// Jobs in a row, each enqueued by the one before it.
const HOPS: u32 = 4;

/// Chains that nobody has taken: there is always something to do.
const WAITING: usize = 16;

const SOON: &[Duration] = &[Duration::from_millis(1)];

/// Time of one job. A process is killed within twice that after it has taken one: while it runs, around its end, or in the next.
const LONGEST_WORK_MS: u64 = 12;

/// One job of a chain: its effect is a fact in the same database, and so is the job that follows.
#[derive(Serialize, Deserialize)]
struct Hop {
    chain: u32,
    hop: u32,
}

impl Hop {
    fn job(&self) -> NewJob {
        let payload = serde_json::to_string(self).unwrap();
        NewJob { payload, ..NewJob::new("hop", format!("chain {}", self.chain)) }
    }
}

struct Hopping;

impl Work for Hopping {
    type Done = ();

    fn queue(&self) -> &'static str {
        "hop"
    }

    fn policy(&self) -> Policy {
        // A kill costs a try: so many have none to spare.
        let retry = Retry { attempts: u32::MAX, pauses: SOON };
        Policy { places: 4, lease: Duration::from_millis(500), timeout: None, retry }
    }

    async fn run(&self, run: &Run) -> Result<(), Failure> {
        let Hop { chain, hop } = run.payload()?;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..LONGEST_WORK_MS))).await;
        // Every run has an effect of its own name: two runs that both had effect could not hide.
        let effect = format!("{chain} {hop} {} {:016x}", run.attempt(), fastrand::u64(..));
        run.then(NewJob::new("effect", effect));
        if hop + 1 < HOPS {
            run.then(Hop { chain, hop: hop + 1 }.job());
        }
        Ok(())
    }
}

async fn open(database: &str) -> Meta {
    match database.starts_with("postgres") {
        true => Meta::open_postgres(database, Connections::default()).await.unwrap(),
        false => Meta::open(database.as_ref()).await.unwrap(),
    }
}

/// The process that is killed.
#[tokio::test]
#[ignore = "a worker of the test below, which starts it"]
async fn a_worker() {
    let Ok(database) = std::env::var(DATABASE) else { return };
    let meta = open(&database).await;
    let listening = meta.clone();
    tokio::spawn(async move { listening.listen().await });
    let listed = vec![Listed::after_facts(Hopping)];
    let name = std::env::var(NAME).unwrap();
    Jobs::new(meta, &name, Metrics::new().unwrap(), listed).work().await;
}

/// With a name of its own.
fn a_process(database: &str) -> (Child, String) {
    let name = format!("{:016x}", fastrand::u64(..));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["jobs::a_worker", "--exact", "--ignored"]).env(DATABASE, database).env(NAME, &name);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    (command.spawn().expect("the test's own binary runs"), name)
}

async fn count(meta: &Meta, queue: &str) -> u64 {
    let counts = meta.count_jobs("").await.unwrap();
    counts.iter().filter(|count| count.queue == queue).map(|count| count.waiting + count.dead).sum()
}

/// SIGKILL at any moment loses no job, and does none twice in effect.
async fn killed_hundreds_of_times(database: String) {
    let kills = std::env::var(KILLS).ok().and_then(|text| text.parse().ok()).unwrap_or(USUAL_KILLS);
    let meta = open(&database).await;
    let mut workers: Vec<_> = (0..WORKERS).map(|_| a_process(&database)).collect();
    let mut chains = 0;
    let of = |state| JobFilter { queue: Some("hop".to_owned()), state: Some(state) };
    for kill in 0..kills {
        let (worker, name) = &mut workers[kill % WORKERS];
        until_async("the process is at work", async || {
            // There is always something for it: the other one may do all that there is before this one has started.
            let waiting = meta.jobs(&of(JobState::Waiting), None, 1_000).await.unwrap().len();
            for _ in waiting..WAITING {
                meta.enqueue(&[Hop { chain: chains, hop: 0 }.job()]).await.unwrap();
                chains += 1;
            }
            let running = meta.jobs(&of(JobState::Running), None, 1_000).await.unwrap();
            running.iter().any(|job| job.replica == *name)
        })
        .await;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..2 * LONGEST_WORK_MS))).await;
        worker.start_kill().expect("the signal is sent");
        within("the end of a killed process", worker.wait()).await.expect("the child's state");
        workers[kill % WORKERS] = a_process(&database);
    }
    until_async("all chains come to their end", async || count(&meta, "hop").await == 0).await;
    let mut effects: BTreeMap<(u32, u32), Vec<String>> = BTreeMap::new();
    let (mut after, mut tried_again) = (None, 0);
    loop {
        let page = meta.jobs(&JobFilter::default(), after, 1_000).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(JobId(last.id));
        for job in page {
            assert_eq!((job.queue.as_str(), job.state), ("effect", JobState::Waiting), "{job:?}");
            let words: Vec<_> = job.key.split(' ').map(|word| word.parse::<u32>().unwrap_or_default()).collect();
            tried_again += usize::from(words[2] > 1);
            effects.entry((words[0], words[1])).or_default().push(job.key);
        }
    }
    for (chain, hop) in (0..chains).flat_map(|chain| (0..HOPS).map(move |hop| (chain, hop))) {
        let found = effects.remove(&(chain, hop)).unwrap_or_default();
        assert_eq!(found.len(), 1, "job {hop} of chain {chain} of {chains}: {found:?}");
    }
    assert!(effects.is_empty(), "{effects:?}");
    assert!(tried_again > kills / 10, "kills hit no job: {tried_again} were done again");
    meta.close().await;
}

#[tokio::test]
async fn killed_hundreds_of_times_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    killed_hundreds_of_times(folder.path().join("jobs.db").to_str().unwrap().to_owned()).await;
}

#[tokio::test]
async fn killed_hundreds_of_times_on_postgres() {
    let Some(server) = server("TEST_POSTGRES_URL") else { return };
    killed_hundreds_of_times(a_database(&server).await).await;
}

pub async fn state(proxy: &Proxy, name: &str) -> Value {
    proxy.admin().get(&format!("/jobs/{name}")).await.json()
}

/// F6: a process that never lives as long as the interval does its rounds all the same.
#[tokio::test]
async fn f06_restarts_do_not_put_rounds_off() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.hosted.text("scrub_every", "3s").text("reclaim_every", "3s");
    let mut proxy = setup.start().await;
    let begun = std::time::Instant::now();
    for name in ["gc", "scrub", "scrub-cache"] {
        while state(&proxy, name).await["run"] == json!(0) {
            tokio::time::sleep(Duration::from_millis(300)).await;
            proxy.kill().await;
            proxy.start().await;
            assert!(begun.elapsed() < crate::bound::BOUND, "{name} never runs");
        }
    }
}

/// F6: a round that was cut off goes on where it was, after SIGTERM as well as after SIGKILL.
#[tokio::test]
async fn f06_a_round_goes_on_where_it_was() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    // Some blobs a second.
    setup.hosted.text("scrub_rate", "64KiB").text("reclaim_every", "1h");
    let mut proxy = setup.start().await;
    let image = an_image(1, &[30_000; 8]).await;
    push_image(&proxy, "team/app", "latest", &image).await;
    proxy.admin().send("POST", "/jobs/scrub", &[], b"").await.assert_status(202);
    until_async("some are read", async || state(&proxy, "scrub").await["done"].as_u64() >= Some(1)).await;
    assert!(proxy.terminate().await.success(), "{}", proxy.log());
    proxy.setup.hosted.text("scrub_rate", "1GiB");
    proxy.start().await;
    until_async("it ends", async || state(&proxy, "scrub").await["running"] == json!(false)).await;
    let ended = state(&proxy, "scrub").await;
    // Eight layers and the config; what was read before is counted once, and not read again.
    assert_eq!(
        (&ended["result"]["blobs"], &ended["done"], &ended["run"]),
        (&json!(9), &json!(9), &json!(2)),
        "{ended}"
    );
}

/// F6: what cannot be read is told, and the round goes on.
#[tokio::test]
async fn f06_an_object_that_fails_does_not_end_a_round() {
    let upstream = FakeUpstream::start().await;
    let proxy = Setup::of(&upstream).start().await;
    let image = an_image(1, &[5_000, 6_000, 7_000]).await;
    push_image(&proxy, "team/app", "latest", &image).await;
    // A link to itself cannot be opened, by anybody.
    let hex = image.layers[1].digest.strip_prefix("sha256:").unwrap();
    let file = proxy.data_path().join("hosted/blobs/sha256").join(&hex[..2]).join(hex);
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&file, &file).unwrap();
    let (good, found, said) = run(&proxy, &["scrub"]);
    assert!(good, "{said}");
    assert_eq!((&found["pushed"]["blobs"], &found["pushed"]["failed"]), (&json!(4), &json!(1)), "{found}");
    assert_eq!((&found["pushed"]["damaged"], &found["pushed"]["missing"]), (&json!(0), &json!(0)));
    assert!(proxy.log().contains("a pushed blob could not be read again"));
}

/// Jobs of a version that comes: one waits and one is dead. Returns their numbers.
async fn two_jobs(proxy: &Proxy) -> (i64, i64) {
    let meta = Meta::open(&proxy.data_path().join("entrepot.db")).await.unwrap();
    let job = |key: &str| NewJob { account: "111111111111".parse().ok(), ..NewJob::new("tomorrow", key) };
    meta.enqueue(&[job("waits"), job("dies")]).await.unwrap();
    let lanes = [("111111111111/", 1)];
    let taking = Taking { queue: "tomorrow", lanes: &lanes, lease: Duration::from_secs(60), max_attempts: 3, by: "x" };
    let taken = meta.take(&taking).await.unwrap().remove(0);
    let failed = Ending::Failed { error: "no such host", delay: Duration::ZERO, is_last: true };
    assert!(meta.end_job(taken.lease, &failed, &JobProgress::default()).await.unwrap());
    let jobs = meta.jobs(&JobFilter { queue: Some("tomorrow".to_owned()), state: None }, None, 10).await.unwrap();
    meta.close().await;
    let of = |state| jobs.iter().find(|job| job.state == state).unwrap().id;
    (of(JobState::Waiting), of(JobState::Dead))
}

#[tokio::test]
async fn operators_list_retry_and_drop_jobs() {
    let upstream = FakeUpstream::start().await;
    let mut proxy = Setup::of(&upstream).start().await;
    let (waits, dead) = two_jobs(&proxy).await;
    let admin = proxy.admin();
    let listed = async |query: &str| {
        let page = admin.get(&format!("/jobs/queue?queue=tomorrow{query}")).await.json();
        let ids: Vec<_> = page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect();
        (ids, page["next"].as_i64())
    };
    assert_eq!(listed("&state=dead").await, (vec![dead], None));
    let (first, next) = listed("&limit=1").await;
    assert_eq!((first.len(), next), (1, Some(first[0])));
    assert_eq!(listed(&format!("&after={}", first[0])).await.0.len(), 1);
    let shown = admin.get(&format!("/jobs/queue/{dead}")).await.json();
    assert_eq!((&shown["error"], &shown["account"]), (&json!("no such host"), &json!("111111111111")));
    // A web page can do none of it.
    let foreign = [("Origin", "https://evil.example")];
    for (method, path) in [("DELETE", format!("/jobs/queue/{dead}")), ("POST", format!("/jobs/queue/{dead}/retry"))] {
        admin.send(method, &path, &foreign, b"").await.assert_status(403);
    }
    let retried = admin.send("POST", "/jobs/queue/retry?queue=tomorrow", &[], b"").await;
    assert_eq!(retried.json(), json!({ "retried": 1 }));
    assert_eq!(listed("&state=dead").await, (vec![], None));
    admin.send("POST", &format!("/jobs/queue/{waits}/retry"), &[], b"").await.assert_status(200);
    admin.send("DELETE", &format!("/jobs/queue/{waits}"), &[], b"").await.assert_status(204);
    for (method, path, status) in [
        ("GET", format!("/jobs/queue/{waits}"), 404),
        ("DELETE", format!("/jobs/queue/{waits}"), 404),
        ("POST", format!("/jobs/queue/{waits}/retry"), 404),
        ("GET", "/jobs/queue/x".to_owned(), 400),
        ("GET", "/jobs/queue?limit=100000".to_owned(), 400),
        ("POST", "/jobs/queue/retry".to_owned(), 400),
        ("PUT", "/jobs/queue".to_owned(), 405),
        ("GET", "/jobs/queue/1/2/3".to_owned(), 404),
        ("GET", "/jobs/queues".to_owned(), 404),
        ("GET", "/jobsx".to_owned(), 404),
    ] {
        admin.send(method, &path, &[], b"").await.assert_status(status);
    }
    let metrics = proxy.metrics().await;
    assert_eq!(metrics.with("entrepot_jobs_dead", &[("queue", "gc")]), 0.0);
    // The same by the command, while somebody serves and when nobody does.
    let id = dead.to_string();
    for is_serving in [true, false] {
        if !is_serving {
            proxy.terminate().await;
        }
        let (good, found, said) = run(&proxy, &["jobs", "ls", "--queue", "tomorrow"]);
        assert!(good && found.as_array().unwrap().len() == 1 && found[0]["key"] == "dies", "{found} {said}");
        let (good, found, _) = run(&proxy, &["jobs", "show", &id]);
        assert!(good && found["queue"] == "tomorrow", "{found}");
        assert!(words(&proxy, &["jobs", "retry", &id]).await.0);
        let (good, said) = words(&proxy, &["jobs", "retry", "--dead", "tomorrow"]).await;
        assert!(good && said.contains("0 dead jobs"), "{said}");
    }
    let (good, said) = words(&proxy, &["jobs", "drop", &id]).await;
    assert!(good && said.contains("is dropped"), "{said}");
    let (good, said) = words(&proxy, &["jobs", "drop", &id]).await;
    assert!(!good && said.contains("there is no job"), "{said}");
}

/// A command that has no other output than words.
async fn words(proxy: &Proxy, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_entrepot"));
    command.args(arguments).arg("--config").arg(proxy.config_path()).stdin(Stdio::null()).kill_on_drop(true);
    let output = within("a command", command.output()).await.expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

/// Two replicas on one database: a job that one was asked for is done once, and both tell what came of it.
#[tokio::test]
async fn replicas_share_the_queue() {
    let (Some(endpoint), Some(postgres)) = (server("TEST_S3_URL"), server("TEST_POSTGRES_URL")) else { return };
    let upstream = FakeUpstream::start().await;
    let (database, prefix) = (a_database(&postgres).await, crate::bucket::prefix());
    let mut replicas = Vec::new();
    for _ in 0..2 {
        let mut setup = Setup::of(&upstream);
        crate::bucket::in_bucket(&mut setup, &endpoint, &prefix);
        setup.meta.text("url", &database);
        replicas.push(setup.start().await);
    }
    replicas[0].admin().send("POST", "/jobs/gc", &[], b"").await.assert_status(202);
    for replica in &replicas {
        until_async("it has ended", async || {
            let told = state(replica, "gc").await;
            told["run"] == json!(1) && told["running"] == json!(false) && told["result"]["blobs"] == json!(0)
        })
        .await;
    }
    // Each reads its own cache.
    for replica in &replicas {
        replica.admin().send("POST", "/jobs/scrub-cache", &[], b"").await.assert_status(202);
        until_async("it has ended", async || {
            let told = state(replica, "scrub-cache").await;
            told["run"] == json!(1) && told["running"] == json!(false) && told["result"]["blobs"] == json!(0)
        })
        .await;
    }
}
