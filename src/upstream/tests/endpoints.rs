//! Several URLs, retries, breakers and deadlines.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::fake::{Answer, Fake, Piece, answer, upstream};
use super::{SECOND, digest, repository};
use crate::config::UpstreamSettings;
use crate::oci::{AcceptSet, Reference};
use crate::telemetry::Metrics;
use crate::upstream::{Error, ErrorKind, Upstream};

async fn size(upstream: &Upstream) -> Result<Option<u64>, Error> {
    upstream.blob_head(&repository(), &digest()).await
}

fn mirrors(fakes: &[&Fake]) -> UpstreamSettings {
    let urls = fakes.iter().map(|fake| fake.url.parse().unwrap()).collect();
    UpstreamSettings { urls, ..fakes[0].settings() }
}

/// Fails the first `failures` times.
async fn flaky(failures: usize, failure: fn() -> Answer) -> Fake {
    let asked = AtomicUsize::new(0);
    Fake::new(
        move |_| if asked.fetch_add(1, Ordering::Relaxed) < failures { failure() } else { answer(200).body("12345") },
    )
    .await
}

/// As the process does.
fn probing(upstream: &Arc<Upstream>) -> tokio_util::task::AbortOnDropHandle<()> {
    let upstream = upstream.clone();
    tokio_util::task::AbortOnDropHandle::new(tokio::spawn(crate::upstream::probe(move || vec![upstream.clone()])))
}

/// A URL at which nobody listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn passing_failures_are_tried_again() {
    for failure in [
        || answer(500),
        || answer(408),
        || answer(503).header("retry-after", 0),
        || answer(429).header("retry-after", 1),
    ] {
        let fake = flaky(1, failure).await;
        assert_eq!(size(&fake.upstream()).await.unwrap(), Some(5));
        assert_eq!(fake.seen().len(), 2);
    }
    let fake = flaky(2, || answer(502)).await;
    let metrics = Metrics::new().unwrap();
    let upstream = Upstream::new(fake.settings(), metrics.clone()).unwrap();
    assert_eq!(size(&upstream).await.unwrap(), Some(5));
    assert_eq!(metrics.upstream_retries.with_label_values(&["fake"]).get(), 2);
    assert_eq!(metrics.upstream_requests.with_label_values(&["fake", "502"]).get(), 2);
    assert_eq!(metrics.upstream_requests.with_label_values(&["fake", "200"]).get(), 1);
}

#[tokio::test]
async fn a_few_tries_are_enough() {
    let fake = flaky(usize::MAX, || answer(500)).await;
    assert!(matches!(size(&fake.upstream()).await.unwrap_err().kind, ErrorKind::Failed { status: 500, .. }));
    assert_eq!(fake.seen().len(), 3);
}

/// C47: a limit that lasts is told with its time and not hammered at.
#[tokio::test]
async fn c47_a_lasting_limit_is_not_tried_again() {
    let fake = flaky(usize::MAX, || answer(429).header("retry-after", 120)).await;
    let error = size(&fake.upstream()).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::RateLimited { .. }));
    assert_eq!((error.retry_after(), fake.seen().len()), (Some(120 * SECOND), 1));
}

#[tokio::test]
async fn answers_are_not_tried_again() {
    for (status, expected) in [(404, "does not have"), (410, "does not have"), (403, "403"), (451, "403"), (400, "400")]
    {
        let fake = Fake::new(move |_| answer(status)).await;
        let error = size(&fake.upstream()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{status}: {error}");
        assert_eq!(fake.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn the_next_mirror_is_asked() {
    let good = Fake::new(|_| answer(200).body("12345")).await;
    for status in [404, 500, 403, 429] {
        let bad = Fake::new(move |_| answer(status)).await;
        assert_eq!(size(&upstream(mirrors(&[&bad, &good]))).await.unwrap(), Some(5), "{status}");
    }
    let liar = Fake::new(|_| answer(200).header("content-type", "text/html").body("log in")).await;
    assert_eq!(size(&upstream(mirrors(&[&liar, &good]))).await.unwrap(), Some(5));
    let mut settings = mirrors(&[&good, &good]);
    settings.urls[0] = nobody().await.parse().unwrap();
    assert_eq!(size(&upstream(settings)).await.unwrap(), Some(5));
}

/// A mirror that answers well and breaks off every body: the rest comes from the next one.
#[tokio::test]
async fn the_rest_of_a_broken_body_comes_from_the_next_mirror() {
    let breaking =
        Fake::new(|_| answer(200).header("content-length", 5).piece(Piece::Bytes(b"12".to_vec())).piece(Piece::Break))
            .await;
    let good = Fake::new(|_| answer(206).header("content-range", "bytes 2-4/5").body("345")).await;
    let source = upstream(mirrors(&[&breaking, &good])).source(repository(), digest());
    let mut stream = source.open(0, None).await.unwrap();
    assert_eq!(stream.chunk().await.unwrap().unwrap(), "12");
    stream.chunk().await.unwrap_err();
    let mut rest = source.clone().open(stream.start, stream.total).await.unwrap();
    assert_eq!(rest.chunk().await.unwrap().unwrap(), "345");
    assert_eq!((breaking.seen().len(), good.seen()[0].header("range")), (1, "bytes=2-"));
}

#[tokio::test]
async fn not_found_only_if_every_mirror_says_so() {
    let absent = Fake::new(|_| answer(404)).await;
    let broken = Fake::new(|_| answer(500)).await;
    let denied = Fake::new(|_| answer(403)).await;
    assert!(size(&upstream(mirrors(&[&absent, &absent]))).await.unwrap_err().is_not_found());
    for pair in [[&absent, &broken], [&broken, &absent]] {
        let error = size(&upstream(mirrors(&pair))).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Failed { status: 500, .. }), "{error}");
    }
    let error = size(&upstream(mirrors(&[&absent, &denied]))).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Denied), "{error}");
}

