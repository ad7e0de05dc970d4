//! The image that is shown around: one layer with a file of noise, which any client can pull and unpack.

use std::io;

use bytes::Bytes;
use serde_json::json;

use crate::cli::transfer::Document;
use crate::oci::{Digest, MediaType};

const NOISE_BYTES: usize = 8 << 20;

pub(super) struct Image {
    /// Layer and config.
    pub(super) blobs: Vec<Bytes>,
    pub(super) manifest: Document,
}

impl Image {
    pub(super) fn make() -> io::Result<Self> {
        let mut noise = vec![0; NOISE_BYTES];
        fastrand::fill(&mut noise);
        let mut header = tar::Header::new_gnu();
        header.set_size(noise.len() as u64);
        header.set_mode(0o644);
        let mut layer = tar::Builder::new(Vec::with_capacity(NOISE_BYTES + 4096));
        layer.append_data(&mut header, "noise", noise.as_slice())?;
        let layer = Bytes::from(layer.into_inner()?);
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer).to_string()] },
        });
        let config = Bytes::from(config.to_string());
        let descriptor = |media_type: &str, bytes: &Bytes| json!({ "mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len() });
        let media_type = MediaType::oci_manifest();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type.as_str(),
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        let bytes = Bytes::from(manifest.to_string());
        let manifest = Document { media_type, digest: Digest::of(&bytes), bytes };
        Ok(Self { blobs: vec![layer, config], manifest })
    }
}
