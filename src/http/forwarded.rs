//! Requests as clients sent them, where a trusted proxy forwards them.
//!
//! A proxy says for whom it asks in `X-Forwarded-For`, and how the client asked in `X-Forwarded-Proto` and `X-Forwarded-Host`. Anyone can
//! write these headers, so that they count only where the connection comes from a network of `http.trusted_proxies`. Each proxy appends
//! the address that it was asked from: read from the right, the first one that is not a trusted proxy's is the client's, and whatever
//! stands left of it is the client's own invention. `Forwarded` (RFC 7239) is not read: a proxy that knows only the one header passes the
//! other on as the client wrote it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Uri};
use ipnet::IpNet;

const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const FORWARDED_HOST: &str = "x-forwarded-host";

/// Proxies in a row that are looked at. One more is taken for the client.
const MAX_HOPS: usize = 32;

/// The networks of trusted proxies. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

/// Whether the client came over TLS: marks requests that a trusted proxy says this of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secure(pub bool);

/// Whom the peer of a connection may ask for: marks requests of a balancer that said, by the PROXY protocol, that it asks for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    Others,
    Nobody,
}

impl TrustedProxies {
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    pub fn trusts(&self, address: IpAddr) -> bool {
        // A socket that takes both families tells IPv4 addresses as IPv6.
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Gives a request that a trusted proxy forwards the client's address, host and scheme in place of the proxy's.
    pub fn restore<B>(&self, request: &mut Request<B>) {
        let Some(peer) = request.extensions().get::<SocketAddr>().copied() else { return };
        if !self.trusts(peer.ip()) || request.extensions().get() == Some(&Names::Nobody) {
            return;
        }
        let client = self.client(peer, request.headers());
        request.extensions_mut().insert(client);
        if let Some(secure) = scheme(request.headers()) {
            request.extensions_mut().insert(Secure(secure));
        }
        if let Some(host) = host(request.headers()) {
            came_to(request, host);
        }
    }

    fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let mut client = peer;
        let values = headers.get_all(FOR).iter().rev();
        for hop in values.flat_map(entries).take(MAX_HOPS) {
            // A trusted proxy that tells no address is as far as it can be traced.
            let Some(address) = hop.and_then(address) else { return client };
            client = address;
            if !self.trusts(address.ip()) {
                return client;
            }
        }
        client
    }
}

/// The entries of a list in a header, the last one first; `None` for one that is no text. Each is read by itself: a proxy appends its own to
/// what the client wrote, and whatever that was must not hide what the proxy says.
fn entries(value: &HeaderValue) -> impl Iterator<Item = Option<&str>> {
    value.as_bytes().rsplit(|byte| *byte == b',').map(|entry| std::str::from_utf8(entry).ok().map(str::trim))
}

/// An address, perhaps with a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
/// One of IPv4 that is written as of IPv6 is that of IPv4, as policies, limits and records have it.
fn address(hop: &str) -> Option<SocketAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let address = match bare.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, 0),
        Err(_) => hop.parse().ok()?,
    };
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// The last value, which the nearest proxy wrote. Others than these two say nothing.
fn scheme(headers: &HeaderMap) -> Option<bool> {
    let said = last(headers, PROTO)?;
    if said.eq_ignore_ascii_case("https") {
        Some(true)
    } else if said.eq_ignore_ascii_case("http") {
        Some(false)
    } else {
        None
    }
}

fn host(headers: &HeaderMap) -> Option<Authority> {
    let host: Authority = last(headers, FORWARDED_HOST)?.parse().ok()?;
    (!host.as_str().contains('@')).then_some(host)
}

fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    entries(headers.get_all(name).iter().next_back()?).next()?
}

