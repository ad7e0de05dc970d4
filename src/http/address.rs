//! Where a request comes from and where it came to: the client's address, the host and the scheme, worked out once.
//!
//! The host says which upstream a name may mean, where a token is had, and what was signed. A request says it once (RFC 9112 section 3.2,
//! RFC 9113 section 8.3.1): with two of them, a proxy in front may have checked the other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::header::HOST;
use http::request::Parts;
use http::{StatusCode, Version};
use reqwest::Url;

use super::forwarded::Secure;
use super::oci::Failure;
use crate::oci::{AccountId, ErrorCode};
use crate::registry::Registries;

/// The addresses of one request.
#[derive(Clone, Debug)]
pub struct Address {
    /// The client's.
    pub source: IpAddr,
    /// The host that the client came to, in lower case, with its port.
    pub host: Option<String>,
    /// Whether the client came over TLS.
    pub secure: bool,
}

impl Address {
    /// The only place that looks at the peer, the host and the scheme, which `forwarded.rs` has given a forwarded request in place of its
    /// proxy's. `secure` says whether the listener speaks TLS.
    pub fn of(request: &Parts, secure: bool) -> Result<Self, Failure> {
        check(request)?;
        let peer = request.extensions.get::<SocketAddr>().map(SocketAddr::ip);
        let source = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let secure = request.extensions.get::<Secure>().map_or(secure, |said| said.0);
        Ok(Self { source, host: host(request), secure })
    }

    const fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

/// Where clients reach the registries of a listener.
#[derive(Clone)]
pub struct Front {
    pub registries: Arc<Registries>,
    /// The URL of the configuration (`auth.url`).
    pub url: Option<Url>,
}

impl Front {
    /// The account whose registry the client came to: the users that it names are of this account.
    pub fn account(&self, address: &Address) -> AccountId {
        match self.registries.chosen_by(address.host.as_deref()) {
            Ok(Some(chosen)) => chosen.account,
            _ => self.registries.home(),
        }
    }

    /// Where clients reach the registry.
    pub fn url(&self, address: &Address) -> String {
        let host = address.host.as_deref();
        // A host that chose a registry has to choose it at the token endpoint as well.
        let chose = matches!(self.registries.chosen_by(host), Ok(Some(_)));
        if let Some(url) = self.url.as_ref().filter(|_| !chose) {
            return url.as_str().trim_end_matches('/').to_owned();
        }
        // The URL stands between quotes in the challenge.
        let plain = |c: u8| c.is_ascii_alphanumeric() || b".-_:[]".contains(&c);
        let host = host.filter(|host| host.bytes().all(plain));
        format!("{}://{}", address.scheme(), host.unwrap_or("localhost"))
    }

    /// Where clients reach the registry by this name: at the port that this one came to.
    pub fn url_of(&self, address: &Address, name: &str) -> String {
        let came_to = address.host.as_deref().unwrap_or_default();
        let port = came_to.rsplit_once(':').map_or("", |(_, port)| port);
        let is_port = !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit());
        let port = if is_port { format!(":{port}") } else { String::new() };
        format!("{}://{name}{port}", address.scheme())
    }
}

/// HTTP/2 has it in the URI.
fn host(request: &Parts) -> Option<String> {
    let authority = request.uri.authority().map(http::uri::Authority::as_str);
    let host = authority.or_else(|| request.headers.get(HOST)?.to_str().ok())?;
    Some(host.to_ascii_lowercase())
}

fn check(request: &Parts) -> Result<(), Failure> {
    let mut hosts = request.headers.get_all(HOST).iter();
    let host = hosts.next();
    let message = match (host, request.uri.authority()) {
        _ if hosts.next().is_some() => "the request has more than one Host header: send one",
        (None, _) if request.version == Version::HTTP_11 => "the request has no Host header: send one",
        (Some(host), Some(authority))
            if request.version == Version::HTTP_2
                && !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            "the Host header is not the :authority of the request: send one of them"
        }
        _ => return Ok(()),
    };
    Err(Failure::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (version, uri, hosts, is_right) in [
            (Version::HTTP_11, "/", &["a"][..], true),
            (Version::HTTP_11, "/", &[], false),
            (Version::HTTP_11, "/", &["a", "a"], false),
            (Version::HTTP_11, "/", &["a", "b"], false),
            // The target's host counts, and the header need only be there.
            (Version::HTTP_11, "http://a/", &["b"], true),
            (Version::HTTP_11, "http://a/", &[], false),
            (Version::HTTP_10, "/", &[], true),
            (Version::HTTP_10, "/", &["a", "b"], false),
            (Version::HTTP_2, "http://a:1/", &[], true),
            (Version::HTTP_2, "http://a:1/", &["A:1"], true),
            (Version::HTTP_2, "http://a:1/", &["a"], false),
            (Version::HTTP_2, "http://a:1/", &["a:1", "a:1"], false),
        ] {
            let mut request = http::Request::builder().version(version).uri(uri);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(check(&parts).is_ok(), is_right, "{version:?} {uri} {hosts:?}");
        }
    }
}
