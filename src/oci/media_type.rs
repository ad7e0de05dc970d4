//! Media types of manifests, and which of them a client accepts.

use std::fmt;
use std::sync::Arc;

/// A media type as upstream or a client wrote it, without parameters, or none (it is empty then). Unknown types are kept as they are: an
/// artifact's manifest may have any. Whatever it was made from, it is of the form of RFC 6838, so that it can stand in a header and is
/// never longer than [`MediaType::MAX_BYTES`].
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

/// Not of the form of RFC 6838, section 4.2: two names of at most 127 characters with a slash between them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} is no media type such as \"application/vnd.oci.image.manifest.v1+json\"")]
pub struct NoMediaType {
    /// As much of it as a message can bear.
    shown: String,
}

/// Types of blobs that stand in manifests of every registry, beside layers.
const BLOBS: [&str; 6] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.empty.v1+json",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.plugin.v1+json",
    "application/vnd.buildkit.cacheconfig.v0",
    "application/vnd.cncf.helm.config.v1+json",
];

/// What types of layers begin with.
const LAYERS: [&str; 3] =
    ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.", "application/vnd.cncf.helm.chart."];

impl MediaType {
    pub const MAX_BYTES: usize = 255;

    /// Drops parameters (`; charset=utf-8`) and white space. What is no media type says nothing.
    pub fn new(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|_| Self("".into()))
    }

    /// The same, for whoever must say that it is none. Empty text is none and no mistake.
    pub fn parse(text: &str) -> Result<Self, NoMediaType> {
        let name = text.split(';').next().unwrap_or_default().trim();
        if name.is_empty() || is_well_formed(name) {
            return Ok(Self(name.into()));
        }
        Err(NoMediaType { shown: text.chars().take(100).collect() })
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

    /// Whether it is that of a manifest or index.
    pub fn is_manifest(&self) -> bool {
        KNOWN.contains(&self.as_str())
    }

    /// Whether it is that of a config, a layer, or another blob. What is neither this nor a manifest's is not known here.
    pub fn is_blob(&self) -> bool {
        BLOBS.contains(&self.as_str()) || LAYERS.iter().any(|layer| self.0.starts_with(layer))
    }

    /// Whether a pushed manifest may have it: one under which no browser shows or runs what is in it.
    pub fn may_be_pushed(&self) -> bool {
        let name = self.0.to_ascii_lowercase();
        let Some(kind) = name.strip_prefix("application/") else { return false };
        self.may_be_manifest() && (kind.starts_with("vnd.") || kind == "json" || kind.ends_with("+json"))
    }

    /// False for what a registry never names a manifest: a captive portal's page, an error document, plain text.
    pub fn may_be_manifest(&self) -> bool {
        !self.0.is_empty()
            && !self.0.starts_with("text/")
            && !matches!(self.as_str(), "application/xhtml+xml" | "application/problem+json")
    }
}

/// RFC 6838, section 4.2.
fn is_well_formed(name: &str) -> bool {
    const MAX_NAME_BYTES: usize = 127;
    let is_name = |name: &str| {
        name.len() <= MAX_NAME_BYTES
            && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    name.len() <= MediaType::MAX_BYTES
        && name.split_once('/').is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
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

    /// T25: whatever a document or header says, what is kept of it can stand in a header, and is short.
    #[test]
    fn t25_only_media_types_are_media_types() {
        for good in [OCI_INDEX, "application/json", "text/html", "a/b", "application/vnd.x-1.y_z+json", "x/1"] {
            assert_eq!(MediaType::parse(good).unwrap().as_str(), good);
        }
        let long = format!("application/{}", "a".repeat(127));
        assert!(MediaType::parse(&long).is_ok());
        for bad in ["m", "a/", "/b", "a/b/c", "a b/c", "a/b\r\nSet-Cookie: x", "a/\u{e9}", ".a/b", "a/b,c/d", "a/\"b\""]
        {
            assert!(MediaType::parse(bad).is_err(), "{bad:?}");
            assert_eq!(MediaType::new(bad).as_str(), "");
        }
        assert!(MediaType::parse(&format!("{long}a")).is_err());
        let huge = MediaType::parse(&"a".repeat(4 << 20)).unwrap_err().to_string();
        assert!(huge.len() < 300, "{}", huge.len());
    }

    #[test]
    fn t25_what_a_browser_would_run_is_no_manifest() {
        for good in [OCI_INDEX, DOCKER_MANIFEST, "application/vnd.x", "application/json", "application/x.y+json"] {
            assert!(MediaType::new(good).may_be_pushed(), "{good}");
        }
        for bad in ["text/html", "TEXT/HTML", "image/svg+xml", "application/xhtml+xml", "application/pdf", "", "x/json"]
        {
            assert!(!MediaType::new(bad).may_be_pushed(), "{bad}");
        }
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
