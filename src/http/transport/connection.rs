//! The life of a connection.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::mapping::FileRegions;
use super::plain_io::{PlainIo, Requests};
use super::tls::{BUFFER_LIMIT_BYTES, certificate_names};
use crate::auth::CertificateNames;
use crate::config::HttpSettings;

/// The first byte of a TLS ClientHello: a client that speaks TLS to a plaintext port.
const TLS_HANDSHAKE: u8 = 0x16;

/// How an HTTP/2 connection begins (RFC 9113 section 3.4); no method of HTTP/1.1 is called so.
const HTTP2_PREFACE: &[u8] = b"PRI ";

const MAX_HTTP2_STREAMS: u32 = 256;
const HTTP2_WINDOW_BYTES: u32 = 1 << 20;

/// hyper wants at least this for a request's head.
const MIN_HEADER_BYTES: usize = 8192;

/// What carries out requests.
pub trait Handler<B>: Clone + Send + Sync + 'static {
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<B>> + Send;
}

impl<B, S, F> Handler<B> for S
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send,
{
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<B>> + Send {
        self(request)
    }
}

pub(super) struct Connection<H> {
    pub(super) peer: SocketAddr,
    pub(super) settings: HttpSettings,
    pub(super) handler: H,
    /// Finish what is in flight, then close.
    pub(super) drain: CancellationToken,
}

impl<H> Connection<H> {
    pub(super) async fn serve<B>(self, stream: TcpStream, tls: Option<TlsAcceptor>)
    where
        H: Handler<B>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match tls {
            None => self.serve_plain(stream).await,
            // The larger state of TLS is not paid for by plaintext connections; nor is that of HTTP/2 below.
            Some(acceptor) => Box::pin(self.serve_tls(stream, acceptor)).await,
        }
    }

    async fn serve_plain<B>(self, stream: TcpStream)
    where
        H: Handler<B>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let recognised = tokio::select! {
            recognised = timeout(self.settings.idle_timeout, recognise(&stream, self.settings.header_timeout)) => recognised,
            // Nobody has asked for anything: there is nothing to finish.
            () = self.drain.cancelled() => return,
        };
        let Ok(Some(speaks)) = recognised else { return };
        let mut io = PlainIo::new(stream, self.settings.stall_timeout);
        match speaks {
            Speaks::Http1 => {
                let requests = io.watch_heads(self.settings.header_timeout);
                let regions = io.regions().clone();
                self.serve_http1(io, Some(regions), None, requests).await;
            }
            Speaks::Http2 => Box::pin(self.serve_http2(io, None)).await,
            Speaks::Tls => say_that_tls_came(self.peer),
        }
    }

    async fn serve_tls<B>(self, stream: TcpStream, acceptor: TlsAcceptor)
    where
        H: Handler<B>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let io = PlainIo::new(stream, self.settings.stall_timeout);
        let set_up = |session: &mut rustls::ServerConnection| session.set_buffer_limit(Some(BUFFER_LIMIT_BYTES));
        let mut io = match timeout(self.settings.header_timeout, acceptor.accept_with(io, set_up)).await {
            Ok(Ok(io)) => io,
            Ok(Err(error)) => return tracing::debug!(client = %self.peer, %error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!(client = %self.peer, "a TLS handshake took too long"),
        };
        let session = io.get_ref().1;
        let certificate = certificate_names(session, self.peer);
        if session.alpn_protocol() == Some(b"h2") {
            self.serve_http2(io, certificate).await;
        } else {
            // From here on what comes is of a request.
            let requests = io.get_mut().0.watch_heads(self.settings.header_timeout);
            self.serve_http1(io, None, certificate, requests).await;
        }
    }

    /// `regions` where the connection can send files; `certificate` where the client has shown one.
    async fn serve_http1<B, I>(
        self,
        io: I,
        regions: Option<FileRegions>,
        certificate: Option<Arc<CertificateNames>>,
        requests: Requests,
    ) where
        H: Handler<B>,
        B: Body<Data = Bytes> + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let (handler, peer) = (self.handler, self.peer);
        let service = service_fn(move |mut request: Request<Incoming>| {
            let (handler, regions, certificate) = (handler.clone(), regions.clone(), certificate.clone());
            let in_progress = requests.begin();
            async move {
                let _in_progress = in_progress;
                request.extensions_mut().insert(peer);
                if let Some(regions) = regions {
                    request.extensions_mut().insert(regions);
                }
                if let Some(certificate) = certificate {
                    request.extensions_mut().insert(certificate);
                }
                Ok::<_, Infallible>(handler.handle(request).await)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // hyper counts the time between requests as time for the next head.
            .header_read_timeout(self.settings.idle_timeout.max(self.settings.header_timeout))
            .max_buf_size(self.settings.max_header_bytes.max(MIN_HEADER_BYTES))
            .serve_connection(TokioIo::new(io), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.drain.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        note(peer, ended);
    }

    async fn serve_http2<B, I>(self, io: I, certificate: Option<Arc<CertificateNames>>)
    where
        H: Handler<B>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (handler, peer) = (self.handler, self.peer);
        let service = service_fn(move |mut request: Request<Incoming>| {
            let (handler, certificate) = (handler.clone(), certificate.clone());
            async move {
                request.extensions_mut().insert(peer);
                if let Some(certificate) = certificate {
                    request.extensions_mut().insert(certificate);
                }
                Ok::<_, Infallible>(handler.handle(request).await)
            }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_HTTP2_STREAMS)
            .initial_stream_window_size(HTTP2_WINDOW_BYTES)
            .max_header_list_size(u32::try_from(self.settings.max_header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(self.settings.idle_timeout)
            .keep_alive_timeout(Duration::from_secs(20))
            .serve_connection(TokioIo::new(io), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.drain.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        note(peer, ended);
    }
}

enum Speaks {
    Http1,
    Http2,
    Tls,
}

/// How long a client that has sent a part of the preface is left alone, at first and at most: such a socket is ready all the time, and
/// looking at thousands of them again and again costs a core.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Looks at the first bytes without taking them. `None` when the client leaves, or says no more than a part of the preface for
/// `header_timeout`.
async fn recognise(stream: &TcpStream, header_timeout: Duration) -> Option<Speaks> {
    let mut first = [0; HTTP2_PREFACE.len()];
    let (mut pause, mut begun) = (FIRST_PAUSE, None);
    loop {
        let count = stream.peek(&mut first).await.ok()?;
        let seen = first.get(..count)?;
        match seen.first()? {
            &TLS_HANDSHAKE => return Some(Speaks::Tls),
            _ if seen == HTTP2_PREFACE => return Some(Speaks::Http2),
            _ if HTTP2_PREFACE.starts_with(seen) => {
                if begun.get_or_insert_with(Instant::now).elapsed() >= header_timeout {
                    return None;
                }
                tokio::time::sleep(pause.min(header_timeout)).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
            _ => return Some(Speaks::Http1),
        }
    }
}

/// Once a minute at most: a misconfigured client tries again and again.
fn say_that_tls_came(peer: SocketAddr) {
    static LAST_SAID_S: AtomicI64 = AtomicI64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    if now - LAST_SAID_S.swap(now, Ordering::Relaxed) >= 60 {
        tracing::warn!(client = %peer, "a client speaks TLS to a plaintext port and was turned away; give it http://, or this listener `tls`");
    }
}

/// Clients that leave are no news.
fn note(peer: SocketAddr, ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        let reason = std::error::Error::source(&error).map(ToString::to_string);
        tracing::debug!(client = %peer, %error, reason, "a connection ended early");
    }
}
