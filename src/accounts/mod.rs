//! The users and roles of accounts, and the sessions that are given to them: what IAM and STS do.
//!
//! [`Accounts`] makes and changes users and roles, for the API and for `entrepot iam` alike, and knows the limits and what must not be
//! changed. [`Api`] carries out the operations of IAM and STS with it: it asks the policies, which yields a permit, and answers with an output or a
//! fault. Everything happens in the caller's own account; only roles may be assumed across accounts.
//!
//! *Never* here: how an identity was proven, what a policy document means, HTTP, or SQL.

mod entities;
mod error;

mod describe;

mod api;
mod sessions;
mod simulation;

pub use api::Api;
pub use entities::Accounts;
pub use error::Error;
