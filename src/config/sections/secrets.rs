//! Secrets, which stand in the configuration or in files of their own, and access keys, which have one.

use std::path::{Path, PathBuf};

use serde::ser::SerializeMap;

use crate::config::reading::{Declaration, Optional, Part, Reader, Secret};

/// A secret under one key, or under another the path of a file that holds it.
pub struct SecretOrFile {
    /// Name of the secret in messages.
    pub word: &'static str,
    pub key: &'static Optional<Secret>,
    pub file: &'static Optional<PathBuf>,
}

/// An access key: its id, and its secret.
pub struct AccessKey {
    pub id: &'static Optional<String>,
    pub secret: SecretOrFile,
}

impl Part<Option<Secret>> for SecretOrFile {
    fn read(&self, reader: &Reader<'_>) -> Option<Option<Secret>> {
        let Self { word, key, file } = self;
        match (reader.has(key), reader.has(file)) {
            (true, true) => {
                reader.report(file, format!("is a second {word}: keep one of `{}` and `{}`", key.name, file.name));
                None
            }
            (false, true) => {
                let path = reader.get(*file)??;
                secret_from_file(reader, file, &path, word).map(Some)
            }
            (_, false) => reader.get(*key),
        }
    }

    fn write<M: SerializeMap>(&self, secret: &Option<Secret>, map: &mut M) -> Result<(), M::Error> {
        self.key.write(secret, map)
    }
}

impl Part<Option<(String, Secret)>> for AccessKey {
    fn read(&self, reader: &Reader<'_>) -> Option<Option<(String, Secret)>> {
        let (id, secret) = (reader.get(self.id), reader.get(&self.secret));
        match (id?, secret?) {
            (Some(id), Some(secret)) => Some(Some((id, secret))),
            (None, None) => Some(None),
            (Some(_), None) => {
                let (key, file) = (self.secret.key.name, self.secret.file.name);
                reader.report(self.id, format!("has no `{key}` or `{file}` beside it"));
                None
            }
            (None, Some(_)) => {
                reader.report(self.secret.key, format!("has no `{}` beside it", self.id.name));
                None
            }
        }
    }

    fn write<M: SerializeMap>(&self, key: &Option<(String, Secret)>, map: &mut M) -> Result<(), M::Error> {
        let (id, secret) = key.clone().unzip();
        self.id.write(&id, map)?;
        self.secret.write(&secret, map)
    }
}

/// A line end after the secret is not part of it, because editors and `echo` write one.
pub fn secret_from_file(reader: &Reader<'_>, key: &Declaration, path: &Path, word: &str) -> Option<Secret> {
    let Ok(text) = String::from_utf8(reader.contents(key, path)?) else {
        reader.report(key, format!("{} is not UTF-8 text", path.display()));
        return None;
    };
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.is_empty() || secret.contains(['\n', '\0']) {
        reader.report(key, format!("{} must hold the {word} in one line", path.display()));
        return None;
    }
    Some(Secret::new(secret))
}
