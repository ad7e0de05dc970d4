//! What operators and orchestrators ask: `/metrics`, `/livez`, `/readyz`, `/healthz`, `/startupz`, `/jobs`, and `/usage`, on listeners of
//! their own.
//!
//! Nothing here waits for an upstream or a disk: a job is asked for, and its state is told. Only `/usage` and `/jobs` ask the database, a few
//! at once and for seconds at most, so that the others are answered whatever the database does. *Never* here: anything else that
//! changes something.

mod asking;
mod jobs;
mod usage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http::header::{CONTENT_TYPE, HOST};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode};

use self::jobs::Board;
use super::browsers;
use super::caching;
use super::origin::{self, KnownHosts};
use super::transport::ResponseBody;
use crate::cache::BlobCache;
use crate::jobs::Jobs;
use crate::memory;
use crate::meta::Cause;
use crate::telemetry::{Audit, Caller, Entry, Metrics};

pub use usage::Usage;

/// Where the process stands in its life; shared with whoever moves it on.
#[derive(Clone, Default)]
pub struct Readiness(Arc<AtomicU8>);

/// Of what was asked for.
const MAX_RECORDED_CHARS: usize = 200;

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

impl Readiness {
    pub fn set_ready(&self) {
        self.0.store(READY, Ordering::Relaxed);
    }

    /// Still serving, but nothing new should be sent here.
    pub fn set_draining(&self) {
        self.0.store(DRAINING, Ordering::Relaxed);
    }

    fn state(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
pub struct Ops {
    metrics: Metrics,
    cache: BlobCache,
    board: Board,
    usage: Usage,
    readiness: Readiness,
    hosts: KnownHosts,
    audit: Audit,
}

impl Ops {
    pub fn new(
        metrics: Metrics,
        cache: BlobCache,
        jobs: Jobs,
        usage: Usage,
        readiness: Readiness,
        hosts: KnownHosts,
        audit: Audit,
    ) -> Self {
        Self { metrics, cache, board: Board::new(jobs), usage, readiness, hosts, audit }
    }

    /// `is_local`: only this machine reaches the listener.
    pub async fn call<B>(&self, request: &Request<B>, is_local: bool) -> Response<ResponseBody> {
        let mut response = self.answer(request, is_local).await;
        browsers::forbid(response.headers_mut());
        caching::limit(response.status(), response.headers_mut(), false);
        response
    }

    async fn answer<B>(&self, request: &Request<B>, is_local: bool) -> Response<ResponseBody> {
        if !matches!(request.uri().path(), "/livez" | "/readyz" | "/healthz" | "/startupz")
            && let Err(message) = self.check_site(request, is_local)
        {
            return text(StatusCode::FORBIDDEN, message + "\n");
        }
        if let Some(rest) = request.uri().path().strip_prefix("/jobs")
            && (rest.is_empty() || rest.starts_with('/'))
        {
            let record = change(request.method(), rest).map(|action| self.record(request, action));
            let response = self.board.answer(request.method(), rest, request.uri().query().unwrap_or_default()).await;
            match record {
                Some(record) if response.status().is_success() => record.done(),
                Some(record) => record.failed(response.status().as_str()),
                None => {}
            }
            return response;
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "ok\n"),
            // A replica whose database is away still serves what it has: were all of them taken out, nobody would.
            "/readyz" => self.state(StatusCode::OK),
            "/healthz" => self.state(StatusCode::SERVICE_UNAVAILABLE),
            "/startupz" if self.readiness.state() == STARTING => text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
            "/startupz" => text(StatusCode::OK, "ok\n"),
            "/usage" => self.usage.tell(request.uri().query().unwrap_or_default()).await,
            "/metrics" => {
                self.cache.observe();
                memory::observe(&self.metrics);
                let mut response = Response::new(ResponseBody::uncounted(self.metrics.render().into()));
                response
                    .headers_mut()
                    .insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain; version=0.0.4"));
                response
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "there are /metrics, /livez, /readyz, /healthz, /startupz, /jobs and /usage\n",
            ),
        }
    }

    /// Whether requests may come. `limited` is the status while the database does not do all that it should.
    fn state(&self, limited: StatusCode) -> Response<ResponseBody> {
        match self.readiness.state() {
            READY => {}
            DRAINING => return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            _ => return text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        }
        match self.usage.meta().is_not_writable() {
            None => text(StatusCode::OK, "ok\n"),
            Some((why, since)) => {
                let limits = if why.cause == Cause::ReadOnly { "pulls go on" } else { "known pulls go on" };
                let text_of = format!(
                    "{} ({}, for {} s): {limits}, changes get 503\n",
                    why.cause.in_words(),
                    why.cause.name(),
                    since.as_secs()
                );
                text(limited, text_of)
            }
        }
    }

    /// Begins the record of a change. Whoever reaches the listener may make it, so its address is all that is known of them.
    fn record<B>(&self, request: &Request<B>, action: &str) -> Entry {
        let peer = request.extensions().get::<SocketAddr>().map(SocketAddr::ip);
        let caller = Caller {
            request_id: format!("{:016x}", fastrand::u64(..)),
            source: peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_canonical().to_string()),
            principal: "operator".to_owned(),
            means: "admin-listener",
        };
        let asked = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        let resource = asked.chars().take(MAX_RECORDED_CHARS).collect();
        self.audit.allowed(caller, action, resource, &Arc::from("they reach the admin listener"))
    }

    /// A web page must neither start or drop jobs nor read who uses what, also by a name of its own that it had lead here: a browser in the
    /// operators' network reaches what they reach. Whether the process is well is told to anyone, since orchestrators ask by whatever name they
    /// have, and metrics to whoever reaches more than this machine, since monitoring does.
    fn check_site<B>(&self, request: &Request<B>, is_local: bool) -> Result<(), String> {
        let host = request.uri().authority().map(|authority| authority.as_str());
        let host = host.or_else(|| request.headers().get(HOST)?.to_str().ok());
        let checked = origin::check_origin(request.headers(), host, &self.hosts);
        let checked = checked.and_then(|()| match is_local || is_for_operators(request.uri().path()) {
            true => origin::check_host(host, |host| self.hosts.has(host)),
            false => Ok(()),
        });
        checked.map_err(|failure| failure.message)
    }
}

/// Whether it is asked for by people, by a name that they know.
fn is_for_operators(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    matches!(first, "jobs" | "usage")
}

/// The name of a change of jobs. `path` is what follows `/jobs`.
fn change(method: &Method, path: &str) -> Option<&'static str> {
    match *method {
        Method::DELETE => Some("entrepot:DropJob"),
        Method::POST if path.starts_with("/queue/") => Some("entrepot:RetryJob"),
        Method::POST => Some("entrepot:StartJob"),
        _ => None,
    }
}

fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::uncounted(serde_json::to_vec(value).unwrap_or_default().into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

fn text(status: StatusCode, body: impl Into<bytes::Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::uncounted(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h09_what_is_for_operators() {
        for (path, is_theirs) in [
            ("/jobs", true),
            ("/jobs/gc", true),
            ("/jobs/queue/7/retry", true),
            ("/usage", true),
            ("/metrics", false),
            ("/readyz", false),
            ("/jobsx", false),
            ("/", false),
        ] {
            assert_eq!(is_for_operators(path), is_theirs, "{path}");
        }
    }
}
