//! Where a request may connect to.
//!
//! An upstream decides by its redirects where else we ask, and may choose a name that stands for an address of the inner
//! network. So each connection is checked when it is made: addresses in place of a name before the request goes out, names when
//! they have been resolved, by the resolver of the client that connects ([`Filtered`]); no later answer of the name service
//! matters. Through a proxy it is the proxy that resolves names and connects: then only addresses in place of a name are checked.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Kinds of addresses. Those of two machines that are of one kind are taken for one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Zone {
    Public,
    Loopback,
    /// RFC 1918, RFC 6598 (carriers), RFC 4193 (unique local), and what else is routed inside networks only.
    Private,
    LinkLocal,
    /// No machine's own: unspecified, multicast, reserved, tunnels.
    Special,
}

/// The addresses that one request may connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Anywhere,
    /// Public ones, those of this kind, and those in these networks.
    Public {
        and: Zone,
        networks: Arc<[IpNet]>,
    },
}

/// Why a connection is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Forbidden {
    host: String,
    address: IpAddr,
}

impl Zone {
    pub(super) const ALL: [Self; 5] = [Self::Public, Self::Loopback, Self::Private, Self::LinkLocal, Self::Special];

    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, c, _] = address.octets();
        match (a, b, c) {
            (127, ..) => Self::Loopback,
            (10, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) | (198, 18..=19, _) => Self::Private,
            (169, 254, _) => Self::LinkLocal,
            // "This network" reaches the machine itself; from 224 on there are groups, and nothing.
            (0 | 224.., ..) | (192, 0, 0 | 2) | (192, 88, 99) | (198, 51, 100) | (203, 0, 113) => Self::Special,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let [a, b, c, d, e, f, ..] = address.segments();
        let last = || {
            let [.., w, x, y, z] = address.octets();
            Self::of_v4(Ipv4Addr::new(w, x, y, z))
        };
        match (a, b, c, d, e, f) {
            _ if address.is_loopback() => Self::Loopback,
            _ if address.is_unspecified() => Self::Special,
            // An IPv4 address in another form (RFC 4291 section 2.5.5, RFC 6052).
            (0, 0, 0, 0, 0, 0 | 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => last(),
            (0x64, 0xff9b, 1, ..) | (0xfc00..=0xfdff, ..) | (0xfec0..=0xfeff, ..) => Self::Private,
            (0xfe80..=0xfebf, ..) => Self::LinkLocal,
            // Tunnels with an IPv4 address inside, documentation, discard-only, groups.
            (0x2001, 0 | 0xdb8, ..) | (0x2002, ..) | (0x100, 0, 0, 0, ..) | (0xff00.., ..) => Self::Special,
            (0x2000..=0x3fff, ..) => Self::Public,
            _ => Self::Special,
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Special => "special",
        })
    }
}

impl Reach {
    pub(super) fn allows(&self, address: IpAddr) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Public { and, networks } => {
                let plain = address.to_canonical();
                let zone = Zone::of(address);
                let is_near = zone == *and && zone != Zone::Special;
                zone == Zone::Public || is_near || networks.iter().any(|network| network.contains(&plain))
            }
        }
    }

    /// Checks a URL whose host is an address; a name is checked when it is resolved.
    pub(super) fn check(&self, url: &Url) -> Result<(), Forbidden> {
        match literal(url).filter(|address| !self.allows(*address)) {
            Some(address) => Err(Forbidden { host: url.host_str().unwrap_or_default().to_owned(), address }),
            None => Ok(()),
        }
    }
}

/// The address that stands in a URL in place of a name. URLs are normalised: `http://0x7f.1` has become `127.0.0.1`.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// Host and port, as they are written.
pub(super) fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, address } = self;
        let zone = Zone::of(*address);
        if address.to_string() == *host || format!("[{address}]") == *host {
            write!(f, "{host} is not a public address ({zone})")
        } else {
            write!(f, "{host} is {address}, which is not a public address ({zone})")
        }
    }
}

impl std::error::Error for Forbidden {}

/// Resolves names as the system does, and gives the addresses that may be reached.
pub(super) struct Filtered {
    reach: Reach,
    /// The proxy is the operator's choice, wherever it is.
    proxies: Vec<String>,
}

impl Filtered {
    pub(super) fn new(reach: Reach, proxies: Vec<String>) -> Self {
        Self { reach, proxies }
    }
}

impl Resolve for Filtered {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let reach = if self.proxies.contains(&host) { Reach::Anywhere } else { self.reach.clone() };
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            Ok(choose(&reach, &host, found)?)
        })
    }
}

