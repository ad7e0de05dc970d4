//! A blob of a layout that is read: a file, or a part of an archive.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::transfer::error::Error;

#[derive(Clone, Debug)]
pub(in crate::cli::transfer) struct Piece {
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
    pub(super) start: u64,
    pub(super) size: u64,
}

impl Piece {
    /// In bytes.
    pub(in crate::cli::transfer) fn size(&self) -> u64 {
        self.size
    }

    pub(in crate::cli::transfer) fn path(&self) -> &Path {
        &self.path
    }

    /// Up to `limit` bytes from `offset` on; none at the end.
    pub(in crate::cli::transfer) fn read(&self, offset: u64, limit: u64) -> Result<Vec<u8>, Error> {
        let count = self.size.saturating_sub(offset).min(limit);
        let read = usize::try_from(count).map_err(io::Error::other).and_then(|count| {
            let mut bytes = vec![0; count];
            self.file.read_exact_at(&mut bytes, self.start + offset)?;
            Ok(bytes)
        });
        read.map_err(Error::file(&self.path, "read"))
    }
}
