//! The files that a configuration consists of: each is read whole, up to a bound, and remembered by its content so that
//! a watcher can tell when it has changed.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Bytes of the largest file that is read. A bundle of certificate authorities has about 200 KB.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// What a path held when it was read: a hash of the bytes, or why there were none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Sha256([u8; 32]),
    Unreadable(io::ErrorKind),
}

/// A path and what it held.
pub(super) type Seen = (PathBuf, Content);

/// Reads files and remembers them.
#[derive(Default)]
pub(super) struct Files {
    seen: RefCell<Vec<Seen>>,
}

impl Files {
    /// The bytes at `path`; the error is in words. Symbolic links are followed anew on each call.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let (content, result) = read(path);
        self.seen.borrow_mut().push((path.to_owned(), content));
        result.map_err(|error| explain(&error))
    }

    /// As [`Files::read`], for a file whose changes its user watches: it is remembered only if it cannot be read.
    pub fn read_unwatched(&self, path: &Path) -> Result<Vec<u8>, String> {
        let (content, result) = read(path);
        if result.is_err() {
            self.seen.borrow_mut().push((path.to_owned(), content));
        }
        result.map_err(|error| explain(&error))
    }

    pub fn into_seen(self) -> Vec<Seen> {
        let mut seen = self.seen.into_inner();
        seen.sort_by(|a, b| a.0.cmp(&b.0));
        seen.dedup_by(|a, b| a.0 == b.0);
        seen
    }
}

/// What `path` holds now.
pub(super) fn look(path: &Path) -> Content {
    read(path).0
}

fn read(path: &Path) -> (Content, io::Result<Vec<u8>>) {
    let result = read_bounded(path);
    let content = match &result {
        Ok(bytes) => Content::Sha256(Sha256::digest(bytes).into()),
        Err(error) => Content::Unreadable(error.kind()),
    };
    (content, result)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "the permission is missing".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        io::ErrorKind::FileTooLarge => format!("it has more than {} MiB", MAX_FILE_BYTES >> 20),
        _ => error.to_string(),
    }
}
