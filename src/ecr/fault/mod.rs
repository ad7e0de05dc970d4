//! What an operation answers when it does not succeed: an exception of the protocol with its message.
//!
//! A fault goes out as `{"__type": "<exception>", "message": "<text>"}`. Clients branch on the exception and people
//! read the message, so there is one constructor for each thing that can go wrong, with AWS's own wording where that is
//! known. The constructors lie beside each other by what they are about.
//!
//! *Never* here: deciding whether something is wrong.

mod answer;
mod exception;

mod common;
mod image;
mod layer;
mod repository;
mod settings;

pub use answer::Fault;
pub use common::Denial;
pub use exception::Exception;
pub use layer::PartPlace;