/// The host that the client came to, in place of the one that the proxy says. A request that says two is left as it is, to be refused.
fn came_to<B>(request: &mut Request<B>, host: Authority) {
    if request.headers().get_all(HOST).iter().nth(1).is_some() {
        return;
    }
    let Ok(value) = HeaderValue::from_str(host.as_str()) else { return };
    if request.uri().authority().is_some() {
        let mut parts = request.uri().clone().into_parts();
        parts.authority = Some(host);
        let Ok(uri) = Uri::from_parts(parts) else { return };
        *request.uri_mut() = uri;
        if !request.headers().contains_key(HOST) {
            return;
        }
    }
    request.headers_mut().insert(HOST, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted() -> TrustedProxies {
        let networks: Vec<IpNet> = ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"].map(|net| net.parse().unwrap()).into();
        TrustedProxies::new(&networks)
    }

    fn request(peer: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri("/v2/");
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let mut request = request.body(()).unwrap();
        request.extensions_mut().insert(SocketAddr::new(peer.parse().unwrap(), 9));
        trusted().restore(&mut request);
        request
    }

    /// A balancer that passes TCP on and speaks for itself has looked at no header.
    #[test]
    fn a08_headers_of_who_names_nobody_are_the_clients() {
        for (names, expected) in [(Names::Others, "203.0.113.97"), (Names::Nobody, "10.0.0.1")] {
            let mut request = Request::builder().header(FOR, "203.0.113.97").body(()).unwrap();
            request.extensions_mut().insert(SocketAddr::new("10.0.0.1".parse().unwrap(), 9));
            request.extensions_mut().insert(names);
            trusted().restore(&mut request);
            assert_eq!(request.extensions().get::<SocketAddr>().unwrap().ip().to_string(), expected);
        }
    }

    #[test]
    fn the_last_hop_that_is_not_trusted_is_the_client() {
        let client = |peer: &str, values: &[&str]| {
            let headers: Vec<_> = values.iter().map(|value| (FOR, *value)).collect();
            request(peer, &headers).extensions().get::<SocketAddr>().unwrap().ip().to_string()
        };
        for (peer, values, expected) in [
            // Nobody else can say for whom they ask.
            ("203.0.113.5", &["198.51.100.1"][..], "203.0.113.5"),
            ("203.0.113.5", &["10.0.0.1"], "203.0.113.5"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("192.0.2.7", &["198.51.100.1"], "198.51.100.1"),
            ("192.0.2.8", &["198.51.100.1"], "192.0.2.8"),
            // Left of the client stands what the client made up.
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.2.3.4"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1", "198.51.100.1,10.2.3.4", "fd00::1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1", "1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["unknown, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["10.9.9.9, 198.51.100.1"], "198.51.100.1"),
            // Among proxies only: the first of them.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // Garbage from a trusted proxy: as far as it can be traced.
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &[",,"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.999"], "10.0.0.1"),
            ("10.0.0.1", &["\u{fc}"], "10.0.0.1"),
            // What the client wrote hides nothing of what the proxy appends to it in one line.
            ("10.0.0.1", &["\u{fc}, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["\u{fc},198.51.100.1, 10.2.3.4"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, \u{20ac}", "198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1, \u{fc}"], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            // One of IPv4, however it is written.
            ("10.0.0.1", &["::ffff:198.51.100.9"], "198.51.100.9"),
            ("10.0.0.1", &["[::ffff:198.51.100.9]:80"], "198.51.100.9"),
            // With a port, in brackets.
            ("10.0.0.1", &["198.51.100.1:8080"], "198.51.100.1"),
            ("10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
        ] {
            assert_eq!(client(peer, values), expected, "{peer} {values:?}");
        }
        let many = vec!["10.0.0.2"; 10_000].join(",");
        assert_eq!(client("10.0.0.1", &[&format!("198.51.100.1,{many}")]), "10.0.0.2");
    }

    #[test]
    fn the_scheme_is_the_nearest_proxys() {
        let secure =
            |peer: &str, headers: &[(&str, &str)]| request(peer, headers).extensions().get::<Secure>().copied();
        for (said, expected) in [
            ("https", Some(Secure(true))),
            ("HTTPS", Some(Secure(true))),
            ("http", Some(Secure(false))),
            ("http, https", Some(Secure(true))),
            ("https,http", Some(Secure(false))),
            ("wss", None),
            ("", None),
            ("https,", None),
            ("\u{fc}, https", Some(Secure(true))),
        ] {
            assert_eq!(secure("10.0.0.1", &[(PROTO, said)]), expected, "{said}");
            assert_eq!(secure("203.0.113.5", &[(PROTO, said)]), None, "{said}");
        }
        assert_eq!(secure("10.0.0.1", &[(PROTO, "https"), (PROTO, "http")]), Some(Secure(false)));
    }

    #[test]
    fn the_host_is_the_one_that_the_client_came_to() {
        let host = |peer: &str, headers: &[(&str, &str)]| {
            let request = request(peer, headers);
            let hosts: Vec<_> = request.headers().get_all(HOST).iter().map(|host| host.to_str().unwrap()).collect();
            hosts.join(" ")
        };
        let own = ("host", "entrepot:5000");
        for (said, expected) in [
            ("registry.example", "registry.example"),
            ("registry.example:8443", "registry.example:8443"),
            ("a.example, registry.example", "registry.example"),
            ("\u{fc}, registry.example", "registry.example"),
            ("[2001:db8::1]:443", "[2001:db8::1]:443"),
            ("user@registry.example", "entrepot:5000"),
            ("registry.example/x", "entrepot:5000"),
            ("regis try", "entrepot:5000"),
            ("\"", "entrepot:5000"),
            ("", "entrepot:5000"),
        ] {
            assert_eq!(host("10.0.0.1", &[own, (FORWARDED_HOST, said)]), expected, "{said}");
            assert_eq!(host("203.0.113.5", &[own, (FORWARDED_HOST, said)]), "entrepot:5000", "{said}");
        }
        let two = [("host", "a"), ("host", "b"), (FORWARDED_HOST, "registry.example")];
        assert_eq!(host("10.0.0.1", &two), "a b", "refused later");
        // HTTP/2 and requests in absolute form say it in the target.
        let mut target = Request::builder().uri("http://entrepot:5000/v2/").header(FORWARDED_HOST, "registry.example");
        target.headers_mut().unwrap().insert("host", HeaderValue::from_static("entrepot:5000"));
        let mut target = target.body(()).unwrap();
        target.extensions_mut().insert(SocketAddr::new("10.0.0.1".parse().unwrap(), 9));
        trusted().restore(&mut target);
        assert_eq!(target.uri().to_string(), "http://registry.example/v2/");
        assert_eq!(target.headers().get(HOST).unwrap(), "registry.example");
    }

    proptest::proptest! {
        /// Whoever is not trusted is who they are, whatever they write.
        #[test]
        fn nobody_else_is_believed(value in "[0-9a-f:., \\[\\]]{0,60}", proto in "https?", host in "[a-z.:0-9]{0,20}") {
            let request = request("203.0.113.5", &[(FOR, &value), (PROTO, &proto), (FORWARDED_HOST, &host)]);
            proptest::prop_assert_eq!(request.extensions().get::<SocketAddr>().unwrap().ip().to_string(), "203.0.113.5");
            proptest::prop_assert!(request.extensions().get::<Secure>().is_none() && !request.headers().contains_key(HOST));
        }
    }
}
