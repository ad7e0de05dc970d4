//! `[[upstream]]`: another registry that we ask.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::Url;

use super::accounts::{ACCOUNT_OR_ALL, UpstreamAccounts};
use super::credential::{
    Credential, CredentialKeys, DISPLACED_BY_DOCKER_CONFIG, DISPLACED_BY_PASSWORD, DISPLACED_BY_USERNAME, HELPER,
    Helper,
};
use super::default_for::{DEFAULT_FOR, DefaultFor};
use super::name::{LIBRARY_NAME, UpstreamName, repository_prefix, upstream_name};
use super::proxy::{PROXY_SETTING, ProxySetting};
use crate::config::reading::{
    CertificateAndKey, Context, Entry, HOSTS, Joint, Key, Kind, List, MAX_WINDOW, Optional, PATH, Parts as _, Pem,
    Place, Reader, SECRET, SELDOM, Secret, Section, Shape, TEXT, TIMEOUT, Table, TableKey, URLS, Unwritten, Value,
    WINDOW, Written, choice, choice_of, count, parse_host, section, settings, size,
};
use crate::config::sections::rules::RulesSettings;
use crate::oci::{AccountId, RepositoryName};

settings! {
    pub struct UpstreamSettings {
        pub name: UpstreamName = NAME,
        /// Hosts, with a port where they have one, by which `?ns=`, `OCI-Namespace` and the `Host` header name this
        /// upstream. Lower case.
        pub ns: Vec<String> = NS,
        /// Nothing is asked there: its repositories are those of the registry below its name, and what was kept of it.
        pub offline: bool = OFFLINE,
        /// Base URLs without `/v2/`, tried in order; several are mirrors of each other. None of an offline one.
        pub urls: Vec<Url> = Joint::new(read_urls, |urls| write_urls(urls)),
        /// The requests that name no upstream and are answered from here. At most one upstream has any.
        pub default: DefaultFor = DEFAULT,
        /// First component of repository names that have one component only (Docker Hub: `library`).
        pub library: Option<String> = LIBRARY,
        /// Prefix of every repository's name at upstream that ours do not have, as at Harbor or Artifactory.
        pub repository_prefix: Option<RepositoryName> = PREFIX,
        /// Set where a pull-through rule declares it, and not the file.
        pub rule: Option<RulesSettings> = Unwritten,
        /// The registry whose rule it is, where that is not the home registry. Then its name begins with the account.
        pub registry: Option<AccountId> = Unwritten,
        /// The accounts whose registries have it. `None`: all, or where it has a credential the home registry's.
        pub accounts: Option<UpstreamAccounts> = Joint::new(read_accounts, write_accounts),
        /// How long a tag is served without asking.
        pub tag_ttl: Duration = TAG_TTL,
        /// How long after that the old answer goes out at once while upstream is asked.
        pub stale_while_revalidate: Duration = STALE_WHILE_REVALIDATE,
        /// How long the old answer stands in for an upstream that fails.
        pub stale_if_error: Duration = STALE_IF_ERROR,
        /// How long a 401, 403 or 404 is remembered.
        pub negative_ttl: Duration = NEGATIVE_TTL,
        /// The worth of a cached tag when upstream says that it does not exist.
        pub on_not_found: OnNotFound = ON_NOT_FOUND,
        /// Hosts besides the URLs' own that may issue tokens: they receive the credential.
        pub realms: Vec<String> = REALMS,
        /// Networks of addresses that are not public to which redirects may lead all the same.
        pub private_redirects: Vec<IpNet> = PRIVATE_REDIRECTS,
        /// The proxy through which it is asked.
        pub proxy: ProxySetting = PROXY,
        /// PEM file with certificate authorities to trust besides the usual ones.
        pub ca: Option<PathBuf> = Pem::certificates(&CA),
        /// PEM files of the certificate that we show upstream, and of its key.
        pub client_certificate: Option<(PathBuf, PathBuf)> = CertificateAndKey {
            certificate: &CLIENT_CERTIFICATE,
            key: &CLIENT_KEY,
        },
        pub connect_timeout: Duration = CONNECT_TIMEOUT,
        /// Time until an answer's head.
        pub header_timeout: Duration = HEADER_TIMEOUT,
        /// A body that brings no byte for this long is broken off and asked for again.
        pub stall_timeout: Duration = STALL_TIMEOUT,
        /// Bytes a second that a body must bring on average; 0 for none.
        pub min_rate: u64 = MIN_RATE,
        /// Time of waiting for a body over which `min_rate` is averaged.
        pub min_rate_window: Duration = MIN_RATE_WINDOW,
        /// Time for a revalidation when a cached answer could be served instead.
        pub revalidate_timeout: Duration = REVALIDATE_TIMEOUT,
        /// Blob fetches at once; further ones wait.
        pub max_fetches: usize = MAX_FETCHES,
        /// How long a blob fetch waits for its turn below `max_fetches`.
        pub queue_timeout: Duration = QUEUE_TIMEOUT,
        pub credential: Credential = CredentialKeys {
            username: &USERNAME,
            password: &PASSWORD,
            password_env: &PASSWORD_ENV,
            password_file: &PASSWORD_FILE,
            docker_config: &DOCKER_CONFIG,
            credential_helper: &CREDENTIAL_HELPER,
        },
    }
}

