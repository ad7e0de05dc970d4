//! Reading manifests only as far as a registry must: what they refer to, and what they are about.
//!
//! Reading is lenient on purpose. A registry that refuses a manifest because of a field that it does not know breaks
//! artifacts that were made after it; the bytes themselves are never changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::digest::Digest;
use super::json;
use super::media_type::{MediaType, NoMediaType};

/// Manifests refer to at most this many things; a larger number is an attack or a mistake.
pub const MAX_DESCRIPTORS: usize = 20_000;

/// image-spec, descriptor.md. `size` is in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    pub media_type: MediaType,
    pub digest: Digest,
    pub size: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// `mediaType` of the document itself, if it says one.
    pub media_type: Option<MediaType>,
    /// The artifact's type: `artifactType`, else the config's media type.
    pub artifact_type: Option<String>,
    /// Config and layers, or an artifact's blobs; and entries of an index that have the type of a blob, as BuildKit's caches have.
    pub blobs: Vec<Descriptor>,
    /// The other entries of an index. One of which the type is not that of a manifest ([`MediaType::is_manifest`]) may be a blob as well.
    pub manifests: Vec<Descriptor>,
    pub subject: Option<Descriptor>,
    pub annotations: BTreeMap<String, String>,
    /// Digests of descriptors that cannot be read: of an unknown algorithm, or none at all. As much of each as a message can bear.
    pub unreadable: Vec<String>,
    /// The first media type that is none, of the document or of something that it refers to.
    pub malformed: Option<NoMediaType>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("the manifest is not a JSON object that can be read: {0}")]
    NotJson(String),
    #[error("the manifest refers to more than {MAX_DESCRIPTORS} objects")]
    TooManyDescriptors,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Entry>,
    #[serde(default, deserialize_with = "bounded")]
    layers: Vec<Entry>,
    #[serde(default, deserialize_with = "bounded")]
    blobs: Vec<Entry>,
    #[serde(default, deserialize_with = "bounded")]
    manifests: Vec<Entry>,
    subject: Option<Entry>,
    #[serde(default, deserialize_with = "json::texts")]
    annotations: BTreeMap<String, String>,
    /// Docker schema 1.
    #[serde(default, deserialize_with = "bounded")]
    fs_layers: Vec<SchemaOneLayer>,
}

/// Digests of unknown algorithms make entries that we cannot keep; they are passed over.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    size: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaOneLayer {
    blob_sum: String,
}

/// No more of them than tell that they are too many.
fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    json::at_most::<D, T, MAX_DESCRIPTORS>(deserializer)
}

impl Manifest {
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let document: Document =
            serde_json::from_slice(bytes).map_err(|error| ManifestError::NotJson(json::told(&error)))?;
        let count = document.layers.len() + document.blobs.len() + document.manifests.len() + document.fs_layers.len();
        if count > MAX_DESCRIPTORS {
            return Err(ManifestError::TooManyDescriptors);
        }
        let artifact_type = document.artifact_type.filter(|text| !text.is_empty()).or_else(|| {
            document.config.as_ref().map(|config| config.media_type.clone()).filter(|text| !text.is_empty())
        });
        let all = || document.config.iter().chain(&document.layers).chain(&document.blobs).chain(&document.manifests);
        let unreadable = all().filter(|entry| entry.read().is_none()).map(|entry| entry.shown()).collect();
        let types = all().chain(&document.subject).map(|entry| entry.media_type.as_str());
        let malformed = types.chain(document.media_type.as_deref()).find_map(|text| MediaType::parse(text).err());
        let (entries, blobs): (Vec<_>, Vec<_>) =
            document.manifests.iter().filter_map(Entry::read).partition(|entry| !entry.media_type.is_blob());
        let schema_one = document.fs_layers.into_iter().filter_map(|layer| {
            let digest = layer.blob_sum.parse().ok()?;
            Some(Descriptor {
                media_type: MediaType::new("application/vnd.docker.container.image.rootfs.diff+x-gtar"),
                digest,
                size: 0,
            })
        });
        Ok(Self {
            media_type: document.media_type.as_deref().map(MediaType::new).filter(|said| !said.as_str().is_empty()),
            artifact_type,
            blobs: document
                .config
                .iter()
                .chain(&document.layers)
                .chain(&document.blobs)
                .filter_map(Entry::read)
                .chain(blobs)
                .chain(schema_one)
                .collect(),
            manifests: entries,
            subject: document.subject.as_ref().and_then(Entry::read),
            unreadable,
            malformed,
            annotations: document.annotations,
        })
    }
}

impl Entry {
    fn shown(&self) -> String {
        self.digest.chars().take(100).collect()
    }

