//! `[[upstream]]`: another registry that we ask.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::Url;
use serde::{Serialize, Serializer};

use super::credential::{self, Credential, HELPER};
use super::default_for::{self, DefaultFor};
use super::rules::RulesSettings;
use crate::config::printing::document as show;
use crate::config::reading::host;
use crate::config::reading::key::{Fallback, Key, Kind, Section};
use crate::config::reading::pem;
use crate::config::reading::problem::Place;
use crate::config::reading::reader::{Context, Reader};
use crate::config::reading::tree::{Node, Table};
use crate::config::reading::value;
use crate::oci::{AccountId, RepositoryName};

/// The path prefix under which an upstream's repositories are found: `docker.io`, `team/mirror`. It is a free name made of
/// repository name components. One name may be the beginning of another (`team` and `team/mirror`): the longest wins.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamName(Arc<str>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UpstreamSettings {
    pub name: UpstreamName,
    /// Hosts, with a port where they have one, by which `?ns=`, `OCI-Namespace` and the `Host` header name this upstream.
    /// Lower case. Default: the name.
    pub ns: Vec<String>,
    /// Nothing is asked there: its repositories are those of the registry below its name, and what was kept of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub offline: bool,
    /// Base URLs without `/v2/`, tried in order; several are mirrors of each other. None of an offline one.
    #[serde(rename = "url", serialize_with = "show::urls", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<Url>,
    /// The requests that name no upstream and are answered from here. At most one upstream has any.
    pub default: DefaultFor,
    /// One-component repository names get this first component (Docker Hub: `library`).
    #[serde(serialize_with = "show::library")]
    pub library: Option<String>,
    /// What stands before every repository's name at upstream and not in ours, as at Harbor or Artifactory.
    #[serde(rename = "prefix", serialize_with = "show::prefix")]
    pub repository_prefix: Option<RepositoryName>,
    /// Set where a pull-through rule declares it, and not the file.
    #[serde(skip)]
    pub rule: Option<RulesSettings>,
    /// The registry whose rule it is, where that is not the home registry. Then its name begins with the account.
    #[serde(skip)]
    pub registry: Option<AccountId>,
    /// The accounts whose registries have it. Default: all, or where it has a credential the home registry's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounts: Option<UpstreamAccounts>,
    /// How long a tag is served without asking. Default 60 s.
    #[serde(serialize_with = "show::duration")]
    pub tag_ttl: Duration,
    /// How long after that the old answer goes out at once while upstream is asked. Default 5 min.
    #[serde(serialize_with = "show::duration")]
    pub stale_while_revalidate: Duration,
    /// How long the old answer stands in for an upstream that fails. Default 7 d.
    #[serde(serialize_with = "show::duration")]
    pub stale_if_error: Duration,
    /// How long a 401, 403 or 404 is remembered. Default 5 s.
    #[serde(serialize_with = "show::duration")]
    pub negative_ttl: Duration,
    /// What a cached tag is worth when upstream says that it does not exist. Default tell.
    pub on_not_found: OnNotFound,
    /// Hosts besides the URLs' own that may issue tokens: they receive the credential.
    pub realms: Vec<String>,
    /// Networks of addresses that are not public to which redirects may lead all the same.
    #[serde(serialize_with = "show::networks")]
    pub private_redirects: Vec<IpNet>,
    /// The proxy through which it is asked.
    #[serde(serialize_with = "show::proxy", skip_serializing_if = "ProxySetting::is_default")]
    pub proxy: ProxySetting,
    /// PEM file with certificate authorities to trust besides the usual ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// PEM files of the certificate that we show upstream, and of its key.
    #[serde(flatten, serialize_with = "show::client_certificate")]
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Time to connect. Default 5 s.
    #[serde(serialize_with = "show::duration")]
    pub connect_timeout: Duration,
    /// Time until an answer's head. Default 15 s.
    #[serde(serialize_with = "show::duration")]
    pub header_timeout: Duration,
    /// A body that brings no byte for this long is broken off and asked for again. Default 30 s.
    #[serde(serialize_with = "show::duration")]
    pub stall_timeout: Duration,
    /// Bytes a second that a body must bring on average; 0 for none. Default 1 KiB.
    #[serde(serialize_with = "show::size")]
    pub min_rate: u64,
    /// Time of waiting for a body over which `min_rate` is averaged. Default 60 s.
    #[serde(serialize_with = "show::duration")]
    pub min_rate_window: Duration,
    /// Time for a revalidation when a cached answer could be served instead. Default 3 s.
    #[serde(serialize_with = "show::duration")]
    pub revalidate_timeout: Duration,
    /// Blob fetches at once; further ones wait. Default 32.
    pub max_fetches: usize,
    /// How long a blob fetch waits for its turn below `max_fetches`. Default 60 s.
    #[serde(serialize_with = "show::duration")]
    pub queue_timeout: Duration,
    #[serde(flatten, serialize_with = "show::credential")]
    pub credential: Credential,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNotFound {
    /// The client is told 404.
    Tell,
    /// The cached answer is served, marked as stale.
    Keep,
}

