//! The data folder of a service that starts: made for its owner alone, and large enough for what it is to hold.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::error::Error;
use crate::config::Settings;

/// Makes the folder, which nobody else may read, if it is missing. What is there keeps its permissions: an operator may have
/// given them to a group.
pub(super) fn prepare(settings: &Settings) -> Result<(), Error> {
    let data = &settings.data;
    if !data.exists() {
        make(data).map_err(|source| Error::DataFolder { path: data.clone(), source })?;
    }
    warn_of_small_disk(data, settings.cache.disk);
    Ok(())
}

fn make(data: &Path) -> std::io::Result<()> {
    if let Some(parent) = data.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(data) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn warn_of_small_disk(data: &Path, limit: u64) {
    let Ok(found) = rustix::fs::statvfs(data) else { return };
    let size = found.f_blocks.saturating_mul(found.f_frsize);
    if size < limit {
        tracing::warn!(
            data = %data.display(),
            file_system_bytes = size,
            cache_disk_bytes = limit,
            "cache.disk is more than the whole file system holds: it will be full before the limit is reached"
        );
    }
}
