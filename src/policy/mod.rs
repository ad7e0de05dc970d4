//! May they?
//!
//! The answer is a [`Permit`], which only this room can make and which the registry asks for. On an open listener everyone may read, and
//! push where the listener says so; elsewhere IAM policies decide ([`iam`], pure), which the [`Authorizer`] takes from the database
//! and keeps compiled. That writing to a pull-through name is impossible is the registry's answer, not a question of rights.
//!
//! *Never* here: how an identity was proven, what an action does, what a refusal looks like on the wire.

mod authorizer;
mod circumstances;
mod denied;
pub mod iam;
mod library;
mod permit;
mod public;
mod resource;
mod simulation;

pub use authorizer::{About, Ask, Authorizer, On, Viewer};
pub use circumstances::Circumstances;
pub use denied::Denied;
pub use iam::{Document, DocumentError, Kind};
pub use permit::Permit;
pub use resource::ResourceAsk;
pub use simulation::{Simulated, Statement};
