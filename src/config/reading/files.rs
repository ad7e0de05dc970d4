//! The files that a configuration consists of: each is read whole, up to a bound, and remembered by its content so that
//! a watcher can tell when it has changed.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Bytes of the largest file that is read. A bundle of certificate authorities has about 200 KB.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Content of a path when it was read: a hash of the bytes, or why there were none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Sha256([u8; 32]),
    Unreadable(io::ErrorKind),
}

/// A path and what it held.
pub type Seen = (PathBuf, Content);

/// Reads files and remembers them.
#[derive(Default)]
pub struct Files {
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

    /// As [`Files::read`], for the configuration itself, which may come through a pipe (`--config /dev/stdin`). A pipe
    /// has its content once, so it is not remembered.
    pub fn read_file_or_pipe(&self, path: &Path) -> Result<Vec<u8>, String> {
        let is_pipe = path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
        if is_pipe {
            return File::open(path).and_then(read_bounded).map_err(|error| explain(&error));
        }
        self.read(path)
    }

    pub fn into_seen(self) -> Vec<Seen> {
        let mut seen = self.seen.into_inner();
        seen.sort_by(|a, b| a.0.cmp(&b.0));
        seen.dedup_by(|a, b| a.0 == b.0);
        seen
    }
}

/// Looks at what `path` holds now.
pub fn look(path: &Path) -> Content {
    read(path).0
}

fn read(path: &Path) -> (Content, io::Result<Vec<u8>>) {
    let result = open_plain(path).and_then(read_bounded);
    let content = match &result {
        Ok(bytes) => Content::Sha256(Sha256::digest(bytes).into()),
        Err(error) => Content::Unreadable(error.kind()),
    };
    (content, result)
}

/// Opening must not wait, as it would for a pipe that nobody writes to.
fn open_plain(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if metadata.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn read_bounded(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
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
        io::ErrorKind::InvalidInput => "it is not a plain file".to_owned(),
        io::ErrorKind::FileTooLarge => format!("it has more than {} MiB", MAX_FILE_BYTES >> 20),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_said_and_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status();
        std::fs::write(path("large"), vec![0; MAX_FILE_BYTES as usize + 1]).unwrap();
        let files = Files::default();
        assert_eq!(files.read(&path("none")), Err("there is no such file".to_owned()));
        assert_eq!(files.read(folder.path()), Err("it is a folder".to_owned()));
        assert_eq!(files.read(&path("large")), Err("it has more than 4 MiB".to_owned()));
        if made.is_ok_and(|status| status.success()) {
            assert_eq!(files.read(&path("pipe")), Err("it is not a plain file".to_owned()));
        }
        assert_eq!(files.read(Path::new("/dev/zero")), Err("it is not a plain file".to_owned()));
        assert_eq!(files.into_seen().len(), if path("pipe").exists() { 5 } else { 4 });
    }

    #[test]
    fn a_pipe_is_read_but_not_remembered() {
        let files = Files::default();
        assert_eq!(files.read_file_or_pipe(Path::new("/dev/null")), Ok(Vec::new()));
        assert!(files.into_seen().is_empty());
    }
}
