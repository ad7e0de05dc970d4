//! What becomes of jobs whose handlers misbehave, of processes that end, and of a database that goes away.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::meta::tests::on_each;
use crate::meta::{Connections, JobFilter, JobRow, JobState, Meta, NewJob, Urgency};
use crate::telemetry::Metrics;

const QUEUE: &str = "test";
const SOON: &[Duration] = &[Duration::from_millis(1)];

type Handler = dyn Fn(&Run) -> BoxFuture<'_, Result<Value, Failure>> + Send + Sync;

/// Work that does what the test says.
struct Played {
    queue: &'static str,
    policy: Policy,
    handler: Box<Handler>,
}

impl Work for Played {
    type Done = Value;

    fn queue(&self) -> &'static str {
        self.queue
    }

    fn policy(&self) -> Policy {
        self.policy
    }

    async fn run(&self, run: &Run) -> Result<Value, Failure> {
        (self.handler)(run).await
    }
}

fn quick() -> Policy {
    let retry = Retry { pauses: SOON, attempts: 3 };
    Policy { places: 4, lease: Duration::from_secs(30), timeout: None, retry }
}

fn played(
    policy: Policy,
    handler: impl Fn(&Run) -> BoxFuture<'_, Result<Value, Failure>> + Send + Sync + 'static,
) -> Played {
    Played { queue: QUEUE, policy, handler: Box::new(handler) }
}

/// A replica that works until it is closed.
struct Replica {
    jobs: Jobs,
    metrics: Metrics,
    working: JoinHandle<()>,
}

impl Replica {
    fn start(meta: &Meta, name: &str, listed: Vec<Listed>) -> Self {
        let metrics = Metrics::new().unwrap();
        let jobs = Jobs::new(meta.clone(), name, metrics.clone(), listed);
        let working = jobs.clone();
        Self { jobs, metrics, working: tokio::spawn(async move { working.work().await }) }
    }

    fn of(meta: &Meta, work: Played) -> Self {
        Self::start(meta, "one", vec![Listed::after_facts(work)])
    }

    fn runs(&self, result: &str) -> u64 {
        self.metrics.jobs_runs.with_label_values(&[QUEUE, result]).get()
    }

    async fn close(self) {
        self.jobs.close().await;
        self.working.await.unwrap();
    }
}

