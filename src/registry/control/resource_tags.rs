//! Tags of repositories themselves, which policies' conditions can look at.

use std::collections::BTreeMap;

use super::{Control, failed};
use crate::ecr::{
    Fault, ListTagsForResource, ListTagsForResourceOutput, MAX_RESOURCE_TAGS, Output, ResourceTag, TagResource,
    UntagResource,
};
use crate::meta::in_other_capitals;
use crate::oci::RepositoryName;

impl Control<'_> {
    pub(super) async fn tag_resource(&self, input: TagResource) -> Result<Output, Fault> {
        let add = |tags: &mut BTreeMap<String, String>| {
            for (at, tag) in (1_usize..).zip(&input.tags) {
                if let Some(there) = in_other_capitals(tags, [&tag.key], []) {
                    return Err(other_capitals(&format!("tags.{at}.member.key"), there));
                }
            }
            tags.extend(input.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())));
            if tags.len() > MAX_RESOURCE_TAGS { Err(Fault::too_many_tags(MAX_RESOURCE_TAGS)) } else { Ok(()) }
        };
        self.change_tags(&input.resource.name, add).await
    }

    pub(super) async fn untag_resource(&self, input: UntagResource) -> Result<Output, Fault> {
        let remove = |tags: &mut BTreeMap<String, String>| {
            if let Some(there) = in_other_capitals(tags, [], &input.tag_keys) {
                return Err(other_capitals("tagKeys", there));
            }
            tags.retain(|key, _| !input.tag_keys.contains(key));
            Ok(())
        };
        self.change_tags(&input.resource.name, remove).await
    }

    async fn change_tags(
        &self,
        name: &RepositoryName,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), Fault>,
    ) -> Result<Output, Fault> {
        let row = self.row(name).await?;
        let changed = self.meta.change_resource_tags(row.id, change).await.map_err(failed)?;
        changed.ok_or_else(|| Fault::repository_not_found(name, &self.endpoint.account))??;
        self.authorizer.policies_changed();
        Ok(Output::Empty {})
    }

    pub(super) async fn list_tags_for_resource(&self, input: ListTagsForResource) -> Result<Output, Fault> {
        let row = self.row(&input.resource.name).await?;
        let tags = row.settings.resource_tags.into_iter().map(|(key, value)| ResourceTag { key, value }).collect();
        Ok(Output::ListTagsForResource(ListTagsForResourceOutput { tags }))
    }
}

fn other_capitals(parameter: &str, there: &str) -> Fault {
    let detail = format!(
        "The repository has the tag key '{there}', which differs in capitals only: write it so, or remove it first"
    );
    Fault::invalid_tag_parameter(parameter, &detail)
}
