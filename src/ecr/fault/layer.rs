//! Faults about layers and their uploads.

use super::super::layer::LayerDigest;
use super::answer::Fault;
use super::exception::Exception;
use crate::oci::{AccountId, Digest, RepositoryName, UploadId};

/// How far an upload is, which tells the client of a refused part where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartPlace {
    pub registry_id: AccountId,
    pub repository_name: RepositoryName,
    pub upload_id: UploadId,
    /// Inclusive; `None` where no byte came yet.
    pub last_valid_byte_received: Option<u64>,
}

impl Fault {
    pub fn upload_not_found(upload: &UploadId, name: &RepositoryName, registry: &AccountId) -> Self {
        Self::new(
            Exception::UploadNotFound,
            format!(
                "The upload with id '{upload}' does not exist in the repository with name '{name}' in the registry with id '{registry}'"
            ),
        )
    }

    /// A part that does not begin where the last one ended, or is not as long as it says.
    pub fn invalid_layer_part(message: impl Into<String>, place: &PartPlace) -> Self {
        let fault = Self::new(Exception::InvalidLayerPart, message)
            .with("registryId", place.registry_id.as_str())
            .with("repositoryName", place.repository_name.as_str())
            .with("uploadId", place.upload_id.as_str());
        match place.last_valid_byte_received {
            Some(last) => fault.with("lastValidByteReceived", last),
            None => fault,
        }
    }

    /// The bytes have none of the digests that the client names.
    pub fn invalid_layer(computed: &Digest) -> Self {
        Self::new(
            Exception::InvalidLayer,
            format!("None of the layer digests is that of the uploaded bytes, which is '{computed}'"),
        )
    }

    /// `least` is in bytes.
    pub fn layer_part_too_small(least: u64) -> Self {
        Self::new(
            Exception::LayerPartTooSmall,
            format!("Every part of a layer but the last has at least {least} bytes"),
        )
    }

    pub fn layer_already_exists(digest: &Digest, name: &RepositoryName, registry: &AccountId) -> Self {
        Self::new(
            Exception::LayerAlreadyExists,
            format!(
                "The layer with digest '{digest}' already exists in the repository with name '{name}' in the registry with id '{registry}'"
            ),
        )
    }

    pub fn empty_upload(upload: &UploadId) -> Self {
        Self::new(Exception::EmptyUpload, format!("The upload with id '{upload}' has no parts"))
    }

    pub fn layer_not_found(digest: &LayerDigest, name: &RepositoryName, registry: &AccountId) -> Self {
        Self::new(
            Exception::LayersNotFound,
            format!(
                "The layer with digest '{digest}' does not exist in the repository with name '{name}' in the registry with id '{registry}'"
            ),
        )
    }

    /// It is stored, but no image of the repository refers to it.
    pub fn layer_inaccessible(digest: &LayerDigest, name: &RepositoryName, registry: &AccountId) -> Self {
        Self::new(
            Exception::LayerInaccessible,
            format!(
                "The layer with digest '{digest}' is not part of any image in the repository with name '{name}' in the registry with id '{registry}'"
            ),
        )
    }
}
