//! `entrepot config schema`.

use crate::config::schema;

pub(super) fn run() -> String {
    schema()
}
