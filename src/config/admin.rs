//! `[admin]`: where operators look.

use std::net::SocketAddr;

#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// Metrics and health; plain HTTP. Default `127.0.0.1:5001`; an empty list turns it off.
    pub listen: Vec<SocketAddr>,
}
