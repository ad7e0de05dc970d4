//! Turns at reading lists: few lists are read and decided about at once, and askers take turns, so that whoever asks for many has the
//! others wait for one of them and not for all.

use crate::turns::Turn;

/// Held while a list is read, and while it is made into an answer.
pub struct ListTurn {
    _turn: Turn,
}

impl ListTurn {
    pub(super) const fn new(turn: Turn) -> Self {
        Self { _turn: turn }
    }
}
