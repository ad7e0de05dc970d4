//! What an enqueue comes to for each state of a job, and who may end it, on SQLite and on PostgreSQL alike.

use std::time::Duration;

use super::*;
use crate::meta::scope::Scope;
use crate::meta::tests::on_each;
use crate::meta::{Connections, Meta, clock};
use crate::oci::AccountId;

const QUEUE: &str = "test";
const LANE: &str = "/";
const LONG: Duration = Duration::from_secs(600);

async fn take_for(meta: &Meta, lease: Duration, max_attempts: u32) -> Vec<TakenJob> {
    let taking = Taking { queue: QUEUE, lanes: &[(LANE, 10)], lease, max_attempts, by: "me" };
    meta.take(&taking).await.unwrap()
}

async fn take(meta: &Meta) -> Vec<TakenJob> {
    take_for(meta, LONG, 3).await
}

async fn take_one(meta: &Meta) -> TakenJob {
    let mut taken = take(meta).await;
    assert_eq!(taken.len(), 1, "{taken:?}");
    taken.remove(0)
}

fn fact(payload: &str) -> NewJob {
    NewJob { payload: payload.to_owned(), ..NewJob::new(QUEUE, "k") }
}

async fn enqueue(meta: &Meta, job: NewJob) {
    meta.enqueue(&[job]).await.unwrap();
}

async fn end(meta: &Meta, job: &TakenJob, ending: &Ending<'_>) -> bool {
    meta.end_job(job.lease, ending, &JobProgress::default()).await.unwrap()
}

fn done() -> Ending<'static> {
    Ending::Done { result: "{}", next: &[] }
}

fn failed(delay: Duration, is_last: bool) -> Ending<'static> {
    Ending::Failed { error: "no\0", delay, is_last }
}

async fn row(meta: &Meta) -> Option<JobRow> {
    meta.jobs(&JobFilter::default(), None, 10).await.unwrap().pop()
}

/// The lease ends at once, as if its holder had died.
async fn let_lease_end(meta: &Meta) {
    meta.execute("UPDATE job SET run_at_ms = 1 WHERE state = 'leased'".to_owned()).await.unwrap();
}

#[tokio::test]
async fn a_job_is_there_when_its_fact_is() {
    on_each(async |meta| {
        let mut given_up = meta.write(Scope::Rows).await.unwrap();
        given_up.enqueue(&[fact("1")]).await.unwrap();
        drop(given_up);
        assert_eq!(row(&meta).await, None);
        let mut writing = meta.write(Scope::Uploads("somebody")).await.unwrap();
        writing.enqueue(&[fact("1"), fact("2"), NewJob::new("other", "k")]).await.unwrap();
        writing.commit().await.unwrap();
        let taken = take_one(&meta).await;
        assert_eq!((taken.payload.as_str(), taken.attempt, taken.key.as_str()), ("2", 1, "k"));
        assert_eq!(take(&meta).await, [], "it is another's");
        assert!(end(&meta, &taken, &done()).await);
        assert_eq!(meta.jobs(&JobFilter::default(), None, 10).await.unwrap().len(), 1, "the other queue's");
    })
    .await;
}

#[tokio::test]
async fn waiting_jobs_are_one() {
    on_each(async |meta| {
        enqueue(&meta, NewJob { delay: LONG, ..fact("1") }).await;
        assert_eq!(take(&meta).await, []);
        let later = row(&meta).await.unwrap();
        enqueue(&meta, NewJob { delay: LONG * 2, ..fact("2") }).await;
        let merged = row(&meta).await.unwrap();
        assert_eq!((merged.at_ms, merged.payload.as_str()), (later.at_ms, "2"), "the earlier time, the newer payload");
        enqueue(&meta, fact("3")).await;
        assert_eq!(take_one(&meta).await.payload, "3");
    })
    .await;
}