/// C49, C52: an upstream that hangs costs the deadline, and after a few times nothing; its mirror gets its share of the time.
#[tokio::test]
async fn c49_an_upstream_that_hangs() {
    let hanging = Fake::new(|_| answer(200).after(60 * SECOND)).await;
    let tag = Reference::Tag("latest".parse().unwrap());
    let settings = UpstreamSettings { header_timeout: SECOND, ..hanging.settings() };
    let upstream = Upstream::new(settings, Metrics::new().unwrap()).unwrap();
    let repository = repository();
    let ask = || upstream.manifest_head(&repository, &tag, AcceptSet::current(), SECOND);
    let began = Instant::now();
    let asked = futures_util::future::join_all((0..5).map(|_| ask())).await;
    assert!(asked.iter().all(|asked| matches!(asked, Err(Error { kind: ErrorKind::TimedOut, .. }))));
    assert!(began.elapsed() < SECOND * 3 / 2);
    // The circuit opens when it is seen that nothing else is answered either.
    let _probing = probing(&upstream);
    let gauge = upstream.metrics.upstream_available.with_label_values(&["fake", "0"]);
    while gauge.get() == 1 {
        assert!(began.elapsed() < 8 * SECOND, "the circuit stays closed");
        tokio::time::sleep(SECOND / 50).await;
    }
    let began = Instant::now();
    let error = ask().await.unwrap_err();
    assert!(matches!(&error.kind, ErrorKind::LeftAlone { pause, .. } if *pause <= 5 * SECOND), "{error}");
    assert!(began.elapsed() < SECOND / 5);

    let good = Fake::new(|_| answer(200).header("content-type", "application/vnd.oci.image.index.v1+json")).await;
    let both = super::fake::upstream(mirrors(&[&hanging, &good]));
    let began = Instant::now();
    both.manifest_head(&repository, &tag, AcceptSet::current(), SECOND).await.unwrap();
    assert!(began.elapsed() < SECOND * 9 / 10);
}

/// The circuit opens after failures in a row, is skipped in favour of a mirror, and closes after a probe.
#[tokio::test]
async fn an_open_circuit_is_passed_over_and_probed() {
    let healthy = Arc::new(AtomicUsize::new(0));
    let now = healthy.clone();
    let flapping = Fake::new(move |_| match now.load(Ordering::Relaxed) {
        0 => answer(503),
        _ => answer(200).body("1"),
    })
    .await;
    let good = Fake::new(|_| answer(200).body("12345")).await;
    let upstream = upstream(mirrors(&[&flapping, &good]));
    for _ in 0..5 {
        assert_eq!(size(&upstream).await.unwrap(), Some(5));
    }
    let _probing = probing(&upstream);
    let gauge = upstream.metrics.upstream_available.with_label_values(&["fake", "0"]);
    let began = Instant::now();
    while gauge.get() == 1 {
        assert!(began.elapsed() < 8 * SECOND, "the circuit stays closed");
        tokio::time::sleep(SECOND / 50).await;
    }
    let asked = flapping.seen().len();
    assert_eq!(size(&upstream).await.unwrap(), Some(5));
    assert_eq!(flapping.seen().len(), asked, "it is passed over");
    healthy.store(1, Ordering::Relaxed);
    let began = Instant::now();
    while size(&upstream).await.unwrap() != Some(1) {
        assert!(began.elapsed() < 8 * SECOND, "the circuit stays open");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(began.elapsed() > 3 * SECOND);
    assert_eq!(gauge.get(), 1);
    let last = flapping.seen().into_iter().skip(asked).map(|seen| seen.path).collect::<Vec<_>>();
    assert_eq!(last.first().map(String::as_str), Some("/v2/"), "{last:?}");
}

#[tokio::test]
async fn nobody_listens() {
    let fake = Fake::new(|_| answer(200)).await;
    let settings = UpstreamSettings { urls: vec![nobody().await.parse().unwrap()], ..fake.settings() };
    let error = size(&upstream(settings)).await.unwrap_err();
    assert!(matches!(&error.kind, ErrorKind::Unreachable { detail } if detail.contains("refused")), "{error}");
}

/// C51: making an upstream asks nobody anything.
#[tokio::test]
async fn c51_an_upstream_that_is_down_is_no_hindrance() {
    let fake = Fake::new(|_| answer(200)).await;
    let settings = UpstreamSettings { urls: vec![nobody().await.parse().unwrap()], ..fake.settings() };
    assert!(Upstream::new(settings, Metrics::new().unwrap()).is_ok());
}

/// Docker Hub's count of pulls.
#[tokio::test]
async fn rate_limits_are_gauges() {
    let fake = Fake::new(|_| {
        answer(200).header("ratelimit-limit", "100;w=21600").header("ratelimit-remaining", "87;w=21600").body("12345")
    })
    .await;
    let metrics = Metrics::new().unwrap();
    size(&Upstream::new(fake.settings(), metrics.clone()).unwrap()).await.unwrap();
    assert_eq!(metrics.upstream_rate_limit.with_label_values(&["fake"]).get(), 100);
    assert_eq!(metrics.upstream_rate_limit_remaining.with_label_values(&["fake"]).get(), 87);
}
