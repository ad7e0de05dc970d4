//! Failures of the disk, with the path that they happened to.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {doing} {path:?}: {source}")]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot {doing} bucket {bucket}: {source}")]
    Bucket { doing: &'static str, bucket: String, source: Box<object_store::Error> },
    #[error(
        "the bucket has wrong bytes, or none, for {blobs} blobs in a row: it is not believed, and nothing is called lost"
    )]
    NotItself { blobs: usize },
    #[error("so many objects of bucket {bucket} are being read that there is no place for another: try again")]
    Busy { bucket: String },
    #[error("another process is using the data folder {path:?}; stop it, or choose another folder with `data`")]
    InUse { path: PathBuf },
}

impl Error {
    /// There is no room on the disk, or no more is granted.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }

    /// The bucket could not be reached, or refused; it may work later.
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Bucket { .. } | Self::Busy { .. } | Self::NotItself { .. })
    }

    /// A range was asked for that begins behind the end.
    pub fn is_beyond_the_end(&self) -> bool {
        matches!(self, Self::Bucket { source, .. } if source.to_string().contains("416"))
    }

    pub(super) fn bucket(doing: &'static str, bucket: &str, source: object_store::Error) -> Self {
        Self::Bucket { doing, bucket: bucket.to_owned(), source: Box::new(source) }
    }

    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
