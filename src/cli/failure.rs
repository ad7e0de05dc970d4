//! What ends a command early, with an exit code that scripts may rely on.

use crate::config::ConfigErrors;

pub(super) const RUNTIME: u8 = 1;
pub(super) const USAGE: u8 = 2;
pub(super) const CONFIGURATION: u8 = 3;
pub(super) const UNHEALTHY: u8 = 4;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("entrepot: {0}")]
    Runtime(String),
    #[error("entrepot: {0}")]
    Usage(String),
    #[error("{0}\nentrepot: {count}; `entrepot config check` checks again", count = count(.0))]
    Configuration(ConfigErrors),
    /// Everything has been said on standard output.
    #[error("")]
    ConfigurationAsData(String),
    #[error("entrepot: not healthy: {0}")]
    Unhealthy(String),
    /// Everything has been said on standard output.
    #[error("")]
    UnhealthyAsData(String),
}

impl Failure {
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Runtime(_) => RUNTIME,
            Self::Usage(_) => USAGE,
            Self::Configuration(_) | Self::ConfigurationAsData(_) => CONFIGURATION,
            Self::Unhealthy(_) | Self::UnhealthyAsData(_) => UNHEALTHY,
        }
    }

    /// What belongs on standard output although the command failed.
    pub fn data(&self) -> Option<&str> {
        match self {
            Self::ConfigurationAsData(text) | Self::UnhealthyAsData(text) => Some(text),
            _ => None,
        }
    }
}

fn count(errors: &ConfigErrors) -> String {
    match errors.problems.len() {
        1 => "the configuration has a problem".to_owned(),
        count => format!("the configuration has {count} problems"),
    }
}
