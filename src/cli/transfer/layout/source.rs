//! A layout that is read. An archive is gone through once, for the places of its files; nothing is unpacked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::index::{Entry, Index};
use super::piece::Piece;
use super::{MAX_DOCUMENT_BYTES, blob_path};
use crate::cli::transfer::error::Error;
use crate::oci::Digest;

/// Larger than any archive of images has files.
const MAX_FILES: usize = 1_000_000;

pub(in crate::cli::transfer) struct Layout {
    path: PathBuf,
    files: Files,
}

enum Files {
    Folder,
    /// Start and size of each file, by its name without a leading `./`.
    Archive {
        file: Arc<File>,
        places: BTreeMap<String, (u64, u64)>,
    },
}

impl Layout {
    pub(in crate::cli::transfer) fn open(path: &Path) -> Result<Self, Error> {
        let is_folder = std::fs::metadata(path).map_err(Error::file(path, "opened"))?.is_dir();
        let files = if is_folder { Files::Folder } else { archive(path)? };
        let layout = Self { path: path.to_owned(), files };
        if layout.piece("index.json")?.is_none() {
            let detail = match layout.piece("manifest.json")? {
                None => "it is no OCI layout: it has no index.json",
                Some(_) => {
                    "it is an archive of Docker's older kind, without index.json; `skopeo copy docker-archive:FILE \
                     oci-archive:OTHER.tar:NAME` makes an OCI layout of it"
                }
            };
            return Err(Error::layout(path, detail));
        }
        Ok(layout)
    }

    pub(in crate::cli::transfer) fn path(&self) -> &Path {
        &self.path
    }

    pub(in crate::cli::transfer) fn entries(&self) -> Result<Vec<Entry>, Error> {
        let piece = self.piece("index.json")?.ok_or_else(|| Error::layout(&self.path, "it has no index.json"))?;
        let bytes = self.whole(&piece)?;
        Index::parse(&bytes).and_then(|index| index.entries()).map_err(|detail| Error::layout(&self.path, detail))
    }

    pub(in crate::cli::transfer) fn blob(&self, digest: &Digest) -> Result<Option<Piece>, Error> {
        self.piece(&blob_path(digest))
    }

    /// A manifest, verified.
    pub(in crate::cli::transfer) fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let Some(piece) = self.blob(digest)? else { return Ok(None) };
        let bytes = self.whole(&piece)?;
        if digest.verifies(&bytes) {
            Ok(Some(bytes))
        } else {
            Err(Error::layout(&self.path, format!("{digest} is damaged: its bytes are {}", Digest::of(&bytes))))
        }
    }

    fn whole(&self, piece: &Piece) -> Result<Vec<u8>, Error> {
        if piece.size() > MAX_DOCUMENT_BYTES {
            let detail = format!("{} is too large for a manifest: {} bytes", piece.path().display(), piece.size());
            return Err(Error::layout(&self.path, detail));
        }
        piece.read(0, MAX_DOCUMENT_BYTES)
    }

    fn piece(&self, name: &str) -> Result<Option<Piece>, Error> {
        match &self.files {
            Files::Archive { file, places } => Ok(places.get(name).map(|(start, size)| Piece {
                path: self.path.clone(),
                file: file.clone(),
                start: *start,
                size: *size,
            })),
            Files::Folder => {
                let path = self.path.join(name);
                let file = match File::open(&path) {
                    Ok(file) => file,
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(Error::file(&path, "opened")(error)),
                };
                let size = file.metadata().map_err(Error::file(&path, "opened"))?.len();
                Ok(Some(Piece { path, file: Arc::new(file), start: 0, size }))
            }
        }
    }
}

