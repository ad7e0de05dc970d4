//! `[hosted]`: repositories of one's own, which are pushed to.

use std::time::Duration;

use crate::config::reading::{
    FLAG, Key, List, Optional, Section, TEXTS, TIMEOUT, WINDOW, choice, choice_of, count, section, settings, size,
};
use crate::oci::MAX_DESCRIPTORS;

choice! {
    pub enum TagMutability {
        Mutable = "mutable",
        Immutable = "immutable",
    }
}

settings! {
    pub struct HostedSettings {
        /// A push makes a repository that is missing.
        pub create_on_push: bool = CREATE_ON_PUSH,
        /// What a manifest refers to must be there before it.
        pub require_references: bool = REQUIRE_REFERENCES,
        /// Bytes of the largest manifest.
        pub max_manifest: u64 = MAX_MANIFEST,
        /// Objects that one manifest may refer to.
        pub max_references: u64 = MAX_REFERENCES,
        /// Uploads under way to one repository.
        pub max_uploads: u64 = MAX_UPLOADS,
        /// Uploads under way of one user or role.
        pub max_uploads_by_client: u64 = MAX_UPLOADS_BY_CLIENT,
        /// Quotas of each repository. `None` is without limit.
        pub max_repository_images: Option<u64> = MAX_REPOSITORY_IMAGES,
        pub max_repository_bytes: Option<u64> = MAX_REPOSITORY_BYTES,
        /// An upload that nobody goes on with is given up after this.
        pub upload_ttl: Duration = UPLOAD_TTL,
        pub tag_mutability: TagMutability = TAG_MUTABILITY,
        /// Tags for which the other holds: names, with `*` for anything.
        pub tag_mutability_except: Vec<String> = TAG_MUTABILITY_EXCEPT,
        /// Bytes of manifests that images which were pulled through have in the database.
        pub pulled_bytes: u64 = PULLED_BYTES,
        /// An image that nobody pulled through for this long leaves the list.
        pub pulled_ttl: Duration = PULLED_TTL,
        /// What nobody has needed for this long may be removed.
        pub grace: Duration = GRACE,
        /// Time between two rounds of removing.
        pub reclaim_every: Duration = RECLAIM_EVERY,
        /// Time between two rounds of reading everything again; 0 for never.
        pub scrub_every: Duration = SCRUB_EVERY,
        /// Bytes a second that are read again.
        pub scrub_rate: u64 = SCRUB_RATE,
    }
}

/// The specification asks registries to take at least 4 MiB ("Pushing Manifests"); what is larger is held in memory,
/// too.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

section! {
    pub static SECTION = Section::one(
        "hosted",
        "Repositories of one's own: what is pushed here. They are never evicted, and do not count for `cache.disk`.",
    );

    static CREATE_ON_PUSH: Key<bool> =
        Key::usual("create_on_push", FLAG, "true", "Whether a push makes a repository that is missing.");
    static REQUIRE_REFERENCES: Key<bool> = Key::usual(
        "require_references",
        FLAG,
        "true",
        "Whether a manifest is refused when its blobs, or the manifests of an index, are not in the repository. Layers \
         that must not be distributed, and the subject, need not be there.",
    );
    static MAX_MANIFEST: Key<u64> =
        Key::usual("max_manifest", size(4 << 20, MAX_MANIFEST_BYTES), "4MiB", "The largest manifest that is taken.");
    static MAX_REFERENCES: Key<u64> = Key::usual(
        "max_references",
        count(1, MAX_DESCRIPTORS as u64),
        "1000",
        "The most layers, configs and manifests that one manifest may refer to, each counted once. Images have at most \
         127 layers; indexes and caches some hundred entries.",
    );
    static MAX_UPLOADS: Key<u64> = Key::usual(
        "max_uploads",
        count(1, 1_000_000),
        "1000",
        "The most uploads that may be under way to one repository. Where there are so many, those that nobody has gone \
         on with for an hour are given up.",
    );
    static MAX_UPLOADS_BY_CLIENT: Key<u64> = Key::usual(
        "max_uploads_by_client",
        count(1, 1_000_000),
        "5000",
        "The same for one user or role, whatever the repositories; on an open listener for everybody together.",
    );
    static MAX_REPOSITORY_IMAGES: Optional<u64> = Optional::new(
        "max_repository_images",
        count(1, u32::MAX as u64),
        "The most manifests that one repository may have.",
    );
    static MAX_REPOSITORY_BYTES: Optional<u64> = Optional::new(
        "max_repository_bytes",
        size(1, 1 << 60),
        "The most bytes of blobs and manifests that one repository may have.",
    );
    static UPLOAD_TTL: Key<Duration> =
        Key::usual("upload_ttl", TIMEOUT, "24h", "An upload that nobody goes on with is given up after this.");
    static TAG_MUTABILITY: Key<TagMutability> = Key::usual(
        "tag_mutability",
        choice_of(),
        "mutable",
        "Whether a tag can be moved to another manifest. Pushing the same manifest again is always possible, and so is \
         deleting.",
    );
    static TAG_MUTABILITY_EXCEPT: List<String> = List::usual(
        "tag_mutability_except",
        TEXTS,
        "[]",
        "Tags for which the opposite of `tag_mutability` holds; `*` stands for anything, as in `\"dev-*\"`.",
    );
    static PULLED_BYTES: Key<u64> = Key::usual(
        "pulled_bytes",
        size(16 << 20, 1 << 40),
        "1GiB",
        "Bytes of manifests that images which were pulled through have in the database, so that they are listed: those \
         that were pulled longest ago leave the list first. What is served does not depend on it.",
    );
    static PULLED_TTL: Key<Duration> = Key::usual(
        "pulled_ttl",
        WINDOW,
        "90d",
        "An image that was pulled through leaves the list when nobody pulled it for this long.",
    );
    static GRACE: Key<Duration> = Key::usual(
        "grace",
        TIMEOUT,
        "24h",
        "Blobs that no manifest refers to are removed when nobody has pushed them or asked for them for this long. \
         Longer than any push takes.",
    );
    static RECLAIM_EVERY: Key<Duration> =
        Key::usual("reclaim_every", TIMEOUT, "1h", "Time between two rounds of removing what nobody needs.");
    static SCRUB_EVERY: Key<Duration> = Key::usual(
        "scrub_every",
        WINDOW,
        "7d",
        "Time between two rounds of reading everything that is kept again, to find what the disk has changed; `\"0s\"` \
         for never.",
    );
    static SCRUB_RATE: Key<u64> =
        Key::usual("scrub_rate", size(1 << 10, 1 << 40), "20MiB", "How much is read again in a second.");
}

impl HostedSettings {
    /// A tag, once made, stays where it is.
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