#[tokio::test]
async fn what_is_enqueued_while_it_runs_runs_once_more() {
    on_each(async |meta| {
        for urgency in [Urgency::Fact, Urgency::Clock, Urgency::Request] {
            enqueue(&meta, fact("1")).await;
            let first = take_one(&meta).await;
            enqueue(&meta, NewJob { urgency, ..fact("2") }).await;
            enqueue(&meta, NewJob { urgency: Urgency::Clock, ..fact("3") }).await;
            assert_eq!(take(&meta).await, [], "it runs");
            assert_eq!(row(&meta).await.unwrap().again, urgency == Urgency::Fact);
            assert!(end(&meta, &first, &done()).await);
            if urgency == Urgency::Fact {
                let second = take_one(&meta).await;
                assert_eq!((second.payload.as_str(), second.attempt), ("3", 1));
                assert!(end(&meta, &second, &done()).await);
            }
            assert_eq!(row(&meta).await, None, "{urgency:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_failed_job_waits_and_dies_and_begins_anew() {
    on_each(async |meta| {
        enqueue(&meta, fact("1")).await;
        assert!(end(&meta, &take_one(&meta).await, &failed(LONG, false)).await);
        let waiting = row(&meta).await.unwrap();
        assert_eq!((waiting.attempts, waiting.error.as_deref()), (1, Some("no")));
        for urgency in [Urgency::Fact, Urgency::Clock] {
            enqueue(&meta, NewJob { urgency, ..fact("2") }).await;
            let still = row(&meta).await.unwrap();
            assert_eq!((still.at_ms, still.attempts, still.payload.as_str()), (waiting.at_ms, 1, "2"));
        }
        // Whoever asks for it now does not wait.
        enqueue(&meta, NewJob { urgency: Urgency::Request, ..fact("3") }).await;
        let taken = take_one(&meta).await;
        assert_eq!(taken.attempt, 1, "tries begin anew");
        // A fact that came while the last try ran is not lost with it.
        enqueue(&meta, fact("4")).await;
        assert!(end(&meta, &taken, &failed(Duration::ZERO, true)).await);
        let taken = take_one(&meta).await;
        assert_eq!((taken.attempt, taken.payload.as_str()), (1, "4"));
        assert!(end(&meta, &taken, &failed(Duration::ZERO, true)).await);
        assert_eq!(row(&meta).await.unwrap().state, JobState::Dead);
        assert_eq!(take(&meta).await, []);
        enqueue(&meta, fact("5")).await;
        let taken = take_one(&meta).await;
        assert_eq!((taken.attempt, taken.payload.as_str()), (1, "5"));
    })
    .await;
}

#[tokio::test]
async fn a_stale_holder_is_refused() {
    on_each(async |meta| {
        enqueue(&meta, fact("1")).await;
        let stale = take_one(&meta).await;
        let_lease_end(&meta).await;
        let holder = take_one(&meta).await;
        assert_eq!((holder.lease.job, holder.attempt), (stale.lease.job, 2));
        for ending in [done(), failed(Duration::ZERO, true), Ending::CutOff] {
            assert!(!end(&meta, &stale, &ending).await, "{ending:?}");
        }
        assert!(!meta.renew(stale.lease, LONG, &JobProgress::default()).await.unwrap());
        let follows = Ending::Done { result: "{}", next: &[NewJob::new("next", "k")] };
        assert!(!end(&meta, &stale, &follows).await);
        assert_eq!(meta.jobs(&JobFilter::default(), None, 10).await.unwrap().len(), 1, "nothing follows from it");
        assert!(meta.renew(holder.lease, LONG, &JobProgress::default()).await.unwrap());
        assert!(end(&meta, &holder, &follows).await);
        assert!(!end(&meta, &holder, &follows).await, "once");
        assert_eq!(row(&meta).await.unwrap().queue, "next");
        assert!(!meta.renew(holder.lease, LONG, &JobProgress::default()).await.unwrap());
    })
    .await;
}

/// A job that ends the process each time is dead after its tries; one that was cut off has lost none.
#[tokio::test]
async fn tries_are_counted_also_when_nobody_lives_to_count() {
    on_each(async |meta| {
        enqueue(&meta, fact("1")).await;
        for attempt in 1..=3 {
            let cut_off = take_one(&meta).await;
            assert_eq!(cut_off.attempt, attempt);
            assert!(end(&meta, &cut_off, &Ending::CutOff).await);
            assert_eq!(take_one(&meta).await.attempt, attempt);
            let_lease_end(&meta).await;
        }
        assert_eq!(take(&meta).await, []);
        let dead = row(&meta).await.unwrap();
        assert_eq!(dead.state, JobState::Dead);
        assert!(dead.error.unwrap().contains("in the last of 3 tries"));
        // What was enqueued in its last try is done.
        assert!(meta.retry_job(JobId(dead.id)).await.unwrap());
        for _ in 0..3 {
            take_one(&meta).await;
            enqueue(&meta, fact("2")).await;
            let_lease_end(&meta).await;
        }
        assert_eq!(take_one(&meta).await.attempt, 1);
    })
    .await;
}

#[tokio::test]
async fn positions_outlive_runs_and_not_jobs() {
    on_each(async |meta| {
        let at = |position: &str| JobProgress { position: Some(position.to_owned()), done: 7, total: 9, bytes: 5 };
        enqueue(&meta, fact("1")).await;
        let first = take_one(&meta).await;
        assert_eq!(first.position, None);
        assert!(meta.renew(first.lease, LONG, &at("a")).await.unwrap());
        let shown = row(&meta).await.unwrap();
        assert_eq!((shown.done, shown.total, shown.bytes, shown.replica.as_str()), (7, 9, 5, "me"));
        let_lease_end(&meta).await;
        let second = take_one(&meta).await;
        assert_eq!(second.position.as_deref(), Some("a"));
        assert!(meta.end_job(second.lease, &failed(Duration::ZERO, false), &at("b")).await.unwrap());
        let third = take_one(&meta).await;
        assert_eq!(third.position.as_deref(), Some("b"));
        assert!(meta.end_job(third.lease, &Ending::CutOff, &at("c")).await.unwrap());
        let fourth = take_one(&meta).await;
        assert_eq!(fourth.position.as_deref(), Some("c"));
        enqueue(&meta, fact("2")).await;
        assert!(end(&meta, &fourth, &done()).await);
        assert_eq!(take_one(&meta).await.position, None, "another round begins at the beginning");
    })
    .await;
}

#[tokio::test]
async fn lists_retries_and_drops() {
    on_each(async |meta| {
        let jobs: Vec<_> = (0..5).map(|n| NewJob::new(QUEUE, n.to_string())).collect();
        meta.enqueue(&jobs).await.unwrap();
        meta.enqueue(&[NewJob { delay: LONG, ..NewJob::new("unknown", "x") }]).await.unwrap();
        let all = take(&meta).await;
        for job in all.iter().take(2) {
            assert!(end(&meta, job, &failed(Duration::ZERO, true)).await);
        }
        let list = async |queue: Option<&str>, state, after: Option<i64>, limit| {
            let filter = JobFilter { queue: queue.map(str::to_owned), state };
            meta.jobs(&filter, after.map(JobId), limit).await.unwrap()
        };
        assert_eq!(list(None, None, None, 100).await.len(), 6);
        assert_eq!(list(Some("unknown"), Some(JobState::Waiting), None, 100).await.len(), 1);
        assert_eq!(list(None, Some(JobState::Running), None, 100).await.len(), 3);
        let dead = list(Some(QUEUE), Some(JobState::Dead), None, 1).await;
        let rest = list(Some(QUEUE), Some(JobState::Dead), Some(dead[0].id), 5).await;
        assert_eq!(rest.len(), 1);
        let counts = meta.count_jobs("me").await.unwrap();
        let of = |queue: &str| counts.iter().find(|count| count.queue == queue).unwrap();
        assert_eq!((of(QUEUE).waiting, of(QUEUE).dead), (3, 2));
        assert_eq!((of("unknown").waiting, of("unknown").oldest_ms), (1, 0));

        let running = list(None, Some(JobState::Running), None, 1).await.remove(0);
        assert!(!meta.retry_job(JobId(running.id)).await.unwrap());
        assert!(!meta.drop_job(JobId(running.id)).await.unwrap());
        assert!(meta.retry_job(JobId(dead[0].id)).await.unwrap());
        assert_eq!(meta.job(JobId(dead[0].id)).await.unwrap().unwrap().state, JobState::Waiting);
        assert_eq!(meta.retry_dead(QUEUE).await.unwrap(), 1);
        assert_eq!(meta.retry_dead(QUEUE).await.unwrap(), 0);
        assert!(meta.drop_job(JobId(rest[0].id)).await.unwrap());
        assert!(!meta.drop_job(JobId(rest[0].id)).await.unwrap());
        assert!(!meta.retry_job(JobId(rest[0].id)).await.unwrap());
        assert_eq!(meta.job(JobId(rest[0].id)).await.unwrap(), None);

        let again = take_one(&meta).await;
        assert!(end(&meta, &again, &failed(Duration::ZERO, true)).await);
        assert_eq!(meta.drop_long_dead(LONG).await.unwrap(), 0);
        meta.execute("UPDATE job SET run_at_ms = 1 WHERE state = 'dead'".to_owned()).await.unwrap();
        assert_eq!(meta.drop_long_dead(LONG).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_enqueued_is_bounded() {
    on_each(async |meta| {
        let long = |bytes: usize| "x".repeat(bytes);
        for wrong in [
            fact(&long(MAX_PAYLOAD_BYTES + 1)),
            NewJob::new(QUEUE, long(1_025)),
            NewJob { destination: long(1_025), ..fact("") },
        ] {
            let error = meta.enqueue(&[fact("good"), wrong]).await.unwrap_err();
            assert!(error.to_string().contains("it may have"), "{error}");
        }
        assert_eq!(row(&meta).await, None, "all or nothing");
        enqueue(&meta, fact(&long(MAX_PAYLOAD_BYTES))).await;
        let taken = take_one(&meta).await;
        let error = long(100_000);
        assert!(end(&meta, &taken, &Ending::Failed { error: &error, delay: LONG, is_last: false }).await);
        assert_eq!(row(&meta).await.unwrap().error.unwrap().len(), 1_000);
    })
    .await;
}

#[tokio::test]
async fn lanes_are_found_and_counted_apart() {
    on_each(async |meta| {
        let of = |account: &str, destination: &str, key: &str| NewJob {
            account: Some(account.parse::<AccountId>().unwrap()),
            destination: destination.to_owned(),
            ..NewJob::new(QUEUE, key)
        };
        let (one, two) = ("111111111111", "222222222222");
        meta.enqueue(&[of(one, "a", "1"), of(one, "a", "2"), of(one, "b/c", "3"), NewJob::new(QUEUE, "4")])
            .await
            .unwrap();
        meta.enqueue(&[NewJob { delay: LONG, ..of(two, "", "5") }]).await.unwrap();
        let lanes = meta.lanes(QUEUE, "").await.unwrap();
        let told: Vec<_> = lanes.iter().map(|lane| (lane.account(), lane.destination(), lane.due_in_ms <= 0)).collect();
        assert_eq!(told, [("", "", true), (one, "a", true), (one, "b/c", true), (two, "", false)]);
        assert_eq!(meta.lanes(QUEUE, lanes[1].name()).await.unwrap().len(), 2);
        let taking = Taking {
            queue: QUEUE,
            lanes: &[(lanes[1].name(), 1), (lanes[2].name(), 5)],
            lease: LONG,
            max_attempts: 3,
            by: "",
        };
        let taken = meta.take(&taking).await.unwrap();
        assert_eq!(taken.iter().map(|job| job.key.as_str()).collect::<Vec<_>>(), ["1", "3"]);
        assert_eq!(taken[1].destination(), "b/c");
        let due = meta.due(&["nothing", QUEUE]).await.unwrap();
        assert!(matches!(&due[..], [(queue, due)] if queue == QUEUE && *due <= 0), "{due:?}");
    })
    .await;
}

/// F6: work is enqueued once for all replicas, and a restart puts nothing off.
#[tokio::test]
async fn f06_the_schedule_is_in_the_database() {
    on_each(async |meta| {
        let every = Scheduled { queue: QUEUE, key: String::new(), when: Some(When::Every(LONG)) };
        let hourly = Scheduled { queue: "hourly", key: String::new(), when: Some(When::InEach(LONG * 6)) };
        let asked = Scheduled { queue: "asked", key: String::new(), when: None };
        let all = [every.clone(), hourly.clone(), asked];
        assert_eq!(meta.due_by_schedule(&all).await.unwrap(), [], "it has to be put on the schedule");
        for one in &all {
            meta.put_on_schedule(one).await.unwrap();
        }
        let due = async |of: &Scheduled| {
            let due = meta.due_by_schedule(&all).await.unwrap();
            due.into_iter().find(|(one, _)| one == of).expect("it is on the schedule").1
        };
        assert!(due(&every).await > 590_000);
        assert!(due(&hourly).await <= 0, "nobody has done it in this hour");
        let set = |ago_ms: i64| {
            meta.execute(format!("UPDATE schedule SET enqueued_at_ms = {} - {ago_ms}", meta.dialect.now()))
        };
        set(400_000).await.unwrap();
        // A process that starts puts it on the schedule as well: that changes nothing.
        meta.put_on_schedule(&every).await.unwrap();
        assert!((190_000..=200_000).contains(&due(&every).await));
        assert!(!meta.enqueue_scheduled(&every, &NewJob::new(QUEUE, "")).await.unwrap());
        let shorter = Scheduled { when: Some(When::Every(LONG / 2)), ..every.clone() };
        assert!(
            meta.due_by_schedule(std::slice::from_ref(&shorter)).await.unwrap()[0].1 <= 0,
            "as the settings say now"
        );
        set(600_000).await.unwrap();
        let claims = futures_util::future::join_all((0..8).map(|_| {
            let (meta, every) = (meta.clone(), every.clone());
            async move { meta.enqueue_scheduled(&every, &NewJob::new(QUEUE, "")).await.unwrap() }
        }));
        assert_eq!(claims.await.into_iter().filter(|claimed| *claimed).count(), 1);
        assert!(due(&every).await > 590_000);
        let run = async || meta.scheduled_run(QUEUE, "").await.unwrap().unwrap();
        assert!(run().await.is_due);
        let mut taking = NewJob::new(QUEUE, "");
        taking.urgency = Urgency::Request;
        enqueue(&meta, taking).await;
        let keys: Vec<_> = take(&meta).await;
        let job = keys.iter().find(|job| job.key.is_empty()).unwrap();
        assert_eq!((run().await.run, run().await.is_running, run().await.run_by.as_str()), (1, true, "me"));
        let progress = JobProgress { done: 3, total: 4, bytes: 5, position: None };
        assert!(meta.renew(job.lease, LONG, &progress).await.unwrap());
        assert_eq!((run().await.done, run().await.total, run().await.bytes), (3, 4, 5));
        assert!(meta.end_job(job.lease, &Ending::Done { result: "7", next: &[] }, &progress).await.unwrap());
        let ended = run().await;
        assert_eq!((ended.result.as_deref(), ended.is_running, ended.is_due, ended.done), (Some("7"), false, false, 3));
        assert!(ended.ended_at_ms >= ended.started_at_ms && ended.started_at_ms.is_some());
        // A clock that was set back stops nothing.
        set(-3_600_000).await.unwrap();
        assert!(meta.enqueue_scheduled(&every, &NewJob::new(QUEUE, "")).await.unwrap());
    })
    .await;
}

/// F13: a replica whose clock is wrong by an hour takes, keeps and schedules like any other.
#[tokio::test]
async fn f13_replicas_clocks_do_not_matter() {
    on_each(async |meta| {
        for skew_ms in [-3_600_000, 3_600_000] {
            clock::skew_in_this_test(skew_ms);
            enqueue(&meta, NewJob { delay: LONG, ..fact("1") }).await;
            assert!((599_000..=600_000).contains(&meta.due(&[QUEUE]).await.unwrap()[0].1));
            assert_eq!(take(&meta).await, []);
            enqueue(&meta, fact("2")).await;
            let taken = take_one(&meta).await;
            clock::skew_in_this_test(0);
            assert!((taken.taken_at_ms - clock::now_ms()).abs() < 60_000, "by the database's clock");
            assert_eq!(take(&meta).await, [], "the lease holds for replicas whose clocks are right");
            assert!((590_000..=600_000).contains(&(row(&meta).await.unwrap().at_ms - clock::now_ms())));
            clock::skew_in_this_test(skew_ms);
            assert!(meta.renew(taken.lease, LONG * 2, &JobProgress::default()).await.unwrap());
            assert!(end(&meta, &taken, &failed(LONG, false)).await);
            clock::skew_in_this_test(0);
            assert!((590_000..=600_000).contains(&(row(&meta).await.unwrap().at_ms - clock::now_ms())));
            let scheduled = Scheduled { queue: QUEUE, key: skew_ms.to_string(), when: Some(When::Every(LONG)) };
            clock::skew_in_this_test(skew_ms);
            meta.put_on_schedule(&scheduled).await.unwrap();
            let due = meta.due_by_schedule(std::slice::from_ref(&scheduled)).await.unwrap()[0].1;
            assert!((590_000..=600_000).contains(&due));
            assert!(meta.drop_job(JobId(row(&meta).await.unwrap().id)).await.unwrap());
        }
        clock::skew_in_this_test(0);
    })
    .await;
}

/// What a replica that is gone was to do for itself is forgotten, and what living ones do is not.
#[tokio::test]
async fn replicas_that_are_gone_are_forgotten() {
    on_each(async |meta| {
        for key in ["gone", "alive", ""] {
            let scheduled = Scheduled { queue: QUEUE, key: key.to_owned(), when: Some(When::Every(LONG)) };
            meta.put_on_schedule(&scheduled).await.unwrap();
            enqueue(&meta, NewJob { destination: key.to_owned(), ..NewJob::new(QUEUE, key) }).await;
        }
        let counts = meta.count_jobs("alive").await.unwrap();
        assert_eq!(counts[0].waiting, 2, "what another replica does for itself is its own to tell");
        assert_eq!(meta.forget_replicas(LONG).await.unwrap(), 0);
        meta.execute("UPDATE schedule SET enqueued_at_ms = 1 WHERE key <> 'alive'".to_owned()).await.unwrap();
        meta.execute("UPDATE job SET run_at_ms = 1".to_owned()).await.unwrap();
        assert_eq!(meta.forget_replicas(LONG).await.unwrap(), 1);
        assert!(meta.scheduled_run(QUEUE, "gone").await.unwrap().is_none());
        assert!(meta.scheduled_run(QUEUE, "").await.unwrap().is_some());
        assert_eq!(meta.jobs(&JobFilter::default(), None, 10).await.unwrap().len(), 2);
    })
    .await;
}

/// Whoever waits for jobs hears of them with the commit, in every replica.
#[tokio::test]
async fn whoever_waits_for_jobs_hears_of_them() {
    use crate::meta::Change;
    on_each(async |meta| {
        let other = match meta.is_shared() {
            true => {
                let url = meta.pool.url();
                Meta::open_postgres(url.as_str(), Connections::default()).await.unwrap()
            }
            false => meta.clone(),
        };
        let mut changes = other.changes();
        let listening = tokio::spawn({
            let other = other.clone();
            async move { other.listen().await }
        });
        if meta.is_shared() {
            changes.next().await;
        }
        enqueue(&meta, fact("1")).await;
        tokio::time::timeout(Duration::from_secs(60), changes.next_of(Change::Jobs)).await.expect("it is announced");
        listening.abort();
        if meta.is_shared() {
            other.close().await;
        }
    })
    .await;
}
