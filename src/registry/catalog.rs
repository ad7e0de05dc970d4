//! `_catalog`: the repositories of a registry that its client may see.

use super::dispatch::Registry;
use super::seen::Wanted;
use super::{Answer, Body, Error, PAGE_ENTRIES};
use crate::action::Page;
use crate::meta::Meta;
use crate::oci::AccountId;
use crate::policy::Viewer;

impl Registry {
    /// `meta` reads in its asker's turn.
    pub(super) async fn list_repositories(
        &self,
        meta: &Meta,
        account: AccountId,
        page: &Page,
        reader: (&Viewer, &str),
    ) -> Result<Answer, Error> {
        let n = page.n.unwrap_or(PAGE_ENTRIES).min(PAGE_ENTRIES);
        let wanted = Wanted { account, after: page.last.as_deref(), limit: n as usize };
        let seen = self.seen_repositories(meta, wanted, reader, |row| row.name.to_string()).await?;
        Ok(Answer::of(Body::Repositories { names: seen.items, next: seen.next.map(|last| (last, n)) }))
    }
}
