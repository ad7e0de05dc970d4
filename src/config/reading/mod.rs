//! Reading what was written: a tree of values that know their line, keys and the kinds of their values, and the
//! problems that are found. It knows no table of the file.

mod files;
mod host;
mod key;
mod kind;
mod list;
mod part;
mod pem;
mod problem;
mod quantity;
mod reader;
mod secret;
mod section;
mod table;
mod tree;
mod written;

pub use files::{Content, Seen, look};
pub use host::{parse_host, parse_plain_url, parse_url};
pub use key::{Key, Optional};
pub(in crate::config) use kind::choice;
pub use kind::{
    ADDRESSES, Choice, FLAG, Given, HOSTS, Kind, MAX_WINDOW, NETWORKS, PATH, SECRET, SELDOM, TEXT, TEXTS, TIMEOUT,
    URLS, WINDOW, choice_of, count, parse_address, read_choice, size,
};
pub use list::{List, MAX_ELEMENTS};
pub use part::{Joint, Part, Parts, Unwritten};
pub(in crate::config) use part::{section, settings};
pub use pem::{CertificateAndKey, Pem};
pub use problem::{ConfigErrors, Place, Problem, closest};
pub use quantity::parse_duration;
pub use reader::{Context, Reader};
pub use secret::Secret;
pub use section::{Declaration, Fallback, Section, Shape};
pub use table::{TableKey, TablesKey};
pub use tree::{Entry, Node, Table, Value, parse};
pub use written::Written;