/// By which proxy an upstream is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxySetting {
    /// By what `HTTPS_PROXY` and its kin say.
    Environment,
    None,
    Url(Url),
}

impl ProxySetting {
    fn is_default(&self) -> bool {
        *self == Self::Environment
    }
}

/// `accounts`: those that an upstream is there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamAccounts {
    All,
    These(Vec<AccountId>),
}

const ALL_ACCOUNTS: &str = "*";

impl Serialize for UpstreamAccounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.collect_seq([ALL_ACCOUNTS]),
            Self::These(accounts) => serializer.collect_seq(accounts),
        }
    }
}

impl UpstreamSettings {
    /// The namespace that requests to `url` name with `?ns=`, as a mirror of several registries needs it (distribution-spec,
    /// "Registry Proxying"). `None` where the URL is the registry's own, where its prefix says whose repository is meant, or where
    /// the upstream goes by no registry's host.
    pub fn namespace_at(&self, url: &Url) -> Option<&str> {
        let host = url.host_str()?;
        let with_port = format!("{host}:{}", url.port_or_known_default()?);
        let is_own = self.registry_hosts().any(|own| own == host || own == with_port);
        let is_hub = DOCKER_HUB_HOSTS.contains(&host) && self.registry_hosts().any(|own| own == "docker.io");
        if is_own || is_hub || self.repository_prefix.is_some() {
            return None;
        }
        self.registry_hosts().next()
    }

    /// Of `ns`, what can be a registry's host: clients take a name without dot and port for a repository's.
    pub fn registry_hosts(&self) -> impl Iterator<Item = &str> {
        let is_registry = |host: &&str| host.contains(['.', ':']) || *host == "localhost";
        self.ns.iter().map(String::as_str).filter(is_registry)
    }

    /// Whether the registry of this account has the upstream. What an operator's credential opens is for the home registry unless the
    /// upstream says for whom.
    pub fn is_for(&self, account: AccountId, home: AccountId) -> bool {
        match &self.accounts {
            Some(UpstreamAccounts::All) => true,
            Some(UpstreamAccounts::These(accounts)) => accounts.contains(&account),
            None => account == home || !self.has_credential(),
        }
    }

    fn has_credential(&self) -> bool {
        self.credential != Credential::Anonymous || self.client_certificate.is_some()
    }

