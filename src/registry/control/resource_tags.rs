//! Tags of repositories themselves, which policies' conditions can look at.

use super::{Control, failed};
use crate::ecr::{
    Fault, ListTagsForResource, ListTagsForResourceOutput, MAX_RESOURCE_TAGS, Output, ResourceTag, TagResource,
    UntagResource,
};
use crate::meta::RepositoryColumn;

impl Control<'_> {
    pub(super) async fn tag_resource(&self, input: TagResource) -> Result<Output, Fault> {
        let row = self.row(&input.resource.name).await?;
        let mut tags = row.settings.resource_tags;
        // Conditions do not tell capitals apart: a key is one, however it is spelled.
        tags.retain(|key, _| !input.tags.iter().any(|tag| tag.key.eq_ignore_ascii_case(key)));
        tags.extend(input.tags.into_iter().map(|tag| (tag.key, tag.value)));
        if tags.len() > MAX_RESOURCE_TAGS {
            return Err(Fault::too_many_tags(MAX_RESOURCE_TAGS));
        }
        self.meta.change_repository(row.id, &RepositoryColumn::ResourceTags(tags)).await.map_err(failed)?;
        self.authorizer.policies_changed();
        Ok(Output::Empty {})
    }

    pub(super) async fn untag_resource(&self, input: UntagResource) -> Result<Output, Fault> {
        let row = self.row(&input.resource.name).await?;
        let mut tags = row.settings.resource_tags;
        tags.retain(|key, _| !input.tag_keys.contains(key));
        self.meta.change_repository(row.id, &RepositoryColumn::ResourceTags(tags)).await.map_err(failed)?;
        self.authorizer.policies_changed();
        Ok(Output::Empty {})
    }

    pub(super) async fn list_tags_for_resource(&self, input: ListTagsForResource) -> Result<Output, Fault> {
        let row = self.row(&input.resource.name).await?;
        let tags = row.settings.resource_tags.into_iter().map(|(key, value)| ResourceTag { key, value }).collect();
        Ok(Output::ListTagsForResource(ListTagsForResourceOutput { tags }))
    }
}
