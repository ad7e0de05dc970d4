//! `[admin]`: where operators look.

use std::net::SocketAddr;

use serde::Serialize;

use crate::config::reading::key::{Fallback, Key, Kind, Section};
use crate::config::reading::reader::Reader;
use crate::config::reading::value;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdminSettings {
    /// Metrics and health; plain HTTP. Default `127.0.0.1:5001`; an empty list turns it off.
    pub listen: Vec<SocketAddr>,
}

pub static SECTION: Section = Section {
    name: "admin",
    meaning: "Where operators look: `/metrics`, `/livez` and `/readyz`, over plain HTTP.",
    keys: &[Key {
        name: "listen",
        kind: Kind::Addresses,
        fallback: Fallback::Value(r#"["127.0.0.1:5001"]"#),
        meaning: "Addresses of metrics and health. An empty list turns them off. There is no login: who reaches one sees who pulls what, \
                  and may start jobs.",
    }],
};

pub fn read(reader: &Reader<'_>) -> Option<AdminSettings> {
    let listen = reader.list("listen", value::address)?.unwrap_or_default();
    Some(AdminSettings { listen: listen.into_iter().map(|(_, address)| address).collect() })
}
