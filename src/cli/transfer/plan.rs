//! What a manifest makes us move, and in which order. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::error::Error;
use super::platform::Platform;
use crate::oci::{Descriptor, Digest, Manifest, MediaType};

/// Indexes within indexes go no deeper than this; deeper is an attack or a mistake.
pub(super) const MAX_DEPTH: usize = 8;

/// Manifests of one image, with all that refers to it. A registry that tells of more and more is not followed.
const MAX_MANIFESTS: usize = 10_000;

/// A document with its type, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Document {
    pub(in crate::cli) media_type: MediaType,
    pub(in crate::cli) digest: Digest,
    pub(in crate::cli) bytes: bytes::Bytes,
}

/// What lies directly below a document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Below {
    /// The children of an index that are wanted, in its order.
    pub(super) manifests: Vec<Descriptor>,
    /// How many children are not wanted.
    pub(super) left_out: usize,
    pub(super) blobs: Vec<Descriptor>,
}

/// All that belongs to one image.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Children before parents; the last is the image itself.
    pub(super) manifests: Vec<Document>,
    /// Each once, and before any manifest.
    pub(super) blobs: BTreeMap<Digest, u64>,
    /// Some children of an index are left out.
    pub(super) is_sparse: bool,
    /// The digests of `manifests`.
    seen: BTreeSet<Digest>,
}

#[derive(Deserialize)]
struct Platforms {
    #[serde(default)]
    manifests: Option<Vec<Child>>,
}

#[derive(Deserialize)]
struct Child {
    #[serde(default)]
    digest: String,
    platform: Option<Platform>,
}

/// No wanted platforms mean all.
pub(super) fn below(document: &Document, wanted: &[Platform]) -> Result<Below, Error> {
    let object = document.digest;
    if document.media_type.is_schema1() {
        return Err(Error::wrong(object, "it is of Docker schema 1, which is retired and cannot be moved"));
    }
    let manifest = Manifest::parse(&document.bytes).map_err(|error| Error::wrong(object, error.to_string()))?;
    if let Some(unreadable) = manifest.unreadable.first() {
        return Err(Error::wrong(object, format!("it refers to {unreadable:?}, which cannot be verified")));
    }
    let blobs = manifest.blobs.into_iter().filter(|blob| !blob.media_type.is_foreign()).collect();
    if wanted.is_empty() || manifest.manifests.is_empty() {
        return Ok(Below { manifests: manifest.manifests, left_out: 0, blobs });
    }
    let platforms: Platforms =
        serde_json::from_slice(&document.bytes).map_err(|error| Error::wrong(object, error.to_string()))?;
    let platforms = platforms.manifests.unwrap_or_default();
    let is_wanted = |child: &Descriptor| {
        let of = |entry: &&Child| entry.digest.parse() == Ok(child.digest);
        platforms.iter().filter(of).any(|entry| match &entry.platform {
            Some(platform) => wanted.iter().any(|wanted| wanted.takes(platform)),
            // An index within an index may hold what is wanted.
            None => child.media_type.is_index(),
        })
    };
    let (manifests, others): (Vec<_>, Vec<_>) = manifest.manifests.into_iter().partition(is_wanted);
    if manifests.is_empty() {
        let there: Vec<String> =
            platforms.iter().filter_map(|entry| Some(entry.platform.as_ref()?.to_string())).collect();
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let detail = format!("the index has nothing for {}; it has {}", wanted.join(", "), there.join(", "));
        return Err(Error::wrong(object, detail));
    }
    Ok(Below { manifests, left_out: others.len(), blobs })
}

