//! May they?
//!
//! What an operation needs is worked out in [`needs`] (pure, tables). //! The answer is a [`Permit`], which only this room can make and which the registry asks for. On an open listener everyone may read, and
//! push where the listener says so; elsewhere IAM policies decide ([`iam`], pure), which the [`Authorizer`] takes from the database
//! and keeps compiled. That writing to a pull-through name is impossible is the registry's answer, not a question of rights.
//!
//! *Never* here: how an identity was proven, what an action does, what a refusal looks like on the wire.

mod authorizer;
mod circumstances;
mod denied;
pub mod iam;
mod library;
mod needs;
mod permit;
mod public;
mod simulation;
mod viewer;

pub use authorizer::Authorizer;
pub use circumstances::Circumstances;
pub use denied::Denied;
pub use iam::{Document, DocumentError, Kind};
pub use needs::{
    About, Asked, Below, EcrRequest, IamRequest, Need, OciRequest, Offer, On, Subject, given, of_registry,
};
pub use permit::Permit;
pub use simulation::{Simulated, Statement};
pub use viewer::Viewer;
