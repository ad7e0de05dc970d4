//! What the upstream holds.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::content::{Content, sha256, sha512};
use super::{FakeUpstream, image};

#[derive(Default)]
pub(super) struct Store {
    pub repositories: BTreeMap<String, Repository>,
    /// Plain files by path, for servers that redirects lead to.
    pub files: BTreeMap<String, (String, Content)>,
}

#[derive(Default)]
pub(super) struct Repository {
    pub blobs: BTreeMap<String, Content>,
    /// Digest to media type and bytes.
    pub manifests: BTreeMap<String, (String, Bytes)>,
    /// Tag to the digests of its forms, of which a client gets the first that it accepts.
    pub tags: BTreeMap<String, Vec<String>>,
}

impl Repository {
    /// The descriptors of the manifests whose subject is `digest`.
    pub fn referrers(&self, digest: &str) -> Vec<Value> {
        let mut found = Vec::new();
        for (referrer, (media_type, bytes)) in &self.manifests {
            let Ok(document) = serde_json::from_slice::<Value>(bytes) else { continue };
            if document["subject"]["digest"] != digest {
                continue;
            }
            let artifact_type = match &document["artifactType"] {
                Value::Null => document["config"]["mediaType"].clone(),
                named => named.clone(),
            };
            found.push(json!({
                "mediaType": media_type, "digest": referrer, "size": bytes.len(), "artifactType": artifact_type,
                "annotations": document["annotations"],
            }));
        }
        found
    }
}

impl FakeUpstream {
    /// Adds a blob and returns its digest.
    pub fn blob(&self, repository: &str, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let digest = sha256(&bytes);
        self.blob_as(repository, &digest, bytes);
        digest
    }

    pub fn blob_sha512(&self, repository: &str, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let digest = sha512(&bytes);
        self.blob_as(repository, &digest, bytes);
        digest
    }

    /// Serves `bytes` under a digest, whether it is theirs or not.
    pub fn blob_as(&self, repository: &str, digest: &str, bytes: impl Into<Bytes>) {
        self.put_blob(repository, digest, Content::Held(bytes.into()));
    }

    /// A blob of any size that takes no memory. Its digest is made up: nothing that verifies can take the whole of it.
    pub fn boundless_blob(&self, repository: &str, seed: u64, len: u64) -> String {
        let digest = sha256(format!("boundless {seed} {len}").as_bytes());
        self.put_blob(repository, &digest, Content::Noise { seed, len });
        digest
    }

    /// Adds a manifest under its digest, and under a tag if one is given.
    pub fn manifest(&self, repository: &str, tag: Option<&str>, media_type: &str, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let digest = sha256(&bytes);
        let mut state = self.state();
        let repository = state.store.repositories.entry(repository.to_owned()).or_default();
        repository.manifests.insert(digest.clone(), (media_type.to_owned(), bytes));
        if let Some(tag) = tag {
            repository.tags.insert(tag.to_owned(), vec![digest.clone()]);
        }
        digest
    }

    /// Points a tag at one manifest.
    pub fn tag(&self, repository: &str, tag: &str, digest: &str) {
        self.negotiate(repository, tag, &[digest]);
    }

    /// Points a tag at several forms of the same image: a client gets the first whose type it accepts, else the last.
    pub fn negotiate(&self, repository: &str, tag: &str, digests: &[&str]) {
        let forms = digests.iter().map(|digest| (*digest).to_owned()).collect();
        self.repository(repository, |repository| repository.tags.insert(tag.to_owned(), forms));
    }

    pub fn untag(&self, repository: &str, tag: &str) {
        self.repository(repository, |repository| repository.tags.remove(tag));
    }

    pub fn remove_repository(&self, repository: &str) {
        self.state().store.repositories.remove(repository);
    }

    /// The tag under which registries without the referrers API keep the list (distribution-spec, "Referrers Tag
    /// Schema"), made from the manifests that are there.
    pub fn fallback_tag(&self, repository: &str, subject: &str) -> String {
        let tag = subject.replace(':', "-");
        let descriptors = self.repository(repository, |repository| repository.referrers(subject));
        let index = json!({ "schemaVersion": 2, "mediaType": image::OCI_INDEX, "manifests": descriptors });
        self.manifest(repository, Some(&tag), image::OCI_INDEX, index.to_string())
    }

    /// A plain file, served at `path`.
    pub fn file(&self, path: &str, content_type: &str, bytes: impl Into<Bytes>) {
        let file = (content_type.to_owned(), Content::Held(bytes.into()));
        self.state().store.files.insert(path.to_owned(), file);
    }

    fn put_blob(&self, repository: &str, digest: &str, content: Content) {
        self.repository(repository, |repository| repository.blobs.insert(digest.to_owned(), content));
    }

    fn repository<T>(&self, name: &str, change: impl FnOnce(&mut Repository) -> T) -> T {
        change(self.state().store.repositories.entry(name.to_owned()).or_default())
    }
}
