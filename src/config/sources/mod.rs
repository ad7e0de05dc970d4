//! Where settings come from: a file, the environment over it, and both again when they change.

pub mod environment;
pub mod source;
pub mod watch;