    fn read(&self) -> Option<Descriptor> {
        Some(Descriptor {
            media_type: MediaType::new(&self.media_type),
            digest: self.digest.parse().ok()?,
            size: u64::try_from(self.size).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_and_layers() {
        let digest = Digest::of(b"x");
        let text = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"c","digest":"{digest}","size":2}},
               "layers":[{{"mediaType":"l","digest":"{digest}","size":3}},{{"digest":"odd:1","size":1}}],
               "subject":{{"digest":"{digest}","size":1,"mediaType":"m"}},"annotations":{{"a":"b","n":1}},"future":[1]}}"#
        );
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(manifest.blobs.iter().map(|blob| blob.size).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(manifest.artifact_type.as_deref(), Some("c"));
        assert_eq!(manifest.subject.map(|subject| subject.digest), Some(digest));
        assert_eq!(manifest.annotations.len(), 1);
    }

    /// NH1: BuildKit before 0.21 exports a cache as an index of layers and of a blob that says what they are.
    #[test]
    fn nh1_entries_of_an_index_that_are_blobs() {
        let entry = |media_type: &str, text: &str| {
            format!(r#"{{"mediaType":"{media_type}","digest":"{}","size":1}}"#, Digest::of(text.as_bytes()))
        };
        let entries = [
            entry("application/vnd.oci.image.layer.v1.tar+gzip", "layer"),
            entry("application/vnd.buildkit.cacheconfig.v0", "cache"),
            entry("application/vnd.oci.image.manifest.v1+json", "manifest"),
            entry("application/vnd.example.thing.v1", "either"),
            entry("", "either, too"),
        ];
        let manifest = Manifest::parse(format!(r#"{{"manifests":[{}]}}"#, entries.join(",")).as_bytes()).unwrap();
        let digests = |of: &[Descriptor]| of.iter().map(|one| one.digest).collect::<Vec<_>>();
        let expected = |texts: &[&str]| texts.iter().map(|text| Digest::of(text.as_bytes())).collect::<Vec<_>>();
        assert_eq!(digests(&manifest.blobs), expected(&["layer", "cache"]));
        assert_eq!(digests(&manifest.manifests), expected(&["manifest", "either", "either, too"]));
        let sure: Vec<_> = manifest.manifests.iter().map(|entry| entry.media_type.is_manifest()).collect();
        assert_eq!(sure, [true, false, false]);
    }

    #[test]
    fn t25_media_types_that_are_none_are_told_and_not_kept() {
        let digest = Digest::of(b"x");
        let long = "a".repeat(1 << 20);
        for text in [
            r#"{"mediaType":"application/x\r\ny"}"#.to_owned(),
            format!(r#"{{"layers":[{{"mediaType":"{long}","digest":"{digest}","size":1}}]}}"#),
            format!(r#"{{"subject":{{"mediaType":"a\nb","digest":"{digest}","size":1}}}}"#),
        ] {
            let manifest = Manifest::parse(text.as_bytes()).unwrap();
            assert!(manifest.malformed.is_some());
            assert_eq!(manifest.media_type, None);
            assert!(manifest.blobs.iter().chain(&manifest.subject).all(|one| one.media_type.as_str().is_empty()));
        }
    }

    /// No list is built that is longer than those that are taken.
    #[test]
    fn lists_of_millions_are_too_many() {
        let text = format!(r#"{{"layers":[{}]}}"#, vec!["{}"; 1_000_000].join(","));
        assert_eq!(Manifest::parse(text.as_bytes()), Err(ManifestError::TooManyDescriptors));
        let document: Document = serde_json::from_str(&text).unwrap();
        assert_eq!(document.layers.len(), MAX_DESCRIPTORS + 1);
        let text = format!(r#"{{"layers":[{}1]}}"#, "{},".repeat(MAX_DESCRIPTORS));
        assert!(matches!(Manifest::parse(text.as_bytes()), Err(ManifestError::NotJson(_))));
    }

    #[test]
    fn annotations_are_texts() {
        let text = r#"{"annotations":{"a":"b","n":[{"a":{}},null],"t":true,"x":-1.5,"o":{"a":[]},"u":"\u00e4"}}"#;
        let annotations = Manifest::parse(text.as_bytes()).unwrap().annotations;
        assert_eq!(annotations, BTreeMap::from([("a".into(), "b".into()), ("u".into(), "ä".into())]));
        assert!(Manifest::parse(br#"{"annotations":[]}"#).is_err());
    }

    #[test]
    fn null_is_an_empty_list() {
        let text = r#"{"layers":null,"manifests":null,"blobs":null,"annotations":null,"fsLayers":null,"config":null}"#;
        assert_eq!(Manifest::parse(text.as_bytes()), Ok(Manifest::default()));
    }

    #[test]
    fn not_a_manifest() {
        for text in ["", "<html>", "[]", "null", "{\"layers\":1}"] {
            assert!(Manifest::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
