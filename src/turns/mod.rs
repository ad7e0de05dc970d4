//! Taking turns, by who asks.
//!
//! Where many wait for few places, places go to the askers in turn: one with a thousand requests waiting delays one with a single
//! request by one request, and not by a thousand. Nor does one asker hold all places while its requests run ([`SHARE`]). An [`Asker`] is an opaque key that comes down with a request. [`Line`] is the order of
//! those who wait, [`Turns`] a number of places behind such a line.
//!
//! *Never* here: what the places are for, who may do what, names of users or addresses.

mod asker;
mod line;
mod places;

pub use asker::Asker;
pub use line::Line;
pub use places::{Turn, Turns};

/// Places that one asker may hold for each one that is left free: three quarters of all if it is alone, so that whoever comes finds one.
/// Where there are fewer than four, one may hold them all.
pub const SHARE: usize = 3;
