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

mod account;
mod admin;
mod auth;
mod cache;
mod certificate;
mod hosted;
mod http;
mod meta;
mod metering;
mod oidc;
mod repository;
mod role;
mod rules;
mod storage;
mod telemetry;

mod credential;
mod default_for;
mod upstream;
mod well_known;

mod environment;
mod source;
mod tree;

mod files;
mod host;
mod key;
mod pem;
mod problem;
mod quantity;
mod reader;
mod value;

mod reference;
mod show;
mod starter;
mod watch;

pub use account::AccountSettings;
pub use admin::AdminSettings;
pub use auth::{AuthSettings, Challenge, PRESETS, UserSettings};
pub use cache::CacheSettings;
pub use certificate::{CertificateGives, CertificateName, CertificateNameKind, CertificateSettings};
pub use credential::{Credential, Secret};
pub use default_for::DefaultFor;
pub use hosted::{HostedSettings, TagMutability};
pub use http::{Access, ClientCertificate, HttpSettings, Listener, ListenerTls};
pub use meta::MetaSettings;
pub use metering::MeteringSettings;
pub use oidc::OidcSettings;
pub use problem::{ConfigErrors, Place, Problem};
pub use quantity::parse_duration;
pub use reference::reference;
pub use repository::RepositorySettings;
pub use role::RoleSettings;
pub use rules::RulesSettings;
pub use settings::Settings;
pub use source::{Source, load, parse};
pub use starter::starter_file;
pub use storage::{BucketSettings, Encryption, StorageSettings};
pub use telemetry::{LogFormat, TelemetrySettings};
pub use upstream::{OnNotFound, ProxySetting, UpstreamName, UpstreamSettings};
pub use watch::{Trigger, Watch};
pub use well_known::upstream_for_rule;

#[cfg(test)]
mod tests;
