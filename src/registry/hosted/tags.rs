//! Tags of one's own repositories.

use super::{Hosted, Repository};
use crate::action::Page;
use crate::registry::{Answer, Body, Error, PAGE_ENTRIES};

impl Hosted {
    pub(in crate::registry) async fn list_tags(&self, repository: &Repository, page: &Page) -> Result<Answer, Error> {
        let count = page.n.unwrap_or(PAGE_ENTRIES).min(PAGE_ENTRIES);
        let limit = count.saturating_add(1);
        let turn = self.meta.list_turn().await?;
        let mut tags = self.meta.tags(&turn, repository.id, page.last.as_deref(), limit).await?;
        let more = count > 0 && tags.len() > count as usize;
        tags.truncate(count as usize);
        Ok(Answer::of(Body::Tags { name: repository.name.to_string(), tags, more }))
    }
}
