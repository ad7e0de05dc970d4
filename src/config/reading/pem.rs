//! Whether PEM files hold what they are named for. What is in a certificate is checked where it is used.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::reader::Reader;

/// Reads the file under `name` and reports it unless it holds certificates, all well formed.
pub fn check_certificates(reader: &Reader<'_>, name: &str, path: &std::path::Path) -> Option<()> {
    let bytes = reader.contents(name, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let problem = match certificates {
        Ok(certificates) if certificates.is_empty() => "holds no certificate".to_owned(),
        Ok(_) => return Some(()),
        Err(error) => format!("holds a certificate that cannot be read: {error}"),
    };
    reader.report(name, format!("{} {problem}; a PEM file is needed", path.display()));
    None
}

/// Reads the file under `name` and reports it unless it holds a private key.
pub fn check_key(reader: &Reader<'_>, name: &str, path: &std::path::Path) -> Option<()> {
    let bytes = reader.contents(name, path)?;
    if PrivateKeyDer::from_pem_slice(&bytes).is_ok() {
        return Some(());
    }
    reader.report(name, format!("{} holds no private key; a PEM file without a passphrase is needed", path.display()));
    None
}
