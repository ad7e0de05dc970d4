//! Why the program cannot start.

use std::net::SocketAddr;

use crate::{config, http, meta, storage, upstream};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] config::ConfigErrors),
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error(transparent)]
    Meta(#[from] meta::Error),
    #[error(transparent)]
    Upstream(#[from] upstream::Error),
    #[error("cannot listen on {address}: {source}; is another program using it?")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Tls(#[from] http::TlsError),
    #[error("metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("the program cannot wait for signals: {0}")]
    Signals(#[source] std::io::Error),
}
