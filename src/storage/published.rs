//! The folder of published blobs: `sha256/ab/abcd…`, a shard for each first byte.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::error::Error;
use super::reserve::Reserve;
use super::staged::sync_folder;
use crate::oci::Digest;

pub struct Published {
    folder: PathBuf,
    /// Shards whose entry in their parent this process has made durable. That a shard exists proves nothing: another
    /// process may have made it and died before its parent was synced.
    durable: Mutex<HashSet<PathBuf>>,
    pub(super) reserve: Reserve,
}

impl Published {
    pub(super) fn new(folder: PathBuf, reserve: Reserve) -> Self {
        Self { folder, durable: Mutex::new(HashSet::new()), reserve }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.shard_path(digest).join(digest.hex())
    }

    /// The folder of a blob, which exists and outlasts a power failure when this returns.
    pub(super) fn shard(&self, digest: &Digest) -> Result<PathBuf, Error> {
        let shard = self.shard_path(digest);
        if self.is_durable(&shard) && shard.is_dir() {
            return Ok(shard);
        }
        fs::create_dir_all(&shard).map_err(Error::io("create", &shard))?;
        shard.parent().map_or(Ok(()), sync_folder)?;
        sync_folder(&self.folder)?;
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).insert(shard.clone());
        Ok(shard)
    }

    fn shard_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.folder.join(digest.algorithm().name()).join(hex.get(..2).unwrap_or_default())
    }

    fn is_durable(&self, shard: &Path) -> bool {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).contains(shard)
    }
}
