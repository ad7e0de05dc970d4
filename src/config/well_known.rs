//! The public registries that are ready out of the box.
//!
//! They are written as an operator would write them, so that a `[[upstream]]` of the same name takes what it does not say
//! itself from here.

use std::collections::BTreeSet;

use super::problem::Place;
use super::tree::{Entry, Node, Table, Value};

/// What differs from the defaults. `ns` is the name unless it says more.
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

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    WELL_KNOWN.iter().map(|known| known.name)
}

/// Fills in what written upstreams of well-known names leave open, and adds the others if `all`.
///
/// What an operator wrote wins: a host or the default that a written upstream claims is not claimed for a well-known one.
pub(super) fn complete(upstreams: &mut Vec<Node>, all: bool) {
    let written: BTreeSet<String> = upstreams.iter().filter_map(|node| name_of(node).map(str::to_owned)).collect();
    for known in WELL_KNOWN {
        if all && !written.contains(known.name) {
            let table = Table::from([("name".to_owned(), Entry::new(Place::BuiltIn, Value::text(known.name)))]);
            upstreams.push(Node::new(Place::BuiltIn, Value::Table(table)));
        }
    }
    let claimed = claimed_hosts(upstreams, &written);
    let default_taken = upstreams.iter().any(|node| matches!(value_of(node, "default"), Some(Value::Flag(true))));
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
        let mut fill = |key: &str, value: Value| {
            table.entry(key.to_owned()).or_insert_with(|| Entry::new(Place::BuiltIn, value));
        };
        fill("ns", list(&ns));
        fill("url", Value::text(self.url));
        fill("realms", list(self.realms));
        if let Some(library) = self.library {
            fill("library", Value::text(library));
        }
        if self.default && !default_taken {
            fill("default", Value::Flag(true));
        }
    }
}

/// Hosts that written upstreams have: by `ns`, or by their name where they have no `ns` and are not well known.
fn claimed_hosts(upstreams: &[Node], written: &BTreeSet<String>) -> BTreeSet<String> {
    let mut hosts = BTreeSet::new();
    for node in upstreams {
        match value_of(node, "ns") {
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

pub(super) fn name_of(node: &Node) -> Option<&str> {
    match value_of(node, "name") {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

fn value_of<'a>(node: &'a Node, key: &str) -> Option<&'a Value> {
    match &node.value {
        Value::Table(table) => table.get(key).map(|entry| &entry.node.value),
        _ => None,
    }
}
