//! `[[upstream]]`: another registry that we ask.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The path prefix under which an upstream's repositories are found: `docker.io`, `team/mirror`. It is a free name made of
/// repository name components.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamName(Arc<str>);

#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    pub name: UpstreamName,
    /// Hosts, with a port where they have one, by which `?ns=`, `OCI-Namespace` and the `Host` header name this upstream.
    /// Lower case. Default: the name.
    pub ns: Vec<String>,
    /// Base URLs without `/v2/`, tried in order; several are mirrors of each other.
    pub urls: Vec<reqwest::Url>,
    /// Requests that name no upstream go here. At most one upstream has it.
    pub default: bool,
    /// One-component repository names get this first component (Docker Hub: `library`).
    pub library: Option<String>,
    pub tag_ttl: Duration,
    pub stale_while_revalidate: Duration,
    pub stale_if_error: Duration,
    /// How long a 401, 403 or 404 is remembered. Default 5 s.
    pub negative_ttl: Duration,
    /// What a cached tag is worth when upstream says that it does not exist. Default tell.
    pub on_not_found: OnNotFound,
    pub credential: Credential,
    /// Hosts besides the URLs' own that may issue tokens: they receive the credential.
    pub realms: Vec<String>,
    /// PEM file with certificate authorities to trust besides the usual ones.
    pub ca: Option<PathBuf>,
    /// PEM files of the certificate that we show upstream.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Time to connect. Default 5 s.
    pub connect_timeout: Duration,
    /// Time until an answer's head. Default 15 s.
    pub header_timeout: Duration,
    /// A body that brings no byte for this long is broken off and asked for again. Default 30 s.
    pub stall_timeout: Duration,
    /// Time for a revalidation when a cached answer could be served instead. Default 3 s.
    pub revalidate_timeout: Duration,
    /// Blob fetches at once; further ones wait. Default 32.
    pub max_fetches: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNotFound {
    /// The client is told 404.
    Tell,
    /// The cached answer is served, marked as stale.
    Keep,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    Anonymous,
    Basic {
        username: String,
        password: Secret,
    },
    /// A Docker `config.json`, with `auths`, `credHelpers` and `credsStore`; read anew when it changes.
    DockerConfig {
        path: PathBuf,
    },
    /// A Docker credential helper (`get` on standard input); its answer is used for `lifetime`.
    Helper {
        command: Vec<String>,
        lifetime: Duration,
    },
}

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl UpstreamSettings {
    /// How long a client may wait for an answer that is not kept: one try on each of two endpoints, login included.
    pub fn patience(&self) -> Duration {
        self.header_timeout * 2
    }
}

impl UpstreamName {
    /// The caller has checked that `text` is made of repository name components.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
