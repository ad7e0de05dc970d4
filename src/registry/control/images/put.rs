//! `PutImage`: a push of a manifest, with ECR's answers to what is there already.

use bytes::Bytes;
use futures_util::stream;

use crate::action::Want;
use crate::ecr::{Fault, Image, ImageIdentifier, Output, PutImage, PutImageOutput};
use crate::oci::{Digest, Manifest, MediaType, Reference, RepositoryName};
use crate::registry::control::{Control, failed, unexpected};
use crate::registry::hosted::Repository;
use crate::registry::{Body, Error, Incoming};

impl Control<'_> {
    pub(in crate::registry::control) async fn put_image(&self, input: PutImage) -> Result<Output, Fault> {
        let content = Bytes::from(input.manifest.clone());
        let digest = match input.digest {
            Some(given) if !given.verifies(&content) => {
                return Err(Fault::image_digest_does_not_match(&given, &Digest::compute(given.algorithm(), &content)));
            }
            given => given.unwrap_or_else(|| Digest::of(&content)),
        };
        self.refuse_known(&input, &digest).await?;
        let (name, tag) = (input.repository.name, input.tag);
        let repository = self.own_repository(&name).await?;
        let reference = Reference::Digest(digest);
        let (tags, body) = (tag.iter().cloned().collect(), Incoming::new(stream::iter([Ok(content.clone())])));
        let principal = self.identity.name();
        let pushed = self.hosted.push_manifest(&repository, reference, input.media_type, tags, principal, body).await;
        pushed.map_err(|error| self.put_fault(error, &name, &content))?;
        let image = Image {
            registry_id: self.endpoint.account,
            image_manifest_media_type: self.media_type(&repository, digest).await?,
            repository_name: name,
            image_id: ImageIdentifier { digest: Some(digest), tag },
            image_manifest: input.manifest,
        };
        Ok(Output::PutImage(PutImageOutput { image }))
    }

    /// The same manifest under the same tag, or again without one, is an error, which callers expect; on the data plane it is none.
    async fn refuse_known(&self, input: &PutImage, digest: &Digest) -> Result<(), Fault> {
        let name = &input.repository.name;
        let repository = self.row(name).await?.id;
        let known = match &input.tag {
            Some(tag) => self.meta.tag_digest(repository, tag).await.map_err(failed)? == Some(*digest),
            None => self.meta.image(repository, digest).await.map_err(failed)?.is_some(),
        };
        if known {
            return Err(Fault::image_already_exists(digest, input.tag.as_ref(), name, &self.endpoint.account));
        }
        Ok(())
    }

    /// As it was kept when the manifest first came.
    async fn media_type(&self, repository: &Repository, digest: Digest) -> Result<MediaType, Fault> {
        let read =
            self.hosted.read_manifest(repository, &Reference::Digest(digest), Want::Head, self.identity.name()).await;
        match read.map_err(|error| unexpected(&error))?.body {
            Body::Manifest { media_type, .. } => Ok(media_type),
            _ => Err(Fault::server("an answer of another kind")),
        }
    }

    fn put_fault(&self, error: Error, name: &RepositoryName, content: &[u8]) -> Fault {
        match error {
            Error::ImmutableTag { tag, .. } => Fault::image_tag_already_exists(&tag, name),
            Error::MissingReferences { missing, .. } => match missing_layers(content, &missing) {
                layers if layers.is_empty() => {
                    Fault::referenced_images_not_found(&missing, name, &self.endpoint.account)
                }
                layers => Fault::layers_not_found(&layers, name, &self.endpoint.account),
            },
            Error::ManifestInvalid { reason, .. } => Fault::invalid_parameter("imageManifest", &reason),
            Error::QuotaExceeded(exceeded) => Fault::limit_exceeded(exceeded.to_string()),
            error @ Error::ManifestTooLong { .. } => Fault::invalid_parameter("imageManifest", &error.to_string()),
            error => unexpected(&error),
        }
    }
}

/// Those that the manifest names as config or layers, and not as children.
fn missing_layers(manifest: &[u8], missing: &[Digest]) -> Vec<Digest> {
    let Ok(manifest) = Manifest::parse(manifest) else { return Vec::new() };
    missing.iter().filter(|digest| manifest.blobs.iter().any(|blob| blob.digest == **digest)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_told_from_children() {
        let [layer, child] = [Digest::of(b"layer"), Digest::of(b"child")];
        let text = format!(
            r#"{{"layers":[{{"mediaType":"l","digest":"{layer}","size":5}}],
               "manifests":[{{"mediaType":"m","digest":"{child}","size":5}}]}}"#
        );
        assert_eq!(missing_layers(text.as_bytes(), &[layer, child]), [layer]);
        assert_eq!(missing_layers(text.as_bytes(), &[child]), []);
    }
}