async fn rows(meta: &Meta) -> Vec<JobRow> {
    meta.jobs(&JobFilter::default(), None, 10_000).await.unwrap()
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

async fn enqueue(meta: &Meta, keys: impl IntoIterator<Item = u32>) {
    let jobs: Vec<_> = keys.into_iter().map(|n| NewJob::new(QUEUE, format!("{n:05}"))).collect();
    meta.enqueue(&jobs).await.unwrap();
}

#[tokio::test]
async fn jobs_are_done_and_what_follows_is_enqueued() {
    on_each(async |meta| {
        let sum = Arc::new(AtomicU64::new(0));
        let summed = sum.clone();
        let work = played(quick(), move |run| {
            summed.fetch_add(run.payload::<u64>().unwrap(), Ordering::SeqCst);
            run.then(NewJob::new("next", run.key()));
            Box::pin(async { Ok(json!({})) })
        });
        let replica = Replica::of(&meta, work);
        let jobs: Vec<_> =
            (1..=100).map(|n| NewJob { payload: n.to_string(), ..NewJob::new(QUEUE, n.to_string()) }).collect();
        meta.enqueue(&jobs).await.unwrap();
        until("all are done", async || rows(&meta).await.iter().all(|job| job.queue == "next")).await;
        replica.close().await;
        assert_eq!(rows(&meta).await.len(), 100);
        assert_eq!(sum.load(Ordering::SeqCst), 5_050);
    })
    .await;
}

/// A poison job costs its own tries and nobody else's, and is told with its panic.
#[tokio::test]
async fn a_poison_job_dies_alone() {
    on_each(async |meta| {
        let work = played(quick(), |run| {
            let is_poison = run.key() == "00003";
            Box::pin(async move {
                assert!(!is_poison, "the image of horror");
                Ok(json!({}))
            })
        });
        let replica = Replica::of(&meta, work);
        enqueue(&meta, 0..10).await;
        until("the others are done", async || {
            let rows = rows(&meta).await;
            rows.len() == 1 && rows[0].state == JobState::Dead
        })
        .await;
        let dead = rows(&meta).await.remove(0);
        assert_eq!((dead.key.as_str(), dead.attempts), ("00003", 3));
        assert!(dead.error.unwrap().contains("the image of horror"));
        until("runs are counted", async || {
            [replica.runs("done"), replica.runs("failed"), replica.runs("dead")] == [9, 2, 1]
        })
        .await;
        replica.close().await;
    })
    .await;
}

/// A payload that no version understands needs no further try.
#[tokio::test]
async fn hopeless_jobs_are_dead_at_once() {
    on_each(async |meta| {
        let work = played(quick(), |run| {
            let payload = run.payload::<u64>();
            Box::pin(async move { payload.map(Value::from) })
        });
        let replica = Replica::of(&meta, work);
        enqueue(&meta, [1]).await;
        until("it is dead", async || rows(&meta).await[0].state == JobState::Dead).await;
        let dead = rows(&meta).await.remove(0);
        assert_eq!(dead.attempts, 1);
        assert!(dead.error.unwrap().contains("its payload cannot be read"));
        replica.close().await;
    })
    .await;
}

/// A handler that never ends is given up, and its place is free again.
#[tokio::test]
async fn a_handler_that_never_ends_is_given_up() {
    on_each(async |meta| {
        let policy = Policy { places: 1, timeout: Some(Duration::from_millis(50)), ..quick() };
        let work = played(policy, |run| {
            let ends = run.key() == "00002";
            Box::pin(async move {
                if !ends {
                    std::future::pending::<()>().await;
                }
                Ok(json!({}))
            })
        });
        let replica = Replica::of(&meta, work);
        enqueue(&meta, [1, 2]).await;
        until("the other is done, and it is dead", async || {
            let rows = rows(&meta).await;
            rows.len() == 1 && rows[0].state == JobState::Dead
        })
        .await;
        assert!(rows(&meta).await.remove(0).error.unwrap().contains("it took longer than"));
        replica.close().await;
    })
    .await;
}

/// A run that is longer than its lease keeps it; another replica waits in vain.
#[tokio::test]
async fn leases_are_renewed() {
    on_each(async |meta| {
        let runs = Arc::new(AtomicU32::new(0));
        let policy = Policy { lease: Duration::from_millis(900), ..quick() };
        let work = |runs: Arc<AtomicU32>| {
            played(policy, move |run| {
                runs.fetch_add(1, Ordering::SeqCst);
                run.advance(1, 10);
                Box::pin(async {
                    tokio::time::sleep(Duration::from_millis(2_500)).await;
                    Ok(json!({}))
                })
            })
        };
        let one = Replica::of(&meta, work(runs.clone()));
        let two = Replica::of(&meta, work(runs.clone()));
        enqueue(&meta, [1]).await;
        until("it is shown how far it is", async || rows(&meta).await.iter().any(|job| job.bytes == 10)).await;
        until("it is done", async || rows(&meta).await.is_empty()).await;
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        one.close().await;
        two.close().await;
    })
    .await;
}

/// What is cut off by the end of the process goes on where it was, and has lost no try.
#[tokio::test]
async fn what_is_cut_off_goes_on_where_it_was() {
    on_each(async |meta| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (began, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let start = |name: &str| {
            let (seen, began, may_end) = (seen.clone(), began.clone(), may_end.clone());
            let work = played(quick(), move |run| {
                let (began, may_end) = (began.clone(), may_end.clone());
                let position = run.position::<u32>().unwrap_or_default();
                seen.lock().unwrap().push((run.attempt(), position));
                run.keep(&(position + 1));
                Box::pin(async move {
                    began.add_permits(1);
                    tokio::select! {
                        () = run.stop().cancelled() => Err(Failure::Stopped),
                        _ = may_end.acquire() => Ok(json!({})),
                    }
                })
            });
            Replica::start(&meta, name, vec![Listed::after_facts(work)])
        };
        enqueue(&meta, [1]).await;
        for name in ["one", "two", "three"] {
            let replica = start(name);
            began.acquire().await.unwrap().forget();
            replica.close().await;
            let waiting = rows(&meta).await.remove(0);
            assert_eq!((waiting.state, waiting.attempts), (JobState::Waiting, 0));
        }
        may_end.add_permits(1);
        let last = start("four");
        until("it is done", async || rows(&meta).await.is_empty()).await;
        last.close().await;
        assert_eq!(*seen.lock().unwrap(), [(1, 0), (1, 1), (1, 2), (1, 3)]);
    })
    .await;
}

/// Of many jobs to a server that is away a few ask; those of other servers are done meanwhile.
#[tokio::test]
async fn a_dead_destination_is_asked_now_and_then() {
    on_each(async |meta| {
        let asked = Arc::new(AtomicU32::new(0));
        let counted = asked.clone();
        let work = played(Policy { places: 2, ..quick() }, move |run| {
            let is_away = run.destination() == "away.example";
            counted.fetch_add(u32::from(is_away), Ordering::SeqCst);
            Box::pin(async move {
                if is_away { Err(Failure::Unreachable("connection refused".to_owned())) } else { Ok(json!({})) }
            })
        });
        let to = |destination: &str, n: u32| NewJob {
            destination: destination.to_owned(),
            ..NewJob::new(QUEUE, format!("{destination} {n}"))
        };
        let jobs: Vec<_> =
            (0..500).map(|n| to("away.example", n)).chain((0..50).map(|n| to("there.example", n))).collect();
        meta.enqueue(&jobs).await.unwrap();
        let replica = Replica::of(&meta, work);
        until("the others are done", async || rows(&meta).await.len() == 500).await;
        // One for each place at the most, before the breaker opened.
        assert!((1..=2).contains(&asked.load(Ordering::SeqCst)), "{asked:?}");
        assert!(rows(&meta).await.iter().all(|job| job.state == JobState::Waiting));
        replica.close().await;
    })
    .await;
}

/// A tenant with a thousand jobs does not hold up one that has a single one.
#[tokio::test]
async fn accounts_take_turns() {
    on_each(async |meta| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let seen = order.clone();
        let work = played(Policy { places: 1, ..quick() }, move |run| {
            seen.lock().unwrap().push(run.key().to_owned());
            Box::pin(async { Ok(json!({})) })
        });
        let of = |account: &str, n: u32| NewJob {
            account: Some(account.parse().unwrap()),
            ..NewJob::new(QUEUE, format!("{account} {n}"))
        };
        let many: Vec<_> = (0..1_000).map(|n| of("111111111111", n)).collect();
        meta.enqueue(&many).await.unwrap();
        meta.enqueue(&[of("222222222222", 0), of("333333333333", 0)]).await.unwrap();
        let replica = Replica::of(&meta, work);
        until("both are done", async || order.lock().unwrap().len() >= 5).await;
        replica.close().await;
        let first: Vec<_> = order.lock().unwrap().iter().take(3).cloned().collect();
        let of = |account: &str| first.iter().filter(|key| key.starts_with(account)).count();
        assert_eq!((of("111111111111"), of("222222222222"), of("333333333333")), (1, 1, 1), "{first:?}");
    })
    .await;
}

