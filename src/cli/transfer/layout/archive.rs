//! A layout as a tar archive that is written, several blobs at a time.
//!
//! The size of a blob is known before it comes, so its place in the archive is, too: each is written to its own place
//! while others are on their way, and nothing is copied again at the end. The archive gets its name when it is whole.
//!
//! Until then it is called `.partial`, and stays when a run fails: the next run reads it, hashes what lies in it, and fetches
//! only what does not hold. Blobs of images that failed, or of an earlier run for other images, are left out at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::blob_writer::{BlobWriter, Home};
use super::index::{Entry, Index};
use super::{MAX_DOCUMENT_BYTES, OCI_LAYOUT, blob_path};
use crate::cli::transfer::error::Error;
use crate::oci::{Digest, Hasher};

const BLOCK_BYTES: u64 = 512;

/// Bytes that are moved or hashed at once.
const CHUNK_BYTES: usize = 1 << 20;

pub(in crate::cli::transfer) struct Archive {
    path: PathBuf,
    temporary: PathBuf,
    file: Arc<File>,
    places: Arc<Places>,
    index: Mutex<Index>,
    replaces: bool,
    is_finished: bool,
}

/// Where each blob lies, which of them are whole, and which belong to images of the index.
#[derive(Default)]
pub(super) struct Places(Mutex<State>);

#[derive(Default)]
struct State {
    end: u64,
    places: BTreeMap<Digest, Place>,
    held: BTreeSet<Digest>,
    wanted: BTreeSet<Digest>,
}

#[derive(Clone, Copy)]
struct Place {
    /// Where its header begins.
    header: u64,
    /// Where its bytes begin.
    start: u64,
    size: u64,
}

impl Place {
    /// Where the next header begins.
    fn end(&self) -> u64 {
        self.start + self.size.next_multiple_of(BLOCK_BYTES)
    }
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
    /// Goes on with what an earlier run left. An archive that is there is replaced at the end, if that `replaces`.
    pub(super) fn open(path: &Path, replaces: bool) -> Result<Self, Error> {
        refuse_to_replace(path, replaces)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let temporary = path.with_file_name(name);
        let mut options = File::options();
        let opened = options.create(true).read(true).write(true).truncate(false).open(&temporary);
        let file = opened.map_err(Error::file(&temporary, "made"))?;
        if file.try_lock().is_err() {
            return Err(Error::layout(path, "another process is writing it"));
        }
        let state = recover(&file).map_err(Error::file(&temporary, "read"))?;
        file.set_len(state.end).map_err(Error::file(&temporary, "written"))?;
        let is_new = state.end == 0;
        let archive = Self {
            path: path.to_owned(),
            temporary,
            file: Arc::new(file),
            places: Arc::new(Places(Mutex::new(state))),
            index: Mutex::new(Index::new()),
            replaces,
            is_finished: false,
        };
        if is_new {
            archive.append("oci-layout", OCI_LAYOUT.as_bytes())?;
        }
        Ok(archive)
    }

    pub(super) fn has(&self, digest: &Digest, size: Option<u64>) -> bool {
        let state = self.places.state();
        let is_of_size = |place: &Place| size.is_none_or(|size| size == place.size);
        state.held.contains(digest) && state.places.get(digest).is_some_and(is_of_size)
    }

    /// Where what has come lies while the archive is not whole, if anything has.
    pub(super) fn left_over(&self) -> Option<PathBuf> {
        (!self.places.state().held.is_empty()).then(|| self.temporary.clone())
    }

    /// A manifest that an earlier run brought.
    pub(super) fn document(&self, digest: &Digest) -> Option<Vec<u8>> {
        let place = *self.places.state().places.get(digest).filter(|place| place.size <= MAX_DOCUMENT_BYTES)?;
        if !self.has(digest, None) {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(place.size).ok()?];
        self.file.read_exact_at(&mut bytes, place.start).ok()?;
        Some(bytes).filter(|bytes| digest.verifies(bytes))
    }

    pub(super) fn begin(&self, digest: Digest, size: u64) -> Result<BlobWriter, Error> {
        let known = self.places.state().places.get(&digest).copied().filter(|place| place.size == size);
        let place = match known {
            // Another try, at the same place.
            Some(place) => place,
            // Of a place of another size nothing is known to hold.
            None => {
                let place = self.allocate(&blob_path(&digest), size)?;
                let mut state = self.places.state();
                state.held.remove(&digest);
                state.places.insert(digest, place);
                place
            }
        };
        let home = Home::Archive { path: self.temporary.clone(), places: self.places.clone() };
        Ok(BlobWriter::new(digest, size, self.file.clone(), place.start, home))
    }

    /// Adds images to the index. `wanted` is all that they are made of.
    pub(super) fn add(&self, entries: &[Entry], wanted: impl IntoIterator<Item = Digest>) {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().for_each(|entry| index.add(entry));
        self.places.state().wanted.extend(wanted);
    }

