//! `_catalog`: the repositories of a registry that its client may see.

use super::dispatch::Registry;
use super::{Answer, Body, Error, PAGE_ENTRIES};
use crate::action::Page;
use crate::auth::{Purpose, open, seal};
use crate::oci::{AccountId, QualifiedName};
use crate::policy::Viewer;

/// Repositories that are looked at for one page, seen or not: whoever may see few of many is sent on, with a page that may be empty.
const LOOKED_AT: usize = PAGE_ENTRIES as usize;

/// Of these, rows of one question.
const STEP: u32 = 1_000;

/// Where a page ended: after the last name that was shown, and after one that was not, which is sealed for its reader. No name has the
/// character between them.
const SEALED: char = '#';

impl Registry {
    pub(super) async fn list_repositories(
        &self,
        account: AccountId,
        page: &Page,
        viewer: &Viewer,
        reader: &str,
    ) -> Result<Answer, Error> {
        let n = page.n.unwrap_or(PAGE_ENTRIES).min(PAGE_ENTRIES);
        let (count, meta) = (n as usize, self.meta());
        // Whatever somebody else sealed, or made up, is no place in the list.
        let whose = format!("{account} {reader}");
        let (shown, hidden) = match page.last.as_deref().map(|last| last.split_once(SEALED).unwrap_or((last, ""))) {
            Some((shown, sealed)) => {
                let opened = open(self.keyring(), Purpose::ListMarkers, whose.as_bytes(), sealed);
                (Some(shown.to_owned()), opened.ok().and_then(|name| String::from_utf8(name).ok()))
            }
            None => (None, None),
        };
        let mut last = hidden.or_else(|| shown.clone());
        let (mut names, mut looked_at) = (Vec::new(), 0);
        if count == 0 {
            return Ok(Answer::of(Body::Repositories { names, next: None }));
        }
        loop {
            let some = meta.repositories(account, last.as_deref(), STEP).await?;
            let is_end = some.len() < STEP as usize;
            looked_at += some.len();
            for name in some {
                let is_seen = self.is_seen(account, &name, viewer).await?;
                if is_seen && names.len() == count {
                    let next = names.last().cloned().map(|last| (last, n));
                    return Ok(Answer::of(Body::Repositories { names, next }));
                }
                last = Some(name.clone());
                if is_seen {
                    names.push(name);
                }
            }
            if is_end {
                break;
            }
            if looked_at >= LOOKED_AT {
                let shown = names.last().cloned().or(shown).unwrap_or_default();
                let hidden = last.unwrap_or_default();
                let sealed = seal(self.keyring(), Purpose::ListMarkers, whose.as_bytes(), hidden.as_bytes());
                let next = sealed.ok().map(|sealed| (format!("{shown}{SEALED}{sealed}"), n));
                return Ok(Answer::of(Body::Repositories { names, next }));
            }
        }
        Ok(Answer::of(Body::Repositories { names, next: None }))
    }

    async fn is_seen(&self, account: AccountId, name: &str, viewer: &Viewer) -> Result<bool, Error> {
        let Ok(name) = name.parse() else { return Ok(false) };
        Ok(viewer.may_see(&self.about_named(QualifiedName::new(account, name))).await?)
    }
}
