//! Why the program cannot start.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::{config, meta, storage, upstream};

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
    #[error("the certificate {path:?} cannot be used: {detail}")]
    Certificate { path: PathBuf, detail: String },
    #[error("metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("the program cannot wait for signals: {0}")]
    Signals(#[source] std::io::Error),
}
