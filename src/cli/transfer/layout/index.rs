//! `index.json`: which images a layout has, and their names.

use serde_json::{Map, Value, json};

use crate::oci::{Digest, MediaType};

/// The name as containerd and Docker know it, with its registry.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// The name by which skopeo and podman choose an image of the layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// One line of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli::transfer) struct Entry {
    pub(in crate::cli::transfer) media_type: MediaType,
    pub(in crate::cli::transfer) digest: Digest,
    pub(in crate::cli::transfer) size: u64,
    /// The full name, with its registry where that is known.
    pub(in crate::cli::transfer) full_name: Option<String>,
    /// The short one; some programs write only a tag.
    pub(in crate::cli::transfer) ref_name: Option<String>,
}

/// The document, with whatever else others wrote into it.
#[derive(Debug, PartialEq)]
pub(super) struct Index(Map<String, Value>);

impl Index {
    pub(super) fn new() -> Self {
        let mut document = Map::new();
        document.insert("schemaVersion".to_owned(), json!(2));
        document.insert("mediaType".to_owned(), json!(MediaType::oci_index().as_str()));
        document.insert("manifests".to_owned(), json!([]));
        Self(document)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map(Self).map_err(|error| format!("index.json cannot be read: {error}"))
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        Value::Object(self.0.clone()).to_string().into_bytes()
    }

    /// Adds an image. One that had its name before loses it; what has no name is there once.
    pub(super) fn add(&mut self, entry: &Entry) {
        let mut annotations = Map::new();
        for (key, value) in [(CONTAINERD_NAME, &entry.full_name), (REF_NAME, &entry.ref_name)] {
            if let Some(value) = value {
                annotations.insert(key.to_owned(), json!(value));
            }
        }
        let mut line = json!({
            "mediaType": entry.media_type.as_str(), "digest": entry.digest.to_string(), "size": entry.size,
        });
        if let (Value::Object(line), false) = (&mut line, annotations.is_empty()) {
            line.insert("annotations".to_owned(), Value::Object(annotations));
        }
        let manifests = self.0.entry("manifests").or_insert_with(|| json!([]));
        if !manifests.is_array() {
            *manifests = json!([]);
        }
        if let Value::Array(lines) = manifests {
            lines.retain(|line| {
                let ref_name = text(line, &["annotations", REF_NAME]);
                let is_same = text(line, &["digest"]) == Some(&entry.digest.to_string());
                if entry.ref_name.is_some() {
                    ref_name != entry.ref_name.as_deref()
                } else {
                    ref_name.is_some() || !is_same
                }
            });
            lines.push(line);
        }
    }

    pub(super) fn entries(&self) -> Result<Vec<Entry>, String> {
        let lines = self.0.get("manifests").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        lines
            .iter()
            .map(|line| read(line).ok_or_else(|| format!("index.json has an entry that is none: {line}")))
            .collect()
    }
}

fn read(line: &Value) -> Option<Entry> {
    let name = |key: &str| text(line, &["annotations", key]).filter(|name| !name.is_empty()).map(str::to_owned);
    Some(Entry {
        media_type: MediaType::new(text(line, &["mediaType"]).unwrap_or_default()),
        digest: text(line, &["digest"])?.parse().ok()?,
        size: line.get("size")?.as_u64()?,
        full_name: name(CONTAINERD_NAME),
        ref_name: name(REF_NAME),
    })
}

fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    path.iter().try_fold(value, |value, key| value.get(key))?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seed: &str, name: Option<&str>) -> Entry {
        Entry {
            media_type: MediaType::oci_manifest(),
            digest: Digest::of(seed.as_bytes()),
            size: 1,
            full_name: name.map(|name| format!("localhost:5000/{name}")),
            ref_name: name.map(str::to_owned),
        }
    }

    #[test]
    fn what_was_added_is_read_again() {
        let mut index = Index::new();
        for entry in [entry("a", Some("x:1")), entry("b", Some("x:2")), entry("s", None), entry("s", None)] {
            index.add(&entry);
        }
        index.add(&entry("c", Some("x:1")));
        let read = Index::parse(&index.to_bytes()).unwrap();
        assert_eq!(read.entries().unwrap(), [entry("b", Some("x:2")), entry("s", None), entry("c", Some("x:1"))]);
    }

    #[test]
    fn what_others_wrote_stays() {
        let mut index = Index::parse(br#"{"schemaVersion":2,"annotations":{"a":"b"},"manifests":null}"#).unwrap();
        index.add(&entry("a", None));
        let text = String::from_utf8(index.to_bytes()).unwrap();
        assert!(text.contains(r#""annotations":{"a":"b"}"#), "{text}");
        assert_eq!(index.entries().unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_index() {
        assert!(Index::parse(b"[]").is_err());
        let odd = Index::parse(br#"{"manifests":[{"digest":"sha256:0"}]}"#).unwrap();
        assert!(odd.entries().unwrap_err().contains("sha256:0"));
    }
}
