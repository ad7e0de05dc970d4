//! This service as its clients see it.

use std::io::ErrorKind;
use std::net::{IpAddr, TcpListener};

use reqwest::Url;

use crate::cli::failure::Failure;
use crate::cli::healthcheck::reachable;
use crate::config::{Access, ClientCertificate, DefaultFor, Settings};

pub(super) struct Service {
    url: Url,
    pub registries: Vec<Registry>,
    /// Upstreams that no host stands for: they are reached only by their whole name.
    pub without_host: Vec<String>,
    /// The host of the default upstream, and which requests that name no upstream it answers.
    pub default: Option<(String, DefaultFor)>,
    pub wanted: Wanted,
}

/// A registry as image names have it.
pub(super) struct Registry {
    /// `docker.io`, `registry.example:5000`.
    pub host: String,
    /// The prefix under which the service has it.
    pub name: String,
    /// Where a client asks when the service does not answer; the service itself where nothing else can be asked.
    pub origin: String,
    /// Whether the registry's images lie in the service itself.
    pub offline: bool,
}

/// What a client has to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// A name and a password, except for what is public.
    pub login: bool,
    /// A certificate in the TLS handshake, of the listener's `client_ca`.
    pub certificate: bool,
}

/// Other names of docker.io, which clients write as docker.io before they look for a mirror.
const DOCKER_HUB_ALIASES: [&str; 2] = ["index.docker.io", "registry-1.docker.io"];

impl Service {
    pub fn new(settings: &Settings, url: Option<&Url>) -> Result<Self, Failure> {
        let url = match url {
            Some(url) => checked(url)?,
            None => first_listener(settings)?,
        };
        let wanted = wanted(settings, &url);
        let mut service = Self { url, registries: Vec::new(), without_host: Vec::new(), default: None, wanted };
        for upstream in &settings.upstreams {
            let is_hub = upstream.ns.iter().any(|host| host == "docker.io");
            let hosts = upstream.ns.iter().filter(|host| !(is_hub && DOCKER_HUB_ALIASES.contains(&host.as_str())));
            let hosts: Vec<&String> = hosts.collect();
            if hosts.is_empty() {
                service.without_host.push(upstream.name.to_string());
            }
            if upstream.default != DefaultFor::None {
                service.default = hosts.first().map(|host| ((*host).clone(), upstream.default));
            }
            let this = service.url().to_owned();
            service.registries.extend(hosts.into_iter().map(|host| Registry {
                host: host.clone(),
                name: upstream.name.to_string(),
                origin: if upstream.offline { this.clone() } else { origin(host, &upstream.urls) },
                offline: upstream.offline,
            }));
        }
        if service.registries.is_empty() {
            return Err(Failure::Runtime(
                "no upstream of the configuration stands for a registry, so there is nothing for a client to be told: add an [[upstream]] \
                 with the registry's host as name, with `offline = true` where its images are imported and nothing is asked"
                    .to_owned(),
            ));
        }
        Ok(service)
    }

    /// `http://127.0.0.1:5000`
    pub fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// `127.0.0.1:5000`
    pub fn address(&self) -> &str {
        self.url().split_once("://").map_or(self.url(), |(_, address)| address)
    }

    pub fn is_plain_http(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// Fails where a program listens at the address, or where that is no address of this machine.
    pub fn refuse_if_taken(&self) -> Result<(), Failure> {
        let url = self.url();
        let addresses = self.url.socket_addrs(|| None);
        let addresses = addresses.map_err(|error| Failure::Runtime(format!("{url} has no address: {error}")))?;
        match TcpListener::bind(addresses.as_slice()) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::AddrInUse => Err(Failure::Runtime(format!(
                "another program listens at {url}: clients would ask it for every image, so nothing was written; stop it, or \
                 choose another port"
            ))),
            Err(error) => Err(Failure::Runtime(format!(
                "{url} cannot be looked at: {error}; --if-free is for the machine and the user that will serve there"
            ))),
        }
    }

    /// Docker allows plain HTTP only to addresses of the own machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.url.host_str().unwrap_or("").trim_matches(['[', ']']);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

fn checked(url: &Url) -> Result<Url, Failure> {
    let plain = url.path().trim_matches('/').is_empty() && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || !plain || !anonymous {
        let message = "--url takes scheme, host and port only, such as http://cache.example:5000";
        return Err(Failure::Usage(message.to_owned()));
    }
    Ok(url.clone())
}

/// By the listener of the URL's port; behind another port, whatever stands there is taken for the first one.
fn wanted(settings: &Settings, url: &Url) -> Wanted {
    let listeners = &settings.listen;
    let by_port = listeners.iter().find(|listener| Some(listener.address.port()) == url.port_or_known_default());
    let Some(listener) = by_port.or(listeners.first()) else { return Wanted::default() };
    let login = listener.auth.map_or(settings.auth.required, |access| access == Access::Required);
    let asks = listener.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    let insists =
        asks && listener.tls.as_ref().is_some_and(|tls| tls.client_certificate == ClientCertificate::Required);
    Wanted { login: login && !insists, certificate: insists }
}

fn first_listener(settings: &Settings) -> Result<Url, Failure> {
    let listener = settings.listen.first().ok_or_else(|| Failure::Usage("nothing listens; give --url".to_owned()))?;
    let scheme = if listener.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", reachable(listener.address));
    url.parse().map_err(|error| Failure::Runtime(format!("{url} is not a URL: {error}")))
}

fn origin(host: &str, urls: &[Url]) -> String {
    if host == "docker.io" {
        return "https://registry-1.docker.io".to_owned();
    }
    let over_http = |url: &Url| url.scheme() == "http" && authority(url) == host;
    let scheme = if urls.iter().any(over_http) { "http" } else { "https" };
    format!("{scheme}://{host}")
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or("");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
