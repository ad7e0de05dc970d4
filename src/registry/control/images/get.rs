//! `BatchGetImage`, which counts as a pull.
//!
//! Manifests are answered as they were pushed, whatever types the client prefers: what is asked for by its digest could not be
//! anything else, and every client of today takes both families of types.

use super::named::Place;
use crate::action::Want;
use crate::ecr::{
    BatchGetImage, BatchGetImageOutput, Fault, Image, ImageFailure, ImageFailureCode, ImageIdentifier, Output,
    RequestedImage,
};
use crate::oci::{Reference, RepositoryName};
use crate::registry::control::{Control, unexpected};
use crate::registry::{Body, Error};

/// Bytes of manifests in one answer: a hundred of the longest would be 400 MiB.
const MAX_ANSWER_BYTES: usize = 64 << 20;

impl Control<'_> {
    pub(in crate::registry::control) async fn batch_get_image(&self, input: BatchGetImage) -> Result<Output, Fault> {
        let name = input.repository.name;
        let place = self.place(&name).await?;
        let mut output = BatchGetImageOutput::default();
        let mut bytes = 0;
        for image in input.images {
            match self.get_image(&place, &name, &image).await? {
                Ok(found) => {
                    bytes += found.image_manifest.len();
                    if bytes > MAX_ANSWER_BYTES {
                        let most = MAX_ANSWER_BYTES >> 20;
                        let message =
                            format!("The manifests have more than {most} MiB together; ask for fewer at once");
                        return Err(Fault::limit_exceeded(message));
                    }
                    output.images.push(found);
                }
                Err(code) => output.failures.push(failure(image, code)),
            }
        }
        Ok(Output::BatchGetImage(output))
    }

    async fn get_image(
        &self,
        place: &Place,
        name: &RepositoryName,
        image: &RequestedImage,
    ) -> Result<Result<Image, ImageFailureCode>, Fault> {
        let digest = match self.digest_of(place.id, image).await? {
            Ok(digest) => digest,
            Err(code) => return Ok(Err(code)),
        };
        let read = self
            .hosted
            .read_manifest(&place.repository, &Reference::Digest(digest), Want::Body, self.identity.name())
            .await;
        let (media_type, bytes) = match read.map(|answer| answer.body) {
            Ok(Body::Manifest { media_type, bytes: Some(bytes), .. }) => (media_type, bytes),
            Ok(_) => return Err(Fault::server()),
            Err(Error::Unknown(_)) => return Ok(Err(ImageFailureCode::ImageNotFound)),
            Err(error) => return Err(unexpected(&error)),
        };
        // JSON may hold bytes that are no text in members that nobody reads.
        let Ok(manifest) = std::str::from_utf8(&bytes) else { return Ok(Err(ImageFailureCode::ImageInaccessible)) };
        let tag = image.meaning().ok().and_then(|selector| selector.tag()).cloned();
        Ok(Ok(Image {
            registry_id: self.endpoint.account,
            repository_name: name.clone(),
            image_id: ImageIdentifier { digest: Some(digest), tag },
            image_manifest: manifest.to_owned(),
            image_manifest_media_type: media_type,
        }))
    }
}

fn failure(image: RequestedImage, code: ImageFailureCode) -> ImageFailure {
    match code {
        ImageFailureCode::ImageInaccessible => ImageFailure {
            image_id: image,
            failure_code: code,
            failure_reason: "Requested image has a manifest that is not UTF-8; pull it with an OCI client".to_owned(),
        },
        _ => ImageFailure::new(image, code),
    }
}
