//! What lies in the data folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Proxy;

impl Proxy {
    pub fn data_path(&self) -> PathBuf {
        self.disk.as_ref().map_or_else(|| self.data_folder(), super::SmallDisk::path)
    }

    /// As the process calls it.
    pub(super) fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where the blob lies when it is kept.
    pub fn blob_path(&self, digest: &str) -> PathBuf {
        let (algorithm, hex) = digest.split_once(':').expect("a digest");
        self.data_path().join("blobs").join(algorithm).join(&hex[..2]).join(hex)
    }

    pub fn is_kept(&self, digest: &str) -> bool {
        self.blob_path(digest).exists()
    }

    /// Files of fills that have not ended, with their sizes.
    pub fn staging(&self) -> Vec<(PathBuf, u64)> {
        files(&self.data_path().join("staging"))
    }

    pub fn blobs(&self) -> Vec<(PathBuf, u64)> {
        files(&self.data_path().join("blobs"))
    }

    /// Bytes of blobs and of fills that have not ended. A file that is published between the two readings counts once.
    pub fn kept_bytes(&self) -> u64 {
        let sizes: BTreeMap<_, _> = self.staging().into_iter().chain(self.blobs()).map(by_digest).collect();
        sizes.values().sum()
    }
}

/// In staging the name begins with the algorithm and goes on after the digest.
fn by_digest((path, size): (PathBuf, u64)) -> (String, u64) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (name.split('-').nth(1).unwrap_or(&name).to_owned(), size)
}

/// Every file below `folder`. What goes away while it is read is passed over.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) => found.push((entry.path(), metadata.len())),
                Err(_) => {}
            }
        }
    }
    found
}
