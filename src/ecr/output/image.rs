//! Answers about images.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::image::{ImageFailureCode, ImageIdentifier, ImageStatus, RequestedImage};
use super::super::page::NextToken;
use super::super::timestamp::Timestamp;
use super::text;
use crate::oci::{AccountId, Digest, MediaType, RepositoryName, Tag};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    pub registry_id: AccountId,
    #[serde(serialize_with = "text::one")]
    pub repository_name: RepositoryName,
    /// The digest, with the tag that was asked for.
    pub image_id: ImageIdentifier,
    /// As it is kept, byte for byte.
    pub image_manifest: String,
    #[serde(serialize_with = "text::one")]
    pub image_manifest_media_type: MediaType,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageDetail {
    pub registry_id: AccountId,
    #[serde(serialize_with = "text::one")]
    pub repository_name: RepositoryName,
    #[serde(serialize_with = "text::one")]
    pub image_digest: Digest,
    /// Left out of an untagged image's answer.
    #[serde(serialize_with = "text::list", skip_serializing_if = "Vec::is_empty")]
    pub image_tags: Vec<Tag>,
    /// In bytes; that of an index is its largest child's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size_in_bytes: Option<u64>,
    pub image_pushed_at: Timestamp,
    #[serde(serialize_with = "text::one")]
    pub image_manifest_media_type: MediaType,
    /// The config's media type, or the artifact's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_media_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_recorded_pull_time: Option<Timestamp>,
    /// Of a referrer.
    #[serde(serialize_with = "text::some", skip_serializing_if = "Option::is_none")]
    pub subject_manifest_digest: Option<Digest>,
    pub image_status: ImageStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_archived_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_activated_at: Option<Timestamp>,
}

/// What became of one image of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageFailure {
    pub image_id: RequestedImage,
    pub failure_code: ImageFailureCode,
    pub failure_reason: String,
}

impl ImageFailure {
    pub fn new(image: RequestedImage, code: ImageFailureCode) -> Self {
        Self { image_id: image, failure_code: code, failure_reason: code.reason().to_owned() }
    }

    /// A child of indexes that are still there.
    pub fn referenced_by(image: RequestedImage, indexes: &[Digest]) -> Self {
        let code = ImageFailureCode::ImageReferencedByManifestList;
        let list = indexes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Self { image_id: image, failure_code: code, failure_reason: format!("{}: [{list}]", code.reason()) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageReferrer {
    #[serde(serialize_with = "text::one")]
    pub digest: Digest,
    #[serde(serialize_with = "text::one")]
    pub media_type: MediaType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// In bytes.
    pub size: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    pub artifact_status: ImageStatus,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeImagesOutput {
    pub image_details: Vec<ImageDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<NextToken>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListImagesOutput {
    /// One for each tag; an untagged image has one with its digest only.
    pub image_ids: Vec<ImageIdentifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<NextToken>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchGetImageOutput {
    pub images: Vec<Image>,
    pub failures: Vec<ImageFailure>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchDeleteImageOutput {
    /// One for each tag that is gone.
    pub image_ids: Vec<ImageIdentifier>,
    pub failures: Vec<ImageFailure>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutImageOutput {
    pub image: Image,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListImageReferrersOutput {
    pub referrers: Vec<ImageReferrer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<NextToken>,
}
