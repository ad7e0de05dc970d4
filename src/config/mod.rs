//! Settings: file and environment, read into validated values, one file per room.
//!
//! What an operator wrote becomes a [`Settings`] in which every value has been checked: units are parsed, defaults are
//! filled in, names are unique, files that are named can be read. Reading goes through four steps: the TOML becomes a
//! tree of values that know their line, variables of the environment are laid over it, well-known upstreams fill in what
//! they know, and each section's reader takes its keys. Every section has one table of its keys, with type, default and
//! meaning; unknown keys, the environment and the reference in `docs/configuration.md` come from it. Reading collects
//! every problem with its line before it refuses.
//!
//! *Never* here: reading secrets anew on each request, opening sockets, or defaults that other rooms repeat.

mod settings;

mod reading;
mod sections;

mod printing;
mod sources;

pub use printing::reference::reference;
pub use printing::starter::starter_file;
pub use reading::problem::{ConfigErrors, Place, Problem};
pub use reading::quantity::parse_duration;
pub use sections::account::AccountSettings;
pub use sections::admin::AdminSettings;
pub use sections::auth::{AuthSettings, Challenge, PRESETS, UserSettings};
pub use sections::cache::CacheSettings;
pub use sections::certificate::{CertificateGives, CertificateName, CertificateNameKind, CertificateSettings};
pub use sections::credential::{Credential, Secret};
pub use sections::default_for::DefaultFor;
pub use sections::hosted::{HostedSettings, TagMutability};
pub use sections::http::{Access, ClientCertificate, HttpSettings, Listener, ListenerTls};
pub use sections::meta::MetaSettings;
pub use sections::metering::MeteringSettings;
pub use sections::oidc::OidcSettings;
pub use sections::repository::RepositorySettings;
pub use sections::role::RoleSettings;
pub use sections::rules::RulesSettings;
pub use sections::storage::{BucketSettings, Encryption, StorageSettings};
pub use sections::telemetry::{LogFormat, TelemetrySettings};
pub use sections::upstream::{OnNotFound, ProxySetting, UpstreamName, UpstreamSettings};
pub use sections::well_known::upstream_for_rule;
pub use settings::Settings;
pub use sources::source::{Source, load, parse};
pub use sources::watch::{Trigger, Watch};

#[cfg(test)]
mod tests;