impl Plan {
    /// Adds a document whose children have been added. A blob that two manifests give two sizes has none.
    pub(super) fn add(&mut self, document: Document, below: Below) -> Result<(), Error> {
        for blob in below.blobs {
            let size = *self.blobs.entry(blob.digest).or_insert(blob.size);
            if size != blob.size {
                let detail = format!("its size is {size} bytes in one place and {} in another", blob.size);
                return Err(Error::wrong(blob.digest, detail));
            }
        }
        self.is_sparse |= below.left_out > 0;
        if self.seen.insert(document.digest) {
            if self.manifests.len() >= MAX_MANIFESTS {
                let detail = format!("more than {MAX_MANIFESTS} manifests belong to one image or refer to it");
                return Err(Error::wrong(document.digest, detail));
            }
            self.manifests.push(document);
        }
        Ok(())
    }

    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.seen.contains(digest)
    }

    /// The bytes of all blobs and manifests.
    pub(super) fn bytes(&self) -> u64 {
        let manifests: u64 = self.manifests.iter().map(|document| document.bytes.len() as u64).sum();
        self.blobs.values().sum::<u64>() + manifests
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(in crate::cli::transfer) fn document(value: &serde_json::Value) -> Document {
        let bytes = bytes::Bytes::from(value.to_string());
        let media_type = MediaType::new(value["mediaType"].as_str().unwrap());
        Document { media_type, digest: Digest::of(&bytes), bytes }
    }

    fn index() -> Document {
        let child = |seed: &str, os: &str, architecture: &str| {
            json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": Digest::of(seed.as_bytes()).to_string(),
                    "size": 3, "platform": { "os": os, "architecture": architecture } })
        };
        let children = [
            child("a", "linux", "amd64"),
            child("b", "linux", "arm64"),
            child("c", "unknown", "unknown"),
            json!({ "mediaType": "application/vnd.oci.image.index.v1+json", "digest": Digest::of(b"d").to_string(), "size": 3 }),
        ];
        document(&json!({ "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": children }))
    }

    #[test]
    fn platforms_choose_children() {
        let digests = |below: &Below| below.manifests.iter().map(|child| child.digest).collect::<Vec<_>>();
        let all = below(&index(), &[]).unwrap();
        assert_eq!((all.manifests.len(), all.left_out), (4, 0));
        let some = below(&index(), &["linux/amd64".parse().unwrap()]).unwrap();
        assert_eq!(digests(&some), [Digest::of(b"a"), Digest::of(b"d")]);
        assert_eq!(some.left_out, 2);
        let two = below(&index(), &["linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap()]).unwrap();
        assert_eq!(two.manifests.len(), 3);
    }

    #[test]
    fn a_platform_that_is_not_there_is_told() {
        let only = json!({ "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
            { "mediaType": "m", "digest": Digest::of(b"a").to_string(), "size": 1, "platform": { "os": "linux", "architecture": "s390x" } },
        ] });
        let error = below(&document(&only), &["linux/amd64".parse().unwrap()]).unwrap_err().to_string();
        assert!(error.contains("linux/amd64") && error.contains("it has linux/s390x"), "{error}");
    }

    #[test]
    fn blobs_once_and_foreign_layers_never() {
        let blob = |seed: &str, media_type: &str| json!({ "mediaType": media_type, "digest": Digest::of(seed.as_bytes()).to_string(), "size": 7 });
        let image = document(&json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": blob("config", "c"),
            "layers": [blob("a", "l"), blob("a", "l"), blob("f", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")],
        }));
        let mut plan = Plan::default();
        plan.add(image.clone(), below(&image, &["linux/amd64".parse().unwrap()]).unwrap()).unwrap();
        plan.add(image.clone(), below(&image, &[]).unwrap()).unwrap();
        assert_eq!(plan.blobs.keys().copied().collect::<Vec<_>>(), {
            let mut expected = vec![Digest::of(b"config"), Digest::of(b"a")];
            expected.sort();
            expected
        });
        assert_eq!((plan.manifests.len(), plan.is_sparse), (1, false));
        assert_eq!(plan.bytes(), 14 + image.bytes.len() as u64);
    }

    #[test]
    fn a_registry_that_tells_of_more_and_more() {
        let mut plan = Plan::default();
        let numbered = |n: usize| document(&json!({ "mediaType": "m", "annotations": { "n": n.to_string() } }));
        for n in 0..MAX_MANIFESTS {
            plan.add(numbered(n), Below::default()).unwrap();
        }
        plan.add(numbered(0), Below::default()).unwrap();
        let error = plan.add(numbered(MAX_MANIFESTS), Below::default()).unwrap_err().to_string();
        assert!(error.contains("more than 10000 manifests"), "{error}");
        assert_eq!(plan.manifests.len(), MAX_MANIFESTS);
    }

    #[test]
    fn what_cannot_be_moved() {
        let size = |bytes: u64| {
            document(&json!({ "mediaType": "m", "config": { "digest": Digest::of(b"c").to_string(), "size": bytes } }))
        };
        let mut plan = Plan::default();
        plan.add(size(1), below(&size(1), &[]).unwrap()).unwrap();
        assert!(plan.add(size(2), below(&size(2), &[]).unwrap()).unwrap_err().to_string().contains("in another"));
        let unknown = document(&json!({ "mediaType": "m", "layers": [{ "digest": "md5:0", "size": 1 }] }));
        assert!(below(&unknown, &[]).unwrap_err().to_string().contains("md5:0"));
        let old = document(&json!({ "mediaType": "application/vnd.docker.distribution.manifest.v1+json" }));
        assert!(below(&old, &[]).unwrap_err().to_string().contains("schema 1"));
    }
}
