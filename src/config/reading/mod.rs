//! Reading what was written: a tree of values that know their line, keys and their kinds, and the problems that are
//! found. It knows no section.

pub mod files;
pub mod host;
pub mod key;
pub mod pem;
pub mod problem;
pub mod quantity;
pub mod reader;
pub mod tree;
pub mod value;
