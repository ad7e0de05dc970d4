//! Keys that name PEM files. The files must hold certificates or a key; what is in a certificate is checked where it is
//! used.

use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use serde::ser::SerializeMap;

use super::key::{Key, Optional};
use super::part::Part;
use super::reader::Reader;
use super::section::Declaration;

/// A path to a PEM file, looked into when the key is read.
pub struct Pem<K: 'static> {
    key: &'static K,
    check: fn(&Reader<'_>, &Declaration, &Path) -> Option<()>,
}

/// A certificate and its key, which need each other.
pub struct CertificateAndKey {
    pub certificate: &'static Optional<PathBuf>,
    pub key: &'static Optional<PathBuf>,
}

impl<K> Pem<K> {
    pub const fn certificates(key: &'static K) -> Self {
        Self { key, check: check_certificates }
    }

    pub const fn private_key(key: &'static K) -> Self {
        Self { key, check: check_key }
    }
}

impl Part<PathBuf> for Pem<Key<PathBuf>> {
    fn read(&self, reader: &Reader<'_>) -> Option<PathBuf> {
        let path = reader.get(self.key)?;
        (self.check)(reader, self.key, &path)?;
        Some(path)
    }

    fn write<M: SerializeMap>(&self, path: &PathBuf, map: &mut M) -> Result<(), M::Error> {
        self.key.write(path, map)
    }
}

impl Part<Option<PathBuf>> for Pem<Optional<PathBuf>> {
    fn read(&self, reader: &Reader<'_>) -> Option<Option<PathBuf>> {
        let path = reader.get(self.key)?;
        if let Some(path) = &path {
            (self.check)(reader, self.key, path)?;
        }
        Some(path)
    }

    fn write<M: SerializeMap>(&self, path: &Option<PathBuf>, map: &mut M) -> Result<(), M::Error> {
        self.key.write(path, map)
    }
}

impl Part<Option<(PathBuf, PathBuf)>> for CertificateAndKey {
    fn read(&self, reader: &Reader<'_>) -> Option<Option<(PathBuf, PathBuf)>> {
        let Self { certificate, key } = self;
        match (reader.get(*certificate)?, reader.get(*key)?) {
            (None, None) => Some(None),
            (Some(certificate_path), Some(key_path)) => {
                let certificate_read = check_certificates(reader, certificate, &certificate_path);
                let key_read = check_key(reader, key, &key_path);
                certificate_read.and(key_read)?;
                Some(Some((certificate_path, key_path)))
            }
            (Some(_), None) => {
                reader.report(certificate, format!("has no `{}` beside it", key.name));
                None
            }
            (None, Some(_)) => {
                reader.report(key, format!("has no `{}` beside it", certificate.name));
                None
            }
        }
    }

    fn write<M: SerializeMap>(&self, files: &Option<(PathBuf, PathBuf)>, map: &mut M) -> Result<(), M::Error> {
        let (certificate, key) = files.clone().unzip();
        self.certificate.write(&certificate, map)?;
        self.key.write(&key, map)
    }
}

/// Reads the file under `key` and reports it unless it holds certificates, all well formed.
fn check_certificates(reader: &Reader<'_>, key: &Declaration, path: &Path) -> Option<()> {
    let bytes = reader.contents(key, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let problem = match certificates {
        Ok(certificates) if certificates.is_empty() => "holds no certificate".to_owned(),
        Ok(_) => return Some(()),
        Err(error) => format!("holds a certificate that cannot be read: {error}"),
    };
    reader.report(key, format!("{} {problem}; a PEM file is needed", path.display()));
    None
}

/// Reads the file under `key` and reports it unless it holds a private key.
fn check_key(reader: &Reader<'_>, key: &Declaration, path: &Path) -> Option<()> {
    let bytes = reader.contents(key, path)?;
    if PrivateKeyDer::from_pem_slice(&bytes).is_ok() {
        return Some(());
    }
    reader.report(key, format!("{} holds no private key; a PEM file without a passphrase is needed", path.display()));
    None
}
