//! Accepting connections.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::buffers;
use super::connection::{Connection, Handler};
use super::places::{ClientPlace, ConnectionPlace, Places};
use super::proxy_protocol;
use super::seldom::Seldom;
use super::tls::TlsListener;
use crate::cache::Shortage;
use crate::config::HttpSettings;
use crate::http::forwarded::{Names, TrustedProxies};
use crate::telemetry::Metrics;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4096;

/// Bytes of a body that the kernel may hold for a client that does not take them. Throughput does not suffer, since what is on
/// its way does not count; without it a thousand stalled downloads hold gigabytes.
const NOT_SENT_BYTES: u32 = 256 << 10;

/// Pause after an accept that failed for want of resources.
const PAUSE: Duration = Duration::from_millis(50);

/// A socket that listens.
pub struct Bound {
    listener: TcpListener,
    tls: Option<TlsListener>,
    /// Proxies and balancers, whose word for whom they connect for is taken, and which are not counted as one client.
    proxies: TrustedProxies,
    /// Each connection begins with a header of the PROXY protocol.
    proxy_protocol: bool,
}

/// What all listeners of a program share. Cheap to clone.
#[derive(Clone)]
pub struct Serving {
    settings: HttpSettings,
    metrics: Metrics,
    shortage: Shortage,
    connections: TaskTracker,
    drain: CancellationToken,
    abort: CancellationToken,
}

/// What a connection of one listener is served with.
struct Served {
    serving: Serving,
    places: Places,
    proxies: TrustedProxies,
    proxy_protocol: bool,
}

impl Bound {
    pub fn bind(address: SocketAddr, tls: Option<TlsListener>) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self { listener: socket.listen(BACKLOG)?, tls, proxies: TrustedProxies::default(), proxy_protocol: false })
    }

    /// With `proxy_protocol`, these proxies begin each connection with a header of the PROXY protocol, and nobody else comes in.
    #[must_use]
    pub fn behind(self, proxies: TrustedProxies, proxy_protocol: bool) -> Self {
        Self { proxies, proxy_protocol, ..self }
    }

    /// Where it listens: the port that the system chose, where 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts until the drain. Beyond `max_connections`, clients wait in the kernel's queue.
    pub async fn accept<H, B>(self, serving: Serving, handler: H)
    where
        H: Handler<B>,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let places = Places::new(serving.settings.max_connections, serving.settings.max_connections_per_client);
        loop {
            let accepted = tokio::select! {
                () = serving.drain.cancelled() => return,
                accepted = self.next(&places) => accepted,
            };
            let Some((place, stream, peer)) = accepted else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let tls = self.tls.as_ref().map(TlsListener::acceptor);
            let served = Served {
                serving: serving.clone(),
                places: places.clone(),
                proxies: self.proxies.clone(),
                proxy_protocol: self.proxy_protocol,
            };
            let handler = handler.clone();
            serving.connections.spawn(async move {
                let _place = place;
                served.serve(stream, peer, tls, handler).await;
            });
        }
    }

    async fn next(&self, places: &Places) -> Option<(ConnectionPlace, TcpStream, SocketAddr)> {
        let place = places.connection().await?;
        match self.listener.accept().await {
            Ok((stream, peer)) => Some((place, stream, peer)),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                None
            }
        }
    }
}

impl Serving {
    /// Clients that take next to nothing are given up during `shortage`.
    pub fn new(settings: HttpSettings, metrics: Metrics, shortage: Shortage) -> Self {
        buffers::limit(settings.body_memory);
        Self {
            settings,
            metrics,
            shortage,
            connections: TaskTracker::new(),
            drain: CancellationToken::new(),
            abort: CancellationToken::new(),
        }
    }

    /// Stops accepting, lets what is in flight end, and cuts off what has not ended by the deadline. Returns how many
    /// connections were cut off.
    pub async fn drain(&self, deadline: Duration) -> usize {
        self.drain.cancel();
        self.connections.close();
        if tokio::time::timeout(deadline, self.connections.wait()).await.is_ok() {
            return 0;
        }
        let left = self.connections.len();
        self.abort.cancel();
        self.connections.wait().await;
        left
    }

    /// The connection is closed without a word: a client with thousands of them would not read it.
    fn turn_away(&self, peer: SocketAddr) {
        static SAID: Seldom = Seldom::new();
        self.metrics.http_ended.with_label_values(&["client_limit"]).inc();
        if SAID.now() {
            tracing::warn!(
                client = %peer.ip(),
                limit = self.settings.max_connections_per_client,
                "a client has http.max_connections_per_client connections open; further ones are closed"
            );
        }
    }
}

/// Whom a connection is of.
struct Came {
    peer: SocketAddr,
    names: Names,
}

impl Served {
    async fn serve<H, B>(&self, mut stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, handler: H)
    where
        H: Handler<B>,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let serving = &self.serving;
        let Some(Came { peer, names }) = self.client(&mut stream, peer).await else { return };
        let Some(place) = self.place(peer) else { return serving.turn_away(peer) };
        let _open = Open::count(serving.metrics.clone());
        // A socket that cannot be tuned still serves.
        let _ = stream.set_nodelay(true);
        let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(NOT_SENT_BYTES);
        let connection = Connection {
            peer,
            names,
            settings: serving.settings.clone(),
            metrics: serving.metrics.clone(),
            handler,
            place,
            shortage: serving.shortage.clone(),
            drain: serving.drain.clone(),
        };
        tokio::select! {
            () = connection.serve(stream, tls) => {}
            () = serving.abort.cancelled() => {}
        }
    }

    /// A proxy brings many clients by its own address: their requests are told apart, their connections cannot be.
    fn place(&self, peer: SocketAddr) -> Option<ClientPlace> {
        if self.proxies.trusts(peer.ip()) { Some(self.places.proxy()) } else { self.places.client(peer.ip()) }
    }

    /// The client that a balancer connects for. `None` where nobody may be believed.
    async fn client(&self, stream: &mut TcpStream, peer: SocketAddr) -> Option<Came> {
        if !self.proxy_protocol {
            return Some(Came { peer, names: Names::Others });
        }
        let said = if self.proxies.trusts(peer.ip()) {
            tokio::select! {
                said = tokio::time::timeout(self.serving.settings.header_timeout, proxy_protocol::read(stream)) => said,
                () = self.serving.drain.cancelled() => return None,
            }
        } else {
            Ok(Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the connection is of none of http.trusted_proxies",
            )))
        };
        let error = match said {
            Ok(Ok(Some(client))) => return Some(Came { peer: client, names: Names::Others }),
            // A balancer that passes TCP on looks at no header: what is in one is its client's own.
            Ok(Ok(None)) => return Some(Came { peer, names: Names::Nobody }),
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        static SAID: Seldom = Seldom::new();
        self.serving.metrics.http_ended.with_label_values(&["proxy_header"]).inc();
        if SAID.now() {
            tracing::warn!(%peer, %error, "a connection to a listener with proxy_protocol was closed");
        }
        None
    }
}

/// Counts the connection out, however it ends.
struct Open(Metrics);

impl Open {
    fn count(metrics: Metrics) -> Self {
        metrics.http_connections.inc();
        Self(metrics)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.http_connections.dec();
    }
}
