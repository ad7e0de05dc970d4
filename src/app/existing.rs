//! The data of a registry that has served before, as an operator's command finds it.
//!
//! Only `entrepot serve` makes a data folder, a database or keys. A command that made them would answer from a registry that
//! nobody serves, because it was typed in another folder or without `--config`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::Error;
use super::{build, identities};
use crate::auth::Keyring;
use crate::config::Settings;
use crate::meta::Meta;

/// Settings whose data was found.
#[derive(Debug)]
pub struct Existing {
    settings: Settings,
    /// The configuration file, if one is named.
    file: Option<PathBuf>,
}

/// Place where the facts of a registry are, to be told.
pub fn place(settings: &Settings) -> String {
    let data = absolute(&settings.data);
    match settings.meta.url {
        Some(_) => format!("{} and PostgreSQL (meta.url)", data.display()),
        None => data.display().to_string(),
    }
}

impl Existing {
    /// Makes nothing. `file` is the configuration file that the settings are of.
    pub fn find(settings: Settings, file: Option<&Path>) -> Result<Self, Error> {
        let existing = Self { settings, file: file.map(Path::to_owned) };
        // The database itself says whether it is empty when it is a server's.
        if existing.settings.meta.url.is_none() {
            existing.look_for(&existing.database())?;
        }
        Ok(existing)
    }

    /// A file that is there and is not empty.
    fn look_for(&self, path: &Path) -> Result<(), Error> {
        match std::fs::metadata(path) {
            Ok(found) if found.len() > 0 => Ok(()),
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(Error::NotReadable { path: absolute(path), source })
            }
            _ => Err(self.missing(path)),
        }
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) async fn meta(&self) -> Result<Meta, Error> {
        let connections = build::connections(&self.settings);
        Ok(match &self.settings.meta.url {
            Some(url) => Meta::open_existing_postgres(url.expose(), connections).await?,
            None => Meta::open_existing(&self.database(), connections).await?,
        })
    }

    pub(super) async fn keyring(&self) -> Result<Arc<Keyring>, Error> {
        self.look_for(&identities::key_file(&self.settings))?;
        identities::keyring(&self.settings).await
    }

    /// Everything that serving needs, for work on the bytes.
    pub(super) async fn all_there(&self) -> Result<(), Error> {
        if !self.settings.data.is_dir() {
            return Err(self.missing(&self.settings.data));
        }
        self.keyring().await?;
        let meta = self.meta().await?;
        meta.close().await;
        Ok(())
    }

    fn database(&self) -> PathBuf {
        self.settings.data.join("entrepot.db")
    }

    fn missing(&self, path: &Path) -> Error {
        let hint = match &self.file {
            Some(file) => format!("{} says so; is it the file of the service?", absolute(file).display()),
            None => {
                "no configuration file was named: name that of the service, as in --config /etc/entrepot/entrepot.toml"
                    .to_owned()
            }
        };
        Error::NotThere { path: absolute(path), hint }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
