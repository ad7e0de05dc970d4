//! Requests that a web page has made are not the client's own.
//!
//! Browsers send requests to any address for whichever page is open, also to this machine's own listeners, where reaching them is all the
//! right that is needed. They tell the page's site in `Origin`, except for what a page merely shows; so a request with the `Origin` of
//! another site is refused, on every listener. For what a page shows they tell in `Sec-Fetch-Site` whether it is of this site, where this
//! is the machine itself or speaks TLS. A page can also have its own name lead here (DNS rebinding): then the site is right and the name of
//! the host is not, so requests with an origin, and all to listeners that only this machine reaches, are taken only by names that are
//! known. Addresses, and names that nobody can have in the public DNS, are no such names.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::ORIGIN;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::oci::Failure;
use crate::oci::ErrorCode;

/// The hosts that a registry or its operators' listener is known by. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct KnownHosts(Arc<[String]>);

/// Top-level domains that no public DNS has (RFC 2606, RFC 6761, and ICANN's reservation of `internal`).
const PRIVATE_DOMAINS: [&str; 3] = ["localhost", "internal", "test"];

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Characters of an origin or a host that are told.
const MAX_TOLD_CHARS: usize = 100;

impl KnownHosts {
    /// Names without ports, in lower case.
    pub fn new(hosts: impl IntoIterator<Item = String>) -> Self {
        Self(hosts.into_iter().collect())
    }

    pub fn has(&self, host: &str) -> bool {
        self.0.iter().any(|known| known == without_port(host))
    }
}

/// Refuses a request of another site's page. `host` is the one that the request came to.
pub fn check_origin(headers: &HeaderMap, host: Option<&str>, known: &KnownHosts) -> Result<(), Failure> {
    let is_own = |origin: &str| {
        let Some((scheme, site)) = origin.split_once("://") else { return false };
        let usual = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
        let site = site.to_ascii_lowercase();
        let bare = |name: &str| name.strip_suffix(usual).unwrap_or(name).to_owned();
        // Another port of a known host is another site.
        let is_known = |site: String| known.0.contains(&site);
        host.is_some_and(|host| bare(&host.to_ascii_lowercase()) == bare(&site)) || is_known(bare(&site))
    };
    let foreign = headers.get_all(ORIGIN).iter().find(|origin| !origin.to_str().is_ok_and(is_own));
    match foreign {
        None => Ok(()),
        Some(origin) => Err(refused(format!(
            "the request is of a web page of another site ({}) and was refused: only pages of this registry may send requests to it",
            told(&String::from_utf8_lossy(origin.as_bytes()))
        ))),
    }
}

/// Refuses what another site's page shows, or leads to, as a browser says.
pub fn check_shown(headers: &HeaderMap) -> Result<(), Failure> {
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    match site {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(refused(
            "the request is of a web page of another site and was refused: open the address by itself".to_owned(),
        )),
    }
}

/// Refuses a request that came by a name which may have been led here: on a listener that only this machine reaches.
pub fn check_host(host: Option<&str>, is_known: impl FnOnce(&str) -> bool) -> Result<(), Failure> {
    match host {
        Some(host) if is_public(host) && !is_known(host) => Err(refused(format!(
            "the request came to this machine by the name {}, which is not known to be its own: use localhost, or add the name to `http.hosts`",
            told(host)
        ))),
        _ => Ok(()),
    }
}

/// Whether somebody could have the name in the public DNS.
fn is_public(host: &str) -> bool {
    let name = without_port(host);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if address.parse::<IpAddr>().is_ok() {
        return false;
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    match name.rsplit_once('.') {
        Some((_, last)) => !PRIVATE_DOMAINS.contains(&last),
        None => false,
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|c| c.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

fn told(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TOLD_CHARS).collect()
}

fn refused(message: String) -> Failure {
    Failure::new(StatusCode::FORBIDDEN, ErrorCode::Denied, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_are_refused() {
        let known = KnownHosts::new(["registry.example".to_owned()]);
        for (host, origins, is_right) in [
            ("localhost:5000", &[][..], true),
            ("localhost:5000", &["http://localhost:5000"], true),
            ("LOCALHOST:5000", &["http://Localhost:5000"], true),
            ("localhost:5000", &["http://localhost:6000"], false),
            ("localhost:5000", &["http://localhost"], false),
            ("localhost:5000", &["http://evil.example"], false),
            ("localhost:5000", &["null"], false),
            ("localhost:5000", &[""], false),
            ("localhost:5000", &["http://localhost:5000.evil.example"], false),
            ("localhost:5000", &["http://localhost:5000", "http://evil.example"], false),
            ("localhost:5000", &["\u{fc}"], false),
            ("[::1]:5000", &["http://[::1]:5000"], true),
            ("a.example", &["https://a.example"], true),
            ("a.example:443", &["https://a.example"], true),
            ("a.example", &["https://a.example:443"], true),
            ("a.example", &["https://a.example:8443"], false),
            // Behind a proxy that does not tell the host.
            ("entrepot:5000", &["https://registry.example"], true),
            ("entrepot:5000", &["https://registry.example.evil.example"], false),
            ("entrepot:5000", &["https://registry.example:443"], true),
            ("entrepot:5000", &["https://registry.example:8443"], false),
            ("registry.example", &["http://registry.example:8080"], false),
        ] {
            let mut headers = HeaderMap::new();
            for origin in origins {
                headers.append(ORIGIN, http::HeaderValue::from_bytes(origin.as_bytes()).unwrap());
            }
            assert_eq!(check_origin(&headers, Some(host), &known).is_ok(), is_right, "{host} {origins:?}");
            assert_eq!(check_origin(&headers, None, &KnownHosts::default()).is_ok(), origins.is_empty());
        }
    }

    #[test]
    fn g23_what_pages_of_other_sites_show() {
        for (site, is_right) in
            [("none", true), ("same-origin", true), ("cross-site", false), ("same-site", false), ("", false)]
        {
            let headers = HeaderMap::from_iter([(SEC_FETCH_SITE.parse().unwrap(), site.parse().unwrap())]);
            assert_eq!(check_shown(&headers).is_ok(), is_right, "{site}");
        }
        assert!(check_shown(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn names_that_may_be_led_here() {
        let is_known = |host: &str| without_port(host) == "registry.example";
        for (host, is_right) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("localhost.:5000", true),
            ("team.localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.1.2.3", true),
            ("[::1]:5000", true),
            ("[::1]", true),
            ("host.docker.internal:5000", true),
            ("build-machine:5000", true),
            ("registry.example:5000", true),
            ("registry.example", true),
            ("evil.example", false),
            ("evil.example:5000", false),
            ("evil.example.:5000", false),
            ("localhost.evil.example:5000", false),
            ("127.0.0.1.evil.example", false),
            ("127.0.0.1.nip.io:5000", false),
            ("x.local", false),
        ] {
            assert_eq!(check_host(Some(host), is_known).is_ok(), is_right, "{host}");
        }
        assert!(check_host(None, |_| false).is_ok());
    }
}
