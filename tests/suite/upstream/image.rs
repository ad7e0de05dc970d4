//! Images to put into the upstream.

use bytes::Bytes;
use serde_json::{Value, json};

use super::FakeUpstream;
use super::content::{noise, sha256};

pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// Bytes with their digest.
#[derive(Clone)]
pub struct Part {
    pub digest: String,
    pub bytes: Bytes,
}

impl Part {
    fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { digest: sha256(&bytes), bytes }
    }
}

/// An image as it lies upstream.
#[derive(Clone)]
pub struct Image {
    pub media_type: &'static str,
    pub manifest: Part,
    pub config: Part,
    pub layers: Vec<Part>,
}

impl Image {
    /// The only layer of an image that has one.
    pub fn layer(&self) -> &Part {
        &self.layers[0]
    }
}

impl FakeUpstream {
    /// An OCI image whose layers have these sizes. `seed` tells images apart.
    pub fn image(&self, repository: &str, tag: &str, seed: u64, layer_sizes: &[usize]) -> Image {
        let types = [OCI_MANIFEST, OCI_CONFIG, OCI_LAYER];
        self.put_image(repository, Some(tag), seed, layer_sizes, types)
    }

    /// The same in Docker's schema 2.
    pub fn docker_image(&self, repository: &str, tag: &str, seed: u64, layer_sizes: &[usize]) -> Image {
        let types = [DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER];
        self.put_image(repository, Some(tag), seed, layer_sizes, types)
    }

    /// An OCI image that no tag names.
    pub fn untagged_image(&self, repository: &str, seed: u64, layer_sizes: &[usize]) -> Image {
        self.put_image(repository, None, seed, layer_sizes, [OCI_MANIFEST, OCI_CONFIG, OCI_LAYER])
    }

    /// An index of images, as many platforms as there are images.
    pub fn index(&self, repository: &str, tag: &str, media_type: &str, children: &[&Image]) -> Part {
        let manifests: Vec<_> = children
            .iter()
            .zip(["amd64", "arm64", "s390x", "ppc64le"])
            .map(|(child, architecture)| {
                let mut entry = descriptor(child.media_type, &child.manifest);
                entry["platform"] = json!({ "os": "linux", "architecture": architecture });
                entry
            })
            .collect();
        // The odd white space is kept by whoever keeps bytes exactly.
        let document = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests });
        let part = Part::new(format!(" {document:#}\n\n"));
        self.manifest(repository, Some(tag), media_type, part.bytes.clone());
        part
    }

    /// An artifact that refers to `subject`: a signature, an SBOM.
    pub fn artifact(&self, repository: &str, artifact_type: &str, subject: &Part, subject_type: &str) -> Part {
        let empty = Part::new("{}");
        let payload = Part::new(format!("{artifact_type} of {}", subject.digest));
        self.blob(repository, empty.bytes.clone());
        self.blob(repository, payload.bytes.clone());
        let document = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": artifact_type,
            "config": descriptor("application/vnd.oci.empty.v1+json", &empty),
            "layers": [descriptor("application/octet-stream", &payload)],
            "subject": descriptor(subject_type, subject),
            "annotations": { "made.for": "the suite" },
        });
        let part = Part::new(document.to_string());
        self.manifest(repository, None, OCI_MANIFEST, part.bytes.clone());
        part
    }

    fn put_image(
        &self,
        repository: &str,
        tag: Option<&str>,
        seed: u64,
        layer_sizes: &[usize],
        [media_type, config_type, layer_type]: [&'static str; 3],
    ) -> Image {
        let config = Part::new(
            json!({ "architecture": "amd64", "os": "linux", "seed": seed, "rootfs": { "type": "layers", "diff_ids": [] } })
                .to_string(),
        );
        self.blob(repository, config.bytes.clone());
        let layers: Vec<_> =
            layer_sizes.iter().enumerate().map(|(at, size)| Part::new(noise(seed * 1000 + at as u64, *size))).collect();
        for layer in &layers {
            self.blob(repository, layer.bytes.clone());
        }
        let document = json!({
            "schemaVersion": 2, "mediaType": media_type, "config": descriptor(config_type, &config),
            "layers": layers.iter().map(|layer| descriptor(layer_type, layer)).collect::<Vec<_>>(),
        });
        let manifest = Part::new(format!("{document:#}"));
        self.manifest(repository, tag, media_type, manifest.bytes.clone());
        Image { media_type, manifest, config, layers }
    }
}

fn descriptor(media_type: &str, part: &Part) -> Value {
    json!({ "mediaType": media_type, "digest": part.digest, "size": part.bytes.len() })
}
