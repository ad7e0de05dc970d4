//! A layout folder that is made or added to.
//!
//! What is not whole lies in `.partial` under a name of its own, held by a lock: what a killed process left there is not
//! locked, and is removed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blob_writer::{BlobWriter, Home};
use super::index::{Entry, Index};
use super::{MAX_DOCUMENT_BYTES, OCI_LAYOUT, blob_path};
use crate::cli::transfer::error::Error;
use crate::oci::Digest;

pub(in crate::cli::transfer) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let folder = Self { path: path.to_owned() };
        let is_layout = path.join("oci-layout").exists();
        let foreign = match fs::read_dir(path) {
            Ok(entries) => entries.flatten().any(|entry| !is_ours(&entry.file_name())),
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(Error::file(path, "opened")(error)),
        };
        if foreign && !is_layout {
            return Err(Error::layout(path, "the folder holds other things than an OCI layout; choose another"));
        }
        for needed in [folder.partial(), path.join("blobs/sha256")] {
            fs::create_dir_all(&needed).map_err(Error::file(&needed, "made"))?;
        }
        folder.sweep();
        if !is_layout {
            folder.replace("oci-layout", OCI_LAYOUT.as_bytes())?;
        }
        if !path.join("index.json").exists() {
            folder.replace("index.json", &Index::new().to_bytes())?;
        }
        Ok(folder)
    }

    /// Only whole blobs have their name, so the size is enough to look at.
    pub(super) fn has(&self, digest: &Digest, size: Option<u64>) -> bool {
        fs::metadata(self.place(digest))
            .is_ok_and(|found| found.is_file() && size.is_none_or(|size| size == found.len()))
    }

    /// A manifest that is there, if its bytes still are what they should be.
    pub(super) fn document(&self, digest: &Digest) -> Option<Vec<u8>> {
        let place = self.place(digest);
        let is_small = fs::metadata(&place).is_ok_and(|found| found.len() <= MAX_DOCUMENT_BYTES);
        if is_small { fs::read(place).ok().filter(|bytes| digest.verifies(bytes)) } else { None }
    }

    pub(super) fn begin(&self, digest: Digest, size: u64) -> Result<BlobWriter, Error> {
        let place = self.place(&digest);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(Error::file(parent, "made"))?;
        }
        let (temporary, file) = self.temporary()?;
        Ok(BlobWriter::new(digest, size, Arc::new(file), 0, Home::Folder { temporary, place }))
    }

    /// Adds images to `index.json`, keeping what is there.
    pub(super) fn add(&self, entries: &[Entry]) -> Result<(), Error> {
        let path = self.path.join("index.json");
        let bytes = fs::read(&path).map_err(Error::file(&path, "read"))?;
        let mut index = Index::parse(&bytes).map_err(|detail| Error::layout(&self.path, detail))?;
        entries.iter().for_each(|entry| index.add(entry));
        self.replace("index.json", &index.to_bytes())
    }

    /// What is not whole any more is gone; others may still have theirs.
    pub(super) fn finish(&self) {
        let _ = fs::remove_dir(self.partial());
    }

    fn place(&self, digest: &Digest) -> PathBuf {
        self.path.join(blob_path(digest))
    }

    fn partial(&self) -> PathBuf {
        self.path.join(".partial")
    }

    fn temporary(&self) -> Result<(PathBuf, File), Error> {
        let partial = self.partial();
        fs::create_dir_all(&partial).map_err(Error::file(&partial, "made"))?;
        let path = partial.join(format!("{:016x}", fastrand::u64(..)));
        let file = File::create_new(&path).map_err(Error::file(&path, "made"))?;
        file.try_lock().map_err(|error| Error::file(&path, "locked")(error.into()))?;
        Ok((path, file))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let (temporary, file) = self.temporary()?;
        let path = self.path.join(name);
        let written = fs::write(&temporary, bytes).and_then(|()| file.sync_data());
        written.and_then(|()| fs::rename(&temporary, &path)).map_err(Error::file(&path, "written"))
    }

    /// Removes what killed processes left. What cannot be removed only takes room.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(self.partial()) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            if File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// What a run that was killed at its beginning leaves.
fn is_ours(name: &OsStr) -> bool {
    name == ".partial" || name == "blobs"
}