    /// Writes the index and the end, and gives the archive its name.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        self.compact().map_err(Error::file(&self.temporary, "written"))?;
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner).to_bytes();
        self.append("index.json", &index)?;
        let end = self.places.state().end + 2 * BLOCK_BYTES;
        let synced = self.file.set_len(end).and_then(|()| self.file.sync_all());
        synced.map_err(Error::file(&self.temporary, "written"))?;
        refuse_to_replace(&self.path, self.replaces)?;
        fs::rename(&self.temporary, &self.path).map_err(Error::file(&self.path, "put in its place"))?;
        self.is_finished = true;
        Ok(())
    }

    /// Moves what is wanted together, over what is not: nothing half, and nothing of other images, is in the archive.
    fn compact(&self) -> io::Result<()> {
        let mut state = self.places.state();
        let mut wanted: Vec<Place> =
            state.places.iter().filter(|(digest, _)| state.wanted.contains(digest)).map(|(_, place)| *place).collect();
        wanted.sort_by_key(|place| place.header);
        // So that what fills up the last block can be read.
        self.file.set_len(state.end)?;
        let mut end = header("oci-layout", 0)?.len() as u64 + (OCI_LAYOUT.len() as u64).next_multiple_of(BLOCK_BYTES);
        for place in wanted {
            let count = place.end() - place.header;
            if place.header != end {
                self.shift(place.header, end, count)?;
            }
            end += count;
        }
        self.file.set_len(end)?;
        state.end = end;
        Ok(())
    }

    /// Copies towards the beginning.
    fn shift(&self, from: u64, to: u64, count: u64) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut done = 0;
        while done < count {
            let length = usize::try_from(count - done).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            let chunk = buffer.get_mut(..length).unwrap_or_default();
            self.file.read_exact_at(chunk, from + done)?;
            self.file.write_all_at(chunk, to + done)?;
            done += length as u64;
        }
        Ok(())
    }

    fn append(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let place = self.allocate(name, bytes.len() as u64)?;
        self.file.write_all_at(bytes, place.start).map_err(Error::file(&self.temporary, "written"))
    }

    /// Writes the header and says where the content begins. What fills up its last block is never written: it reads as
    /// zeros.
    fn allocate(&self, name: &str, size: u64) -> Result<Place, Error> {
        let header = header(name, size).map_err(Error::file(&self.temporary, "written"))?;
        let mut state = self.places.state();
        let place = Place { header: state.end, start: state.end + header.len() as u64, size };
        state.end = place.end();
        drop(state);
        self.file.write_all_at(&header, place.header).map_err(Error::file(&self.temporary, "written"))?;
        Ok(place)
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        if !self.is_finished && self.left_over().is_none() {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn refuse_to_replace(path: &Path, replaces: bool) -> Result<(), Error> {
    if replaces || fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(());
    }
    let detail = "it is there already, and an archive is not added to: --replace writes a new one in its place; a folder is \
                  added to";
    Err(Error::layout(path, detail))
}

/// Reads what a run that failed has left: every blob up to the first header that is none, and which of them hold.
fn recover(file: &File) -> io::Result<State> {
    let length = file.metadata()?.len();
    let mut state = State::default();
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek()? {
        let Ok(entry) = entry else { break };
        let (start, size) = (entry.raw_file_position(), entry.size());
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let place = Place { header: state.end, start, size };
        if start.checked_add(size).is_none_or(|end| end > length) {
            break;
        }
        match named(&name) {
            Some(digest) if state.end > 0 => _ = state.places.insert(digest, place),
            None if state.end == 0 && name == "oci-layout" && size == OCI_LAYOUT.len() as u64 => {}
            // The index is written last, and anew.
            _ => break,
        }
        state.end = place.end();
    }
    for (digest, place) in &state.places {
        if holds(file, digest, place)? {
            state.held.insert(*digest);
        }
    }
    Ok(state)
}

/// The digest of the blob that lies under this name.
fn named(name: &str) -> Option<Digest> {
    let digest = name.strip_prefix("blobs/")?.replacen('/', ":", 1).parse().ok()?;
    (blob_path(&digest) == name).then_some(digest)
}

fn holds(file: &File, digest: &Digest, place: &Place) -> io::Result<bool> {
    let mut hasher = Hasher::new(digest.algorithm());
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut done = 0;
    while done < place.size {
        let length = usize::try_from(place.size - done).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        let chunk = buffer.get_mut(..length).unwrap_or_default();
        file.read_exact_at(chunk, place.start + done)?;
        hasher.update(chunk);
        done += length as u64;
    }
    Ok(hasher.finish() == *digest)
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
        let archive = Archive::open(&path, false).unwrap();
        assert!(Archive::open(&path, false).err().unwrap().to_string().contains("another process"));
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
        assert!(archive.has(&digests[0], Some(3)) && !archive.has(&digests[0], Some(4)));
        archive.add(&[], digests.iter().copied());
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
        let archive = Archive::open(&folder.path().join("x.tar"), false).unwrap();
        let mut writer = archive.begin(Digest::of(b"right"), 5).unwrap();
        writer.write(b"wrong").unwrap();
        assert!(writer.publish().unwrap_err().to_string().contains("nothing of them is kept"));
        assert!(!archive.has(&Digest::of(b"right"), None));
        drop(archive);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    fn names(path: &Path) -> Vec<String> {
        let mut read = tar::Archive::new(File::open(path).unwrap());
        read.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
    }

    fn put(archive: &Archive, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let mut writer = archive.begin(digest, bytes.len() as u64).unwrap();
        writer.write(bytes).unwrap();
        writer.publish().unwrap();
        digest
    }

    /// What holds is not fetched again; what is damaged, half, or of images that this run does not want is not in the archive.
    #[test]
    fn a_run_goes_on_with_what_another_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        let first = Archive::open(&path, false).unwrap();
        let other = put(&first, &[3; 5000]);
        let kept = put(&first, &[1; 700]);
        let damaged = put(&first, &[2; 900]);
        let place = first.places.state().places[&damaged];
        first.file.write_all_at(b"x", place.start + 100).unwrap();
        let last = put(&first, b"last");
        let half = Digest::of(&[4; 3000]);
        first.begin(half, 3000).unwrap().write(&[4; 100]).unwrap();
        assert_eq!(first.left_over(), Some(folder.path().join("x.tar.partial")));
        drop(first);

        let second = Archive::open(&path, false).unwrap();
        let has = [kept, other, last, damaged, half].map(|digest| second.has(&digest, None));
        assert_eq!(has, [true, true, true, false, false]);
        assert_eq!(second.document(&last).as_deref(), Some(b"last".as_slice()));
        assert_eq!(put(&second, &[2; 900]), damaged);
        second.add(&[], [kept, damaged, last]);
        second.finish().unwrap();
        let blobs: Vec<String> = [kept, damaged, last].iter().map(blob_path).collect();
        let whole = [&["oci-layout".to_owned()], blobs.as_slice(), &["index.json".to_owned()]].concat();
        assert_eq!(names(&path), whole);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let layout = crate::cli::transfer::layout::Layout::open(&path).unwrap();
        for (digest, bytes) in [(kept, vec![1; 700]), (damaged, vec![2; 900]), (last, b"last".to_vec())] {
            assert_eq!(layout.document(&digest).unwrap(), Some(bytes));
        }
    }

    /// Whatever lies under the name of a left-over, none of it is believed.
    #[test]
    fn a_left_over_that_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        let good = Archive::open(&path, false).unwrap();
        let blob = put(&good, &[5; 2000]);
        drop(good);
        let left = fs::read(folder.path().join("x.tar.partial")).unwrap();
        for at in (0..left.len()).step_by(97).chain([left.len()]) {
            for change in [|_: &mut Vec<u8>, _| (), |bytes: &mut Vec<u8>, at| bytes[at % 3000] ^= 0xff] {
                let mut bytes = left[..at].to_vec();
                bytes.resize(left.len().max(3000), 0);
                change(&mut bytes, at);
                bytes.truncate(at.max(1));
                fs::write(folder.path().join("x.tar.partial"), bytes).unwrap();
                let archive = Archive::open(&path, true).unwrap();
                if !archive.has(&blob, Some(2000)) {
                    put(&archive, &[5; 2000]);
                }
                archive.add(&[], [blob]);
                archive.finish().unwrap();
                assert_eq!(names(&path), ["oci-layout".to_owned(), blob_path(&blob), "index.json".to_owned()], "{at}");
                let layout = crate::cli::transfer::layout::Layout::open(&path).unwrap();
                assert_eq!(layout.document(&blob).unwrap(), Some(vec![5; 2000]), "{at}");
            }
        }
    }

    /// A second image may not give a blob another size, and so the place of its neighbour.
    #[test]
    fn a_blob_of_another_size_gets_another_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        let archive = Archive::open(&path, false).unwrap();
        let lie = Digest::of(&[1; 4000]);
        assert!(archive.begin(lie, 10).unwrap().write(&[1; 4000]).is_err());
        let neighbour = put(&archive, b"neighbour");
        assert_eq!(put(&archive, &[1; 4000]), lie);
        archive.add(&[], [lie, neighbour]);
        archive.finish().unwrap();
        let layout = crate::cli::transfer::layout::Layout::open(&path).unwrap();
        assert_eq!(layout.document(&neighbour).unwrap().as_deref(), Some(b"neighbour".as_slice()));
        assert_eq!(layout.document(&lie).unwrap(), Some(vec![1; 4000]));
    }

    #[test]
    fn nh3_an_archive_that_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        let late = Archive::open(&path, false).unwrap();
        fs::write(&path, "mine").unwrap();
        assert!(Archive::open(&path, false).err().unwrap().to_string().contains("--replace"));
        // Also one that came meanwhile.
        assert!(late.finish().err().unwrap().to_string().contains("--replace"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        Archive::open(&path, true).unwrap().finish().unwrap();
        assert_ne!(fs::read(&path).unwrap(), b"mine");
    }
}
