//! The command line: what was typed, and one file per subcommand.
//!
//! A subcommand gives back the text that belongs on standard output, or a [`Failure`] that knows its exit code and what
//! to tell on standard error. Only [`run`] writes; `existing` says which registry a command is about, and `transfer` how
//! far it is.
//!
//! *Never* here: work that the program does while it serves; that is the room `app`.

mod arguments;
mod failure;
mod output;
mod run;

mod client_config;
mod completions;
mod config_check;
mod config_init;
mod config_reference;
mod config_schema;
mod config_show;
mod existing;
mod healthcheck;
mod iam;
mod jobs;
mod lifecycle;
mod maintenance;
mod serve;
mod usage;

mod demo;
mod transfer;

pub use arguments::{Arguments, Parsed};
pub use failure::Failure;
pub use run::run;
