//! Where images are exported to: a folder, or an archive where the path ends in `.tar`.

use std::path::{Path, PathBuf};

use super::archive::Archive;
use super::blob_writer::BlobWriter;
use super::folder::Folder;
use super::index::Entry;
use crate::cli::transfer::error::Error;
use crate::oci::Digest;

pub(in crate::cli::transfer) enum Target {
    Folder(Folder),
    Archive(Archive),
}

impl Target {
    /// A folder that is there is added to; an archive that is there is replaced when the new one is whole, if that is wanted.
    pub(in crate::cli::transfer) fn open(path: &Path, replaces: bool) -> Result<Self, Error> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension {
            _ if path.is_dir() => {}
            "tar" => return Archive::open(path, replaces).map(Self::Archive),
            "gz" | "tgz" | "zst" | "xz" | "bz2" => {
                let detail = "archives are not compressed, as their layers are: name it .tar";
                return Err(Error::Usage(format!("{}: {detail}", path.display())));
            }
            _ => {}
        }
        if replaces {
            let detail = "--replace is for archives, and this is a folder, which is added to";
            return Err(Error::Usage(format!("{}: {detail}", path.display())));
        }
        Folder::open(path).map(Self::Folder)
    }

    /// Where what has come by now stays for the next run, if the layout is never finished.
    pub(in crate::cli::transfer) fn left_over(&self) -> Option<PathBuf> {
        match self {
            Self::Folder(_) => None,
            Self::Archive(archive) => archive.left_over(),
        }
    }

    /// Whether the blob is there, whole and of this size.
    pub(in crate::cli::transfer) fn has(&self, digest: &Digest, size: Option<u64>) -> bool {
        match self {
            Self::Folder(folder) => folder.has(digest, size),
            Self::Archive(archive) => archive.has(digest, size),
        }
    }

    /// Whether an earlier run may have brought manifests.
    pub(in crate::cli::transfer) fn may_have_documents(&self) -> bool {
        matches!(self, Self::Folder(_)) || self.left_over().is_some()
    }

    /// The bytes of a manifest that an earlier run brought.
    pub(in crate::cli::transfer) fn document(&self, digest: &Digest) -> Option<Vec<u8>> {
        match self {
            Self::Folder(folder) => folder.document(digest),
            Self::Archive(archive) => archive.document(digest),
        }
    }

    /// Room for a blob of `size` bytes.
    pub(in crate::cli::transfer) fn begin(&self, digest: Digest, size: u64) -> Result<BlobWriter, Error> {
        match self {
            Self::Folder(folder) => folder.begin(digest, size),
            Self::Archive(archive) => archive.begin(digest, size),
        }
    }

    /// Writes a manifest, unless it is there.
    pub(in crate::cli::transfer) fn put(&self, digest: Digest, bytes: &[u8]) -> Result<(), Error> {
        let size = bytes.len() as u64;
        if self.has(&digest, Some(size)) {
            return Ok(());
        }
        let mut writer = self.begin(digest, size)?;
        writer.write(bytes)?;
        writer.publish()
    }

    /// Adds images to the index. `wanted` is all that they are made of, and must be there.
    pub(in crate::cli::transfer) fn add(
        &self,
        entries: &[Entry],
        wanted: impl IntoIterator<Item = Digest>,
    ) -> Result<(), Error> {
        match self {
            Self::Folder(folder) => folder.add(entries),
            Self::Archive(archive) => {
                archive.add(entries, wanted);
                Ok(())
            }
        }
    }

    pub(in crate::cli::transfer) fn finish(self) -> Result<(), Error> {
        match self {
            Self::Folder(folder) => {
                folder.finish();
                Ok(())
            }
            Self::Archive(archive) => archive.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cli::transfer::layout::Layout;
    use crate::oci::MediaType;

    fn entry(bytes: &[u8]) -> Entry {
        Entry {
            media_type: MediaType::oci_manifest(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            full_name: Some("localhost:5000/a:1".to_owned()),
            ref_name: Some("a:1".to_owned()),
        }
    }

    #[test]
    fn both_kinds_hold_the_same() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["layout", "layout.tar"] {
            let path = folder.path().join(name);
            let target = Target::open(&path, false).unwrap();
            target.put(Digest::of(b"blob"), b"blob").unwrap();
            target.put(Digest::of(b"blob"), b"blob").unwrap();
            target.add(&[entry(b"blob")], [Digest::of(b"blob")]).unwrap();
            target.finish().unwrap();
            let layout = Layout::open(&path).unwrap();
            assert_eq!(layout.entries().unwrap(), [entry(b"blob")]);
            assert_eq!(layout.document(&Digest::of(b"blob")).unwrap().as_deref(), Some(b"blob".as_slice()), "{name}");
            assert!(layout.document(&Digest::of(b"other")).unwrap().is_none());
        }
    }

    #[test]
    fn nothing_half_is_under_a_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layout");
        let target = Target::open(&path, false).unwrap();
        for (bytes, said) in
            [(b"some".as_slice(), "ended after 4 of 5"), (b"wrong", "are sha256:"), (b"too long", "more than")]
        {
            let mut writer = target.begin(Digest::of(b"right"), 5).unwrap();
            let error = writer.write(bytes).and_then(|()| writer.publish()).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(!target.has(&Digest::of(b"right"), None));
        assert_eq!(fs::read_dir(path.join(".partial")).unwrap().count(), 0);
        // What a killed process left goes away; what a living one has stays.
        fs::write(path.join(".partial/left"), "half").unwrap();
        let living = target.begin(Digest::of(b"right"), 5).unwrap();
        Target::open(&path, false).unwrap().finish().unwrap();
        assert_eq!(fs::read_dir(path.join(".partial")).unwrap().count(), 1);
        drop(living);
    }

    #[test]
    fn what_is_no_place_for_an_archive() {
        let folder = tempfile::tempdir().unwrap();
        let said = |name: &str, replaces| {
            let error = Target::open(&folder.path().join(name), replaces).err().unwrap();
            assert!(matches!(error, Error::Usage(_)), "{error}");
            error.to_string()
        };
        assert!(said("x.tar.gz", false).contains("name it .tar") && said("x.tgz", true).contains("name it .tar"));
        assert!(said("folder", true).contains("added to"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_of_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("letter.txt"), "dear").unwrap();
        assert!(Target::open(folder.path(), false).err().unwrap().to_string().contains("other things"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
