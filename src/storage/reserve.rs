//! Room on the disk that blobs leave to the database, so that a registry whose disk fills up goes on with all that needs little room.

use std::fs::File;
use std::io;

/// At most this share of a file system, however small it is.
const LARGEST_SHARE: u64 = 20;

/// Looked at whenever a file takes more room. Others write as well, so it is no promise; the largest step is a few dozen megabytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reserve {
    bytes: u64,
}

impl Reserve {
    pub(super) const fn new(bytes: u64) -> Self {
        Self { bytes }
    }

    /// Whether the file may take so many bytes more. The error is that of a full disk.
    pub(super) fn check(self, file: &File, more: u64) -> io::Result<()> {
        if self.bytes == 0 {
            return Ok(());
        }
        let state = rustix::fs::fstatvfs(file)?;
        let (free, all) =
            (state.f_bavail.saturating_mul(state.f_frsize), state.f_blocks.saturating_mul(state.f_frsize));
        if leaves(self.bytes, free, all, more) {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::StorageFull,
            "what is left of the disk is kept for the database (`meta.reserve`)",
        ))
    }
}

fn leaves(reserve: u64, free: u64, all: u64, more: u64) -> bool {
    free.saturating_sub(more) >= reserve.min(all / LARGEST_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f02_the_reserve_is_left_whatever_comes() {
        for (reserve, free, all, more, expected) in [
            (256, 1000, 10_000, 744, true),
            (256, 1000, 10_000, 745, false),
            (256, 255, 10_000, 0, false),
            (256, 100, 10_000, u64::MAX, false),
            // A small file system keeps a twentieth.
            (256, 100, 1000, 50, true),
            (256, 100, 1000, 51, false),
        ] {
            assert_eq!(leaves(reserve, free, all, more), expected, "{reserve} {free} {all} {more}");
        }
    }

    #[test]
    fn f02_the_error_is_that_of_a_full_disk() {
        let file = tempfile::tempfile().unwrap();
        assert!(Reserve::default().check(&file, u64::MAX).is_ok());
        let error = Reserve::new(1).check(&file, u64::MAX).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(Reserve::new(1).check(&file, 0).is_ok());
    }
}
