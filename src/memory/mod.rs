//! What the process holds in memory for others, counted in bytes.
//!
//! Whoever can make the process remember something decides how large it is: an upstream the length of a list, a client the name of a
//! repository. So maps of what is remembered are [`Map`]s, of which each has a share of `cache.remembered` ([`Kind`]), and every entry
//! weighs what it holds. What is remembered can be had again: from the database, or from upstream.
//!
//! What is being received is nobody's memory yet: its bytes take [`Room`] as they come.
//!
//! Memory is one for the whole process, and so are the counts.
//!
//! *Never* here: what is remembered, or for how long it is believed.

mod kind;
mod map;
mod room;
mod rooms;

pub use kind::Kind;
pub use map::Map;
pub use room::{Held, NoRoom, Room};
pub use rooms::{bodies, documents, limit, observe};
