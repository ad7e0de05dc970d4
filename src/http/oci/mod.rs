//! The OCI distribution API on the wire: paths and headers into actions, answers and errors into responses.
//!
//! *Never* here: deciding anything about content; a status code chosen outside the two tables of `error.rs`.

mod error;
mod ranges;
mod respond;
mod route;
mod template;
pub mod token;

pub use error::{Failure, fault};
pub use ranges::Conditions;
pub use respond::{refuse, respond};
pub use route::route;
pub use template::template;
