//! `listen` and `[http]`: the wire towards clients.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub address: SocketAddr,
    pub tls: Option<ListenerTls>,
}

/// `tls = { certificate, key, client_ca }`: PEM files. With `client_ca`, clients must show a certificate of that authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub client_ca: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Connections at once, over all listeners; further ones wait in the kernel's queue. Default 10,000.
    pub max_connections: usize,
    /// Time for a request's head, and for a TLS handshake. Default 15 s.
    pub header_timeout: Duration,
    /// A connection without a request is closed after this. Default 120 s.
    pub idle_timeout: Duration,
    /// A body of which the client takes no byte for this long is aborted. Default 5 min.
    pub stall_timeout: Duration,
    /// Bytes of a request's head. Default 32 KiB.
    pub max_header_bytes: usize,
    /// How long bodies in flight may go on after SIGTERM. Default 30 s.
    pub drain_timeout: Duration,
}