/// A replica leaves jobs alone whose queue it does not know, and tells that they are there.
#[tokio::test]
async fn queues_of_other_versions_are_left_alone() {
    on_each(async |meta| {
        let replica = Replica::of(&meta, played(quick(), |_| Box::pin(async { Ok(json!({})) })));
        meta.enqueue(&[NewJob::new("tomorrow", "x"), NewJob::new(QUEUE, "x")]).await.unwrap();
        until("its own is done", async || rows(&meta).await.len() == 1).await;
        let left = rows(&meta).await.remove(0);
        assert_eq!((left.queue.as_str(), left.state, left.attempts), ("tomorrow", JobState::Waiting, 0));
        replica.close().await;
        // What is told at the start of the next one.
        let replica = Replica::of(&meta, played(quick(), |_| Box::pin(async { Ok(json!({})) })));
        until("it is counted", async || replica.metrics.jobs.with_label_values(&["unknown"]).get() == 1).await;
        replica.close().await;
    })
    .await;
}

/// F6: of several replicas one does each round; each does its own; a restart puts nothing off.
#[tokio::test]
async fn f06_one_replica_does_each_round() {
    on_each(async |meta| {
        let runs: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
        let listed = |name: &str, every: Duration| {
            let work = |queue: &'static str| {
                let (runs, name) = (runs.clone(), format!("{queue} at {name}"));
                let work = played(Policy { places: 1, ..quick() }, move |_| {
                    *runs.lock().unwrap().entry(name.clone()).or_default() += 1;
                    Box::pin(async { Ok(json!({ "found": 7 })) })
                });
                Played { queue, ..work }
            };
            vec![
                Listed::once_for_all(work("shared"), Some(When::Every(every))),
                Listed::by_each_replica(work("own"), Some(When::Every(every))),
                Listed::once_for_all(work("hourly"), Some(When::InEach(Duration::from_secs(10 * 365 * 86_400)))),
            ]
        };
        let count = |name: &str| {
            let runs = runs.lock().unwrap();
            runs.iter().filter(|(run, _)| run.starts_with(name)).map(|(_, count)| *count).sum::<u32>()
        };
        let day = Duration::from_secs(86_400);
        let replicas: Vec<_> =
            ["a", "b", "c"].into_iter().map(|name| Replica::start(&meta, name, listed(name, day))).collect();
        until("what nobody has done yet is done", async || count("hourly") == 1).await;
        assert_eq!((count("shared"), count("own")), (0, 0));
        for replica in replicas {
            replica.close().await;
        }
        // A day later, and with a process that lives for moments.
        meta.execute(
            "UPDATE schedule SET enqueued_at_ms = enqueued_at_ms - 86400000 WHERE queue <> 'hourly'".to_owned(),
        )
        .await
        .unwrap();
        let replicas: Vec<_> =
            ["a", "b", "c"].into_iter().map(|name| Replica::start(&meta, name, listed(name, day))).collect();
        until("each round is done", async || count("shared") == 1 && count("own") == 3).await;
        let state = replicas[0].jobs.state("shared").await.unwrap().unwrap();
        assert_eq!((state.run, state.running, state.result), (1, false, Some(json!({ "found": 7 }))));
        // Whoever asks for it gets one, and only for the replica that is asked.
        replicas[1].jobs.start("own").await.unwrap().unwrap();
        until("it is done", async || count("own at b") == 2).await;
        assert!(replicas[1].jobs.start("nothing").await.unwrap().is_none());
        assert_eq!(replicas[0].jobs.states().await.unwrap().len(), 3);
        for replica in replicas {
            replica.close().await;
        }
        assert_eq!((count("shared"), count("own"), count("hourly")), (1, 4, 1));
    })
    .await;
}

