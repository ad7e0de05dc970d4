//! `ListImages`: an entry for each tag, in order, then one for each image that has none, in order of their digests.
//!
//! Each half goes along one key of the database, so a page costs the same wherever it lies, and however many tags one image has.

use super::paging;
use crate::ecr::{Fault, ImageFilter, ImageIdentifier, ListImages, ListImagesOutput, Output, Page, TagStatus};
use crate::meta::RepositoryId;
use crate::oci::{Digest, Tag};
use crate::registry::control::{Control, failed};

/// An entry's place in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Tag(Tag),
    Untagged(Digest),
}

impl Control<'_> {
    pub(in crate::registry::control) async fn list_images(&self, input: ListImages) -> Result<Output, Fault> {
        let repository = self.row(&input.repository.name).await?.id;
        let entries = self.image_ids(repository, &input.page, input.filter).await?;
        let (image_ids, next_token) = paging::cut(entries, &input.page, key);
        Ok(Output::ListImages(ListImagesOutput { image_ids, next_token }))
    }

    async fn image_ids(
        &self,
        repository: RepositoryId,
        page: &Page,
        filter: ImageFilter,
    ) -> Result<Vec<ImageIdentifier>, Fault> {
        let (last_tag, last_digest) = match paging::after(page, Place::read)? {
            None => (Some(None), None),
            Some(Place::Tag(tag)) => (Some(Some(tag)), None),
            // The tags are behind.
            Some(Place::Untagged(digest)) => (None, Some(digest)),
        };
        if !paging::includes_active(filter.image_status) {
            return Ok(Vec::new());
        }
        let rows = paging::rows(page);
        let turn = self.meta.list_turn().await.map_err(failed)?;
        let mut ids = Vec::new();
        if let Some(last) = last_tag.filter(|_| filter.tag_status != TagStatus::Untagged) {
            let tags = self.meta.tags_with_digests(&turn, repository, last.as_ref(), rows).await.map_err(failed)?;
            ids.extend(tags.into_iter().map(|(tag, digest)| ImageIdentifier { digest: Some(digest), tag: Some(tag) }));
        }
        let rest = rows.saturating_sub(u32::try_from(ids.len()).unwrap_or(u32::MAX));
        if rest > 0 && filter.tag_status != TagStatus::Tagged {
            let untagged = self.meta.untagged_manifests(&turn, repository, last_digest.as_ref(), rest).await;
            let untagged = untagged.map_err(failed)?.into_iter();
            ids.extend(untagged.map(|digest| ImageIdentifier { digest: Some(digest), tag: None }));
        }
        Ok(ids)
    }
}

impl Place {
    const TAG: &str = "tag ";
    const UNTAGGED: &str = "untagged ";

    fn read(key: &str) -> Option<Self> {
        match (key.strip_prefix(Self::TAG), key.strip_prefix(Self::UNTAGGED)) {
            (Some(tag), _) => tag.parse().ok().map(Self::Tag),
            (_, Some(digest)) => digest.parse().ok().map(Self::Untagged),
            _ => None,
        }
    }
}

/// What [`Place::read`] makes the entry's place of.
fn key(id: &ImageIdentifier) -> String {
    match (&id.tag, &id.digest) {
        (Some(tag), _) => format!("{}{tag}", Place::TAG),
        (None, Some(digest)) => format!("{}{digest}", Place::UNTAGGED),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_from_its_key() {
        let (tag, digest): (Tag, _) = ("v1".parse().unwrap(), Digest::of(b""));
        let tagged = ImageIdentifier { digest: Some(digest), tag: Some(tag.clone()) };
        assert_eq!(Place::read(&key(&tagged)), Some(Place::Tag(tag)));
        let untagged = ImageIdentifier { digest: Some(digest), tag: None };
        assert_eq!(Place::read(&key(&untagged)), Some(Place::Untagged(digest)));
        for key in ["", "tag ", "v1", "untagged v1", "tag -", "Tag v1"] {
            assert_eq!(Place::read(key), None, "{key}");
        }
    }
}
