//! A registry that does as it is told, on loopback.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use crate::config::{UpstreamName, UpstreamSettings};
use crate::telemetry::Metrics;
use crate::upstream::Upstream;

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

#[derive(Debug)]
pub(super) enum Piece {
    Bytes(Vec<u8>),
    Pause(Duration),
    /// The connection breaks.
    Break,
}

/// What the registry is told to answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<Piece>,
    delay: Duration,
}

pub(super) fn answer(status: u16) -> Answer {
    Answer { status, headers: Vec::new(), body: Vec::new(), delay: Duration::ZERO }
}

impl Answer {
    pub(super) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// A body with its length announced.
    pub(super) fn body(self, bytes: impl AsRef<[u8]>) -> Self {
        let length = bytes.as_ref().len();
        self.header("content-length", length).piece(Piece::Bytes(bytes.as_ref().to_vec()))
    }

    pub(super) fn piece(mut self, piece: Piece) -> Self {
        self.body.push(piece);
        self
    }

    pub(super) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// A server and what it was asked. It ends with the test.
pub(super) struct Fake {
    pub(super) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Fake {
    pub(super) async fn new(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let handler = Arc::new(handler);
        let log = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (handler, log) = (handler.clone(), log.clone());
                let service = hyper::service::service_fn(move |request| {
                    let (handler, log) = (handler.clone(), log.clone());
                    async move { Ok::<_, Infallible>(serve(request, &log, &*handler).await) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { url, seen, task }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Requests whose path holds `part`.
    pub(super) fn count(&self, part: &str) -> usize {
        self.seen().iter().filter(|seen| seen.path.contains(part)).count()
    }

    /// The host without its port.
    pub(super) fn port(&self) -> &str {
        self.url.rsplit_once(':').unwrap().1
    }

    pub(super) fn settings(&self) -> UpstreamSettings {
        UpstreamSettings::new(UpstreamName::new("fake"), self.url.parse().unwrap()).unwrap()
    }

    pub(super) fn upstream(&self) -> Arc<Upstream> {
        upstream(self.settings())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn upstream(settings: UpstreamSettings) -> Arc<Upstream> {
    Upstream::new(settings, Metrics::new().unwrap()).unwrap()
}

async fn serve(
    request: Request<Incoming>,
    log: &Mutex<Vec<Seen>>,
    handler: &(dyn Fn(&Seen) -> Answer + Send + Sync),
) -> Response<Script> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let seen = Seen {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    log.lock().unwrap().push(seen.clone());
    let answer = handler(&seen);
    tokio::time::sleep(answer.delay).await;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Script { pieces: answer.body.into(), pause: None, breaking: false }).unwrap()
}

/// A body that follows its pieces.
pub(super) struct Script {
    pieces: VecDeque<Piece>,
    pause: Option<Pin<Box<Sleep>>>,
    breaking: bool,
}

impl Body for Script {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                std::task::ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            match self.pieces.pop_front() {
                None => return Poll::Ready(None),
                Some(Piece::Bytes(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes.into())))),
                Some(Piece::Pause(time)) => self.pause = Some(Box::pin(tokio::time::sleep(time))),
                // Hyper drops what it has not sent when the body fails, so what came before gets time to go out.
                Some(Piece::Break) if !self.breaking => {
                    self.breaking = true;
                    self.pieces.push_front(Piece::Break);
                    self.pieces.push_front(Piece::Pause(Duration::from_millis(50)));
                }
                Some(Piece::Break) => return Poll::Ready(Some(Err(std::io::Error::other("told to break")))),
            }
        }
    }
}
