//! `BatchDeleteImage`.
//!
//! A tag goes alone, and takes its image with it when it was the last one; a digest goes with all its tags. A tag beside a digest
//! is deleted as a tag, so that deleting what `ListImages` has told removes everything, whatever the order.

use super::named::Place;
use crate::ecr::{
    BatchDeleteImage, BatchDeleteImageOutput, Fault, ImageFailure, ImageFailureCode, ImageIdentifier, Output,
    RequestedImage,
};
use crate::oci::{Digest, QualifiedName, Tag};
use crate::registry::Error;
use crate::registry::control::{self, Control, failed, unexpected};
use crate::registry::hosted::Deletion;

/// Indexes that a failure names.
const MAX_NAMED: u32 = 10;

/// What came of one image.
enum Outcome {
    Gone(Vec<ImageIdentifier>),
    Failed(ImageFailureCode),
    /// These indexes have it as a child.
    Referenced(Vec<Digest>),
}

impl Control<'_> {
    pub(in crate::registry::control) async fn batch_delete_image(
        &self,
        input: BatchDeleteImage,
    ) -> Result<Output, Fault> {
        let name = self.qualified(&input.repository.name);
        let place = self.place(&name.name).await?;
        let about = self.registry.about_named(name.clone());
        let deletion = Deletion { about: &about, viewer: &self.viewer, principal: self.identity.name() };
        self.must_take(&place, &input.images, deletion).await?;
        let mut output = BatchDeleteImageOutput::default();
        let mut left = input.images;
        loop {
            let (mut referenced, before) = (Vec::new(), output.image_ids.len());
            for image in left {
                match self.delete_image(&place, &name, &image, deletion).await? {
                    Outcome::Gone(ids) => output.image_ids.extend(ids),
                    Outcome::Failed(code) => output.failures.push(ImageFailure::new(image, code)),
                    Outcome::Referenced(indexes) => referenced.push((image, indexes)),
                }
            }
            // An index that was named after its child may be gone now.
            if referenced.is_empty() || output.image_ids.len() == before {
                let failures = referenced.into_iter().map(|(image, of)| ImageFailure::referenced_by(image, &of));
                output.failures.extend(failures);
                return Ok(Output::BatchDeleteImage(output));
            }
            left = referenced.into_iter().map(|(image, _)| image).collect();
        }
    }

    /// Refuses the batch as a whole if a tag may not go that goes with a digest of it. One that comes later is refused with its image.
    async fn must_take(&self, place: &Place, images: &[RequestedImage], deletion: Deletion<'_>) -> Result<(), Fault> {
        let digests =
            images.iter().filter_map(|image| image.meaning().ok().filter(|selector| selector.tag().is_none()));
        for digest in digests.filter_map(|selector| selector.digest()) {
            let image = self.meta.image(place.id, digest).await.map_err(failed)?;
            for tag in image.iter().flat_map(|image| &image.tags) {
                deletion.must_take(tag).await.map_err(refused)?;
            }
        }
        Ok(())
    }

    async fn delete_image(
        &self,
        place: &Place,
        name: &QualifiedName,
        image: &RequestedImage,
        deletion: Deletion<'_>,
    ) -> Result<Outcome, Fault> {
        let digest = match self.digest_of(place.id, image).await? {
            Ok(digest) => digest,
            Err(code) => return Ok(Outcome::Failed(code)),
        };
        let tag = image.meaning().ok().and_then(|selector| selector.tag()).cloned();
        let deleted = self.hosted.delete_image(&place.repository, digest, tag, deletion).await;
        match deleted.map_err(refused)? {
            Some(tags) => {
                if place.is_pulled {
                    self.registry.forget_image(name, &digest).await.map_err(failed)?;
                }
                Ok(Outcome::Gone(identifiers(digest, tags)))
            }
            None => {
                let indexes = self.meta.indexes_of(place.id, &digest, MAX_NAMED).await.map_err(failed)?;
                let is_gone = indexes.is_empty() || self.meta.image(place.id, &digest).await.map_err(failed)?.is_none();
                Ok(if is_gone {
                    Outcome::Failed(ImageFailureCode::ImageNotFound)
                } else {
                    Outcome::Referenced(indexes)
                })
            }
        }
    }
}

fn refused(error: Error) -> Fault {
    match error {
        Error::Denied(denied) => control::refused(denied),
        error => unexpected(&error),
    }
}

/// One for each tag that is gone; an image without tags has one as well.
fn identifiers(digest: Digest, tags: Vec<Tag>) -> Vec<ImageIdentifier> {
    if tags.is_empty() {
        return vec![ImageIdentifier { digest: Some(digest), tag: None }];
    }
    tags.into_iter().map(|tag| ImageIdentifier { digest: Some(digest), tag: Some(tag) }).collect()
}
