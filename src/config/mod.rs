//! Settings: file and environment, read into validated values, one file per room.
//!
//! What an operator wrote becomes a [`Settings`] in which every value has been checked: units are parsed, defaults are
//! filled in, names are unique. Reading collects every problem with its line before it refuses.
//!
//! *Never* here: reading secrets anew on each request, opening sockets, or defaults that other rooms repeat.

mod admin;
mod cache;
mod http;
mod telemetry;
mod upstream;

use std::path::PathBuf;

pub use admin::AdminSettings;
pub use cache::CacheSettings;
pub use http::{HttpSettings, Listener, ListenerTls};
pub use telemetry::{LogFormat, TelemetrySettings};
pub use upstream::{Credential, OnNotFound, Secret, UpstreamName, UpstreamSettings};

/// Everything that an operator can choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `listen`: where clients are served.
    pub listen: Vec<Listener>,
    /// `data`: the folder that holds blobs, staging files and the database.
    pub data: PathBuf,
    pub http: HttpSettings,
    pub admin: AdminSettings,
    pub cache: CacheSettings,
    pub telemetry: TelemetrySettings,
    /// `[[upstream]]`, in the order of the file; the well-known ones where the file names none.
    pub upstreams: Vec<UpstreamSettings>,
}
