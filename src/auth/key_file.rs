//! The file with the keys that everything is sealed with.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::proof::{Keyring, KeyringError};

#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("the key file {path:?} cannot be read or made: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the key file {path:?} cannot be used: {source}")]
    Keys { path: PathBuf, source: KeyringError },
}

/// Reads the keys; makes the file, which only its owner may read, if it is missing.
pub fn load_keyring(path: &Path) -> Result<Keyring, KeyFileError> {
    let failed = |source| KeyFileError::Io { path: path.to_owned(), source };
    let wrong = |source| KeyFileError::Keys { path: path.to_owned(), source };
    match fs::read_to_string(path) {
        Ok(text) => return Keyring::parse(&text).map_err(wrong),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let keyring = Keyring::generate().map_err(wrong)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    // Another process may be making it at the same time: whole or not at all, and the first stays.
    let draft = path.with_extension(format!("{:016x}", fastrand::u64(..)));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
    file.write_all(keyring.to_text().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft).map_err(failed)?;
    match linked {
        Ok(()) => Ok(keyring),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => load_keyring(path),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/keys");
        let made = load_keyring(&path).unwrap();
        assert_eq!(load_keyring(&path).unwrap().current_id(), made.current_id());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path().join("below")).unwrap().count(), 1);
        fs::write(&path, "not a key").unwrap();
        assert!(load_keyring(&path).unwrap_err().to_string().contains("below/keys"));
    }
}