/// The error names the first address that was left out, where none is left.
fn choose(reach: &Reach, host: &str, found: Vec<SocketAddr>) -> Result<Addrs, Forbidden> {
    let first = found.first().map(SocketAddr::ip);
    let allowed: Vec<SocketAddr> = found.into_iter().filter(|address| reach.allows(address.ip())).collect();
    match first.filter(|_| allowed.is_empty()) {
        Some(address) => Err(Forbidden { host: host.to_owned(), address }),
        None => Ok(Box::new(allowed.into_iter())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(and: Zone, networks: &[&str]) -> Reach {
        Reach::Public { and, networks: networks.iter().map(|text| text.parse().unwrap()).collect() }
    }

    #[test]
    fn t16_zones() {
        for (zone, addresses) in [
            (Zone::Public, &["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"][..]),
            (
                Zone::Loopback,
                &["127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"],
            ),
            (
                Zone::Private,
                &[
                    "10.0.0.1",
                    "172.16.0.1",
                    "192.168.9.9",
                    "100.64.0.1",
                    "fd00::1",
                    "fc00::1",
                    "fec0::1",
                    "::ffff:10.1.2.3",
                    "64:ff9b::a00:1",
                ],
            ),
            (Zone::LinkLocal, &["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"]),
            (
                Zone::Special,
                &[
                    "0.0.0.0",
                    "0.1.2.3",
                    "::",
                    "224.0.0.1",
                    "255.255.255.255",
                    "ff02::1",
                    "2002:7f00:1::",
                    "2001::1",
                    "::ffff:0.0.0.0",
                    "240.0.0.1",
                ],
            ),
        ] {
            for address in addresses {
                assert_eq!(Zone::of(address.parse().unwrap()), zone, "{address}");
            }
        }
    }

    #[test]
    fn t16_reach() {
        let allows = |reach: &Reach, address: &str| reach.allows(address.parse().unwrap());
        let strict = public(Zone::Public, &[]);
        for address in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "0.0.0.0", "ff02::1"] {
            assert!(!allows(&strict, address), "{address}");
            assert!(allows(&Reach::Anywhere, address));
        }
        assert!(allows(&strict, "1.1.1.1"));
        let near = public(Zone::Private, &["169.254.169.0/24"]);
        assert!(allows(&near, "10.0.0.1") && allows(&near, "fd00::1") && !allows(&near, "127.0.0.1"));
        assert!(allows(&near, "169.254.169.254") && allows(&near, "::ffff:169.254.169.254"));
        assert!(!allows(&near, "169.254.1.1") && !allows(&public(Zone::Special, &[]), "0.0.0.0"));
    }

    #[test]
    fn t16_addresses_in_place_of_names() {
        let strict = public(Zone::Public, &[]);
        for url in [
            "http://127.0.0.1/x",
            "http://0x7f.1/x",
            "http://2130706433/",
            "http://017700000001/",
            "http://[::1]:5000/",
            "http://[::ffff:127.0.0.1]/",
            "http://0/",
        ] {
            let error = strict.check(&url.parse().unwrap()).unwrap_err().to_string();
            assert!(error.contains("is not a public address"), "{url}: {error}");
        }
        for url in ["https://1.1.1.1/", "https://localhost/", "https://[2606:4700::1111]/"] {
            assert_eq!(strict.check(&url.parse().unwrap()), Ok(()), "{url}");
        }
    }

    /// Names are judged by what they resolve to when the connection is made.
    #[tokio::test]
    async fn t16_names_are_checked_when_they_are_resolved() {
        let resolve = async |reach: Reach, proxies: Vec<String>| {
            let filtered = Filtered::new(reach, proxies);
            filtered.resolve("localhost".parse().unwrap()).await.map(Iterator::count)
        };
        let refused = resolve(public(Zone::Public, &[]), Vec::new()).await.unwrap_err();
        assert!(refused.downcast_ref::<Forbidden>().is_some(), "{refused}");
        assert!(resolve(public(Zone::Loopback, &[]), Vec::new()).await.unwrap() > 0);
        assert!(resolve(public(Zone::Public, &[]), vec!["localhost".to_owned()]).await.unwrap() > 0);
        let both = ["10.0.0.1:0", "1.1.1.1:0"].map(|text| text.parse().unwrap()).to_vec();
        let left: Vec<_> = choose(&public(Zone::Public, &[]), "both", both).unwrap().collect();
        assert_eq!(left, ["1.1.1.1:0".parse().unwrap()]);
    }
}