/// A failure of scheduled work is told, tried again, and does not end the schedule.
#[tokio::test]
async fn scheduled_work_that_fails_is_tried_again() {
    on_each(async |meta| {
        let runs = Arc::new(AtomicU32::new(0));
        let counted = runs.clone();
        let work = played(quick(), move |_| {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                if run % 4 < 3 { Err(Failure::Failed("the store is away".to_owned())) } else { Ok(json!(run)) }
            })
        });
        let listed = vec![Listed::once_for_all(work, Some(When::Every(Duration::from_millis(100))))];
        let replica = Replica::start(&meta, "one", listed);
        // Dead after three tries, and begun anew by the schedule.
        until("it comes to its end", async || replica.runs("done") >= 2).await;
        assert!(replica.runs("dead") >= 2);
        replica.close().await;
    })
    .await;
}

/// Where nobody serves an operator's command does it itself.
#[tokio::test]
async fn a_job_is_run_to_its_end_where_nobody_serves() {
    on_each(async |meta| {
        let start = |outcome: Result<u32, ()>| {
            let work = played(quick(), move |_| {
                Box::pin(async move { outcome.map(Value::from).map_err(|()| Failure::Failed("no".to_owned())) })
            });
            Jobs::new(meta.clone(), "one", Metrics::new().unwrap(), vec![Listed::once_for_all(work, None)])
        };
        let jobs = start(Ok(7));
        let state = jobs.run_now(QUEUE).await.unwrap().unwrap();
        assert_eq!((state.result, state.running), (Some(json!(7)), false));
        assert!(jobs.run_now("nothing").await.unwrap().is_none());
        jobs.close().await;
        let jobs = start(Err(()));
        let state = jobs.run_now(QUEUE).await.unwrap().unwrap();
        assert_eq!((state.result, state.error.as_deref()), (None, Some("no")));
        jobs.close().await;
    })
    .await;
}

