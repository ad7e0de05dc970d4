//! From an image as a client names it to the digest that it stands for.

use crate::ecr::{Fault, ImageFailureCode, ImageSelector, RequestedImage};
use crate::meta::{ImageRow, RepositoryId, RepositoryRow};
use crate::oci::{Digest, RepositoryName};
use crate::registry::control::{Control, failed};
use crate::registry::hosted::Repository;

/// The repository of a batch of images, as the database and as the data plane know it.
pub(super) struct Place {
    pub(super) id: RepositoryId,
    pub(super) repository: Repository,
    pub(super) is_pulled: bool,
}

/// The digest, or why this one image of a batch fails.
pub(super) type Found = Result<Digest, ImageFailureCode>;

impl Control<'_> {
    pub(super) async fn place(&self, name: &RepositoryName) -> Result<Place, Fault> {
        Ok(self.place_of(&self.row(name).await?))
    }

    pub(super) fn place_of(&self, row: &RepositoryRow) -> Place {
        let repository = Repository::of_row(self.endpoint.account, row);
        Place { id: row.id, repository, is_pulled: row.upstream.is_some() }
    }

    /// The one image of an operation, which must be there.
    pub(in crate::registry::control) async fn image_row(
        &self,
        repository: &RepositoryRow,
        image: &RequestedImage,
    ) -> Result<ImageRow, Fault> {
        let row = match self.digest_of(repository.id, image).await? {
            Ok(digest) => self.meta.image(repository.id, &digest).await.map_err(failed)?,
            Err(_) => None,
        };
        row.ok_or_else(|| Fault::image_not_found(image, &repository.name, &self.endpoint.account))
    }

    /// A tag is looked up, and must agree with a digest beside it. Whether a digest alone is here is not asked.
    pub(super) async fn digest_of(&self, repository: RepositoryId, image: &RequestedImage) -> Result<Found, Fault> {
        let selector = match image.meaning() {
            Ok(ImageSelector::Digest(digest)) => return Ok(Ok(*digest)),
            Ok(selector) => selector,
            Err(code) => return Ok(Err(code)),
        };
        let tagged = match selector.tag() {
            Some(tag) => self.meta.tag_digest(repository, tag).await.map_err(failed)?,
            None => None,
        };
        Ok(match (tagged, selector.digest()) {
            (None, _) => Err(ImageFailureCode::ImageNotFound),
            (Some(found), Some(wanted)) if found != *wanted => Err(ImageFailureCode::ImageTagDoesNotMatchDigest),
            (Some(found), _) => Ok(found),
        })
    }
}
