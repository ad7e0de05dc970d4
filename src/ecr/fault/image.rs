//! Faults about images: manifests, their tags, and the manifests that they refer to.

use super::super::image::RequestedImage;
use super::answer::Fault;
use super::exception::Exception;
use crate::oci::{AccountId, Digest, RepositoryName, Tag};

impl Fault {
    pub fn image_not_found(image: &RequestedImage, name: &RepositoryName, registry: &AccountId) -> Self {
        let shown = |text: Option<&str>| text.unwrap_or("null").to_owned();
        let (digest, tag) = (shown(image.written_digest()), shown(image.written_tag()));
        Self::new(
            Exception::ImageNotFound,
            format!(
                "The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist within the repository with name '{name}' in the registry with id '{registry}'"
            ),
        )
    }

    /// The same manifest under the same tag, or the same manifest without any.
    pub fn image_already_exists(
        digest: &Digest,
        tag: Option<&Tag>,
        name: &RepositoryName,
        registry: &AccountId,
    ) -> Self {
        let tagged = tag.map(|tag| format!(" and tag '{tag}'")).unwrap_or_default();
        Self::new(
            Exception::ImageAlreadyExists,
            format!(
                "Image with digest '{digest}'{tagged} already exists in the repository with name '{name}' in registry with id '{registry}'"
            ),
        )
    }

    /// Another image has the tag, and the tag may not move.
    pub fn image_tag_already_exists(tag: &Tag, name: &RepositoryName) -> Self {
        Self::new(
            Exception::ImageTagAlreadyExists,
            format!(
                "The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the tag is immutable."
            ),
        )
    }

    pub fn image_digest_does_not_match(given: &Digest, computed: &Digest) -> Self {
        Self::new(
            Exception::ImageDigestDoesNotMatch,
            format!("The digest '{given}' is not that of the manifest, which is '{computed}'"),
        )
    }

    pub fn referenced_images_not_found(missing: &[Digest], name: &RepositoryName, registry: &AccountId) -> Self {
        let list = list(missing);
        Self::new(
            Exception::ReferencedImagesNotFound,
            format!(
                "Images with digests '[{list}]' required for pushing image into repository with name '{name}' in the registry with id '{registry}' do not exist"
            ),
        )
    }

    pub fn layers_not_found(missing: &[Digest], name: &RepositoryName, registry: &AccountId) -> Self {
        let list = list(missing);
        Self::new(
            Exception::LayersNotFound,
            format!(
                "Layers with digests '[{list}]' required for pushing image into repository with name '{name}' in the registry with id '{registry}' do not exist"
            ),
        )
    }

    pub fn scan_not_found(name: &RepositoryName, registry: &AccountId) -> Self {
        Self::new(
            Exception::ScanNotFound,
            format!(
                "Image scan does not exist for the image in the repository with name '{name}' in the registry with id '{registry}'"
            ),
        )
    }

    pub fn image_storage_class_update_not_supported() -> Self {
        Self::new(
            Exception::ImageStorageClassUpdateNotSupported,
            "This registry keeps images in one storage class only",
        )
    }
}

/// Enough to act on; an index can lack thousands.
fn list(digests: &[Digest]) -> String {
    const MOST: usize = 100;
    digests.iter().take(MOST).map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
