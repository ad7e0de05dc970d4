//! The upstreams in place: those of the configuration, and those of pull-through rules.
//!
//! A rule is a document of the database, so that every replica has it. It becomes an upstream like one of the configuration
//! (`rule.rs`), with a credential from the folder of secrets (`secret.rs`). Both together are the table of names
//! (`present.rs`), which is swapped whole; what the configuration declares goes before a rule.
//!
//! *Never* here: what a rule's caller is told, or an answer of an upstream that somebody keeps.

mod present;
mod rule;
mod secret;

pub(super) use present::Claim;
pub use present::Upstreams;
pub(super) use rule::{Rule, key};
pub(super) use secret::SecretError;

/// Rules of one registry.
pub(super) const MAX_RULES: u32 = 50;
