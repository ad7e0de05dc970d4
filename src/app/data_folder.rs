//! The data folder of a service that starts: for the user that it runs as, for a group where an operator says so, and large enough for what
//! it is to hold.
//!
//! Below it lie private images, sealed secrets, hashes of passwords and the key file. What others could read when an earlier version or a
//! shell made the folder is closed at the start; what a group may do stays.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::Mode;

use super::error::Error;
use crate::config::Settings;

const OWN: u32 = 0o700;

/// Everybody who is neither the owner nor of the group.
const OTHERS: u32 = 0o007;

/// A folder like `/tmp`.
const STICKY: u32 = 0o1000;

/// Makes the folder, or closes it to others; and from now on closes every file that the process makes to them.
pub(super) fn prepare(settings: &Settings) -> Result<(), Error> {
    let data = &settings.data;
    close(data).map_err(|source| Error::DataFolder { path: data.clone(), source })?;
    warn_of_small_disk(data, settings.cache.disk);
    Ok(())
}

fn close(data: &Path) -> io::Result<()> {
    rustix::process::umask(Mode::from_raw_mode(0o027));
    if let Some(parent) = data.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(OWN).create(data) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    let mode = fs::metadata(data)?.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let folder = data.display();
    if !is_ours(data, mode) {
        tracing::warn!(%folder, mode = %format!("{mode:o}"), "the data folder can be read by every user of this machine: chmod o-rwx it, or choose one of its own");
        return Ok(());
    }
    let closed = mode & !OTHERS;
    match fs::set_permissions(data, Permissions::from_mode(closed)) {
        Ok(()) => {
            tracing::info!(%folder, before = %format!("{mode:o}"), now = %format!("{closed:o}"), "the data folder was open to every user of this machine and is closed to them");
        }
        Err(error) => {
            tracing::warn!(%folder, mode = %format!("{mode:o}"), %error, "the data folder can be read by every user of this machine, and cannot be closed to them: chmod o-rwx it");
        }
    }
    Ok(())
}

/// A folder that holds other things as well is left alone.
fn is_ours(data: &Path, mode: u32) -> bool {
    let has_ours = ["entrepot.db", "keys", "blobs"].iter().any(|name| data.join(name).exists());
    let is_empty = || fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_none());
    mode & STICKY == 0 && (has_ours || is_empty())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn t29_the_data_folder_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("below/data");
        close(&data).unwrap();
        assert_eq!(mode(&data), 0o700);
        for (before, after) in [(0o755, 0o750), (0o777, 0o770), (0o750, 0o750), (0o700, 0o700), (0o2775, 0o2770)] {
            fs::set_permissions(&data, Permissions::from_mode(before)).unwrap();
            close(&data).unwrap();
            assert_eq!(mode(&data), after, "{before:o}");
        }
        // What holds other things, too, is the operator's affair.
        fs::write(data.join("other"), "").unwrap();
        fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
        close(&data).unwrap();
        assert_eq!(mode(&data), 0o755);
        fs::write(data.join("entrepot.db"), "").unwrap();
        assert_eq!(mode(&data.join("entrepot.db")) & OTHERS, 0);
        close(&data).unwrap();
        assert_eq!(mode(&data), 0o750);
        fs::set_permissions(&data, Permissions::from_mode(0o1777)).unwrap();
        close(&data).unwrap();
        assert_eq!(mode(&data), 0o1777);
    }
}
