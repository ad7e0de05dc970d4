//! Answers about layers and their uploads.

use serde::Serialize;

use super::super::layer::{LayerAvailability, LayerDigest, LayerFailureCode};
use super::text;
use crate::oci::{AccountId, Digest, RepositoryName, UploadId};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Layer {
    pub layer_digest: LayerDigest,
    pub layer_availability: LayerAvailability,
    /// In bytes; of a layer that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerFailure {
    /// As it was asked for.
    pub layer_digest: String,
    pub failure_code: LayerFailureCode,
    pub failure_reason: String,
}

impl Layer {
    /// A layer that is not there is an answer, not a failure: AWS's pusher for containerd fails on an empty list.
    pub const fn unavailable(digest: LayerDigest) -> Self {
        Self {
            layer_digest: digest,
            layer_availability: LayerAvailability::Unavailable,
            layer_size: None,
            media_type: None,
        }
    }
}

impl LayerFailure {
    pub fn new(written: String, code: LayerFailureCode) -> Self {
        Self { layer_digest: written, failure_code: code, failure_reason: code.reason().to_owned() }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchCheckLayerAvailabilityOutput {
    pub layers: Vec<Layer>,
    pub failures: Vec<LayerFailure>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InitiateLayerUploadOutput {
    #[serde(serialize_with = "text::one")]
    pub upload_id: UploadId,
    /// In bytes: how large the client should make its parts.
    pub part_size: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadLayerPartOutput {
    pub registry_id: AccountId,
    #[serde(serialize_with = "text::one")]
    pub repository_name: RepositoryName,
    #[serde(serialize_with = "text::one")]
    pub upload_id: UploadId,
    /// Inclusive.
    pub last_byte_received: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CompleteLayerUploadOutput {
    pub registry_id: AccountId,
    #[serde(serialize_with = "text::one")]
    pub repository_name: RepositoryName,
    #[serde(serialize_with = "text::one")]
    pub upload_id: UploadId,
    /// Computed here.
    #[serde(serialize_with = "text::one")]
    pub layer_digest: Digest,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetDownloadUrlForLayerOutput {
    pub download_url: String,
    pub layer_digest: LayerDigest,
    /// The layer's bytes where the URL leads elsewhere; clients are not told.
    #[serde(skip)]
    pub elsewhere_bytes: u64,
}
