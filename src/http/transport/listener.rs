//! Accepting connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Connection, Handler};
use super::tls::TlsListener;
use crate::config::HttpSettings;
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
}

/// What all listeners of a program share. Cheap to clone.
#[derive(Clone)]
pub struct Serving {
    settings: HttpSettings,
    places: Arc<Semaphore>,
    metrics: Metrics,
    connections: TaskTracker,
    drain: CancellationToken,
    abort: CancellationToken,
}

impl Bound {
    pub fn bind(address: SocketAddr, tls: Option<TlsListener>) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self { listener: socket.listen(BACKLOG)?, tls })
    }

    /// Where it listens: the port that the system chose, where 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts until the drain. Beyond `max_connections`, clients wait in the kernel's queue.
    pub async fn accept<H, B>(self, serving: Serving, handler: H)
    where
        H: Handler<B>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        loop {
            let accepted = tokio::select! {
                () = serving.drain.cancelled() => return,
                accepted = self.next(&serving.places) => accepted,
            };
            let Some((place, stream, peer)) = accepted else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let tls = self.tls.as_ref().map(TlsListener::acceptor);
            let (served, handler) = (serving.clone(), handler.clone());
            serving.connections.spawn(async move {
                let _place = place;
                served.serve(stream, peer, tls, handler).await;
            });
        }
    }

    async fn next(
        &self,
        places: &Arc<Semaphore>,
    ) -> Option<(tokio::sync::OwnedSemaphorePermit, TcpStream, SocketAddr)> {
        let place = places.clone().acquire_owned().await.ok()?;
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
    pub fn new(settings: HttpSettings, metrics: Metrics) -> Self {
        Self {
            places: Arc::new(Semaphore::new(settings.max_connections.min(Semaphore::MAX_PERMITS))),
            settings,
            metrics,
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

    async fn serve<H, B>(&self, stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, handler: H)
    where
        H: Handler<B>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let _open = Open::count(self.metrics.clone());
        // A socket that cannot be tuned still serves.
        let _ = stream.set_nodelay(true);
        let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(NOT_SENT_BYTES);
        let connection = Connection { peer, settings: self.settings.clone(), handler, drain: self.drain.clone() };
        tokio::select! {
            () = connection.serve(stream, tls) => {}
            () = self.abort.cancelled() => {}
        }
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
