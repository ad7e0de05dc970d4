//! A file that is being filled.

use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FallocateFlags;

use super::error::Error;
use super::published::Published;
use crate::oci::Digest;

/// Slices that the kernel takes at once (`IOV_MAX`).
const MAX_SLICES: usize = 1024;

/// An unpublished file. Dropped, it is removed, unless [`Staged::keep`] or [`Staged::publish`] was called: what was given
/// up leaves nothing behind.
///
/// Readers may hold the same file; it is never truncated below what they were told is there.
pub struct Staged {
    file: Arc<File>,
    path: PathBuf,
    blobs: Arc<Published>,
    len: u64,
    /// Bytes that are allocated, at least. What lies beyond the length is given back when the file stays.
    allocated: u64,
    remove_on_drop: bool,
}

impl Staged {
    /// Makes a new, empty file. A file that is there already belongs to another writer, so it is an error.
    pub(super) fn create(path: PathBuf, blobs: Arc<Published>) -> Result<Self, Error> {
        let file =
            File::options().read(true).write(true).create_new(true).open(&path).map_err(Error::io("create", &path))?;
        Ok(Self { file: Arc::new(file), path, blobs, len: 0, allocated: 0, remove_on_drop: true })
    }

    /// Opens a file with whatever it already holds, or makes it. The caller is its only writer.
    pub(super) fn open(path: PathBuf, blobs: Arc<Published>) -> Result<Self, Error> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io("create", &path))?;
        let len = file.metadata().map_err(Error::io("read", &path))?.len();
        Ok(Self { file: Arc::new(file), path, blobs, len, allocated: len, remove_on_drop: true })
    }

    /// Dropped, the file stays: it is resumed by its name, or removed by it.
    #[must_use]
    pub fn outlasting(mut self) -> Self {
        self.remove_on_drop = false;
        self
    }

    /// The opposite of [`Staged::outlasting`].
    #[must_use]
    pub fn removed_on_drop(mut self) -> Self {
        self.remove_on_drop = true;
        self
    }

    /// Bytes that are there.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Allocates space for `size` bytes in all without changing the length, so that a full disk is met before the first
    /// byte and the length still says how much has arrived. File systems that cannot allocate are let be.
    pub fn reserve(&mut self, size: u64) -> Result<(), Error> {
        let Some(missing) = size.checked_sub(self.len).filter(|missing| *missing > 0) else { return Ok(()) };
        self.leave_reserve(size)?;
        // Some of it may be there even when all of it is not.
        self.allocated = self.allocated.max(size);
        match rustix::fs::fallocate(&*self.file, FallocateFlags::KEEP_SIZE, self.len, missing) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            Err(error) => Err(Error::io("reserve space for", &self.path)(error.into())),
        }
    }

    /// Checks that the file may have this size.
    fn leave_reserve(&self, size: u64) -> Result<(), Error> {
        match size.checked_sub(self.allocated).filter(|more| *more > 0) {
            Some(more) => self.blobs.reserve.check(&self.file, more).map_err(Error::io("write", &self.path)),
            None => Ok(()),
        }
    }

    /// Appends.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.write_slices(vec![IoSlice::new(bytes)])
    }

    /// Appends all of these, in as few system calls as the kernel allows. After an error the length says how much was written.
    pub fn write_slices(&mut self, mut slices: Vec<IoSlice<'_>>) -> Result<(), Error> {
        let bytes: usize = slices.iter().map(|slice| slice.len()).sum();
        self.leave_reserve(self.len.saturating_add(bytes as u64))?;
        let mut rest = slices.as_mut_slice();
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let some = rest.get(..rest.len().min(MAX_SLICES)).unwrap_or_default();
            let written = match rustix::io::pwritev(&*self.file, some, self.len) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => Ok(count),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => Err(error.into()),
            };
            let written = written.map_err(Error::io("write", &self.path))?;
            self.len += written as u64;
            self.allocated = self.allocated.max(self.len);
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }

    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Error> {
        self.file.read_at(buffer, offset).map_err(Error::io("read", &self.path))
    }

    /// Gives up the bytes: the next write begins a new file, so that whoever still reads the old one is not disturbed.
    pub fn restart(&mut self) -> Result<(), Error> {
        fs::remove_file(&self.path).map_err(Error::io("remove", &self.path))?;
        let fresh = Self::create(self.path.clone(), self.blobs.clone())?;
        self.remove_on_drop = false;
        *self = fresh;
        Ok(())
    }

    /// Gives back the space that was allocated beyond the end: the length stays as it is.
    pub fn trim(&mut self) -> Result<(), Error> {
        if self.allocated > self.len {
            self.file.set_len(self.len).map_err(Error::io("trim", &self.path))?;
            self.allocated = self.len;
        }
        Ok(())
    }

    /// Makes the bytes so far durable.
    pub fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(Error::io("sync", &self.path))
    }

    /// Leaves the file in the staging folder, to be resumed, and returns its name there.
    pub fn keep(mut self) -> Result<String, Error> {
        self.trim()?;
        self.remove_on_drop = false;
        Ok(self.path.file_name().unwrap_or_default().to_string_lossy().into_owned())
    }

    /// Will be published in another folder of the same file system.
    #[must_use]
    pub fn bound_for(mut self, blobs: &Arc<Published>) -> Self {
        self.blobs = blobs.clone();
        self
    }

    /// Makes the file durable and visible under its digest. The caller has verified it.
    pub fn publish(self, digest: &Digest) -> Result<(), Error> {
        self.sync()?;
        sync_folder(&self.place(digest)?)
    }

    /// Makes the file visible under its digest, in the place of one that is there, and returns the folder, which is durable
    /// once [`sync_folder`] has been called on it. The caller has verified and synced the file.
    pub fn place(mut self, digest: &Digest) -> Result<PathBuf, Error> {
        self.trim()?;
        let shard = self.blobs.shard(digest)?;
        let published = self.blobs.path(digest);
        fs::rename(&self.path, &published).map_err(Error::io("publish", &published))?;
        self.remove_on_drop = false;
        Ok(shard)
    }
}

pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    let file = File::open(folder).map_err(Error::io("open", folder))?;
    file.sync_all().map_err(Error::io("sync", folder))
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.remove_on_drop
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = ?self.path, %error, "cannot remove a staging file; the next start will");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{OriginId, Storage};
    use crate::oci::Digest;

    #[test]
    fn a_blob_appears_only_by_publishing() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path()).unwrap();
        let (digest, origin) = (Digest::of(b"hello"), OriginId::of("an origin"));
        let mut staged = storage.stage(&digest, origin).unwrap();
        staged.reserve(5).unwrap();
        staged.write(b"hel").unwrap();
        assert!(storage.open_blob(&digest).unwrap().is_none());
        staged.write(b"lo").unwrap();
        staged.publish(&digest).unwrap();
        assert_eq!(storage.open_blob(&digest).unwrap().unwrap().1, 5);
        assert_eq!(storage.scan().unwrap().len(), 1);
        assert!(storage.scan_left_overs().unwrap().is_empty());
        storage.remove_blob(&digest).unwrap();
        storage.remove_blob(&digest).unwrap();
        assert!(storage.open_blob(&digest).unwrap().is_none());
    }

    #[test]
    fn given_up_leaves_nothing_and_kept_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path()).unwrap();
        let (digest, origin) = (Digest::of(b"x"), OriginId::of("an origin"));
        let mut staged = storage.stage(&digest, origin).unwrap();
        staged.reserve(1 << 20).unwrap();
        staged.write(b"abc").unwrap();
        drop(staged);
        assert!(storage.scan_left_overs().unwrap().is_empty());

        let mut staged = storage.stage(&digest, origin).unwrap();
        staged.reserve(1 << 20).unwrap();
        staged.write(b"abc").unwrap();
        let file = staged.file().clone();
        let name = staged.keep().unwrap();
        let left = storage.scan_left_overs().unwrap();
        assert_eq!((left[0].digest, left[0].origin, &left[0].name, left[0].size), (digest, origin, &name, 3));
        assert!(
            std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) * 512 <= 4096,
            "no room stays allocated"
        );
        let mut again = storage.resume(&name).unwrap();
        assert_eq!(again.len(), 3);
        let old = again.file().clone();
        again.restart().unwrap();
        assert_eq!((again.len(), old.metadata().unwrap().len()), (0, 3));
    }

    /// What a fill of unknown length had allocated ahead used to stay with the published file, and nobody counted it.
    #[test]
    fn a_published_file_has_no_room_beyond_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path()).unwrap();
        let digest = Digest::of(b"hello");
        let mut staged = storage.stage(&digest, OriginId::of("an origin")).unwrap();
        staged.reserve(32 << 20).unwrap();
        staged.write(b"hello").unwrap();
        staged.publish(&digest).unwrap();
        let (file, size) = storage.open_blob(&digest).unwrap().unwrap();
        let allocated = std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) * 512;
        assert!(size == 5 && allocated <= 4096, "{allocated} bytes are allocated");
    }

    /// Two writers of one digest used to share a file, and one wrote into what the other had published.
    #[test]
    fn t03_each_writer_has_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path()).unwrap();
        let (digest, origin) = (Digest::of(b"hello"), OriginId::of("an origin"));
        let mut wrong = storage.stage(&digest, origin).unwrap();
        let mut right = storage.stage(&digest, origin).unwrap();
        right.write(b"hello").unwrap();
        right.publish(&digest).unwrap();
        wrong.write(b"wrong bytes").unwrap();
        wrong.keep().unwrap();
        let (file, size) = storage.open_blob(&digest).unwrap().unwrap();
        assert_eq!((size, std::io::read_to_string(file).unwrap().as_str()), (5, "hello"));
    }

    #[test]
    fn a_second_process_is_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Storage::open(folder.path()).unwrap();
        assert!(matches!(Storage::open(folder.path()), Err(super::Error::InUse { .. })));
    }
}
