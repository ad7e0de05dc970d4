//! A layout as a tar archive that is written, several blobs at a time.
//!
//! The size of a blob is known before it comes, so its place in the archive is, too: each is written to its own place
//! while others are on their way, and nothing is copied again at the end. The archive gets its name when it is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::blob_writer::{BlobWriter, Home};
use super::index::{Entry, Index};
use super::{OCI_LAYOUT, blob_path};
use crate::cli::transfer::error::Error;
use crate::oci::Digest;

const BLOCK_BYTES: u64 = 512;

pub(in crate::cli::transfer) struct Archive {
    path: PathBuf,
    temporary: PathBuf,
    file: Arc<File>,
    places: Arc<Places>,
    index: Mutex<Index>,
    is_finished: bool,
}

/// Where each blob lies, and which of them are whole.
#[derive(Default)]
pub(super) struct Places(Mutex<State>);

#[derive(Default)]
struct State {
    end: u64,
    starts: BTreeMap<Digest, u64>,
    held: BTreeSet<Digest>,
}

impl Places {
    pub(super) fn hold(&self, digest: Digest) {
        self.state().held.insert(digest);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Archive {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let temporary = path.with_file_name(name);
        let mut options = File::options();
        let opened = options.create(true).write(true).truncate(false).open(&temporary);
        let file = opened.map_err(Error::file(&temporary, "made"))?;
        if file.try_lock().is_err() {
            return Err(Error::layout(path, "another process is writing it"));
        }
        file.set_len(0).map_err(Error::file(&temporary, "written"))?;
        let (places, index) = (Arc::default(), Mutex::new(Index::new()));
        let archive =
            Self { path: path.to_owned(), temporary, file: Arc::new(file), places, index, is_finished: false };
        archive.append("oci-layout", OCI_LAYOUT.as_bytes())?;
        Ok(archive)
    }

    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.places.state().held.contains(digest)
    }

    pub(super) fn begin(&self, digest: Digest, size: u64) -> Result<BlobWriter, Error> {
        let known = self.places.state().starts.get(&digest).copied();
        let start = match known {
            // Another try, at the same place.
            Some(start) => start,
            None => {
                let start = self.allocate(&blob_path(&digest), size)?;
                self.places.state().starts.insert(digest, start);
                start
            }
        };
        let home = Home::Archive { path: self.temporary.clone(), places: self.places.clone() };
        Ok(BlobWriter::new(digest, size, self.file.clone(), start, home))
    }

    pub(super) fn add(&self, entries: &[Entry]) {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().for_each(|entry| index.add(entry));
    }

    /// Writes the index and the end, and gives the archive its name.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner).to_bytes();
        self.append("index.json", &index)?;
        let end = self.places.state().end + 2 * BLOCK_BYTES;
        let synced = self.file.set_len(end).and_then(|()| self.file.sync_all());
        synced.map_err(Error::file(&self.temporary, "written"))?;
        fs::rename(&self.temporary, &self.path).map_err(Error::file(&self.path, "put in its place"))?;
        self.is_finished = true;
        Ok(())
    }

    fn append(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let start = self.allocate(name, bytes.len() as u64)?;
        self.file.write_all_at(bytes, start).map_err(Error::file(&self.temporary, "written"))
    }

    /// Writes the header and says where the content begins. What fills up its last block is never written: it reads as
    /// zeros.
    fn allocate(&self, name: &str, size: u64) -> Result<u64, Error> {
        let header = header(name, size).map_err(Error::file(&self.temporary, "written"))?;
        let mut state = self.places.state();
        let at = state.end;
        let start = at + header.len() as u64;
        state.end = start + size.next_multiple_of(BLOCK_BYTES);
        drop(state);
        self.file.write_all_at(&header, at).map_err(Error::file(&self.temporary, "written"))?;
        Ok(start)
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// The blocks before a file's content. The same images make the same archive, so there are no times and owners.
fn header(name: &str, size: u64) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_entry_type(tar::EntryType::Regular);
    let mut builder = tar::Builder::new(Vec::new());
    // The content is written elsewhere; names that are too long for a header get their own here.
    builder.append_data(&mut header, name, io::empty().take(0))?;
    Ok(builder.get_ref().clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn any_tar_reader_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        let archive = Archive::open(&path).unwrap();
        assert!(Archive::open(&path).err().unwrap().to_string().contains("another process"));
        let contents: Vec<Vec<u8>> = vec![b"one".to_vec(), vec![7; 512], Vec::new(), vec![9; 100_000]];
        let digests: Vec<_> = contents.iter().map(|content| Digest::compute(Algorithm::Sha512, content)).collect();
        let mut writers: Vec<_> = contents
            .iter()
            .zip(&digests)
            .map(|(content, digest)| archive.begin(*digest, content.len() as u64).unwrap())
            .collect();
        // A first try that does not come to its end leaves nothing of it.
        writers.last_mut().unwrap().write(&[1; 5]).unwrap();
        writers.pop();
        writers.push(archive.begin(digests[3], 100_000).unwrap());
        for (mut writer, content) in writers.into_iter().zip(&contents).rev() {
            writer.write(content).unwrap();
            writer.publish().unwrap();
        }
        assert!(archive.has(&digests[0]));
        archive.finish().unwrap();
        let mut read = tar::Archive::new(File::open(&path).unwrap());
        let mut found = BTreeMap::new();
        for entry in read.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            found.insert(name, content);
        }
        assert_eq!(found.len(), contents.len() + 2);
        for (digest, content) in digests.iter().zip(&contents) {
            assert_eq!(found.get(&blob_path(digest)), Some(content));
        }
    }

    #[test]
    fn what_does_not_hold_leaves_no_archive() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::open(&folder.path().join("x.tar")).unwrap();
        let mut writer = archive.begin(Digest::of(b"right"), 5).unwrap();
        writer.write(b"wrong").unwrap();
        assert!(writer.publish().unwrap_err().to_string().contains("nothing of them is kept"));
        assert!(!archive.has(&Digest::of(b"right")));
        drop(archive);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
