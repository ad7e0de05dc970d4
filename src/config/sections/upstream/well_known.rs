//! The public registries that are ready out of the box.
//!
//! They are written as an operator would write them, so that a `[[upstream]]` of the same name takes what it does not
//! say itself from here.

use std::collections::BTreeSet;

use super::default_for::{DefaultFor, is_claimed};
use super::name::UpstreamName;
use super::settings::{DEFAULT, LIBRARY, NAME, NS, REALMS, URL, UpstreamSettings};
use crate::config::reading::{Choice as _, Declaration, Entry, Node, Place, Table, Value, parse_url};

/// The keys of a well-known upstream that differ from the defaults. `ns` is the name unless it says more.
struct WellKnown {
    name: &'static str,
    url: &'static str,
    ns: &'static [&'static str],
    /// Token services on another host than the registry's own.
    realms: &'static [&'static str],
    library: Option<&'static str>,
    default: bool,
}

const fn plain(name: &'static str, url: &'static str) -> WellKnown {
    WellKnown { name, url, ns: &[], realms: &[], library: None, default: false }
}

/// Where each asks for tokens: ghcr.io, quay.io, public.ecr.aws and gcr.io on their own host, Docker Hub and GitLab
/// on another; registry.k8s.io and mcr.microsoft.com ask for none.
const WELL_KNOWN: &[WellKnown] = &[
    WellKnown {
        name: "docker.io",
        url: "https://registry-1.docker.io",
        ns: &["docker.io", "index.docker.io", "registry-1.docker.io"],
        realms: &["auth.docker.io"],
        library: Some("library"),
        default: true,
    },
    plain("ghcr.io", "https://ghcr.io"),
    plain("quay.io", "https://quay.io"),
    plain("registry.k8s.io", "https://registry.k8s.io"),
    plain("public.ecr.aws", "https://public.ecr.aws"),
    plain("gcr.io", "https://gcr.io"),
    plain("mcr.microsoft.com", "https://mcr.microsoft.com"),
    WellKnown { realms: &["gitlab.com"], ..plain("registry.gitlab.com", "https://registry.gitlab.com") },
];

pub fn names() -> impl Iterator<Item = &'static str> {
    WELL_KNOWN.iter().map(|known| known.name)
}

/// The upstream of a pull-through rule: with every default, and what is known of the registry at `address`, which is a
/// host with or without `https://`. It is named by hosts only where it has the registry's own name. The error says what
/// is wrong with the address.
pub fn upstream_for_rule(name: UpstreamName, address: &str) -> Result<UpstreamSettings, String> {
    let rest = address.strip_prefix("https://").unwrap_or(address);
    if rest.contains("://") {
        return Err(format!("{address:?} is not reached by https"));
    }
    let url = parse_url(&format!("https://{rest}"))?;
    let known = WELL_KNOWN.iter().find(|known| known.url == url.as_str().trim_end_matches('/'));
    let own_name = known.map_or(url.host_str().unwrap_or_default(), |known| known.name);
    let is_whole = name.as_str() == own_name && url.port().is_none();
    let mut settings =
        UpstreamSettings::new(name, url.clone()).ok_or_else(|| format!("{address:?} is not a registry's address"))?;
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    match known {
        _ if !is_whole => settings.ns.clear(),
        Some(known) if !known.ns.is_empty() => settings.ns = texts(known.ns),
        _ => {}
    }
    if let Some(known) = known {
        settings.realms = texts(known.realms);
        settings.library = known.library.map(str::to_owned);
    }
    Ok(settings)
}

/// Fills in what written upstreams of well-known names leave open, and adds the others if `all`.
///
/// An operator's word wins: a host or the default that a written upstream claims is not claimed for a well-known one.
pub fn complete(upstreams: &mut Vec<Node>, all: bool) {
    let written: BTreeSet<String> = upstreams.iter().filter_map(|node| name_of(node).map(str::to_owned)).collect();
    for known in WELL_KNOWN {
        if all && !written.contains(known.name) {
            let table = Table::from([(NAME.name.to_owned(), Entry::new(Place::BuiltIn, Value::text(known.name)))]);
            upstreams.push(Node::new(Place::BuiltIn, Value::Table(table)));
        }
    }
    let claimed = claimed_hosts(upstreams, &written);
    let default_taken = upstreams.iter().any(|node| is_claimed(node_of(node, &DEFAULT)));
    for known in WELL_KNOWN {
        for node in upstreams.iter_mut().filter(|node| name_of(node) == Some(known.name)) {
            if let Value::Table(table) = &mut node.value {
                known.fill_in(table, &claimed, default_taken);
            }
        }
    }
}