choice! {
    pub enum OnNotFound {
        /// The client is told 404.
        Tell = "tell",
        /// The cached answer is served, marked as stale.
        Keep = "keep",
    }
}

/// Docker Hub's own registry goes by more names than its images.
const DOCKER_HUB_HOSTS: [&str; 2] = ["registry-1.docker.io", "index.docker.io"];

section! {
    pub static SECTION = Section::many(
        "upstream",
        "Another registry that is asked. Where the file has no `[[upstream]]`, the well-known ones are there.",
    );

    pub static NAME: Key<UpstreamName> = Key::required(
        "name",
        Kind::parsed(Shape::Text, upstream_name),
        "The path prefix: `docker.io` is found at `/v2/docker.io/…`. A free name made of repository name components; \
         where one name is the beginning of another, the longest wins.",
    );
    pub static NS: List<String> = List::follows(
        "ns",
        HOSTS,
        "`name`, where it is a host",
        |reader| Some(parse_host(reader.get(&NAME)?.as_str()).into_iter().collect()),
        "Hosts by which `?ns=`, `OCI-Namespace` and the `Host` header name this upstream.",
    );
    static OFFLINE: Key<bool> = Key::usual(
        "offline",
        SELDOM,
        "false",
        "Nothing is asked there, as in a site without a line to it: every way to name this upstream means the \
         registry's own repositories below its name, to which images are imported and pushed, and then what was kept \
         of it before. `url`, limits of time and credentials have no meaning.",
    );
    pub static URL: List<Url> = List::follows(
        "url",
        URLS,
        "that of a well-known registry, or of none if `offline`; else it is required",
        missing_url,
        "Base URLs without `/v2/`, tried in order; several are mirrors of each other. One may be written without the \
         list.",
    );
    pub static DEFAULT: Key<DefaultFor> = Key::follows(
        "default",
        DEFAULT_FOR,
        "`\"none\"`; for `docker.io`, where no other upstream is a default, `\"all\"` if no listener takes pushes or \
         it is `offline`, else `\"library\"`",
        |_| Some(DefaultFor::None),
        "Which requests that name no upstream are answered from here: `\"library\"`, the official images, as dockerd \
         asks its mirrors for them; `\"all\"`, every name that is no repository of one's own and does not begin with a \
         host: then whoever has a name at this upstream decides what is pulled under it until it is pushed here. \
         `true` is `\"all\"`, `false` is `\"none\"`. At most one upstream is a default.",
    );
    pub static LIBRARY: Key<Option<String>> = Key::follows(
        "library",
        LIBRARY_NAME,
        "none",
        |_| Some(None),
        "One-component repository names get this first component; empty for none. `docker.io` has `library`.",
    );
    static PREFIX: Optional<RepositoryName> = Optional::new(
        "prefix",
        Kind::parsed(Shape::Text, repository_prefix),
        "What stands before every repository's name at this upstream and not here, as at a mirror of several \
         registries: with `prefix = \"ghcr-proxy\"`, `org/tool` is asked for as `ghcr-proxy/org/tool`. Without it, a \
         mirror is told by `?ns=` which registry is meant.",
    );
    static TAG_TTL: Key<Duration> =
        Key::usual("tag_ttl", WINDOW, "60s", "How long a tag is served without asking upstream.");
    static STALE_WHILE_REVALIDATE: Key<Duration> = Key::usual(
        "stale_while_revalidate",
        WINDOW,
        "5m",
        "How long after `tag_ttl` the old answer goes out at once while upstream is asked behind it.",
    );
    static STALE_IF_ERROR: Key<Duration> = Key::usual(
        "stale_if_error",
        WINDOW,
        "7d",
        "How long after `tag_ttl` the old answer stands in for an upstream that fails.",
    );
    static NEGATIVE_TTL: Key<Duration> =
        Key::usual("negative_ttl", WINDOW, "5s", "How long a 401, 403 or 404 is remembered.");
    static ON_NOT_FOUND: Key<OnNotFound> = Key::usual(
        "on_not_found",
        choice_of(),
        "tell",
        "When upstream no longer has a cached tag: tell the client 404, or keep serving it, marked as stale.",
    );
    static ACCOUNTS: List<Option<AccountId>> = List::follows(
        "accounts",
        ACCOUNT_OR_ALL,
        "all; where the upstream has a credential or a client certificate, only `auth.account`",
        |_| Some(Vec::new()),
        "Accounts whose registries have this upstream, such as `[\"111111111111\"]`; `[\"*\"]` for all. What is pulled \
         is pulled with this upstream's credential, whoever asks.",
    );
    static USERNAME: Optional<String> = Optional::new(
        "username",
        TEXT,
        "User at upstream; needs one of the three passwords.",
    )
    .displacing(DISPLACED_BY_USERNAME);
    static PASSWORD: Optional<Secret> = Optional::new(
        "password",
        SECRET,
        "Password or token. It is better kept outside the file, by one of the next two.",
    )
    .displacing(DISPLACED_BY_PASSWORD);
    static PASSWORD_ENV: Optional<String> = Optional::new(
        "password_env",
        TEXT,
        "Environment variable that holds the password.",
    )
    .displacing(DISPLACED_BY_PASSWORD);
    static PASSWORD_FILE: Optional<PathBuf> = Optional::new(
        "password_file",
        PATH,
        "File that holds the password in one line; a change is noticed.",
    )
    .displacing(DISPLACED_BY_PASSWORD);
    static DOCKER_CONFIG: Optional<PathBuf> = Optional::new(
        "docker_config",
        PATH,
        "A Docker `config.json` with `auths`, `credHelpers` or `credsStore`, instead of a username.",
    )
    .displacing(DISPLACED_BY_DOCKER_CONFIG);
    static CREDENTIAL_HELPER: TableKey<Helper> = TableKey::new(
        "credential_helper",
        &HELPER,
        Helper::read,
        "A Docker credential helper, instead of a username, for credentials that expire (ECR, GAR, ACR).",
    );
    pub static REALMS: List<String> = List::usual(
        "realms",
        HOSTS,
        "[]",
        "Hosts besides the URLs' own that may issue tokens: they receive the credential.",
    );
    static PRIVATE_REDIRECTS: List<IpNet> = List::usual(
        "private_redirects",
        PRIVATE_NETWORKS,
        "[]",
        "Networks to which redirects may lead though their addresses are not public, such as `\"10.0.0.0/8\"`. Without \
         it they may lead to public addresses, and to those of the kind that the redirecting server has: loopback, \
         private or link-local.",
    );
    static PROXY: Key<ProxySetting> = Key::follows(
        "proxy",
        PROXY_SETTING,
        "`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` of the environment",
        |_| Some(ProxySetting::Environment),
        "The URL of the proxy through which it is asked, or `\"none\"`. Names are then resolved by the proxy.",
    );
    static CA: Optional<PathBuf> =
        Optional::new("ca", PATH, "PEM file of certificate authorities to trust besides the usual ones.");
    static CLIENT_CERTIFICATE: Optional<PathBuf> = Optional::new(
        "client_certificate",
        PATH,
        "PEM file of the certificate that is shown upstream; needs `client_key`.",
    );
    static CLIENT_KEY: Optional<PathBuf> = Optional::new("client_key", PATH, "PEM file of its private key.");
    static CONNECT_TIMEOUT: Key<Duration> = Key::usual("connect_timeout", TIMEOUT, "5s", "Time to connect.");
    static HEADER_TIMEOUT: Key<Duration> = Key::usual("header_timeout", TIMEOUT, "15s", "Time until an answer's head.");
    static STALL_TIMEOUT: Key<Duration> = Key::usual(
        "stall_timeout",
        TIMEOUT,
        "30s",
        "A body that brings no byte for this long is broken off and asked for again.",
    );
    static MIN_RATE: Key<u64> = Key::usual(
        "min_rate",
        size(0, 1 << 40),
        "1KiB",
        "Bytes a second that a blob must bring on average, or it is broken off and asked for again, and given up when \
         that is no faster. Only time counts in which upstream is waited for. 0: no limit.",
    );
    static MIN_RATE_WINDOW: Key<Duration> = Key::usual(
        "min_rate_window",
        TIMEOUT,
        "60s",
        "Time of waiting for upstream over which `min_rate` is averaged.",
    );
    static REVALIDATE_TIMEOUT: Key<Duration> = Key::usual(
        "revalidate_timeout",
        TIMEOUT,
        "3s",
        "Time for asking again when a cached answer could be served instead.",
    );
    static MAX_FETCHES: Key<usize> =
        Key::usual(
            "max_fetches",
            count(1, 10_000),
            "32",
            "Blob fetches at once; further ones wait. Clients take turns, and one holds three quarters of the places at \
             the most.",
        );
    static QUEUE_TIMEOUT: Key<Duration> = Key::usual(
        "queue_timeout",
        TIMEOUT,
        "60s",
        "How long a blob fetch waits for its turn below `max_fetches`; then clients are told 503 with `Retry-After`.",
    );
}

