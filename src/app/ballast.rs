//! A file that takes room on the disk until SQLite needs it to start.
//!
//! `meta.reserve` keeps blobs from filling the disk; others may fill it all the same. A database that is opened needs some room, even
//! where nothing is written: without it the registry would not start, and nothing could be pulled. So a few megabytes are put by while
//! there is room, and given up at a start that finds none.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::FallocateFlags;

const NAME: &str = "ballast";

/// On large disks; on others a share of them.
const BYTES: u64 = 8 << 20;
const SHARE: u64 = 40;

/// Of the file system.
struct Room {
    free: u64,
    all: u64,
    ballast: u64,
}

/// Gives the room up where there is no other. Called before the database is opened.
pub(super) fn give_up(data: &Path) {
    let Ok(room) = room(data) else { return };
    if room.free < room.ballast && fs::remove_file(data.join(NAME)).is_ok() {
        tracing::warn!(data = %data.display(), free_bytes = room.free, "the disk is full: the ballast is given up so that the database has room");
    }
}

/// Puts the room by, if it is not, and where as much as `reserve` is left beside it.
pub(super) fn put_by(data: &Path, reserve: u64) {
    let path = data.join(NAME);
    let Ok(room) = room(data) else { return };
    // As blobs leave it: a twentieth of a small file system.
    let reserve = reserve.min(room.all / 20);
    if room.ballast == 0 || path.exists() || room.free < reserve + 2 * room.ballast {
        return;
    }
    if let Err(error) = allocate(&path, room.ballast) {
        tracing::debug!(%error, "no ballast can be put by");
        let _ = fs::remove_file(&path);
    }
}

fn allocate(path: &Path, bytes: u64) -> io::Result<()> {
    let file = File::create(path)?;
    Ok(rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes)?)
}

fn room(data: &Path) -> io::Result<Room> {
    let state = rustix::fs::statvfs(data)?;
    let bytes = |blocks: u64| blocks.saturating_mul(state.f_frsize);
    let all = bytes(state.f_blocks);
    Ok(Room { free: bytes(state.f_bavail), all, ballast: BYTES.min(all / SHARE) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn f02_ballast_takes_room_and_stays_while_there_is_some() {
        let folder = tempfile::tempdir().unwrap();
        put_by(folder.path(), 0);
        let taken = fs::metadata(folder.path().join(NAME)).unwrap();
        assert!(taken.blocks() * 512 >= taken.len() && taken.len() > 0, "{} of {}", taken.blocks() * 512, taken.len());
        give_up(folder.path());
        assert!(folder.path().join(NAME).exists());
    }
}
