//! Where settings come from: a file, the environment over it, and both again when they change.

mod environment;
mod source;
mod watch;

pub use source::{Source, load, parse};
pub use watch::{Trigger, Watch};
