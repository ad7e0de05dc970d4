//! The local file system.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::FlockOperation;

use super::error::Error;
use super::origin_id::OriginId;
use super::published::Published;
use super::reserve::Reserve;
use super::staged::{Staged, sync_folder};
use crate::oci::{Algorithm, Digest};

pub struct Storage {
    blobs: Arc<Published>,
    staging: PathBuf,
    /// Held for the life of the process.
    _lock: File,
}

/// A published blob, as the scan at start finds it.
#[derive(Clone, Debug)]
pub struct StoredBlob {
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    pub modified: SystemTime,
}

/// What an earlier process left in the staging folder.
#[derive(Clone, Debug)]
pub struct LeftOver {
    pub digest: Digest,
    /// Who sent them.
    pub origin: OriginId,
    /// Of the file in the staging folder.
    pub name: String,
    /// Bytes that had arrived, not verified.
    pub size: u64,
    pub modified: SystemTime,
}

impl Storage {
    /// Makes the folders and takes the lock that keeps a second process out. Staging files that no digest names are
    /// removed.
    pub fn open(data: &Path) -> Result<Self, Error> {
        Self::open_leaving(data, 0)
    }

    /// As [`Self::open`]; files that are written take no room when less than `reserve` bytes would be left of the disk.
    pub fn open_leaving(data: &Path, reserve: u64) -> Result<Self, Error> {
        let blobs = data.join("blobs");
        let staging = data.join("staging");
        for folder in [data, &blobs, &staging] {
            fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        let lock_path = data.join("lock");
        let lock = File::create(&lock_path).map_err(Error::io("create", &lock_path))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::InUse { path: data.to_owned() }),
            Err(error) => return Err(Error::io("lock", &lock_path)(error.into())),
        }
        // What is in `data` is as durable as its folders are.
        sync_folder(data)?;
        Ok(Self { blobs: Arc::new(Published::new(blobs, Reserve::new(reserve))), staging, _lock: lock })
    }

    /// A random name that lies in the folder, made at first.
    pub fn own_name(&self) -> Result<String, Error> {
        let path = self.blobs.folder().with_file_name("replica");
        match fs::read_to_string(&path) {
            Ok(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
            Ok(_) => self.make_name(&path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make_name(&path),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    fn make_name(&self, path: &Path) -> Result<String, Error> {
        let name = format!("{:032x}", fastrand::u128(..));
        fs::write(path, &name).map_err(Error::io("write", path))?;
        Ok(name)
    }

    /// The folder of published blobs.
    pub fn blobs(&self) -> &Arc<Published> {
        &self.blobs
    }

    /// Opens a published blob for reading; `None` when there is none.
    pub fn open_blob(&self, digest: &Digest) -> Result<Option<(File, u64)>, Error> {
        let path = self.blob_path(digest);
        match File::open(&path) {
            Ok(file) => {
                let size = file.metadata().map_err(Error::io("read", &path))?.len();
                Ok(Some((file, size)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("open", &path)(error)),
        }
    }

    /// Makes a staging file for `digest`: each writer has one of its own.
    pub fn stage(&self, digest: &Digest, origin: OriginId) -> Result<Staged, Error> {
        let writer = fastrand::u64(..);
        let name = format!("{}-{}-{origin}-{writer:016x}", digest.algorithm().name(), digest.hex());
        Staged::create(self.staging.join(name), self.blobs.clone())
    }

    /// Opens what an earlier writer left under this name, to go on with it. The caller is the only one that does.
    pub fn resume(&self, name: &str) -> Result<Staged, Error> {
        Staged::open(self.staging.join(name), self.blobs.clone())
    }

    /// Opens the file of an upload, whose digest is not known yet, with whatever it already holds.
    pub fn upload(&self, id: &str) -> Result<Staged, Error> {
        Staged::open(self.upload_path(id), self.blobs.clone())
    }

    /// Bytes in the file of an upload; 0 when there is none.
    pub fn upload_bytes(&self, id: &str) -> Result<u64, Error> {
        let path = self.upload_path(id);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    pub fn remove_upload(&self, id: &str) -> Result<(), Error> {
        remove(&self.upload_path(id))
    }

    /// Files in the staging folder, by name, with the time of their last change.
    pub fn scan_uploads(&self) -> Result<Vec<(String, SystemTime)>, Error> {
        let entries = read_folder(&self.staging)?;
        let named = entries.into_iter().filter_map(|entry| {
            let modified = entry.metadata().and_then(|metadata| metadata.modified()).ok()?;
            Some((entry.file_name().into_string().ok()?, modified))
        });
        Ok(named.collect())
    }

    /// Removing what is not there is no error.
    pub fn remove_blob(&self, digest: &Digest) -> Result<(), Error> {
        remove(&self.blob_path(digest))
    }

    /// Moves a blob out of the way, into `quarantine/`.
    pub fn quarantine(&self, digest: &Digest) -> Result<(), Error> {
        let folder = self.blobs.folder().with_file_name("quarantine");
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let aside = folder.join(format!("{}-{}", digest.algorithm().name(), digest.hex()));
        match fs::rename(self.blob_path(digest), &aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("set aside", &aside)(error)),
            _ => Ok(()),
        }
    }

    pub fn remove_left_over(&self, name: &str) -> Result<(), Error> {
        remove(&self.staging.join(name))
    }

    /// Every published blob; files that no digest names are passed over. Reads folders and the size of each file.
    pub fn scan(&self) -> Result<Vec<StoredBlob>, Error> {
        let mut found = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let folder = self.blobs.folder().join(algorithm.name());
            for shard in read_folder(&folder)? {
                for entry in read_folder(&shard.path())? {
                    let Some(digest) = entry.file_name().to_str().and_then(|hex| parse(algorithm, hex)) else {
                        continue;
                    };
                    let Ok(metadata) = entry.metadata() else { continue };
                    if !metadata.is_file() {
                        continue;
                    }
                    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    found.push(StoredBlob { digest, size: metadata.len(), modified });
                }
            }
        }
        Ok(found)
    }

    /// What can be resumed. Anything else in the staging folder is removed.
    pub fn scan_left_overs(&self) -> Result<Vec<LeftOver>, Error> {
        let mut found = Vec::new();
        for entry in read_folder(&self.staging)? {
            let name = entry.file_name().to_string_lossy().into_owned();
            match (parse_staging(&name), entry.metadata()) {
                (Some((digest, origin)), Ok(metadata)) if metadata.is_file() && metadata.len() > 0 => {
                    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    trim(&entry.path(), metadata.len(), modified)?;
                    found.push(LeftOver { digest, origin, name, size: metadata.len(), modified });
                }
                _ => remove(&entry.path())?,
            }
        }
        Ok(found)
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs.path(digest)
    }

    fn upload_path(&self, id: &str) -> PathBuf {
        self.staging.join(id)
    }
}

/// The digest and the writer of a staging file; `None` for what is none.
fn parse_staging(name: &str) -> Option<(Digest, OriginId)> {
    let mut parts = name.split('-');
    let (algorithm, hex, origin, writer) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_whole = parts.next().is_none() && !writer.is_empty();
    let digest = format!("{algorithm}:{hex}").parse().ok()?;
    is_whole.then_some(())?;
    Some((digest, OriginId::parse(origin)?))
}

fn parse(algorithm: Algorithm, hex: &str) -> Option<Digest> {
    format!("{}:{hex}", algorithm.name()).parse().ok()
}

fn remove(path: &Path) -> Result<(), Error> {
    // Where a file should be somebody may have put a folder; an empty one goes as well.
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => fs::remove_dir(path),
        removed => removed,
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Gives back the room that a process that was killed had allocated beyond the file's end.
fn trim(path: &Path, len: u64, modified: SystemTime) -> Result<(), Error> {
    let file = File::options().write(true).open(path).map_err(Error::io("open", path))?;
    file.set_len(len).and_then(|()| file.set_modified(modified)).map_err(Error::io("trim", path))
}

/// An absent folder is an empty one.
fn read_folder(path: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    match fs::read_dir(path) {
        Ok(entries) => entries.collect::<io::Result<_>>().map_err(Error::io("list", path)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(Error::io("list", path)(error)),
    }
}
