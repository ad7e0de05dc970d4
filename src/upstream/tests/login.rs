//! The token dance, Basic, and what must not happen to a credential.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::fake::{Answer, Fake, Seen, answer, upstream};
use super::{SECOND, digest, repository};
use crate::config::{Credential, Secret, UpstreamSettings};
use crate::oci::RepositoryName;
use crate::upstream::{Error, ErrorKind, Upstream};

const SECRET: &str = "hunter2";

fn basic(mut settings: UpstreamSettings) -> UpstreamSettings {
    settings.credential = Credential::Basic { username: "user".to_owned(), password: Secret::new(SECRET) };
    settings
}

async fn size(upstream: &Upstream) -> Result<Option<u64>, Error> {
    upstream.blob_head(&repository(), &digest()).await
}

fn challenge(realm: &str) -> Answer {
    let value = format!("Bearer realm=\"{realm}/token\",service=\"fake\",scope=\"repository:team/app:pull\"");
    answer(401).header("www-authenticate", value)
}

/// A registry whose token service is on the same host. It takes the token that `valid` counts; each issue is a new one.
async fn registry(valid: Arc<AtomicUsize>, refusal: u16, token: fn(usize) -> String) -> Fake {
    let issued = AtomicUsize::new(0);
    Fake::new(move |seen| {
        if seen.path == "/token" {
            return answer(200).body(token(issued.fetch_add(1, Ordering::Relaxed)));
        }
        let host = format!("http://{}", seen.header("host"));
        match seen.header("authorization") {
            "" => challenge(&host),
            text if text == format!("Bearer t{}", valid.load(Ordering::Relaxed)) => answer(200).body("12345"),
            _ if refusal == 401 => challenge(&host),
            _ => answer(refusal),
        }
    })
    .await
}

