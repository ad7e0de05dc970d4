//! `BatchGetImage`, which counts as a pull.
//!
//! Manifests are answered as they were pushed, whatever types the client prefers: what is asked for by its digest could not be
//! anything else, and every client of today takes both families of types.
//!
//! Of a repository that is pulled through, a tag is as fresh as on the data plane, and what is not here is brought, for whoever may have it
//! brought; others get what is here. Upstream is told which types are accepted, as it is on the data plane.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::named::Place;
use super::pull::described;
use crate::action::Want;
use crate::ecr::{
    BatchGetImage, BatchGetImageOutput, Fault, Image, ImageFailure, ImageFailureCode, ImageIdentifier, ImageSelector,
    Output, RequestedImage,
};
use crate::oci::{AcceptSet, Digest, MediaType, Reference, RepositoryName};
use crate::registry::control::{Control, failed, unexpected};
use crate::registry::{Body, Error, Repository};

/// Bytes of manifests in one answer: a hundred of the longest would be 400 MiB.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// For all that one request has brought: clients give up after a minute.
const MAX_WAIT: Duration = Duration::from_secs(50);

const NOT_IMPORTED: &str = "Requested image not found: it is not kept here, and you have no right to \
                            ecr:BatchImportUpstreamImage, which pulling it from upstream needs";

/// A manifest that was found.
pub(super) struct Content {
    pub(super) digest: Digest,
    pub(super) media_type: MediaType,
    pub(super) bytes: Bytes,
}

/// Why one image of the batch fails, with the reason in words.
type Failure = (ImageFailureCode, String);

/// Where the images of a batch are: in a repository, behind an upstream, or both.
struct Sources {
    kept: Option<Place>,
    upstream: Option<Repository>,
    /// Types that are accepted of upstream.
    accept: AcceptSet,
    deadline: Instant,
}

impl Control<'_> {
    pub(in crate::registry::control) async fn batch_get_image(&self, input: BatchGetImage) -> Result<Output, Fault> {
        let name = input.repository.name;
        let accept = AcceptSet::parse(input.accepted_media_types.iter().map(MediaType::as_str));
        let sources = self.sources(&name, accept).await?;
        let mut output = BatchGetImageOutput::default();
        let mut bytes = 0;
        for image in input.images {
            let found = match image.meaning() {
                Ok(selector) => self.find_image(&sources, &name, &image, selector).await?,
                Err(code) => Err(described(code)),
            };
            match found.and_then(|content| self.image(&name, &image, content)) {
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
                Err((failure_code, failure_reason)) => {
                    output.failures.push(ImageFailure { image_id: image, failure_code, failure_reason });
                }
            }
        }
        Ok(Output::BatchGetImage(output))
    }

    /// A repository that is pulled through need not be there yet: what is brought makes it.
    async fn sources(&self, name: &RepositoryName, accept: AcceptSet) -> Result<Sources, Fault> {
        let qualified = self.qualified(name);
        let deadline = Instant::now() + MAX_WAIT;
        let row = self.meta.repository_row(&qualified).await.map_err(failed)?;
        let is_own = row.as_ref().is_some_and(|row| row.upstream.is_none());
        let upstream = self.registry.upstream_repository(&qualified).filter(|_| !is_own);
        match (row, upstream) {
            (None, None) => Err(Fault::repository_not_found(name, &self.endpoint.account)),
            (row, upstream) => Ok(Sources { kept: row.map(|row| self.place_of(&row)), upstream, accept, deadline }),
        }
    }

    async fn find_image(
        &self,
        sources: &Sources,
        name: &RepositoryName,
        image: &RequestedImage,
        selector: &ImageSelector,
    ) -> Result<Result<Content, Failure>, Fault> {
        let Some(upstream) = &sources.upstream else { return self.kept_image(sources.kept.as_ref(), image).await };
        // What a digest stands for does not change.
        if let (ImageSelector::Digest(_), Some(_)) = (selector, &sources.kept)
            && let Ok(kept) = self.kept_image(sources.kept.as_ref(), image).await?
        {
            return Ok(Ok(kept));
        }
        let tag = selector.tag().map(|tag| tag.as_str());
        let about = self.registry.about_named(self.qualified(name));
        if self.viewer.may_import(&about, tag).await.map_err(failed)? {
            return self.pull_image(upstream, selector, sources.accept, sources.deadline).await;
        }
        if sources.kept.is_none() {
            return Err(Fault::repository_not_found(name, &self.endpoint.account));
        }
        let kept = self.kept_image(sources.kept.as_ref(), image).await?;
        Ok(kept.map_err(|failure| match failure {
            (ImageFailureCode::ImageNotFound, _) => (ImageFailureCode::ImageNotFound, NOT_IMPORTED.to_owned()),
            failure => failure,
        }))
    }

    async fn kept_image(
        &self,
        place: Option<&Place>,
        image: &RequestedImage,
    ) -> Result<Result<Content, Failure>, Fault> {
        let Some(place) = place else { return Ok(Err(described(ImageFailureCode::ImageNotFound))) };
        let digest = match self.digest_of(place.id, image).await? {
            Ok(digest) => digest,
            Err(code) => return Ok(Err(described(code))),
        };
        let read = self
            .hosted
            .read_manifest(&place.repository, &Reference::Digest(digest), Want::Body, self.identity.name())
            .await;
        match read.map(|answer| answer.body) {
            Ok(Body::Manifest { media_type, bytes: Some(bytes), .. }) => Ok(Ok(Content { digest, media_type, bytes })),
            Ok(_) => Err(Fault::server("an answer of another kind")),
            Err(Error::Unknown(_)) => Ok(Err(described(ImageFailureCode::ImageNotFound))),
            Err(error) => Err(unexpected(&error)),
        }
    }

    fn image(&self, name: &RepositoryName, image: &RequestedImage, content: Content) -> Result<Image, Failure> {
        let Content { digest, media_type, bytes } = content;
        // JSON may hold bytes that are no text in members that nobody reads.
        let manifest = std::str::from_utf8(&bytes).map_err(|_| {
            let reason = "Requested image has a manifest that is not UTF-8; pull it with an OCI client";
            (ImageFailureCode::ImageInaccessible, reason.to_owned())
        })?;
        let tag = image.meaning().ok().and_then(|selector| selector.tag()).cloned();
        Ok(Image {
            registry_id: self.endpoint.account,
            repository_name: name.clone(),
            image_id: ImageIdentifier { digest: Some(digest), tag },
            image_manifest: manifest.to_owned(),
            image_manifest_media_type: media_type,
        })
    }
}
