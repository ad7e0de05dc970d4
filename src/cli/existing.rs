//! The registry that an operator's command is about: told on standard error, and never made by it.

use std::io::Write;

use super::failure::Failure;
use crate::app::{self, Existing};
use crate::config::{Settings, Source};

/// Loads the settings and says which they are, so that a command that was typed in another folder is noticed.
pub(super) fn settings(source: &Source) -> Result<Settings, Failure> {
    let settings = source.load().map_err(Failure::Configuration)?;
    let file =
        source.file().map_or_else(|| "none, only defaults and environment".to_owned(), |it| it.display().to_string());
    // Where standard error is closed, the command goes on all the same.
    let _ = writeln!(std::io::stderr(), "configuration: {file}; data: {}", app::place(&settings));
    Ok(settings)
}

pub(super) fn find(settings: Settings, source: &Source) -> Result<Existing, Failure> {
    Existing::find(settings, source.file()).map_err(|error| Failure::Runtime(error.to_string()))
}

pub(super) fn open(source: &Source) -> Result<Existing, Failure> {
    find(settings(source)?, source)
}
