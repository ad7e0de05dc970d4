//! Writing what a command gives back.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::failure::Failure;

#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// For people or for programs
    #[arg(long = "output", short = 'o', value_enum, default_value = "text", value_name = "FORMAT")]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// Writes to standard output. A reader that has gone away (`| head`) is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(newline.as_bytes()));
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Runtime(format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

pub(super) fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map_err(|error| Failure::Runtime(format!("cannot be written as JSON: {error}")))
}