fn archive(path: &Path) -> Result<Files, Error> {
    let file = File::open(path).map_err(Error::file(path, "opened"))?;
    let length = file.metadata().map_err(Error::file(path, "opened"))?.len();
    refuse_compressed(path, &file)?;
    let unreadable = |error: std::io::Error| {
        // What tar says of a header that is not there to its end.
        let is_short = error.kind() == ErrorKind::UnexpectedEof || error.to_string().contains("entire block");
        if is_short { cut_off(path, length) } else { Error::file(path, "read as a tar archive")(error) }
    };
    let mut places = BTreeMap::new();
    let mut archive = tar::Archive::new(File::open(path).map_err(Error::file(path, "opened"))?);
    for entry in archive.entries_with_seek().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let (start, size) = (entry.raw_file_position(), entry.size());
        if start.checked_add(size).is_none_or(|end| end > length) {
            return Err(cut_off(path, length));
        }
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        places.insert(name, (start, size));
        if places.len() > MAX_FILES {
            return Err(Error::layout(path, format!("it has more than {MAX_FILES} files")));
        }
    }
    // The index may stand at the end, and tar ends an archive with zeros.
    if !places.contains_key("index.json") && !ends_with_zeros(&file, length) {
        return Err(cut_off(path, length));
    }
    Ok(Files::Archive { file: Arc::new(file), places })
}

fn cut_off(path: &Path, length: u64) -> Error {
    Error::layout(path, format!("it ends in the middle, after {length} bytes; copy it again"))
}

fn ends_with_zeros(file: &File, length: u64) -> bool {
    let mut last = [1; 512];
    let at = length.checked_sub(512);
    at.is_some_and(|at| file.read_exact_at(&mut last, at).is_ok()) && last == [0; 512]
}

/// Layers are compressed as they are; packing them once more gains nothing, and a packed archive has no places.
fn refuse_compressed(path: &Path, file: &File) -> Result<(), Error> {
    let mut first = [0; 4];
    let program = match file.read_exact_at(&mut first, 0).map(|()| first) {
        Ok([0x1f, 0x8b, ..]) => "gunzip",
        Ok([0x28, 0xb5, 0x2f, 0xfd]) => "unzstd",
        Ok([0xfd, b'7', b'z', b'X']) => "unxz",
        Ok([b'B', b'Z', b'h', _]) => "bunzip2",
        _ => return Ok(()),
    };
    Err(Error::layout(path, format!("it is compressed as a whole; unpack it first, with `{program} -k`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_layout_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |name: &str| Layout::open(&folder.path().join(name)).err().unwrap().to_string();
        let mut old = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        old.append_data(&mut header, "manifest.json", b"[]".as_slice()).unwrap();
        for (name, content, said) in [
            ("old.tar", old.into_inner().unwrap(), "docker-archive"),
            ("packed.tar", vec![0x1f, 0x8b, 8, 0], "gunzip"),
            ("packed.tar.zst", vec![0x28, 0xb5, 0x2f, 0xfd], "unzstd"),
            ("text.tar", vec![b'x'; 2000], "tar archive"),
            ("empty.tar", vec![0; 1024], "no index.json"),
        ] {
            std::fs::write(folder.path().join(name), content).unwrap();
            assert!(refused(name).contains(said), "{name}: {}", refused(name));
        }
        assert!(refused("nothing").contains("cannot be opened"));
        assert!(refused(".").contains("no index.json"));
    }

    #[test]
    fn names_may_begin_with_a_dot() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        let mut builder = tar::Builder::new(File::create(&path).unwrap());
        let blob = blob_path(&Digest::of(b"blob"));
        for (name, content) in [("./index.json".to_owned(), r#"{"manifests":[]}"#), (format!("./{blob}"), "blob")] {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        builder.finish().unwrap();
        let layout = Layout::open(&path).unwrap();
        assert_eq!(layout.blob(&Digest::of(b"blob")).unwrap().unwrap().read(1, 2).unwrap(), b"lo");
        assert_eq!(layout.entries().unwrap(), []);
    }

    /// An archive that was not copied whole says so, wherever it was cut.
    #[test]
    fn an_archive_that_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in
            [(blob_path(&Digest::of(b"blob")), "blob"), ("index.json".to_owned(), r#"{"manifests":[]}"#)]
        {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        let whole = builder.into_inner().unwrap();
        for length in [1, 100, 512, 514, 600, 1024, 1300, 1536, 1540] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let said = Layout::open(&path).err().unwrap().to_string();
            assert!(said.contains(&format!("after {length} bytes; copy it again")), "{length}: {said}");
        }
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(Layout::open(&path).unwrap().entries().unwrap(), []);
    }
}
