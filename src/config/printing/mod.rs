//! Settings and keys as text: what holds, the reference of every key, a file to begin with.

pub mod document;
pub mod reference;
pub mod starter;
