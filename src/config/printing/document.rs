//! Settings as text again: TOML that reads back as the same settings, secrets aside, and JSON of the same shape.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use tracing::level_filters::LevelFilter;

use crate::config::reading::quantity::{format_duration, format_size};
use crate::config::sections::account::AccountSettings;
use crate::config::sections::admin::AdminSettings;
use crate::config::sections::auth::{AuthSettings, UserSettings};
use crate::config::sections::cache::CacheSettings;
use crate::config::sections::certificate::CertificateSettings;
use crate::config::sections::credential::{Credential, Secret};
use crate::config::sections::hosted::HostedSettings;
use crate::config::sections::http::{HttpSettings, Listener};
use crate::config::sections::meta::MetaSettings;
use crate::config::sections::metering::MeteringSettings;
use crate::config::sections::oidc::OidcSettings;
use crate::config::sections::repository::RepositorySettings;
use crate::config::sections::role::RoleSettings;
use crate::config::sections::rules::RulesSettings;
use crate::config::sections::storage::{Encryption, StorageSettings};
use crate::config::sections::telemetry::TelemetrySettings;
use crate::config::sections::upstream::{ProxySetting, UpstreamSettings};
use crate::config::settings::Settings;
use crate::oci::RepositoryName;

/// The file that says the same as the settings. Every upstream is in it, so that none is to be added.
#[derive(Serialize)]
struct Document<'a> {
    data: &'a Path,
    well_known_upstreams: bool,
    listen: Listen<'a>,
    http: &'a HttpSettings,
    admin: &'a AdminSettings,
    cache: &'a CacheSettings,
    hosted: &'a HostedSettings,
    storage: &'a StorageSettings,
    meta: &'a MetaSettings,
    metering: &'a MeteringSettings,
    rules: &'a RulesSettings,
    auth: &'a AuthSettings,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    user: &'a [UserSettings],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    account: &'a [AccountSettings],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    repository: &'a [RepositorySettings],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    role: &'a [RoleSettings],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    oidc: &'a [OidcSettings],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    certificate: &'a [CertificateSettings],
    log: &'a TelemetrySettings,
    upstream: &'a [UpstreamSettings],
}

#[derive(Serialize)]
#[serde(untagged)]
enum Listen<'a> {
    Addresses(Vec<std::net::SocketAddr>),
    Tables(&'a [Listener]),
}

impl Settings {
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(&self.document())
    }

    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(&self.document())
    }

    fn document(&self) -> Document<'_> {
        let is_long = |listener: &Listener| {
            listener.tls.is_some()
                || listener.redirect
                || listener.proxy_protocol
                || listener.auth.is_some()
                || listener.push != listener.address.ip().is_loopback()
        };
        let listen = if self.listen.iter().any(is_long) {
            Listen::Tables(&self.listen)
        } else {
            Listen::Addresses(self.listen.iter().map(|listener| listener.address).collect())
        };
        Document {
            data: &self.data,
            well_known_upstreams: false,
            listen,
            http: &self.http,
            admin: &self.admin,
            cache: &self.cache,
            hosted: &self.hosted,
            storage: &self.storage,
            meta: &self.meta,
            metering: &self.metering,
            rules: &self.rules,
            auth: &self.auth,
            user: &self.users,
            account: &self.accounts,
            repository: &self.repositories,
            role: &self.roles,
            oidc: &self.oidc,
            certificate: &self.certificates,
            log: &self.telemetry,
            upstream: &self.upstreams,
        }
    }
}

pub fn some_size<S: Serializer>(bytes: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => size(bytes, serializer),
        None => serializer.serialize_none(),
    }
}

pub fn size<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_size(*bytes))
}

pub fn size_of_buffer<S: Serializer>(bytes: &usize, serializer: S) -> Result<S::Ok, S::Error> {
    size(&(*bytes as u64), serializer)
}

pub fn duration<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_duration(*duration))
}

/// Names without what they stand for.
pub fn names<S: Serializer>(named: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(named.iter().map(|(name, _)| name))
}

pub fn level<S: Serializer>(level: &LevelFilter, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&level.to_string())
}

pub fn networks<S: Serializer>(networks: &[ipnet::IpNet], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(networks.iter().map(ToString::to_string))
}

pub fn proxy<S: Serializer>(proxy: &ProxySetting, serializer: S) -> Result<S::Ok, S::Error> {
    match proxy {
        ProxySetting::Environment => serializer.serialize_none(),
        ProxySetting::None => serializer.serialize_str("none"),
        ProxySetting::Url(url) => serializer.serialize_str(url.as_str()),
    }
}

pub fn texts<T: std::fmt::Display, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ToString::to_string))
}

pub fn urls<S: Serializer>(urls: &[Url], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(urls.iter().map(Url::as_str))
}

/// The empty text is "none", which has to be said where a well-known upstream has one.
pub fn url<S: Serializer>(url: &Option<Url>, serializer: S) -> Result<S::Ok, S::Error> {
    url.as_ref().map(Url::as_str).serialize(serializer)
}

/// Only what kind of database it is: the URL may hold a password.
pub fn database<S: Serializer>(url: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    url.as_ref().map(|_| "postgres://(secret)").serialize(serializer)
}

/// The keys of which it is made.
pub fn access_key<S: Serializer>(key: &Option<(String, Secret)>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    if let Some((id, secret)) = key {
        map.serialize_entry("access_key_id", id)?;
        map.serialize_entry("secret_access_key", secret)?;
    }
    map.end()
}

pub fn encryption<S: Serializer>(encryption: &Option<Encryption>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    match encryption {
        None => map.serialize_entry("encryption", "none")?,
        Some(Encryption::S3) => map.serialize_entry("encryption", "s3")?,
        Some(Encryption::Kms { key }) => {
            map.serialize_entry("encryption", "kms")?;
            if let Some(key) = key {
                map.serialize_entry("kms_key_id", key)?;
            }
        }
    }
    map.end()
}

pub fn library<S: Serializer>(library: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(library.as_deref().unwrap_or(""))
}

pub fn prefix<S: Serializer>(prefix: &Option<RepositoryName>, serializer: S) -> Result<S::Ok, S::Error> {
    prefix.as_ref().map(RepositoryName::as_str).serialize(serializer)
}

pub fn client_certificate<S: Serializer>(files: &Option<(PathBuf, PathBuf)>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    if let Some((certificate, key)) = files {
        map.serialize_entry("client_certificate", certificate)?;
        map.serialize_entry("client_key", key)?;
    }
    map.end()
}

pub fn credential<S: Serializer>(credential: &Credential, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Helper<'a> {
        command: &'a [String],
        #[serde(serialize_with = "duration")]
        lifetime: Duration,
    }
    let mut map = serializer.serialize_map(None)?;
    match credential {
        Credential::Anonymous => {}
        Credential::Basic { username, password } => {
            map.serialize_entry("username", username)?;
            map.serialize_entry("password", password)?;
        }
        Credential::DockerConfig { path } => map.serialize_entry("docker_config", path)?,
        Credential::Helper { command, lifetime } => {
            map.serialize_entry("credential_helper", &Helper { command, lifetime: *lifetime })?;
        }
    }
    map.end()
}
