//! `_catalog`: the repositories of a registry that its client may see.

use super::dispatch::Registry;
use super::marker::{LOOKED_AT, Marker, Markers};
use super::{Answer, Body, Error, PAGE_ENTRIES};
use crate::action::Page;
use crate::oci::{AccountId, QualifiedName};
use crate::policy::Viewer;

/// Rows of one question.
const STEP: u32 = 1_000;

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
        let markers = Markers::new(self.keyring(), account, reader);
        let begin = markers.read(page.last.as_deref());
        let mut last = begin.last().map(str::to_owned);
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
                let marker = Marker { shown: names.last().cloned().or(begin.shown), hidden: last };
                let next = markers.write(&marker).map(|marker| (marker, n));
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
