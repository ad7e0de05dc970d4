//! TLS towards clients.

use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use tokio_rustls::TlsAcceptor;

use crate::auth::CertificateNames;
use crate::config::{ClientCertificate, ListenerTls};

/// Bytes that rustls encrypts ahead of the socket: a whole buffer of a body in one system call.
pub(super) const BUFFER_LIMIT_BYTES: usize = 256 << 10;

/// A listener's certificate, which can be changed while it serves. Cheap to clone.
#[derive(Clone)]
pub struct TlsListener {
    files: ListenerTls,
    config: Arc<ArcSwap<ServerConfig>>,
}

#[derive(Debug, thiserror::Error)]
#[error("the TLS file {path:?} cannot be used: {detail}")]
pub struct TlsError {
    pub path: PathBuf,
    pub detail: String,
}

impl TlsListener {
    pub fn load(files: &ListenerTls) -> Result<Self, TlsError> {
        let config = read(files)?;
        Ok(Self { files: files.clone(), config: Arc::new(ArcSwap::from_pointee(config)) })
    }

    /// Reads the files again. Connections that exist keep what they have.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.config.store(Arc::new(read(&self.files)?));
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }
}

/// The names in the certificate that the client has shown and the handshake has verified.
pub(super) fn certificate_names(session: &ServerConnection, peer: SocketAddr) -> Option<Arc<CertificateNames>> {
    let certificate = session.peer_certificates()?.first()?;
    match CertificateNames::parse(certificate) {
        Ok(names) => Some(Arc::new(names)),
        Err(error) => {
            tracing::debug!(client = %peer, %error, "a client's certificate names nobody");
            None
        }
    }
}

fn read(files: &ListenerTls) -> Result<ServerConfig, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unusable(&files.key, error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&files.certificate, error))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| unusable(path, error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match files.client_certificate {
                ClientCertificate::Required => verifier,
                ClientCertificate::Optional => verifier.allow_unauthenticated(),
            };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| unusable(path, error))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| unusable(&files.key, error))?;
    if files.client_ca.is_some() {
        // A resumed connection would go on with a certificate that nobody looks at again, ended or not.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    // In our order: a client that takes either is served over HTTP/1.1, where each download has a connection and so a core
    // of its own; one HTTP/2 connection is one core for everything that it carries.
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = File::open(path).map_err(|error| unusable(path, error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_reader_iter(BufReader::new(file)).collect();
    let found = found.map_err(|error| unusable(path, error))?;
    if found.is_empty() { Err(unusable(path, "it holds no certificate")) } else { Ok(found) }
}

fn unusable(path: &Path, detail: impl ToString) -> TlsError {
    TlsError { path: path.to_owned(), detail: detail.to_string() }
}
