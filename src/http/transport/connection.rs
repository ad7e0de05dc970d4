//! The life of a connection.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::mapping::FileRegions;
use super::places::ClientPlace;
use super::plain_io::{PlainIo, Requests};
use super::recognise::{Speaks, recognise, turn_tls_away};
use super::streams::{StreamBody, StreamTasks, Streams};
use super::taking::Patience;
use super::tls::{BUFFER_LIMIT_BYTES, certificate_names};
use crate::auth::CertificateNames;
use crate::cache::Shortage;
use crate::config::HttpSettings;
use crate::http::forwarded::Names;
use crate::telemetry::Metrics;

/// Bytes of request bodies that a client may send ahead, on a stream and on the whole connection.
const HTTP2_WINDOW_BYTES: u32 = 1 << 20;

/// Bytes of an answer that wait for the window of their stream.
const MAX_HTTP2_SEND_BYTES: usize = 64 << 10;

/// hyper wants at least this for a request's head.
const MIN_HEADER_BYTES: usize = 8192;

/// Marks a request for which its listener or its client has no place. The answer has to be a short one.
#[derive(Clone, Copy, Debug)]
pub struct NoPlace;

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
    pub(super) names: Names,
    pub(super) settings: HttpSettings,
    pub(super) metrics: Metrics,
    pub(super) handler: H,
    /// The client's, for requests over HTTP/2.
    pub(super) place: ClientPlace,
    /// Room on the disk, which files that are read keep from others.
    pub(super) shortage: Shortage,
    /// Finish what is in flight, then close.
    pub(super) drain: CancellationToken,
}

impl<H> Connection<H> {
    pub(super) async fn serve<B>(self, stream: TcpStream, tls: Option<TlsAcceptor>)
    where
        H: Handler<B>,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match tls {
            None => self.serve_plain(stream).await,
            // The larger state of TLS is not paid for by plaintext connections; nor is that of HTTP/2 below.
            Some(acceptor) => Box::pin(self.serve_tls(stream, acceptor)).await,
        }
    }

    fn patience(&self) -> Patience {
        let (stall_timeout, client) = (self.settings.stall_timeout, self.place.asker());
        Patience { stall_timeout, client, shortage: self.shortage.clone() }
    }

    async fn serve_plain<B>(self, stream: TcpStream)
    where
        H: Handler<B>,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let recognised = tokio::select! {
            recognised = timeout(self.settings.idle_timeout, recognise(&stream, self.settings.header_timeout)) => recognised,
            // Nobody has asked for anything: there is nothing to finish.
            () = self.drain.cancelled() => return,
        };
        let Ok(Some(speaks)) = recognised else { return };
        let mut io = PlainIo::new(stream, self.patience());
        match speaks {
            Speaks::Http1 => {
                let requests = io.watch_heads(self.settings.header_timeout);
                let regions = io.regions().clone();
                self.serve_http1(io, Some(regions), None, requests).await;
            }
            Speaks::Http2 => Box::pin(self.serve_http2(io, None)).await,
            Speaks::Tls => turn_tls_away(io.into_stream(), self.peer, self.settings.header_timeout).await,
        }
    }

    async fn serve_tls<B>(self, stream: TcpStream, acceptor: TlsAcceptor)
    where
        H: Handler<B>,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let io = PlainIo::new(stream, self.patience());
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
        let (handler, peer, names) = (self.handler, self.peer, self.names);
        let service = service_fn(move |mut request: Request<Incoming>| {
            let (handler, regions, certificate) = (handler.clone(), regions.clone(), certificate.clone());
            let in_progress = requests.begin();
            async move {
                let _in_progress = in_progress;
                request.extensions_mut().insert(peer);
                request.extensions_mut().insert(names);
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
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let patience = self.patience();
        let (handler, peer, names) = (self.handler, self.peer, self.names);
        let (place, streams) = (self.place, Streams::new());
        let opened = streams.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let (handler, certificate) = (handler.clone(), certificate.clone());
            let place = place.request();
            if place.is_none() {
                request.extensions_mut().insert(NoPlace);
            }
            let open = opened.begin(place);
            async move {
                request.extensions_mut().insert(peer);
                request.extensions_mut().insert(names);
                if let Some(certificate) = certificate {
                    request.extensions_mut().insert(certificate);
                }
                Ok::<_, Infallible>(handler.handle(request).await.map(|body| StreamBody { body, _open: open }))
            }
        });
        let tasks = StreamTasks { patience, metrics: self.metrics.clone() };
        let connection = http2::Builder::new(tasks)
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.settings.max_streams)
            .max_send_buf_size(MAX_HTTP2_SEND_BYTES)
            .initial_stream_window_size(HTTP2_WINDOW_BYTES)
            .initial_connection_window_size(HTTP2_WINDOW_BYTES)
            .max_header_list_size(u32::try_from(self.settings.max_header_bytes).unwrap_or(u32::MAX))
            // Finds clients that are gone. Those that only answer pings are idle.
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
            () = streams.idle(self.settings.idle_timeout) => {
                self.metrics.http_ended.with_label_values(&["idle_http2"]).inc();
                connection.as_mut().graceful_shutdown();
                // The client may answer nothing, or leave the end of an answer in its window.
                timeout(self.settings.header_timeout, connection).await.unwrap_or(Ok(()))
            }
        };
        note(peer, ended);
    }
}

/// Clients that leave are no news.
fn note(peer: SocketAddr, ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        let reason = std::error::Error::source(&error).map(ToString::to_string);
        tracing::debug!(client = %peer, %error, reason, "a connection ended early");
    }
}