/// Work of the process itself: once at a time, by the clock and when asked, and its panic ends nothing.
#[tokio::test]
async fn work_of_a_process_runs_once_at_a_time() {
    on_each(async |meta| {
        let runs = Arc::new(AtomicU32::new(0));
        let counted = runs.clone();
        let may_end = Arc::new(Semaphore::new(0));
        let gate = may_end.clone();
        let work = played(quick(), move |run| {
            run.expect(2);
            run.advance(1, 10);
            let (number, gate) = (counted.fetch_add(1, Ordering::SeqCst) + 1, gate.clone());
            Box::pin(async move {
                gate.acquire().await.unwrap().forget();
                assert!(number != 2, "the second");
                Ok(Value::from(number))
            })
        });
        let jobs = Jobs::new(meta.clone(), "one", Metrics::new().unwrap(), vec![Listed::by_this_process(work, None)]);
        let state = async || jobs.state(QUEUE).await.unwrap().unwrap();
        for _ in 0..5 {
            assert!(jobs.start(QUEUE).await.unwrap().unwrap().running);
        }
        until("it began", async || state().await.done == 1).await;
        assert_eq!((state().await.run, state().await.total, state().await.bytes), (1, 2, 10));
        may_end.add_permits(1);
        until("it ended", async || !state().await.running).await;
        assert_eq!(state().await.result, Some(json!(1)));
        may_end.add_permits(1);
        jobs.start(QUEUE).await.unwrap();
        until("it ended", async || !state().await.running && state().await.run == 2).await;
        assert!(state().await.error.unwrap().contains("panicked"));
        may_end.add_permits(1);
        jobs.start(QUEUE).await.unwrap();
        until("it ended", async || !state().await.running && state().await.run == 3).await;
        assert_eq!(state().await.result, Some(json!(3)));
        jobs.close().await;
        assert!(!jobs.start(QUEUE).await.unwrap().unwrap().running, "it is too late");
        assert_eq!(rows(&meta).await, []);
    })
    .await;
}

/// A wire to the server, for as long as nobody cuts it.
async fn wire(server: String, cut: CancellationToken) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Some(Ok((mut client, _))) = cut.run_until_cancelled(listener.accept()).await {
            let (server, cut) = (server.clone(), cut.clone());
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await.unwrap();
                cut.run_until_cancelled(tokio::io::copy_bidirectional(&mut client, &mut server)).await;
            });
        }
    });
    port
}

