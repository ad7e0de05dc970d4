//! Whom we trust, and the certificate that we show.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use crate::config::UpstreamSettings;

/// Reading the operating system's certificates takes milliseconds and their store a few hundred kilobytes, so upstreams
/// that are made together share one; a reload reads them anew.
const SHARED_FOR: Duration = Duration::from_secs(10);

static SHARED: Mutex<Option<(Instant, Arc<RootCertStore>)>> = Mutex::new(None);

/// HTTP versions are left to the caller (ALPN). The error says which file is wrong and how.
pub(super) fn client_config(settings: &UpstreamSettings) -> Result<ClientConfig, String> {
    let builder = trusting(settings.ca.as_deref())?;
    match &settings.client_certificate {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let chain = read_certificates("client_certificate", certificate)?;
            let secret = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| format!("`client_key` {} cannot be read: {error}", key.display()))?;
            builder
                .with_client_auth_cert(chain, secret)
                .map_err(|error| format!("`client_certificate` {}: {error}", certificate.display()))
        }
    }
}

/// A client that shows no certificate and trusts the usual authorities and, where it is given, those of a PEM file.
pub fn tls_trusting(ca: Option<&Path>) -> Result<ClientConfig, String> {
    Ok(trusting(ca)?.with_no_client_auth())
}

fn trusting(ca: Option<&Path>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, String> {
    let roots = match ca {
        None => usual_roots(),
        Some(path) => {
            let mut roots = RootCertStore::clone(&usual_roots());
            for certificate in read_certificates("ca", path)? {
                roots.add(certificate).map_err(|error| format!("`ca` {}: {error}", path.display()))?;
            }
            Arc::new(roots)
        }
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots))
}

fn read_certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable =
        |error: &dyn std::fmt::Display| format!("`{key}` {} cannot be read as PEM: {error}", path.display());
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?.collect();
    let certificates = certificates.map_err(|error| unreadable(&error))?;
    if certificates.is_empty() {
        return Err(format!("`{key}` {} holds no certificate", path.display()));
    }
    Ok(certificates)
}

/// The operating system's authorities, or Mozilla's where it has none, as in an image from scratch.
fn usual_roots() -> Arc<RootCertStore> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((read_at, roots)) = &*shared
        && read_at.elapsed() < SHARED_FOR
    {
        return roots.clone();
    }
    let native = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(native.certs);
    if added == 0 {
        for error in &native.errors {
            tracing::debug!(%error, "the operating system's certificates cannot be read");
        }
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    }
    let roots = Arc::new(roots);
    *shared = Some((Instant::now(), roots.clone()));
    roots
}
