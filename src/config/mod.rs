//! Settings: file and environment, read into validated values.
//!
//! What an operator wrote becomes a [`Settings`] in which every value has been checked: units are parsed, defaults are
//! filled in, names are unique, files that are named can be read. Each key is declared once (`reading/key.rs`): its
//! name, the kind of its value, its default and its meaning. Reading, the environment, the reference in
//! `docs/configuration.md`, the schema and `config show` all come from that.
//!
//! Data flows one way: `reading/` knows values, keys and problems, but no table; `sections/` has the tables of the
//! file, one file each; `settings.rs` puts them together; `sources/` reads a file, lays the environment over it, fills
//! in the well-known upstreams, and watches for changes; `printing/` writes settings and keys as text. Reading collects
//! every problem with its line before it refuses.
//!
//! *Never* here: reading secrets anew on each request, opening sockets, or defaults that other rooms repeat.

mod reading;
mod sections;
mod settings;

mod printing;
mod sources;

pub use printing::{reference, schema, starter_file};
pub use reading::{ConfigErrors, Place, Problem, Secret, parse_duration};
pub use sections::account::AccountSettings;
pub use sections::admin::AdminSettings;
pub use sections::auth::{AuthSettings, Challenge};
pub use sections::cache::CacheSettings;
pub use sections::certificate::{CertificateGives, CertificateName, CertificateNameKind, CertificateSettings};
pub use sections::hosted::{HostedSettings, TagMutability};
pub use sections::http::HttpSettings;
pub use sections::listener::{Access, ClientCertificate, Listener, ListenerTls};
pub use sections::meta::MetaSettings;
pub use sections::metering::MeteringSettings;
pub use sections::oidc::OidcSettings;
pub use sections::policies::PRESETS;
pub use sections::repository::RepositorySettings;
pub use sections::role::RoleSettings;
pub use sections::rules::RulesSettings;
pub use sections::storage::{BucketSettings, Encryption, StorageSettings};
pub use sections::telemetry::{LogFormat, TelemetrySettings};
pub use sections::upstream::{
    Credential, DefaultFor, OnNotFound, ProxySetting, UpstreamName, UpstreamSettings, upstream_for_rule,
};
pub use sections::user::UserSettings;
pub use settings::Settings;
pub use sources::{Source, Trigger, Watch, load, parse};

#[cfg(test)]
mod tests;
