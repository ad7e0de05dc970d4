//! Media types of manifests, and which of them a client accepts.

use std::fmt;
use std::sync::Arc;

/// A media type as upstream or a client wrote it, without parameters. Unknown types are kept as they are: an
/// artifact's manifest may have any.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MediaType(Arc<str>);

pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const ORAS_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
pub const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// The types that the set knows, in the order in which they are asked for upstream.
const KNOWN: [&str; 7] =
    [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST, ORAS_ARTIFACT, DOCKER_SCHEMA1_SIGNED, DOCKER_SCHEMA1];

/// What every current client accepts: all but the retired schema 1.
const CURRENT: u8 = 0b001_1111;

impl MediaType {
    /// Drops parameters (`; charset=utf-8`) and white space.
    pub fn new(text: &str) -> Self {
        Self(text.split(';').next().unwrap_or_default().trim().into())
    }

    pub fn oci_index() -> Self {
        Self::new(OCI_INDEX)
    }

    pub fn oci_manifest() -> Self {
        Self::new(OCI_MANIFEST)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_index(&self) -> bool {
        matches!(self.as_str(), OCI_INDEX | DOCKER_LIST)
    }

    pub fn is_schema1(&self) -> bool {
        matches!(self.as_str(), DOCKER_SCHEMA1 | DOCKER_SCHEMA1_SIGNED)
    }

    /// A layer that need not be in a registry: it is had from elsewhere.
    pub fn is_foreign(&self) -> bool {
        self.0.contains(".nondistributable.") || self.0.contains(".rootfs.foreign.")
    }

    /// False for what a registry never names a manifest: a captive portal's page, an error document, plain text.
    pub fn may_be_manifest(&self) -> bool {
        !self.0.is_empty()
            && !self.0.starts_with("text/")
            && !matches!(self.as_str(), "application/xhtml+xml" | "application/problem+json")
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The known manifest types that a request accepts.
///
/// Upstreams negotiate: a client that does not accept an index is sent the manifest of one platform, under another
/// digest. The set is therefore part of the key under which a tag's answer is kept. Seven types make the number of
/// keys bounded whatever clients send, and every current client comes out as [`AcceptSet::current`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AcceptSet(u8);

impl AcceptSet {
    pub const fn current() -> Self {
        Self(CURRENT)
    }

    /// From the values of a request's `Accept` headers. None, `*/*`, `application/*`, or no known type at all mean all
    /// current types.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = 0;
        for item in values.into_iter().flat_map(|value| value.split(',')) {
            let name = item.split(';').next().unwrap_or_default().trim();
            if matches!(name, "*/*" | "application/*") {
                return Self::current();
            }
            if let Some(at) = KNOWN.iter().position(|known| known.eq_ignore_ascii_case(name)) {
                set |= 1 << at;
            }
        }
        // A client that takes either kind of index takes what is inside it: the usual header with one type left out is
        // no reason for a second question upstream.
        let indexes = 0b11;
        match set {
            0 => Self::current(),
            set if set & indexes == indexes => Self::current(),
            set => Self(set),
        }
    }

    pub const fn bits(self) -> u8 {
        self.0
    }

    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0b111_1111)
    }

    /// The value of the `Accept` header to send upstream.
    pub fn header(self) -> String {
        let names: Vec<_> =
            KNOWN.iter().enumerate().filter(|(at, _)| self.0 & (1 << at) != 0).map(|(_, name)| *name).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_dropped() {
        assert_eq!(MediaType::new("application/json; charset=utf-8").as_str(), "application/json");
    }

    #[test]
    fn current_clients_share_one_key() {
        let containerd = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";
        for accept in [vec![], vec!["*/*"], vec![containerd], vec!["text/html"], vec![OCI_INDEX, DOCKER_LIST]] {
            assert_eq!(AcceptSet::parse(accept), AcceptSet::current());
        }
    }

    #[test]
    fn a_client_without_index_has_its_own_key() {
        let set = AcceptSet::parse([DOCKER_MANIFEST]);
        assert_ne!(set, AcceptSet::current());
        assert_eq!(set.header(), DOCKER_MANIFEST);
        assert_eq!(AcceptSet::from_bits(set.bits()), set);
    }
}
