//! Tags of repositories themselves, which policies' conditions can look at.

use std::collections::BTreeMap;

use super::{Control, failed};
use crate::ecr::{
    Fault, ListTagsForResource, ListTagsForResourceOutput, MAX_RESOURCE_TAGS, Output, ResourceTag, TagResource,
    UntagResource,
};
use crate::oci::RepositoryName;

impl Control<'_> {
    pub(super) async fn tag_resource(&self, input: TagResource) -> Result<Output, Fault> {
        let add = |tags: &mut BTreeMap<String, String>| {
            // Conditions do not tell capitals apart, so a key has one spelling. Another one is refused: policies were asked about the key
            // as it was written, and a key that they guard must not be overwritten by it.
            for (at, tag) in (1_usize..).zip(&input.tags) {
                let other = |key: &&String| **key != tag.key && key.eq_ignore_ascii_case(&tag.key);
                if let Some(there) = tags.keys().find(other) {
                    let detail = format!(
                        "The repository has the tag key '{there}', which differs in capitals only: write it so, or remove it first"
                    );
                    return Err(Fault::invalid_tag_parameter(&format!("tags.{at}.member.key"), &detail));
                }
            }
            tags.extend(input.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())));
            if tags.len() > MAX_RESOURCE_TAGS { Err(Fault::too_many_tags(MAX_RESOURCE_TAGS)) } else { Ok(()) }
        };
        self.change_tags(&input.resource.name, add).await
    }

    pub(super) async fn untag_resource(&self, input: UntagResource) -> Result<Output, Fault> {
        let remove = |tags: &mut BTreeMap<String, String>| {
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