    /// The prefix by which its registry names it.
    pub fn known_as(&self) -> &str {
        let name = self.name.as_str();
        let bare = self.registry.and_then(|account| name.strip_prefix(account.as_str())?.strip_prefix('/'));
        bare.unwrap_or(name)
    }

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

impl Serialize for UpstreamName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Docker Hub's own registry goes by more names than its images.
const DOCKER_HUB_HOSTS: [&str; 2] = ["registry-1.docker.io", "index.docker.io"];

/// Upstreams of one process. Each has its own gauges, so their number has a bound.
const MAX_UPSTREAMS: usize = 256;

const fn key(name: &'static str, kind: Kind, fallback: Fallback, meaning: &'static str) -> Key {
    Key { name, kind, fallback, meaning }
}

pub static SECTION: Section = Section {
    name: "upstream",
    meaning: "Another registry that is asked. Where the file has no `[[upstream]]`, the well-known ones are there.",
    keys: &[
        key(
            "name",
            Kind::Text,
            Fallback::Required,
            "The path prefix: `docker.io` is found at `/v2/docker.io/…`. A free name made of repository name components; \
             where one name is the beginning of another, the longest wins.",
        ),
        key(
            "ns",
            Kind::Hosts,
            Fallback::Follows("`name`, where it is a host"),
            "Hosts by which `?ns=`, `OCI-Namespace` and the `Host` header name this upstream.",
        ),
        key(
            "offline",
            Kind::Flag,
            Fallback::Value("false"),
            "Nothing is asked there, as in a site without a line to it: every way to name this upstream means the registry's own repositories \
             below its name, to which images are imported and pushed, and then what was kept of it before. `url`, limits of time and \
             credentials have no meaning.",
        ),
        key(
            "url",
            Kind::Urls,
            Fallback::Follows("that of a well-known registry, or of none if `offline`; else it is required"),
            "Base URLs without `/v2/`, tried in order; several are mirrors of each other. One may be written without the list.",
        ),
        key(
            "default",
            Kind::Choice(default_for::WORDS),
            Fallback::Follows(
                "`\"none\"`; for `docker.io`, where no other upstream is a default, `\"all\"` if no listener takes pushes or it is \
                 `offline`, else `\"library\"`",
            ),
            "Which requests that name no upstream are answered from here: `\"library\"`, the official images, as dockerd asks its mirrors for \
             them; `\"all\"`, every name that is no repository of one's own and does not begin with a host: then whoever has a name at this \
             upstream decides what is pulled under it until it is pushed here. `true` is `\"all\"`, `false` is `\"none\"`. At most one upstream \
             is a default.",
        ),
        key(
            "library",
            Kind::Text,
            Fallback::Unset,
            "One-component repository names get this first component; empty for none. `docker.io` has `library`.",
        ),
        key(
            "prefix",
            Kind::Text,
            Fallback::Unset,
            "What stands before every repository's name at this upstream and not here, as at a mirror of several registries: with \
             `prefix = \"ghcr-proxy\"`, `org/tool` is asked for as `ghcr-proxy/org/tool`. Without it, a mirror is told by `?ns=` which \
             registry is meant.",
        ),
        key("tag_ttl", Kind::Window, Fallback::Value(r#""60s""#), "How long a tag is served without asking upstream."),
        key(
            "stale_while_revalidate",
            Kind::Window,
            Fallback::Value(r#""5m""#),
            "How long after `tag_ttl` the old answer goes out at once while upstream is asked behind it.",
        ),
        key(
            "stale_if_error",
            Kind::Window,
            Fallback::Value(r#""7d""#),
            "How long after `tag_ttl` the old answer stands in for an upstream that fails.",
        ),
        key("negative_ttl", Kind::Window, Fallback::Value(r#""5s""#), "How long a 401, 403 or 404 is remembered."),
        key(
            "on_not_found",
            Kind::Choice(&["tell", "keep"]),
            Fallback::Value(r#""tell""#),
            "When upstream no longer has a cached tag: tell the client 404, or keep serving it, marked as stale.",
        ),
        key(
            "accounts",
            Kind::Texts,
            Fallback::Follows("all; where the upstream has a credential or a client certificate, only `auth.account`"),
            "Accounts whose registries have this upstream, such as `[\"111111111111\"]`; `[\"*\"]` for all. What is pulled is pulled with this \
             upstream's credential, whoever asks.",
        ),
        key("username", Kind::Text, Fallback::Unset, "User at upstream; needs one of the three passwords."),
        key(
            "password",
            Kind::Secret,
            Fallback::Unset,
            "Password or token. It is better kept outside the file, by one of the next two.",
        ),
        key("password_env", Kind::Text, Fallback::Unset, "Environment variable that holds the password."),
        key(
            "password_file",
            Kind::Path,
            Fallback::Unset,
            "File that holds the password in one line; a change is noticed.",
        ),
        key(
            "docker_config",
            Kind::Path,
            Fallback::Unset,
            "A Docker `config.json` with `auths`, `credHelpers` or `credsStore`, instead of a username.",
        ),
        key(
            "credential_helper",
            Kind::Table(&HELPER),
            Fallback::Unset,
            "A Docker credential helper, instead of a username, for credentials that expire (ECR, GAR, ACR).",
        ),
        key(
            "realms",
            Kind::Hosts,
            Fallback::Value("[]"),
            "Hosts besides the URLs' own that may issue tokens: they receive the credential.",
        ),
        key(
            "private_redirects",
            Kind::Texts,
            Fallback::Value("[]"),
            "Networks to which redirects may lead though their addresses are not public, such as `\"10.0.0.0/8\"`. Without it they may \
             lead to public addresses, and to those of the kind that the redirecting server has: loopback, private or link-local.",
        ),
        key(
            "proxy",
            Kind::Text,
            Fallback::Follows("`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` of the environment"),
            "The URL of the proxy through which it is asked, or `\"none\"`. Names are then resolved by the proxy.",
        ),
        key("ca", Kind::Path, Fallback::Unset, "PEM file of certificate authorities to trust besides the usual ones."),
        key(
            "client_certificate",
            Kind::Path,
            Fallback::Unset,
            "PEM file of the certificate that is shown upstream; needs `client_key`.",
        ),
        key("client_key", Kind::Path, Fallback::Unset, "PEM file of its private key."),
        key("connect_timeout", Kind::Timeout, Fallback::Value(r#""5s""#), "Time to connect."),
        key("header_timeout", Kind::Timeout, Fallback::Value(r#""15s""#), "Time until an answer's head."),
        key(
            "stall_timeout",
            Kind::Timeout,
            Fallback::Value(r#""30s""#),
            "A body that brings no byte for this long is broken off and asked for again.",
        ),
        key(
            "min_rate",
            Kind::Size { min: 0, max: 1 << 40 },
            Fallback::Value(r#""1KiB""#),
            "Bytes a second that a blob must bring on average, or it is broken off and asked for again, and given up when that is no \
             faster. Only time counts in which upstream is waited for. 0: no limit.",
        ),
        key(
            "min_rate_window",
            Kind::Timeout,
            Fallback::Value(r#""60s""#),
            "Time of waiting for upstream over which `min_rate` is averaged.",
        ),
        key(
            "revalidate_timeout",
            Kind::Timeout,
            Fallback::Value(r#""3s""#),
            "Time for asking again when a cached answer could be served instead.",
        ),
        key(
            "max_fetches",
            Kind::Count { min: 1, max: 10_000 },
            Fallback::Value("32"),
            "Blob fetches at once; further ones wait.",
        ),
        key(
            "queue_timeout",
            Kind::Timeout,
            Fallback::Value(r#""60s""#),
            "How long a blob fetch waits for its turn below `max_fetches`; then clients are told 503 with `Retry-After`.",
        ),
    ],
};

impl UpstreamSettings {
    /// The upstream as it is known here when nothing can be asked any more: what a tag meant last, it means for good.
    #[must_use]
    pub fn without_asking(self) -> Self {
        Self {
            offline: true,
            urls: Vec::new(),
            tag_ttl: value::MAX_WINDOW,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            negative_ttl: Duration::ZERO,
            on_not_found: OnNotFound::Keep,
            realms: Vec::new(),
            credential: Credential::Anonymous,
            ..self
        }
    }

    /// An upstream with every default.
    pub fn new(name: UpstreamName, url: Url) -> Option<Self> {
        let context = Context::new(PathBuf::new(), BTreeMap::new());
        let table = Table::from([
            (
                "name".to_owned(),
                crate::config::reading::tree::Entry::new(
                    Place::BuiltIn,
                    crate::config::reading::tree::Value::text(name.as_str()),
                ),
            ),
            (
                "url".to_owned(),
                crate::config::reading::tree::Entry::new(
                    Place::BuiltIn,
                    crate::config::reading::tree::Value::text(url.as_str()),
                ),
            ),
        ]);
        read_one(&mut Reader::new(&SECTION, "upstream".to_owned(), Place::BuiltIn, table, &context), true)
    }
}

/// `takes_pushes` tells whether clients can push here, so that names may be one's own.
pub fn read(nodes: Vec<Node>, takes_pushes: bool, context: &Context) -> Option<Vec<UpstreamSettings>> {
    if nodes.len() > MAX_UPSTREAMS {
        context.report(&Place::File, "upstream", format!("has more than {MAX_UPSTREAMS} entries"));
        return None;
    }
    let mut taken = Taken::default();
    let upstreams: Vec<_> = nodes
        .into_iter()
        .enumerate()
        .map(|(index, node)| {
            let mut reader = Reader::of_node(&SECTION, format!("upstream[{index}]"), node, context)?;
            taken.claim(&reader);
            let settings = read_one(&mut reader, takes_pushes)?;
            taken.claim_addresses(&reader, &settings);
            Some(settings)
        })
        .collect();
    upstreams.into_iter().collect()
}

/// All that an upstream is told about which repository is meant, besides its name: two that are told the same get the same.
#[derive(PartialEq)]
struct Address {
    url: Url,
    prefix: Option<RepositoryName>,
    namespace: Option<String>,
    credential: Credential,
}

/// What only one upstream may have, and where it was written first.
#[derive(Default)]
struct Taken {
    names: BTreeMap<String, Place>,
    hosts: BTreeMap<String, Place>,
    default: Option<Place>,
    addresses: Vec<(Address, UpstreamName)>,
}

impl Taken {
    /// Two upstreams that send the same requests would serve each other's images under their own names.
    fn claim_addresses(&mut self, reader: &Reader<'_>, settings: &UpstreamSettings) {
        let address = |url: &Url| Address {
            url: url.clone(),
            prefix: settings.repository_prefix.clone(),
            namespace: settings.namespace_at(url).map(str::to_owned),
            credential: settings.credential.clone(),
        };
        for address in settings.urls.iter().map(address) {
            if let Some((same, other)) = self.addresses.iter().find(|(taken, _)| *taken == address) {
                let message = format!(
                    "{} is asked for {other}, too, and is not told which of the two is meant: give each its `prefix` there, or \
                     the host of its registry in `ns`",
                    same.url
                );
                reader.report("url", message);
            }
            self.addresses.push((address, settings.name.clone()));
        }
    }

    fn claim(&mut self, reader: &Reader<'_>) {
        // Values that are wrong are told when the upstream is read.
        let Some(name) = reader.peek("name") else { return };
        if let Some(first) = self.names.insert(name.clone(), reader.place("name").clone()) {
            reader.report("name", format!("{name:?} is the name of another upstream, too{}", seen_at(&first)));
            return;
        }
        let hosts = match reader.peek_list("ns") {
            Some(hosts) => hosts,
            None => vec![(reader.place("name").clone(), name)],
        };
        for (place, text) in hosts {
            let Ok(host) = host::parse_host(&text) else { continue };
            if let Some(first) = self.hosts.insert(host.clone(), place.clone()) {
                let message = format!("{host:?} names an upstream already{}", seen_at(&first));
                reader.context().report(&place, reader.key_path("ns"), message);
            }
        }
        if default_for::is_claimed(reader.written("default")) {
            if let Some(first) = &self.default {
                reader.report("default", format!("is set for another upstream, too{}", seen_at(first)));
            }
            self.default = Some(reader.place("default").clone());
        }
    }
}

fn seen_at(place: &Place) -> String {
    match place {
        Place::Line { line, .. } => format!(" (line {line})"),
        Place::Variable(name) => format!(" ({name})"),
        Place::File | Place::BuiltIn => String::new(),
    }
}

fn read_one(reader: &mut Reader<'_>, takes_pushes: bool) -> Option<UpstreamSettings> {
    let credential = credential::read(reader);
    let name = reader.get("name", |key, value| upstream_name(&value::text(key, value)?));
    let ns = reader.list("ns", value::host);
    let offline = reader.get("offline", value::flag);
    let urls = if offline == Some(true) { Some(Vec::new()) } else { read_urls(reader) };
    let library = reader.optional("library", |key, value| library(&value::text_or_empty(key, value)?));
    // Where nothing is asked, no name can come from the wrong place.
    let is_mirror = !takes_pushes || offline == Some(true);
    let default =
        read_default(reader, is_mirror, library.as_ref().is_some_and(|library| matches!(library, Some(Some(_)))));
    let prefix = reader.optional("prefix", |key, value| repository_prefix(&value::text(key, value)?));
    let tag_ttl = reader.get("tag_ttl", value::duration);
    let stale_while_revalidate = reader.get("stale_while_revalidate", value::duration);
    let stale_if_error = reader.get("stale_if_error", value::duration);
    let negative_ttl = reader.get("negative_ttl", value::duration);
    let on_not_found = reader.get("on_not_found", value::choice);
    let accounts = reader.list("accounts", account_or_all);
    let realms = reader.list("realms", value::host);
    let private_redirects = reader.list("private_redirects", network);
    let proxy = reader.optional("proxy", |key, value| proxy(&value::text(key, value)?));
    let ca = read_ca(reader);
    let client_certificate = read_client_certificate(reader);
    let connect_timeout = reader.get("connect_timeout", value::duration);
    let header_timeout = reader.get("header_timeout", value::duration);
    let stall_timeout = reader.get("stall_timeout", value::duration);
    let min_rate = reader.get("min_rate", value::size);
    let min_rate_window = reader.get("min_rate_window", value::duration);
    let revalidate_timeout = reader.get("revalidate_timeout", value::duration);
    let max_fetches = reader.get("max_fetches", value::count);
    let queue_timeout = reader.get("queue_timeout", value::duration);
    let name = name?;
    let settings = UpstreamSettings {
        ns: match ns? {
            Some(hosts) => hosts.into_iter().map(|(_, host)| host).collect(),
            None => host::parse_host(name.as_str()).into_iter().collect(),
        },
        name,
        offline: offline?,
        urls: urls?,
        default: default?,
        library: library?.flatten(),
        repository_prefix: prefix?,
        rule: None,
        registry: None,
        accounts: accounts?.map(|accounts| {
            let accounts: Option<Vec<_>> = accounts.into_iter().map(|(_, account)| account).collect();
            accounts.map_or(UpstreamAccounts::All, UpstreamAccounts::These)
        }),
        tag_ttl: tag_ttl?,
        stale_while_revalidate: stale_while_revalidate?,
        stale_if_error: stale_if_error?,
        negative_ttl: negative_ttl?,
        on_not_found: if on_not_found? == "keep" { OnNotFound::Keep } else { OnNotFound::Tell },
        realms: realms?.unwrap_or_default().into_iter().map(|(_, host)| host).collect(),
        private_redirects: private_redirects?.unwrap_or_default().into_iter().map(|(_, network)| network).collect(),
        proxy: proxy?.unwrap_or(ProxySetting::Environment),
        ca: ca?,
        client_certificate: client_certificate?,
        connect_timeout: connect_timeout?,
        header_timeout: header_timeout?,
        stall_timeout: stall_timeout?,
        min_rate: min_rate?,
        min_rate_window: min_rate_window?,
        revalidate_timeout: revalidate_timeout?,
        max_fetches: usize::try_from(max_fetches?).ok()?,
        queue_timeout: queue_timeout?,
        credential: credential?,
    };
    Some(if settings.offline { settings.without_asking() } else { settings })
}

/// What nobody wrote is filled in for Docker Hub as the narrower choice; a mirror that takes no pushes has no names of its own to keep.
fn read_default(reader: &Reader<'_>, is_mirror: bool, has_library: bool) -> Option<DefaultFor> {
    let default = reader.optional("default", default_for::read)?.unwrap_or_default();
    let is_built_in = *reader.place("default") == Place::BuiltIn;
    match default {
        DefaultFor::Library if is_built_in && is_mirror => Some(DefaultFor::All),
        DefaultFor::Library if is_built_in && !has_library => Some(DefaultFor::None),
        DefaultFor::Library if !has_library => {
            reader.report("default", "is \"library\", which needs `library`: the first component of official images");
            None
        }
        default => Some(default),
    }
}

/// `None` is every account.
fn account_or_all(key: &Key, node: &Node) -> Result<Option<AccountId>, String> {
    let text = value::element(key, node)?;
    if text == ALL_ACCOUNTS {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| format!("{text:?} is no account: write twelve digits, or \"*\" for every account"))
}

fn upstream_name(text: &str) -> Result<UpstreamName, String> {
    match text.parse::<RepositoryName>() {
        Ok(name) if name.components().next().is_some_and(|first| first.parse::<AccountId>().is_ok()) => Err(format!(
            "{text:?} begins with twelve digits, as the upstreams of other accounts' rules are called: choose another name"
        )),
        Ok(_) => Ok(UpstreamName::new(text)),
        Err(_) if text.contains(':') => Err(format!(
            "{text:?} cannot be a path prefix because of the colon: choose a name without, and put the host with its port into `ns`"
        )),
        Err(error) => Err(error.to_string()),
    }
}

fn repository_prefix(text: &str) -> Result<RepositoryName, String> {
    text.parse::<RepositoryName>().map_err(|error| error.to_string())
}

fn network(key: &Key, node: &Node) -> Result<IpNet, String> {
    let text = value::element(key, node)?;
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse()
        .or_else(|_| address())
        .map_err(|_| format!("{text:?} is no network: write for instance \"10.0.0.0/8\""))
}

fn proxy(text: &str) -> Result<ProxySetting, String> {
    match text {
        "none" => Ok(ProxySetting::None),
        text => Ok(ProxySetting::Url(host::parse_url(text)?)),
    }
}

fn library(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<RepositoryName>() {
        Ok(name) if name.components().count() == 1 => Ok(Some(text.to_owned())),
        Ok(_) => Err(format!("{text:?} has more than one component")),
        Err(error) => Err(error.to_string()),
    }
}

fn read_urls(reader: &Reader<'_>) -> Option<Vec<Url>> {
    let urls = reader.list("url", value::url)?;
    match urls {
        Some(urls) if !urls.is_empty() => {
            for (index, (place, url)) in urls.iter().enumerate() {
                if urls.iter().take(index).any(|(_, other)| other == url) {
                    reader.context().report(place, reader.key_path("url"), format!("{url} is listed twice"));
                }
            }
            Some(urls.into_iter().map(|(_, url)| url).collect())
        }
        _ => {
            reader.report("url", "is missing: write the registry's base URL, such as \"https://registry.example\"");
            None
        }
    }
}

fn read_ca(reader: &Reader<'_>) -> Option<Option<PathBuf>> {
    let Some(path) = reader.path("ca")? else { return Some(None) };
    pem::check_certificates(reader, "ca", &path)?;
    Some(Some(path))
}

fn read_client_certificate(reader: &Reader<'_>) -> Option<Option<(PathBuf, PathBuf)>> {
    match (reader.path("client_certificate")?, reader.path("client_key")?) {
        (None, None) => Some(None),
        (Some(certificate), Some(key)) => {
            let certificate_read = pem::check_certificates(reader, "client_certificate", &certificate);
            let key_read = pem::check_key(reader, "client_key", &key);
            certificate_read.and(key_read)?;
            Some(Some((certificate, key)))
        }
        (Some(_), None) => {
            reader.report("client_certificate", "has no `client_key` beside it");
            None
        }
        (None, Some(_)) => {
            reader.report("client_key", "has no `client_certificate` beside it");
            None
        }
    }
}
