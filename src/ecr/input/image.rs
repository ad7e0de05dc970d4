//! Images: what is asked about them, putting one, deleting some.

use super::super::fault::Fault;
use super::super::image::{ImageStatusFilter, RequestedImage, TagStatus};
use super::super::page::{Page, PageKind, Selection};
use super::item::Item;
use super::members::Members;
use super::repository::RepositoryTarget;
use super::shape::{self, PageSize};
use crate::oci::{Digest, MediaType, Tag};

/// Which images of a list; by default all that are active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageFilter {
    pub tag_status: TagStatus,
    pub image_status: ImageStatusFilter,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeImages {
    pub repository: RepositoryTarget,
    /// Named images are well formed, or have a digest that nothing here can have: `ImageFailureCode::ImageNotFound`.
    pub images: Selection<RequestedImage>,
    pub filter: ImageFilter,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListImages {
    pub repository: RepositoryTarget,
    pub page: Page,
    pub filter: ImageFilter,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchGetImage {
    pub repository: RepositoryTarget,
    pub images: Vec<RequestedImage>,
    /// Empty where the client does not say.
    pub accepted_media_types: Vec<MediaType>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchDeleteImage {
    pub repository: RepositoryTarget,
    pub images: Vec<RequestedImage>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutImage {
    pub repository: RepositoryTarget,
    /// To be kept byte for byte: its digest is that of exactly these bytes.
    pub manifest: String,
    pub media_type: Option<MediaType>,
    pub tag: Option<Tag>,
    pub digest: Option<Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListImageReferrers {
    pub repository: RepositoryTarget,
    pub subject: Digest,
    /// Empty means all.
    pub artifact_types: Vec<String>,
    pub artifact_status: ImageStatusFilter,
    pub page: Page,
}

const MAX_MANIFEST_CHARS: usize = 4_194_304;

impl Default for ImageFilter {
    fn default() -> Self {
        Self { tag_status: TagStatus::Any, image_status: ImageStatusFilter::Active }
    }
}

impl ImageFilter {
    fn read(item: Item) -> Result<Self, Fault> {
        let mut members = item.object()?;
        let default = Self::default();
        Ok(Self {
            tag_status: shape::word(&mut members, "tagStatus")?.unwrap_or(default.tag_status),
            image_status: shape::word(&mut members, "imageStatus")?.unwrap_or(default.image_status),
        })
    }

    fn of(members: &mut Members) -> Result<Self, Fault> {
        Ok(members.optional("filter", Self::read)?.unwrap_or_default())
    }
}

impl DescribeImages {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            repository: RepositoryTarget::read(members)?,
            images: shape::selection(
                members,
                "imageIds",
                |item| item.list(1..=100, shape::well_formed_image),
                PageKind::ImageDetails,
                PageSize::USUAL,
            )?,
            filter: ImageFilter::of(members)?,
        })
    }
}

impl ListImages {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            repository: RepositoryTarget::read(members)?,
            page: shape::page(members, PageKind::ImageIds, PageSize::USUAL)?,
            filter: ImageFilter::of(members)?,
        })
    }
}

impl BatchGetImage {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            repository: RepositoryTarget::read(members)?,
            images: members.required("imageIds", shape::images)?,
            accepted_media_types: members
                .optional("acceptedMediaTypes", |item| item.list(1..=100, shape::media_type))?
                .unwrap_or_default(),
        })
    }
}

impl BatchDeleteImage {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self { repository: RepositoryTarget::read(members)?, images: members.required("imageIds", shape::images)? })
    }
}

impl PutImage {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            repository: RepositoryTarget::read(members)?,
            manifest: members.required("imageManifest", |item| item.text_within(1..=MAX_MANIFEST_CHARS))?,
            media_type: members
                .optional("imageManifestMediaType", shape::media_type)?
                .filter(|media_type| !media_type.as_str().is_empty()),
            tag: members.optional("imageTag", shape::image_tag)?,
            digest: members.optional("imageDigest", shape::image_digest)?,
        })
    }
}

impl ListImageReferrers {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        let repository = RepositoryTarget::read(members)?;
        let subject =
            members.required("subjectId", |item| item.object()?.required("imageDigest", shape::image_digest))?;
        let (artifact_types, status) = members.optional("filter", referrer_filter)?.unwrap_or_default();
        Ok(Self {
            repository,
            subject,
            artifact_types,
            artifact_status: status.unwrap_or(ImageStatusFilter::Active),
            page: shape::page(members, PageKind::Referrers, PageSize::SMALL)?,
        })
    }
}

fn referrer_filter(item: Item) -> Result<(Vec<String>, Option<ImageStatusFilter>), Fault> {
    let mut members = item.object()?;
    let types = members.optional("artifactTypes", |item| item.list(0..=5, |item| item.text_within(1..=255)))?;
    Ok((types.unwrap_or_default(), shape::word(&mut members, "artifactStatus")?))
}
