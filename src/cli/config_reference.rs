//! `entrepot config reference`.

use crate::config::reference;

pub(super) fn run() -> String {
    reference()
}
