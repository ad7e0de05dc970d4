//! One blob on its way into a layout. It blocks: use it where that is allowed.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::archive::Places;
use crate::cli::transfer::error::Error;
use crate::oci::{Digest, Hasher};

/// Dropped before it is published, it leaves nothing under the digest.
pub(in crate::cli::transfer) struct BlobWriter {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) file: Arc<File>,
    /// Where the blob begins in the file.
    pub(super) start: u64,
    pub(super) home: Home,
    written: u64,
    hasher: Hasher,
}

pub(super) enum Home {
    /// A file of its own, which gets the blob's name when it is whole.
    Folder { temporary: PathBuf, place: PathBuf },
    /// A part of the archive.
    Archive { path: PathBuf, places: Arc<Places> },
}

impl BlobWriter {
    pub(super) fn new(digest: Digest, size: u64, file: Arc<File>, start: u64, home: Home) -> Self {
        Self { digest, size, file, start, home, written: 0, hasher: Hasher::new(digest.algorithm()) }
    }

    pub(in crate::cli::transfer) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let after = self.written + bytes.len() as u64;
        if after > self.size {
            return Err(Error::wrong(self.digest, format!("more than its {} bytes came", self.size)));
        }
        self.hasher.update(bytes);
        let written = self.file.write_all_at(bytes, self.start + self.written);
        written.map_err(Error::file(self.path(), "written"))?;
        self.written = after;
        Ok(())
    }

    /// Makes the blob part of the layout, if its size and digest hold.
    pub(in crate::cli::transfer) fn publish(mut self) -> Result<(), Error> {
        if self.written < self.size {
            let object = format!("blob {}", self.digest);
            return Err(Error::broken(&object, format!("it ended after {} of {} bytes", self.written, self.size)));
        }
        let hasher = std::mem::replace(&mut self.hasher, Hasher::new(self.digest.algorithm()));
        let found = hasher.finish();
        if found != self.digest {
            return Err(Error::wrong(self.digest, format!("the bytes that came are {found}; nothing of them is kept")));
        }
        match &self.home {
            Home::Folder { temporary, place } => {
                self.file.sync_data().map_err(Error::file(temporary, "synced"))?;
                fs::rename(temporary, place).map_err(Error::file(place, "put in its place"))
            }
            Home::Archive { places, .. } => {
                places.hold(self.digest);
                Ok(())
            }
        }
    }

    fn path(&self) -> &PathBuf {
        match &self.home {
            Home::Folder { temporary, .. } => temporary,
            Home::Archive { path, .. } => path,
        }
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if let Home::Folder { temporary, .. } = &self.home {
            // After a rename there is nothing under this name.
            let _ = fs::remove_file(temporary);
        }
    }
}
