//! Layers: whether they are there, uploading one in parts, fetching one.

use bytes::Bytes;

use super::super::fault::Fault;
use super::super::layer::{LayerDigest, RequestedLayer};
use super::item::Item;
use super::members::Members;
use super::repository::RepositoryTarget;
use super::shape::{self, ANY_LENGTH};
use crate::oci::UploadId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchCheckLayerAvailability {
    pub repository: RepositoryTarget,
    pub layers: Vec<RequestedLayer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadLayerPart {
    pub repository: RepositoryTarget,
    pub upload_id: UploadId,
    pub first_byte: u64,
    /// Inclusive. That it fits the blob's length is for the upload to check, which knows where it is.
    pub last_byte: u64,
    /// At most 20 MiB.
    pub blob: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteLayerUpload {
    pub repository: RepositoryTarget,
    pub upload_id: UploadId,
    /// One of them must be that of the bytes.
    pub layer_digests: Vec<LayerDigest>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetDownloadUrlForLayer {
    pub repository: RepositoryTarget,
    pub layer_digest: LayerDigest,
}

const MAX_PART_BYTES: usize = 20_971_520;
const MAX_REQUESTED_DIGEST_CHARS: usize = 1000;

impl BatchCheckLayerAvailability {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        let layer = |item: Item| item.text_within(0..=MAX_REQUESTED_DIGEST_CHARS).map(RequestedLayer::new);
        Ok(Self {
            repository: RepositoryTarget::read(members)?,
            layers: members.required("layerDigests", |item| item.list(1..=100, layer))?,
        })
    }
}

impl UploadLayerPart {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            repository: RepositoryTarget::read(members)?,
            upload_id: members.required("uploadId", upload_id)?,
            first_byte: members.required("partFirstByte", byte_index)?,
            last_byte: members.required("partLastByte", byte_index)?,
            blob: members.required("layerPartBlob", |item| item.blob(MAX_PART_BYTES))?,
        })
    }

    /// Whether the part is as long as it says.
    pub fn is_consistent(&self) -> bool {
        let length = self.last_byte.checked_sub(self.first_byte).and_then(|length| length.checked_add(1));
        length == u64::try_from(self.blob.len()).ok()
    }
}

impl CompleteLayerUpload {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            repository: RepositoryTarget::read(members)?,
            upload_id: members.required("uploadId", upload_id)?,
            layer_digests: members.required("layerDigests", |item| item.list(1..=100, shape::layer_digest))?,
        })
    }
}

impl GetDownloadUrlForLayer {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            repository: RepositoryTarget::read(members)?,
            layer_digest: members.required("layerDigest", shape::layer_digest)?,
        })
    }
}

/// A UUID in either case.
fn upload_id(item: Item) -> Result<UploadId, Fault> {
    const PATTERN: &str = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";
    item.read(ANY_LENGTH, PATTERN, |text| text.to_ascii_lowercase().parse().ok())
}

fn byte_index(item: Item) -> Result<u64, Fault> {
    item.integer(0..=i64::MAX).map(|index| u64::try_from(index).unwrap_or_default())
}
