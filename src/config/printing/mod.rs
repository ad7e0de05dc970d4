//! Settings and keys as text: what holds, the reference of every key, a file to begin with.

mod document;
mod reference;
mod starter;

pub use reference::reference;
pub use starter::starter_file;
