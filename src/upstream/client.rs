//! The HTTP clients of an upstream: one for each channel, and for each reach that a request may have.

use std::error::Error as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;

use super::error::ErrorKind;
use super::proxy::Proxies;
use super::reach::{self, Filtered, Forbidden, Reach, Zone};
use super::tls;
use crate::config::UpstreamSettings;

const IDLE_CONNECTIONS: usize = 32;
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const KEEPALIVE: Duration = Duration::from_secs(30);

pub(super) struct Clients {
    settings: UpstreamSettings,
    tls: rustls::ClientConfig,
    proxies: Proxies,
    /// For what the settings name.
    first: Pair,
    /// For what a redirect names that came from this zone; made when there is one.
    onward: [(Zone, OnceLock<Result<Pair, String>>); Zone::ALL.len()],
}

/// Neither follows redirects or unpacks bodies. Connections of different reach are never shared.
pub(super) struct Pair {
    pub(super) reach: Reach,
    /// Manifests, lists, tokens: HTTP/2 where the server has it.
    api: reqwest::Client,
    /// Blobs: HTTP/1.1, because one HTTP/2 connection with usual windows is an order of magnitude slower over distance.
    blob: reqwest::Client,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Api,
    Blob,
}

impl Clients {
    pub(super) fn new(settings: &UpstreamSettings) -> Result<Self, String> {
        let (tls, proxies) = (tls::client_config(settings)?, Proxies::new(&settings.proxy));
        let first = match &settings.rule {
            Some(rule) if !rule.private_upstreams => Reach::Public { and: Zone::Public, networks: Arc::default() },
            _ => Reach::Anywhere,
        };
        let first = Pair::new(settings, &tls, &proxies, first)?;
        let onward = Zone::ALL.map(|zone| (zone, OnceLock::new()));
        Ok(Self { settings: settings.clone(), tls, proxies, first, onward })
    }

    /// For what the settings name.
    pub(super) fn first(&self) -> &Pair {
        &self.first
    }

    /// For what the server that sent `response` redirects to.
    pub(super) fn onward(&self, from: &Url, response: &reqwest::Response) -> Result<&Pair, ErrorKind> {
        let zone = match (reach::literal(from), self.proxies.of(from)) {
            (Some(address), _) => Zone::of(address),
            // What is at the other end is the proxy.
            (None, Some(_)) => Zone::Public,
            (None, None) => response.remote_addr().map_or(Zone::Public, |address| Zone::of(address.ip())),
        };
        let made = self.onward.iter().find(|(of, _)| *of == zone).map(|(_, pair)| {
            pair.get_or_init(|| {
                let networks = self.settings.private_redirects.clone().into();
                Pair::new(&self.settings, &self.tls, &self.proxies, Reach::Public { and: zone, networks })
            })
        });
        match made {
            Some(Ok(pair)) => Ok(pair),
            Some(Err(detail)) => Err(ErrorKind::Unreachable { detail: detail.clone() }),
            None => Ok(&self.first),
        }
    }

    /// By which proxy `url` is asked, if by any, in words.
    pub(super) fn proxy_of(&self, url: &Url) -> Option<String> {
        self.proxies.of(url)
    }

    /// A request for `url` that brought no answer.
    pub(super) fn failure(&self, url: &Url, error: &reqwest::Error) -> ErrorKind {
        if let Some(forbidden) = forbidden(error) {
            return self.refusal(url, forbidden);
        }
        let host = reach::host(url);
        let detail = match self.proxies.of(url) {
            Some(proxy) => format!("{host} through the proxy {proxy}: {}", describe(error)),
            None => format!("{host}: {}", describe(error)),
        };
        ErrorKind::Unreachable { detail }
    }

    /// A request for `url` that was not made.
    pub(super) fn refusal(&self, url: &Url, forbidden: &Forbidden) -> ErrorKind {
        let is_own = self.settings.urls.iter().any(|own| own.origin() == url.origin());
        let detail = match &self.settings.rule {
            Some(_) if is_own => format!("{forbidden}; `rules.private_upstreams` allows it"),
            Some(_) => format!("it leads to {forbidden}"),
            None => format!(
                "it redirects to a place where it may not: {forbidden}; `private_redirects` of this upstream allows it"
            ),
        };
        ErrorKind::Misbehaved { detail }
    }
}

impl Pair {
    fn new(
        settings: &UpstreamSettings,
        tls: &rustls::ClientConfig,
        proxies: &Proxies,
        reach: Reach,
    ) -> Result<Self, String> {
        let mut tls = tls.clone();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let blob = builder(settings, proxies, &reach)?.http1_only().tls_backend_preconfigured(tls.clone());
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // One connection carries every request, so one that has died unnoticed must be found out.
        let api = builder(settings, proxies, &reach)?
            .http2_keep_alive_interval(KEEPALIVE)
            .http2_keep_alive_timeout(settings.connect_timeout)
            .tls_backend_preconfigured(tls);
        let build = |builder: reqwest::ClientBuilder| builder.build().map_err(|error| describe(&error));
        Ok(Self { api: build(api)?, blob: build(blob)?, reach })
    }

    pub(super) fn of(&self, channel: Channel) -> &reqwest::Client {
        match channel {
            Channel::Api => &self.api,
            Channel::Blob => &self.blob,
        }
    }
}

fn builder(settings: &UpstreamSettings, proxies: &Proxies, reach: &Reach) -> Result<reqwest::ClientBuilder, String> {
    // Blobs are named by the digest of their bytes: a body that was packed for the transfer would be another blob (C14).
    let identity = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
    let builder = reqwest::Client::builder()
        .user_agent(concat!("entrepot/", env!("CARGO_PKG_VERSION")))
        .default_headers(identity)
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(settings.connect_timeout)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_nodelay(true)
        .tcp_keepalive(KEEPALIVE);
    let builder = match reach {
        Reach::Anywhere => builder,
        reach => builder.dns_resolver(Arc::new(Filtered::new(reach.clone(), proxies.hosts()))),
    };
    proxies.apply(builder)
}

/// A request that brought no answer, without its host.
pub(super) fn failure(error: &reqwest::Error) -> ErrorKind {
    match forbidden(error) {
        Some(forbidden) => ErrorKind::Misbehaved { detail: forbidden.to_string() },
        None => ErrorKind::Unreachable { detail: describe(error) },
    }
}

fn forbidden(error: &reqwest::Error) -> Option<&Forbidden> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(forbidden) = error.downcast_ref() {
            return Some(forbidden);
        }
        cause = error.source();
    }
    None
}

/// What went wrong, without the URL: a redirect's may hold a signature.
pub(super) fn describe(error: &reqwest::Error) -> String {
    if error.is_timeout() && error.is_connect() {
        return "no connection within `connect_timeout`".to_owned();
    }
    let mut parts: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !text.starts_with("client error") && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        cause = error.source();
    }
    if parts.is_empty() {
        return if error.is_timeout() { "it timed out".to_owned() } else { "the connection failed".to_owned() };
    }
    let text = parts.join(": ");
    explained(text)
}

/// With what to do, where rustls says it in words of its own.
fn explained(text: String) -> String {
    if text.contains("UnknownIssuer") {
        return format!("{text}; a private authority belongs into `ca`");
    }
    if text.contains("CaUsedAsEndEntity") {
        return "the server shows the certificate of an authority as its own, which is not trusted even where `ca` names it: give \
                the server a certificate that the authority has signed (one with CA:FALSE)"
            .to_owned();
    }
    text
}
