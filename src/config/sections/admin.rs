//! `[admin]`: where operators look.

use std::net::SocketAddr;

use crate::config::reading::{ADDRESSES, List, Section, section, settings};

settings! {
    pub struct AdminSettings {
        /// Metrics and health; plain HTTP. An empty list turns it off.
        pub listen: Vec<SocketAddr> = LISTEN,
    }
}

section! {
    pub static SECTION =
        Section::one("admin", "Where operators look: `/metrics`, `/livez` and `/readyz`, over plain HTTP.");

    pub static LISTEN: List<SocketAddr> = List::usual(
        "listen",
        ADDRESSES,
        r#"["127.0.0.1:5001"]"#,
        "Addresses of metrics and health. An empty list turns them off. There is no login: who reaches one sees who \
         pulls what, and may start jobs.",
    );
}