/// A redirect goes to addresses, of which a network names the bits that it has.
const PRIVATE_NETWORKS: Kind<IpNet> = Kind::parsed(Shape::Texts, private_network);

impl UpstreamSettings {
    /// The namespace that requests to `url` name with `?ns=`, as a mirror of several registries needs it
    /// (distribution-spec, "Registry Proxying"). `None` where the URL is the registry's own, where its prefix says
    /// whose repository is meant, or where the upstream goes by no registry's host.
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

    /// The registry of this account has the upstream. What an operator's credential opens is for the home registry
    /// unless the upstream says for whom.
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

    /// The upstream as it is known here when nothing can be asked any more: what a tag meant last, it means for good.
    #[must_use]
    pub fn without_asking(self) -> Self {
        Self {
            offline: true,
            urls: Vec::new(),
            tag_ttl: MAX_WINDOW,
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
        let context = Context::new(PathBuf::new(), BTreeMap::new(), &[]);
        let text = |text: &str| Entry::new(Place::BuiltIn, Value::text(text));
        let table =
            Table::from([(NAME.name.to_owned(), text(name.as_str())), (URL.name.to_owned(), text(url.as_str()))]);
        read_one(&Reader::new(&SECTION, SECTION.name.to_owned(), Place::BuiltIn, table, &context), true)
    }
}

/// `takes_pushes` tells whether clients can push here, so that names may be one's own.
pub fn read_one(reader: &Reader<'_>, takes_pushes: bool) -> Option<UpstreamSettings> {
    let settings = UpstreamSettings::read(reader)?;
    let default = settle_default(reader, &settings, takes_pushes)?;
    let settings = UpstreamSettings { default, ..settings };
    Some(if settings.offline { settings.without_asking() } else { settings })
}

/// Docker Hub's built-in default is the narrower choice where names may be one's own. A mirror that takes no pushes has
/// none, nor has an upstream that is not asked.
fn settle_default(reader: &Reader<'_>, settings: &UpstreamSettings, takes_pushes: bool) -> Option<DefaultFor> {
    let is_built_in = *reader.place(&DEFAULT) == Place::BuiltIn;
    let is_mirror = !takes_pushes || settings.offline;
    match settings.default {
        DefaultFor::Library if is_built_in && is_mirror => Some(DefaultFor::All),
        DefaultFor::Library if is_built_in && settings.library.is_none() => Some(DefaultFor::None),
        DefaultFor::Library if settings.library.is_none() => {
            reader.report(&DEFAULT, "is \"library\", which needs `library`: the first component of official images");
            None
        }
        default => Some(default),
    }
}

/// An offline upstream is not asked, whatever URLs it has.
fn read_urls(reader: &Reader<'_>) -> Option<Vec<Url>> {
    if reader.get(&OFFLINE) == Some(true) {
        return Some(Vec::new());
    }
    let urls = URL.elements(reader)?.unwrap_or_default();
    if urls.is_empty() {
        return missing_url(reader);
    }
    for (index, (place, url)) in urls.iter().enumerate() {
        if urls.iter().take(index).any(|(_, other)| other == url) {
            reader.context().report(place, reader.key_path(&URL), format!("{url} is listed twice"));
        }
    }
    Some(urls.into_iter().map(|(_, url)| url).collect())
}

fn missing_url(reader: &Reader<'_>) -> Option<Vec<Url>> {
    reader.report(&URL, "is missing: write the registry's base URL, such as \"https://registry.example\"");
    None
}

fn write_urls(urls: &[Url]) -> Vec<(&'static str, Written)> {
    if urls.is_empty() { Vec::new() } else { vec![(URL.name, Written::texts(urls))] }
}

#[expect(clippy::option_option, reason = "a problem is not the same as nothing given")]
fn read_accounts(reader: &Reader<'_>) -> Option<Option<UpstreamAccounts>> {
    let accounts = reader.get(&ACCOUNTS)?;
    Some(reader.has(&ACCOUNTS).then(|| UpstreamAccounts::of(accounts)))
}

fn write_accounts(accounts: &Option<UpstreamAccounts>) -> Vec<(&'static str, Written)> {
    accounts.iter().map(|accounts| (ACCOUNTS.name, accounts.written())).collect()
}

fn private_network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse()
        .or_else(|_| address())
        .map_err(|_| format!("{text:?} is no network: write for instance \"10.0.0.0/8\""))
}