fn lasting(number: usize) -> String {
    format!(r#"{{"token":"t{number}","expires_in":300}}"#)
}

#[tokio::test]
async fn anonymous_token_is_fetched_once_and_used_without_being_asked() {
    let fake = registry(Arc::default(), 401, lasting).await;
    let upstream = fake.upstream();
    for _ in 0..3 {
        assert_eq!(size(&upstream).await.unwrap(), Some(5));
    }
    let paths: Vec<_> = fake.seen().into_iter().map(|seen| (seen.method, seen.path == "/token")).collect();
    let (get, head) = (http::Method::GET, http::Method::HEAD);
    assert_eq!(
        paths,
        [(head.clone(), false), (get, true), (head.clone(), false), (head.clone(), false), (head, false)]
    );
    let token = &fake.seen()[1];
    assert_eq!(token.query, "service=fake&scope=repository%3Ateam%2Fapp%3Apull&client_id=entrepot");
    assert_eq!(token.header("authorization"), "");
}

#[tokio::test]
async fn a_herd_fetches_one_token() {
    let fake = registry(Arc::default(), 401, lasting).await;
    let upstream = fake.upstream();
    let asked = futures_util::future::join_all((0..20).map(|_| size(&upstream))).await;
    assert!(asked.into_iter().all(|size| size.is_ok_and(|size| size == Some(5))));
    assert_eq!(fake.count("/token"), 1);
    // Another repository has a token of its own, and is not challenged for it.
    let other: RepositoryName = "team/other".parse().unwrap();
    upstream.blob_head(&other, &digest()).await.unwrap_err();
    let query = fake.seen().into_iter().rfind(|seen| seen.path == "/token").unwrap().query;
    assert!(query.contains("scope=repository%3Ateam%2Fother%3Apull"), "{query}");
}

#[tokio::test]
async fn the_password_goes_to_the_token_service_only() {
    let fake = registry(Arc::default(), 401, lasting).await;
    let upstream = upstream(basic(fake.settings()));
    assert_eq!(size(&upstream).await.unwrap(), Some(5));
    for seen in fake.seen() {
        let authorization = seen.header("authorization");
        assert_eq!(authorization.starts_with("Basic "), seen.path == "/token", "{} {authorization}", seen.path);
    }
    assert!(fake.seen().iter().any(|seen| seen.query.ends_with("account=user")));
}

#[tokio::test]
async fn basic_is_sent_after_the_first_challenge() {
    let fake = Fake::new(|seen| match seen.header("authorization") {
        "Basic dXNlcjpodW50ZXIy" => answer(200).body("12345"),
        _ => answer(401).header("www-authenticate", "Basic realm=\"x\""),
    })
    .await;
    let with_password = upstream(basic(fake.settings()));
    for _ in 0..2 {
        assert_eq!(size(&with_password).await.unwrap(), Some(5));
    }
    assert_eq!(fake.seen().len(), 3);
    let refused = size(&fake.upstream()).await.unwrap_err();
    assert!(matches!(refused.kind, ErrorKind::Unauthorized));
    assert_eq!(fake.seen().len(), 4);
}

/// C57 and its usual form: a token that has expired at the registry is renewed once, whichever way it is refused.
#[tokio::test]
async fn c57_an_expired_token_is_renewed() {
    for refusal in [401, 403, 400] {
        let valid = Arc::new(AtomicUsize::new(0));
        let fake = registry(valid.clone(), refusal, lasting).await;
        let upstream = fake.upstream();
        assert_eq!(size(&upstream).await.unwrap(), Some(5));
        valid.store(1, Ordering::Relaxed);
        assert_eq!(size(&upstream).await.unwrap(), Some(5), "{refusal}");
        assert_eq!(fake.count("/token"), 2);
        // A refusal of a new token is an answer.
        valid.store(9, Ordering::Relaxed);
        let error = size(&upstream).await.unwrap_err();
        let expected = match error.kind {
            ErrorKind::Unauthorized => 401,
            ErrorKind::Denied => 403,
            ErrorKind::Failed { status, .. } => status,
            kind => panic!("{kind}"),
        };
        assert_eq!((expected, fake.count("/token")), (refusal, 3));
    }
}

/// C56: other names and missing times.
#[tokio::test]
async fn c56_forms_of_the_answer() {
    for form in [
        |number: usize| format!(r#"{{"access_token":"t{number}"}}"#),
        |number: usize| format!(r#"{{"token":"t{number}","issued_at":"2001-01-01T00:00:00Z","expires_in":60}}"#),
        |number: usize| format!(r#"{{"token":"t{number}","access_token":"other"}}"#),
    ] {
        let fake = registry(Arc::default(), 401, form).await;
        let upstream = fake.upstream();
        for _ in 0..2 {
            assert_eq!(size(&upstream).await.unwrap(), Some(5));
        }
        assert_eq!(fake.count("/token"), 1);
    }
}

#[tokio::test]
async fn a_token_is_renewed_behind_its_use_before_it_expires() {
    let valid = Arc::new(AtomicUsize::new(0));
    // Only the first token is taken: the request that starts the renewal must not wait for the second.
    let fake = registry(valid, 401, |number| format!(r#"{{"token":"t{number}","expires_in":4}}"#)).await;
    let upstream = fake.upstream();
    assert_eq!(size(&upstream).await.unwrap(), Some(5));
    tokio::time::sleep(SECOND * 31 / 10).await;
    assert_eq!(size(&upstream).await.unwrap(), Some(5));
    for _ in 0..100 {
        if fake.count("/token") == 2 {
            return;
        }
        tokio::time::sleep(SECOND / 50).await;
    }
    panic!("the token was not renewed");
}

/// C55: a token service on another host gets nothing unless the settings allow it.
#[tokio::test]
async fn c55_a_realm_on_another_host() {
    let service = Fake::new(|_| answer(200).body(r#"{"token":"t0"}"#)).await;
    // Another host by name, the same by address.
    let realm = format!("http://localhost:{}", service.port());
    let fake = Fake::new(move |seen| match seen.header("authorization") {
        "Bearer t0" => answer(200).body("12345"),
        _ => challenge(&realm),
    })
    .await;
    for settings in [fake.settings(), basic(fake.settings())] {
        let error = size(&upstream(settings)).await.unwrap_err();
        assert!(matches!(&error.kind, ErrorKind::LoginFailed { .. }), "{error}");
        assert!(error.to_string().contains("localhost") && error.to_string().contains("`realms`"), "{error}");
        assert!(service.seen().is_empty());
    }
    for allowed in ["localhost".to_owned(), format!("localhost:{}", service.port())] {
        let settings = UpstreamSettings { realms: vec![allowed], ..basic(fake.settings()) };
        assert_eq!(size(&upstream(settings)).await.unwrap(), Some(5));
    }
    assert_eq!(service.seen().len(), 2);
}

/// C48: a token service that fails is never "not found", and says when to come back.
#[tokio::test]
async fn c48_the_token_service_fails() {
    type Row = (fn() -> Answer, fn(&ErrorKind) -> bool);
    let table: [Row; 9] = [
        (|| answer(429).header("retry-after", 30), |kind| retry_after(kind) == Some(30)),
        (|| answer(503).header("retry-after", 60), |kind| retry_after(kind) == Some(60)),
        (|| answer(500), |kind| matches!(kind, ErrorKind::LoginFailed { .. })),
        (|| answer(404), |kind| matches!(kind, ErrorKind::LoginFailed { .. })),
        (|| answer(302).header("location", "/elsewhere"), |kind| matches!(kind, ErrorKind::LoginFailed { .. })),
        (
            || answer(200).body(format!("{:<65535}  ", r#"{"token":"t"}"#)),
            |kind| matches!(kind, ErrorKind::LoginFailed { .. }),
        ),
        (|| answer(200).body("<html>"), |kind| matches!(kind, ErrorKind::LoginFailed { .. })),
        (|| answer(401), |kind| matches!(kind, ErrorKind::Unauthorized)),
        (|| answer(403), |kind| matches!(kind, ErrorKind::Denied)),
    ];
    for (token, expected) in table {
        let fake = Fake::new(move |seen: &Seen| match seen.path.as_str() {
            "/token" => token(),
            _ => challenge(&format!("http://{}", seen.header("host"))),
        })
        .await;
        let error = size(&upstream(basic(fake.settings()))).await.unwrap_err();
        assert!(expected(&error.kind), "{error}");
        assert!(!format!("{error} {error:?}").contains(SECRET));
    }
}

fn retry_after(kind: &ErrorKind) -> Option<u64> {
    match kind {
        ErrorKind::LoginFailed { retry_after, .. } => retry_after.map(|wait| wait.as_secs()),
        _ => None,
    }
}

#[tokio::test]
async fn a_failed_login_is_told_to_all_and_not_remembered() {
    let fails = Arc::new(AtomicUsize::new(1));
    let failing = fails.clone();
    let fake = Fake::new(move |seen| match (seen.path.as_str(), seen.header("authorization")) {
        ("/token", _) if failing.load(Ordering::Relaxed) == 1 => answer(403).after(SECOND / 5),
        ("/token", _) => answer(200).body(r#"{"token":"t0"}"#),
        (_, "Bearer t0") => answer(200).body("12345"),
        _ => challenge(&format!("http://{}", seen.header("host"))),
    })
    .await;
    let upstream = fake.upstream();
    let asked = futures_util::future::join_all((0..5).map(|_| size(&upstream))).await;
    assert!(asked.iter().all(|asked| matches!(asked, Err(Error { kind: ErrorKind::Denied, .. }))));
    assert_eq!(fake.count("/token"), 1);
    fails.store(0, Ordering::Relaxed);
    assert_eq!(size(&upstream).await.unwrap(), Some(5));
}

#[tokio::test]
async fn a_login_survives_the_asker_who_started_it() {
    let fake = Fake::new(|seen| match (seen.path.as_str(), seen.header("authorization")) {
        ("/token", _) => answer(200).body(lasting(0)).after(SECOND / 4),
        (_, "Bearer t0") => answer(200).body("12345"),
        _ => challenge(&format!("http://{}", seen.header("host"))),
    })
    .await;
    let upstream = fake.upstream();
    assert!(tokio::time::timeout(SECOND / 8, size(&upstream)).await.is_err());
    assert_eq!(size(&upstream).await.unwrap(), Some(5));
    assert_eq!(fake.count("/token"), 1);
}

/// A token service that hangs says nothing of the registry, whose circuit stays closed.
#[tokio::test]
async fn a_token_service_that_hangs() {
    let fake = Fake::new(|seen| match seen.path.as_str() {
        "/token" => answer(200).after(60 * SECOND),
        _ => challenge(&format!("http://{}", seen.header("host"))),
    })
    .await;
    let upstream = fake.upstream();
    let tag = crate::oci::Reference::Tag("latest".parse().unwrap());
    for _ in 0..6 {
        let asked = upstream.manifest_head(&repository(), &tag, crate::oci::AcceptSet::current(), SECOND / 4).await;
        let error = asked.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::LoginFailed { .. }), "{error}");
    }
    assert_eq!(fake.count("/token"), 1);
}

/// The registry moves to another token service.
#[tokio::test]
async fn a_changed_challenge_is_noticed() {
    let moved = Arc::new(AtomicUsize::new(0));
    let now = moved.clone();
    let fake = Fake::new(move |seen| {
        let moved = now.load(Ordering::Relaxed) == 1;
        let host = format!("http://{}", seen.header("host"));
        match (seen.path.as_str(), seen.header("authorization")) {
            ("/token", _) if moved => answer(404),
            ("/token", _) => answer(200).body(r#"{"token":"old","expires_in":0}"#),
            ("/new/token", _) => answer(200).body(r#"{"token":"new"}"#),
            (_, "Bearer old") if !moved => answer(200).body("12345"),
            (_, "Bearer new") if moved => answer(200).body("12345"),
            _ if moved => challenge(&format!("{host}/new")),
            _ => challenge(&host),
        }
    })
    .await;
    let upstream = fake.upstream();
    assert_eq!(size(&upstream).await.unwrap(), Some(5));
    moved.store(1, Ordering::Relaxed);
    assert!(matches!(size(&upstream).await.unwrap_err().kind, ErrorKind::LoginFailed { .. }));
    assert_eq!(size(&upstream).await.unwrap(), Some(5));
}

#[tokio::test]
async fn an_identity_token_is_posted() {
    let fake = Fake::new(|seen| match (seen.path.as_str(), seen.header("authorization")) {
        ("/token", "") if seen.body.contains("refresh_token=refresh-me") => {
            answer(200).body(r#"{"access_token":"t0"}"#)
        }
        ("/token", _) => answer(401),
        (_, "Bearer t0") => answer(200).body("12345"),
        _ => challenge(&format!("http://{}", seen.header("host"))),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let host = fake.url.strip_prefix("http://").unwrap();
    std::fs::write(&path, format!(r#"{{"auths":{{"{host}":{{"identitytoken":"refresh-me"}}}}}}"#)).unwrap();
    let settings = UpstreamSettings { credential: Credential::DockerConfig { path }, ..fake.settings() };
    assert_eq!(size(&upstream(settings)).await.unwrap(), Some(5));
    assert_eq!(fake.seen()[1].method, http::Method::POST);
}

#[tokio::test]
async fn a_ping_logs_in_and_says_why_not() {
    let patience = 5 * SECOND;
    let fake = registry(Arc::default(), 401, lasting).await;
    fake.upstream().ping(patience).await.unwrap();
    let paths: Vec<String> = fake.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/v2/", "/token", "/v2/"]);
    let refusing = Fake::new(|_| answer(401).header("www-authenticate", "Basic realm=\"x\"")).await;
    let refused = upstream(basic(refusing.settings())).ping(patience).await.unwrap_err();
    assert!(matches!(refused.kind, ErrorKind::Unauthorized), "{refused}");
    let hanging = Fake::new(|_| answer(200).after(60 * SECOND)).await;
    assert!(matches!(hanging.upstream().ping(SECOND / 2).await.unwrap_err().kind, ErrorKind::TimedOut));
}
