//! What really lies on the disk.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::cache::room::on_disk;
use crate::oci::Digest;

/// Bytes that the data folder takes of the file system, with files that are unlinked and still open in this process.
pub(super) fn taken_bytes(data: &Path) -> u64 {
    let named = files(data).into_iter().map(|(_, metadata)| metadata);
    // A file counts once, by whichever names it was met.
    let blocks: HashMap<u64, u64> = named.chain(unlinked(data)).map(|it| (it.ino(), it.blocks() * 512)).collect();
    blocks.values().sum()
}

/// Each file with its length and the bytes that it takes.
pub(super) fn listing(data: &Path) -> String {
    let line = |name: &str, it: &Metadata| format!("\n{name}: {} bytes long, {} taken", it.len(), it.blocks() * 512);
    let named = files(data).into_iter().map(|(path, metadata)| line(&path.to_string_lossy(), &metadata));
    named.chain(unlinked(data).iter().map(|metadata| line("unlinked", metadata))).collect()
}

/// Bytes that an exact ledger says when nothing is under way.
pub(super) fn bytes_at_rest(data: &Path) -> u64 {
    files(data).iter().map(|(_, metadata)| on_disk(metadata.len())).sum()
}

/// Files below `data` that were unlinked and are open in this process.
pub(super) fn unlinked(data: &Path) -> Vec<Metadata> {
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let is_ours = |entry: &fs::DirEntry| {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        target.starts_with(data) && target.to_string_lossy().ends_with(" (deleted)")
    };
    open.flatten().filter(is_ours).filter_map(|entry| fs::metadata(entry.path()).ok()).collect()
}

/// Published files that are not what their names say.
pub(super) fn wrong_blobs(data: &Path) -> Vec<PathBuf> {
    let blobs = files(data).into_iter().map(|(path, _)| path).filter(|path| path.starts_with(data.join("blobs")));
    let is_wrong = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        fs::read(path).is_ok_and(|bytes| Digest::of(&bytes).hex() != name)
    };
    blobs.filter(is_wrong).collect()
}

fn files(data: &Path) -> Vec<(PathBuf, Metadata)> {
    let mut found = Vec::new();
    let mut folders = vec![data.join("blobs"), data.join("staging")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            // What goes away meanwhile is passed over.
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) => found.push((entry.path(), metadata)),
                Err(_) => {}
            }
        }
    }
    found
}
