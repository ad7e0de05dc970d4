//! `DescribeImages`.

use std::collections::HashSet;

use super::paging;
use crate::ecr::{
    DescribeImages, DescribeImagesOutput, Fault, ImageDetail, ImageFilter, ImageStatus, NextToken, Output, Page,
    RequestedImage, Selection, TagStatus,
};
use crate::meta::{ImageRow, RepositoryRow};
use crate::registry::control::{Control, failed, timestamp};

impl Control<'_> {
    pub(in crate::registry::control) async fn describe_images(&self, input: DescribeImages) -> Result<Output, Fault> {
        let repository = self.row(&input.repository.name).await?;
        let (rows, next_token) = match input.images {
            Selection::Named(images) => (self.named_images(&repository, &images, input.filter).await?, None),
            Selection::All(page) => self.page_of_images(&repository, &page, input.filter).await?,
        };
        let image_details = rows.into_iter().map(|row| self.detail(&repository, row)).collect();
        Ok(Output::DescribeImages(DescribeImagesOutput { image_details, next_token }))
    }

    /// Each must be there. One that is named twice is described once.
    async fn named_images(
        &self,
        repository: &RepositoryRow,
        images: &[RequestedImage],
        filter: ImageFilter,
    ) -> Result<Vec<ImageRow>, Fault> {
        let (mut rows, mut seen) = (Vec::with_capacity(images.len()), HashSet::new());
        for image in images {
            let row = self.image_row(repository, image).await?;
            if includes(filter, &row) && seen.insert(row.digest) {
                rows.push(row);
            }
        }
        Ok(rows)
    }

    async fn page_of_images(
        &self,
        repository: &RepositoryRow,
        page: &Page,
        filter: ImageFilter,
    ) -> Result<(Vec<ImageRow>, Option<NextToken>), Fault> {
        let last = paging::after(page, |key| key.parse().ok())?;
        if !paging::includes_active(filter.image_status) {
            return Ok((Vec::new(), None));
        }
        let tagged = match filter.tag_status {
            TagStatus::Tagged => Some(true),
            TagStatus::Untagged => Some(false),
            TagStatus::Any => None,
        };
        let turn = self.meta.list_turn().await.map_err(failed)?;
        let rows = self.meta.images(&turn, repository.id, last.as_ref(), tagged, paging::rows(page)).await;
        let rows = rows.map_err(failed)?;
        Ok(paging::cut(rows, page, |row| row.digest.to_string()))
    }

    fn detail(&self, repository: &RepositoryRow, row: ImageRow) -> ImageDetail {
        let pulled_at_ms = row.pulled_at_ms.max(self.hosted.recent_pull_ms(repository.id, row.digest));
        ImageDetail {
            registry_id: self.endpoint.account,
            repository_name: repository.name.clone(),
            image_digest: row.digest,
            image_tags: row.tags,
            image_size_in_bytes: Some(row.size),
            image_pushed_at: timestamp(row.pushed_at_ms),
            image_manifest_media_type: row.media_type,
            artifact_media_type: row.artifact_type,
            last_recorded_pull_time: pulled_at_ms.map(timestamp),
            subject_manifest_digest: row.subject,
            image_status: ImageStatus::Active,
            last_archived_at: None,
            last_activated_at: None,
        }
    }
}

fn includes(filter: ImageFilter, row: &ImageRow) -> bool {
    let tags = match filter.tag_status {
        TagStatus::Tagged => !row.tags.is_empty(),
        TagStatus::Untagged => row.tags.is_empty(),
        TagStatus::Any => true,
    };
    tags && paging::includes_active(filter.image_status)
}