/// A replica whose database goes away in the middle stops its handler before its lease ends elsewhere; another does the job.
#[tokio::test]
async fn a_replica_that_loses_the_database_lets_go() {
    on_each(async |meta| {
        if !meta.is_shared() {
            return;
        }
        let mut url = meta.url_for_tests();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let cut = CancellationToken::new();
        url.set_port(Some(wire(server, cut.clone()).await)).unwrap();
        let far = Meta::open_postgres(url.as_str(), Connections::default()).await.unwrap();
        let at_work: Arc<Mutex<Vec<&'static str>>> = Arc::default();
        /// Says that a handler has ended, however it ended.
        struct AtWork(Arc<Mutex<Vec<&'static str>>>, &'static str);
        impl Drop for AtWork {
            fn drop(&mut self) {
                self.0.lock().unwrap().retain(|name| *name != self.1);
            }
        }
        let overlaps = Arc::new(AtomicU32::new(0));
        let may_end = Arc::new(Semaphore::new(0));
        let start = |meta: &Meta, name: &'static str| {
            let (at_work, overlaps, may_end) = (at_work.clone(), overlaps.clone(), may_end.clone());
            let policy = Policy { lease: Duration::from_secs(2), ..quick() };
            let work = played(policy, move |_| {
                let (at_work, overlaps, may_end) = (at_work.clone(), overlaps.clone(), may_end.clone());
                Box::pin(async move {
                    let others = {
                        let mut names = at_work.lock().unwrap();
                        names.push(name);
                        names.len() - 1
                    };
                    overlaps.fetch_add(u32::from(others > 0), Ordering::SeqCst);
                    let _at_work = AtWork(at_work, name);
                    if name == "far" {
                        std::future::pending::<()>().await;
                    }
                    may_end.acquire().await.unwrap().forget();
                    Ok(json!({}))
                })
            });
            Replica::start(meta, name, vec![Listed::after_facts(work)])
        };
        let one = start(&far, "far");
        enqueue(&meta, [1]).await;
        until("it began", async || *at_work.lock().unwrap() == ["far"]).await;
        let two = start(&meta, "near");
        cut.cancel();
        until("the other does it", async || at_work.lock().unwrap().contains(&"near")).await;
        may_end.add_permits(1);
        until("it is done", async || rows(&meta).await.is_empty()).await;
        assert_eq!(overlaps.load(Ordering::SeqCst), 0, "never both at once");
        two.close().await;
        one.close().await;
    })
    .await;
}

/// A job that is dropped, or retried by an operator's hand in the table, while it runs: its handler ends, and how it ended is not written.
#[tokio::test]
async fn a_run_whose_job_is_gone_is_lost() {
    on_each(async |meta| {
        let began = Arc::new(Semaphore::new(0));
        let begins = began.clone();
        let policy = Policy { lease: Duration::from_millis(600), ..quick() };
        let work = played(policy, move |run| {
            begins.add_permits(1);
            run.then(NewJob::new("next", "x"));
            Box::pin(std::future::pending())
        });
        let replica = Replica::of(&meta, work);
        enqueue(&meta, [1]).await;
        began.acquire().await.unwrap().forget();
        meta.execute("DELETE FROM job".to_owned()).await.unwrap();
        until("it is noticed", async || replica.runs("lost") == 1).await;
        assert_eq!(rows(&meta).await, []);
        replica.close().await;
    })
    .await;
}

/// A request for a run while one is under way is no second run, and one while it waits is not lost.
#[tokio::test]
async fn requests_join_runs() {
    on_each(async |meta| {
        let (began, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (begins, gate) = (began.clone(), may_end.clone());
        let work = played(quick(), move |_| {
            let (begins, gate) = (begins.clone(), gate.clone());
            Box::pin(async move {
                begins.add_permits(1);
                gate.acquire().await.unwrap().forget();
                Ok(json!({}))
            })
        });
        let replica = Replica::start(&meta, "one", vec![Listed::once_for_all(work, None)]);
        replica.jobs.start(QUEUE).await.unwrap();
        began.acquire().await.unwrap().forget();
        for _ in 0..5 {
            assert!(replica.jobs.start(QUEUE).await.unwrap().unwrap().running);
        }
        meta.enqueue(&[NewJob { urgency: Urgency::Clock, ..NewJob::new(QUEUE, "") }]).await.unwrap();
        may_end.add_permits(1);
        until("it ended", async || !replica.jobs.state(QUEUE).await.unwrap().unwrap().running).await;
        assert_eq!(rows(&meta).await, []);
        assert_eq!(replica.jobs.state(QUEUE).await.unwrap().unwrap().run, 1);
        replica.close().await;
    })
    .await;
}
