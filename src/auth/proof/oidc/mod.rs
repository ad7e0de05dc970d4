//! Identities that somebody else vouches for: OpenID Connect ID tokens, as CI systems and Kubernetes hand them out.
//!
//! A [`Jwks`] is an issuer's public keys. [`IdTokenRules`] checks a token with them and gives an [`IdToken`], whose claims are
//! then proven. [`ClaimRule`]s say which role such a token may assume: the first that matches decides.
//!
//! *Never* here: fetching keys, keeping them, or what a role may do.

mod id_token;
mod jwks;
mod pattern;
mod rule;

#[cfg(test)]
mod tests;

pub use id_token::{IdToken, IdTokenError, IdTokenRules, unverified_issuer};
pub use jwks::{Jwks, JwksError};
pub use pattern::{ClaimPattern, ClaimPatternError};
pub use rule::{AssumedRole, ClaimPath, ClaimPathError, ClaimRule};
