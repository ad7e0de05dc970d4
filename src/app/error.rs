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
    Keys(#[from] crate::auth::KeyFileError),
    #[error(transparent)]
    Oidc(#[from] crate::auth::OidcError),
    #[error(transparent)]
    Certificate(#[from] crate::auth::CertificateRuleError),
    #[error("the users cannot be written down: {0}")]
    Users(#[from] crate::auth::EnrolmentError),
    #[error("policy {name:?} of {user:?} is refused: {source}")]
    Policy { user: String, name: String, source: crate::policy::DocumentError },
    #[error("what a [[repository]] says cannot be made a policy: {0}")]
    Public(#[source] crate::policy::DocumentError),
    #[error("the audit log {path:?} cannot be written: {source}")]
    Audit { path: std::path::PathBuf, source: std::io::Error },
    #[error(transparent)]
    Accounts(#[from] crate::accounts::Error),
    #[error("no registry is here: there is no {}; {hint}. A new registry is made by `entrepot serve` alone", .path.display())]
    NotThere { path: std::path::PathBuf, hint: String },
    #[error("there is no {0}; `entrepot iam list` shows all")]
    NoPrincipal(String),
    #[error("the first user's key cannot be written to {path:?}: {source}")]
    FirstUser { path: std::path::PathBuf, source: std::io::Error },
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
