//! Why the program cannot start.

use std::io::ErrorKind;
use std::net::SocketAddr;

use crate::{config, http, meta, storage, upstream};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] config::ConfigErrors),
    #[error("the data folder {path:?} cannot be made: {source}")]
    DataFolder { path: std::path::PathBuf, source: std::io::Error },
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
    #[error("{} cannot be looked at: {source}; the data belongs to the user that the service runs as, and to root", .path.display())]
    NotReadable { path: std::path::PathBuf, source: std::io::Error },
    #[error("there is no {0}; `entrepot iam list` shows all")]
    NoPrincipal(String),
    #[error("the first user's key cannot be written to {path:?}: {source}")]
    FirstUser { path: std::path::PathBuf, source: std::io::Error },
    #[error(transparent)]
    Upstream(#[from] upstream::Error),
    #[error("cannot listen on {address} ({key}): {source}{}", hint(source, *address))]
    Listen { key: &'static str, address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Tls(#[from] http::TlsError),
    #[error("metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("the program cannot wait for signals: {0}")]
    Signals(#[source] std::io::Error),
}

fn hint(source: &std::io::Error, address: SocketAddr) -> &'static str {
    match source.kind() {
        ErrorKind::AddrInUse => {
            "; another program uses it, or another instance of this one, which needs its own `listen` and `[admin] listen`"
        }
        ErrorKind::AddrNotAvailable => "; this machine has no such address",
        ErrorKind::PermissionDenied if address.port() < 1024 => {
            "; ports below 1024 need a right: choose another, or give the program CAP_NET_BIND_SERVICE"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d4_why_an_address_cannot_be_listened_on() {
        for (kind, address, said) in [
            (ErrorKind::AddrInUse, "127.0.0.1:5001", "(admin.listen)"),
            (ErrorKind::AddrInUse, "127.0.0.1:5001", "needs its own `listen` and `[admin] listen`"),
            (ErrorKind::AddrNotAvailable, "10.99.99.99:6701", "no such address"),
            (ErrorKind::PermissionDenied, "127.0.0.1:80", "below 1024"),
        ] {
            let (source, address) = (std::io::Error::from(kind), address.parse().unwrap());
            let text = Error::Listen { key: "admin.listen", address, source }.to_string();
            assert!(
                text.contains(said) && (kind == ErrorKind::AddrInUse || !text.contains("another program")),
                "{text}"
            );
        }
        let other = Error::Listen {
            key: "listen",
            address: "127.0.0.1:5000".parse().unwrap(),
            source: std::io::Error::from(ErrorKind::PermissionDenied),
        };
        assert!(!other.to_string().contains("1024"), "{other}");
    }
}
