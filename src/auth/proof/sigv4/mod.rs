//! AWS Signature Version 4, the form with an `Authorization` header.
//!
//! Verifying takes two steps, because the secret is looked up between them: [`Claim::parse`] reads what a request says of
//! itself and what of it is signed, [`Claim::verify`] recomputes the signature. [`Signer`] is the inverse. Requests whose
//! signature stands in the query, chunked payloads and payloads that are not signed are refused: no client of a registry's
//! API sends them.
//!
//! *Never* here: looking up a secret, reading a body, or deciding what a caller may do.

mod authorization;
mod canonical;
mod claim;
mod refusal;
mod signer;
mod signing_key;

#[cfg(test)]
mod tests;

pub use authorization::CredentialScope;
pub use claim::{Claim, SignatureRules};
pub use refusal::Refusal;
pub use signer::{SignError, Signer};
