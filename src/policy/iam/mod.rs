//! IAM policies: parsed, asked, explained.
//!
//! A policy is parsed once into a [`Document`]; a document that is wrong is refused with its place and what would be right. Whoever
//! asks is a [`Principal`], what is asked a [`Question`], and [`decide`] answers it from all [`Policies`] that apply: one walk over the
//! statements, no allocation where no policy variable is used. [`explain`] walks the same way and keeps what each statement said.
//!
//! *Never* here: IO, clocks, how an identity was proven, where policies are stored, and what an answer looks like on the wire.

mod action_set;
mod arn;
mod condition;
mod context;
mod decision;
mod document;
mod error;
mod evaluate;
mod explain;
mod grantee_set;
mod json;
mod keys;
mod moment;
mod pattern;
mod presets;
mod principal;
mod question;
mod resource_set;
mod statement;
#[cfg(test)]
mod tests;
mod variables;
mod work;

pub use context::{Context, Value};
pub use decision::{Citation, Decision, Grant, Missing, Source};
pub use document::{Document, Kind};
pub use error::{DocumentError, Refusal, StatementName};
pub use evaluate::{IdentityPolicy, Policies, RegistryScope, decide, decide_assumption};
pub use explain::{Examined, Explanation, Outcome, explain};
pub use moment::Moment;
pub use principal::{Principal, PrincipalError, PrincipalKind};
pub use question::Question;
pub use statement::Effect;
pub use work::counted;