impl WellKnown {
    fn fill_in(&self, table: &mut Table, claimed: &BTreeSet<String>, default_taken: bool) {
        let list = |texts: &[&str]| {
            Value::List(texts.iter().map(|text| Node::new(Place::BuiltIn, Value::text(text))).collect())
        };
        let ns: Vec<&str> = if self.ns.is_empty() { vec![self.name] } else { self.ns.to_vec() };
        let ns: Vec<&str> = ns.into_iter().filter(|host| !claimed.contains(*host)).collect();
        let mut fill = |key: &Declaration, value: Value| {
            table.entry(key.name.to_owned()).or_insert_with(|| Entry::new(Place::BuiltIn, value));
        };
        fill(&NS, list(&ns));
        fill(&URL, Value::text(self.url));
        fill(&REALMS, list(self.realms));
        if let Some(library) = self.library {
            fill(&LIBRARY, Value::text(library));
        }
        if self.default && !default_taken {
            fill(&DEFAULT, Value::text(DefaultFor::Library.word()));
        }
    }
}

/// Hosts that written upstreams have: by `ns`, or by their name where they have no `ns` and are not well known.
fn claimed_hosts(upstreams: &[Node], written: &BTreeSet<String>) -> BTreeSet<String> {
    let mut hosts = BTreeSet::new();
    for node in upstreams {
        match value_of(node, &NS) {
            Some(Value::List(nodes)) => hosts.extend(nodes.iter().filter_map(|node| match &node.value {
                Value::Text(text) => Some(text.to_ascii_lowercase()),
                _ => None,
            })),
            Some(Value::Text(text)) => {
                hosts.insert(text.to_ascii_lowercase());
            }
            Some(_) => {}
            None => hosts.extend(
                name_of(node)
                    .filter(|name| written.contains(*name) && !names().any(|known| known == *name))
                    .map(str::to_owned),
            ),
        }
    }
    hosts
}

pub fn name_of(node: &Node) -> Option<&str> {
    match value_of(node, &NAME) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

fn value_of<'a>(node: &'a Node, key: &Declaration) -> Option<&'a Value> {
    Some(&node_of(node, key)?.value)
}

fn node_of<'a>(node: &'a Node, key: &Declaration) -> Option<&'a Node> {
    match &node.value {
        Value::Table(table) => Some(&table.get(key.name)?.node),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, address: &str) -> Result<UpstreamSettings, String> {
        upstream_for_rule(UpstreamName::new(name), address)
    }

    #[test]
    fn a_rule_knows_what_is_well_known() {
        let hub = rule("hub", "registry-1.docker.io").unwrap();
        assert_eq!((hub.library.as_deref(), hub.realms.len(), hub.ns.len()), (Some("library"), 1, 0));
        let gitlab = rule("gitlab", "https://registry.gitlab.com/").unwrap();
        assert_eq!((gitlab.library, gitlab.realms), (None, vec!["gitlab.com".to_owned()]));
        assert_eq!(rule("docker.io", "registry-1.docker.io").unwrap().ns.len(), 3);
        assert_eq!(rule("quay.io", "quay.io").unwrap().ns, ["quay.io"]);
        assert_eq!(rule("harbor.example", "harbor.example").unwrap().ns, ["harbor.example"]);
        assert!(rule("ghcr.io", "harbor.example").unwrap().ns.is_empty());
        let other = rule("harbor", "Harbor.example:8443/base").unwrap();
        assert_eq!(other.urls[0].as_str(), "https://harbor.example:8443/base");
        assert!(other.default == DefaultFor::None && other.library.is_none());
    }

    #[test]
    fn addresses_that_are_none() {
        for address in ["", "http://a.example", "ftp://a.example", "https://u:p@a.example", "a b", "a.example?x", "::"]
        {
            assert!(rule("a", address).is_err(), "{address}");
        }
    }
}
