//! The two HTTP clients of an upstream.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;

use super::error::ErrorKind;
use super::tls;
use crate::config::UpstreamSettings;

const IDLE_CONNECTIONS: usize = 32;
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Neither follows redirects or unpacks bodies; both take proxies from the environment.
pub(super) struct Clients {
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
        let mut tls = tls::client_config(settings)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let blob = builder(settings).http1_only().tls_backend_preconfigured(tls.clone());
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // One connection carries every request, so one that has died unnoticed must be found out.
        let api = builder(settings)
            .http2_keep_alive_interval(KEEPALIVE)
            .http2_keep_alive_timeout(settings.connect_timeout)
            .tls_backend_preconfigured(tls);
        let build = |builder: reqwest::ClientBuilder| builder.build().map_err(|error| describe(&error));
        Ok(Self { api: build(api)?, blob: build(blob)? })
    }

    pub(super) fn of(&self, channel: Channel) -> &reqwest::Client {
        match channel {
            Channel::Api => &self.api,
            Channel::Blob => &self.blob,
        }
    }
}

fn builder(settings: &UpstreamSettings) -> reqwest::ClientBuilder {
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
    // The module's own tests talk to loopback, whatever the environment of who runs them.
    if cfg!(test) { builder.no_proxy() } else { builder }
}

/// A request that brought no answer.
pub(super) fn failure(error: &reqwest::Error) -> ErrorKind {
    ErrorKind::Unreachable { detail: describe(error) }
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
