//! All upstreams of a configuration together, and what only one of them may have.

use std::collections::BTreeMap;

use reqwest::Url;

use super::credential::Credential;
use super::default_for::is_claimed;
use super::name::UpstreamName;
use super::settings::{DEFAULT, NAME, NS, URL, UpstreamSettings, read_one};
use crate::config::reading::{Declaration, Place, Reader, TablesKey, Value, parse_host};
use crate::oci::RepositoryName;

/// Upstreams of one process. Each has its own gauges, so their number has a bound.
pub const MAX_UPSTREAMS: usize = 256;

/// `takes_pushes` tells whether clients can push here, so that names may be one's own.
pub fn read(key: &TablesKey, reader: &Reader<'_>, takes_pushes: bool) -> Option<Vec<UpstreamSettings>> {
    let mut taken = Taken::default();
    key.read(reader, |reader| {
        taken.claim(reader);
        let settings = read_one(reader, takes_pushes)?;
        taken.claim_addresses(reader, &settings);
        Some(settings)
    })
}

/// All that an upstream is told about which repository is meant, besides its name: two that are told the same get the
/// same.
#[derive(PartialEq)]
struct Address {
    url: Url,
    prefix: Option<RepositoryName>,
    namespace: Option<String>,
    credential: Credential,
}

/// Names, hosts and addresses that only one upstream may have, each with the place that claimed it.
#[derive(Default)]
struct Taken {
    names: BTreeMap<String, Place>,
    hosts: BTreeMap<String, Place>,
    default: Option<Place>,
    addresses: Vec<(Address, UpstreamName)>,
}

impl Taken {
    /// Two upstreams that send the same requests would serve each other's images under their own names.
    fn claim_addresses(&mut self, reader: &Reader<'_>, settings: &UpstreamSettings) {
        let address = |url: &Url| Address {
            url: url.clone(),
            prefix: settings.repository_prefix.clone(),
            namespace: settings.namespace_at(url).map(str::to_owned),
            credential: settings.credential.clone(),
        };
        for address in settings.urls.iter().map(address) {
            if let Some((same, other)) = self.addresses.iter().find(|(taken, _)| *taken == address) {
                let message = format!(
                    "{} is asked for {other}, too, and is not told which of the two is meant: give each its `prefix` there, or \
                     the host of its registry in `ns`",
                    same.url
                );
                reader.report(&URL, message);
            }
            self.addresses.push((address, settings.name.clone()));
        }
    }

    fn claim(&mut self, reader: &Reader<'_>) {
        // Values that are wrong are told when the upstream is read.
        let Some(Value::Text(name)) = reader.written(&NAME).map(|node| &node.value) else { return };
        let name = name.clone();
        if let Some(first) = self.names.insert(name.clone(), reader.place(&NAME).clone()) {
            reader.report(&NAME, format!("{name:?} is the name of another upstream, too{}", seen_at(&first)));
            return;
        }
        let hosts = match written_texts(reader, &NS) {
            Some(hosts) => hosts,
            None => vec![(reader.place(&NAME).clone(), name)],
        };
        for (place, text) in hosts {
            let Ok(host) = parse_host(&text) else { continue };
            if let Some(first) = self.hosts.insert(host.clone(), place.clone()) {
                let message = format!("{host:?} names an upstream already{}", seen_at(&first));
                reader.context().report(&place, reader.key_path(&NS), message);
            }
        }
        if is_claimed(reader.written(&DEFAULT)) {
            if let Some(first) = &self.default {
                reader.report(&DEFAULT, format!("is set for another upstream, too{}", seen_at(first)));
            }
            self.default = Some(reader.place(&DEFAULT).clone());
        }
    }
}

fn seen_at(place: &Place) -> String {
    match place {
        Place::Line { line, .. } => format!(" (line {line})"),
        Place::Variable(name) => format!(" ({name})"),
        Place::File | Place::BuiltIn => String::new(),
    }
}

/// The texts under a key with their places, if it is there at all. Other values are told when the upstream is read.
fn written_texts(reader: &Reader<'_>, key: &Declaration) -> Option<Vec<(Place, String)>> {
    let node = reader.written(key)?;
    let nodes = match &node.value {
        Value::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let texts = nodes.iter().filter_map(|node| match &node.value {
        Value::Text(text) => Some((node.place.clone(), text.clone())),
        _ => None,
    });
    Some(texts.collect())
}
