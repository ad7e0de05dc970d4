//! `[hosted]`: repositories of one's own, which are pushed to.

use std::time::Duration;

use serde::Serialize;

use crate::config::printing::document as show;
use crate::config::reading::key::{Fallback, Key, Kind, Section};
use crate::config::reading::reader::Reader;
use crate::config::reading::value;
use crate::oci::MAX_DESCRIPTORS;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostedSettings {
    /// Whether a push makes a repository that is missing. Default yes.
    pub create_on_push: bool,
    /// Whether what a manifest refers to must be there before it. Default yes.
    pub require_references: bool,
    /// Bytes of the largest manifest. Default 4 MiB.
    #[serde(serialize_with = "show::size")]
    pub max_manifest: u64,
    /// Objects that one manifest may refer to. Default 1,000.
    pub max_references: u64,
    /// Uploads under way to one repository. Default 1,000.
    pub max_uploads: u64,
    /// Uploads under way of one user or role. Default 5,000.
    pub max_uploads_by_client: u64,
    /// Quotas of each repository. `None` is without limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_repository_images: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "show::some_size")]
    pub max_repository_bytes: Option<u64>,
    /// An upload that nobody goes on with is given up after this. Default 24 h.
    #[serde(serialize_with = "show::duration")]
    pub upload_ttl: Duration,
    /// Whether tags can be moved. Default mutable.
    pub tag_mutability: TagMutability,
    /// Tags for which the other holds: names, with `*` for anything.
    pub tag_mutability_except: Vec<String>,
    /// Bytes of manifests that images which were pulled through have in the database. Default 1 GiB.
    #[serde(serialize_with = "show::size")]
    pub pulled_bytes: u64,
    /// An image that nobody pulled through for this long leaves the list. Default 90 d.
    #[serde(serialize_with = "show::duration")]
    pub pulled_ttl: Duration,
    /// What nobody has needed for this long may be removed. Default 24 h.
    #[serde(serialize_with = "show::duration")]
    pub grace: Duration,
    /// Time between two rounds of removing. Default 1 h.
    #[serde(serialize_with = "show::duration")]
    pub reclaim_every: Duration,
    /// Time between two rounds of reading everything again; 0 for never. Default 7 days.
    #[serde(serialize_with = "show::duration")]
    pub scrub_every: Duration,
    /// Bytes a second that are read again. Default 20 MiB.
    #[serde(serialize_with = "show::size")]
    pub scrub_rate: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TagMutability {
    Mutable,
    Immutable,
}

/// The specification asks registries to take at least 4 MiB ("Pushing Manifests"); what is larger is held in memory, too.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

pub static SECTION: Section = Section {
    name: "hosted",
    meaning: "Repositories of one's own: what is pushed here. They are never evicted, and do not count for `cache.disk`.",
    keys: &[
        Key {
            name: "create_on_push",
            kind: Kind::Flag,
            fallback: Fallback::Value("true"),
            meaning: "Whether a push makes a repository that is missing.",
        },
        Key {
            name: "require_references",
            kind: Kind::Flag,
            fallback: Fallback::Value("true"),
            meaning: "Whether a manifest is refused when its blobs, or the manifests of an index, are not in the repository. Layers that \
                      must not be distributed, and the subject, need not be there.",
        },
        Key {
            name: "max_manifest",
            kind: Kind::Size { min: 4 << 20, max: MAX_MANIFEST_BYTES },
            fallback: Fallback::Value(r#""4MiB""#),
            meaning: "The largest manifest that is taken.",
        },
        Key {
            name: "max_references",
            kind: Kind::Count { min: 1, max: MAX_DESCRIPTORS as u64 },
            fallback: Fallback::Value("1000"),
            meaning: "The most layers, configs and manifests that one manifest may refer to, each counted once. Images have at most 127 \
                      layers; indexes and caches some hundred entries.",
        },
        Key {
            name: "max_uploads",
            kind: Kind::Count { min: 1, max: 1_000_000 },
            fallback: Fallback::Value("1000"),
            meaning: "The most uploads that may be under way to one repository. Where there are so many, those that nobody has gone on with \
                      for an hour are given up.",
        },
        Key {
            name: "max_uploads_by_client",
            kind: Kind::Count { min: 1, max: 1_000_000 },
            fallback: Fallback::Value("5000"),
            meaning: "The same for one user or role, whatever the repositories; on an open listener for everybody together.",
        },
        Key {
            name: "max_repository_images",
            kind: Kind::Count { min: 1, max: u32::MAX as u64 },
            fallback: Fallback::Unset,
            meaning: "The most manifests that one repository may have.",
        },
        Key {
            name: "max_repository_bytes",
            kind: Kind::Size { min: 1, max: 1 << 60 },
            fallback: Fallback::Unset,
            meaning: "The most bytes of blobs and manifests that one repository may have.",
        },
        Key {
            name: "upload_ttl",
            kind: Kind::Timeout,
            fallback: Fallback::Value(r#""24h""#),
            meaning: "An upload that nobody goes on with is given up after this.",
        },
        Key {
            name: "tag_mutability",
            kind: Kind::Choice(&["mutable", "immutable"]),
            fallback: Fallback::Value(r#""mutable""#),
            meaning: "Whether a tag can be moved to another manifest. Pushing the same manifest again is always possible, and so is \
                      deleting.",
        },
        Key {
            name: "tag_mutability_except",
            kind: Kind::Texts,
            fallback: Fallback::Value("[]"),
            meaning: "Tags for which the opposite of `tag_mutability` holds; `*` stands for anything, as in `\"dev-*\"`.",
        },
        Key {
            name: "pulled_bytes",
            kind: Kind::Size { min: 16 << 20, max: 1 << 40 },
            fallback: Fallback::Value(r#""1GiB""#),
            meaning: "Bytes of manifests that images which were pulled through have in the database, so that they are listed: those that were \
                      pulled longest ago leave the list first. What is served does not depend on it.",
        },
        Key {
            name: "pulled_ttl",
            kind: Kind::Window,
            fallback: Fallback::Value(r#""90d""#),
            meaning: "An image that was pulled through leaves the list when nobody pulled it for this long.",
        },
        Key {
            name: "grace",
            kind: Kind::Timeout,
            fallback: Fallback::Value(r#""24h""#),
            meaning: "Blobs that no manifest refers to are removed when nobody has pushed them or asked for them for this long. Longer \
                      than any push takes.",
        },
        Key {
            name: "reclaim_every",
            kind: Kind::Timeout,
            fallback: Fallback::Value(r#""1h""#),
            meaning: "Time between two rounds of removing what nobody needs.",
        },
        Key {
            name: "scrub_every",
            kind: Kind::Window,
            fallback: Fallback::Value(r#""7d""#),
            meaning: "Time between two rounds of reading everything that is kept again, to find what the disk has changed; `\"0s\"` for never.",
        },
        Key {
            name: "scrub_rate",
            kind: Kind::Size { min: 1 << 10, max: 1 << 40 },
            fallback: Fallback::Value(r#""20MiB""#),
            meaning: "How much is read again in a second.",
        },
    ],
};

pub fn read(reader: &Reader<'_>) -> Option<HostedSettings> {
    let create_on_push = reader.get("create_on_push", value::flag);
    let require_references = reader.get("require_references", value::flag);
    let max_manifest = reader.get("max_manifest", value::size);
    let max_references = reader.get("max_references", value::count);
    let max_uploads = reader.get("max_uploads", value::count);
    let max_uploads_by_client = reader.get("max_uploads_by_client", value::count);
    let max_repository_images = reader.optional("max_repository_images", value::count);
    let max_repository_bytes = reader.optional("max_repository_bytes", value::size);
    let upload_ttl = reader.get("upload_ttl", value::duration);
    let tag_mutability = reader.get("tag_mutability", value::choice);
    let except = reader.list("tag_mutability_except", value::element);
    let pulled_bytes = reader.get("pulled_bytes", value::size);
    let pulled_ttl = reader.get("pulled_ttl", value::duration);
    let grace = reader.get("grace", value::duration);
    let reclaim_every = reader.get("reclaim_every", value::duration);
    let scrub_every = reader.get("scrub_every", value::duration);
    let scrub_rate = reader.get("scrub_rate", value::size);
    Some(HostedSettings {
        create_on_push: create_on_push?,
        require_references: require_references?,
        max_manifest: max_manifest?,
        max_references: max_references?,
        max_uploads: max_uploads?,
        max_uploads_by_client: max_uploads_by_client?,
        max_repository_images: max_repository_images?,
        max_repository_bytes: max_repository_bytes?,
        upload_ttl: upload_ttl?,
        tag_mutability: if tag_mutability? == "immutable" { TagMutability::Immutable } else { TagMutability::Mutable },
        tag_mutability_except: except?.unwrap_or_default().into_iter().map(|(_, pattern)| pattern).collect(),
        pulled_bytes: pulled_bytes?,
        pulled_ttl: pulled_ttl?,
        grace: grace?,
        reclaim_every: reclaim_every?,
        scrub_every: scrub_every?,
        scrub_rate: scrub_rate?,
    })
}

impl HostedSettings {
    /// Whether a tag, once made, stays where it is.
    pub fn is_immutable(&self, tag: &str) -> bool {
        let excepted = self.tag_mutability_except.iter().any(|pattern| matches(pattern, tag));
        (self.tag_mutability == TagMutability::Immutable) != excepted
    }
}

/// `*` stands for any characters, also none.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("latest", "latest", true),
            ("latest", "latest2", false),
            ("dev-*", "dev-1", true),
            ("dev-*", "dev-", true),
            ("dev-*", "de", false),
            ("*", "", true),
            ("*-rc*", "1.2-rc3", true),
            ("*-rc*", "1.2", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn exceptions_turn_it_round() {
        let settings = |text: &str| crate::config::parse(&format!("[hosted]\n{text}")).unwrap().hosted;
        let immutable = settings("tag_mutability = \"immutable\"\ntag_mutability_except = [\"latest\"]");
        assert!(immutable.is_immutable("1.0") && !immutable.is_immutable("latest"));
        let mutable = settings("tag_mutability_except = [\"v*\"]");
        assert!(mutable.is_immutable("v1") && !mutable.is_immutable("latest"));
    }
}
