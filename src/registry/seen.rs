//! The repositories of a registry that somebody may see, in pages.

use super::Error;
use super::dispatch::Registry;
use super::marker::{LOOKED_AT, Marker, Markers};
use crate::meta::{Meta, RepositoryRow};
use crate::oci::{AccountId, QualifiedName};
use crate::policy::{About, Viewer};

/// Rows of one question.
const STEP: u32 = 500;

/// The part of the list that is wanted.
pub(super) struct Wanted<'a> {
    pub account: AccountId,
    /// Where an earlier page ended: a name, or what [`Seen::next`] said.
    pub after: Option<&'a str>,
    pub limit: usize,
}

pub(super) struct Seen<T> {
    pub items: Vec<T>,
    /// Where others follow.
    pub next: Option<String>,
}

impl Registry {
    /// `meta` reads in its asker's turn.
    pub(super) async fn seen_repositories<T>(
        &self,
        meta: &Meta,
        Wanted { account, after, limit }: Wanted<'_>,
        (viewer, reader): (&Viewer, &str),
        item: impl Fn(RepositoryRow) -> T,
    ) -> Result<Seen<T>, Error> {
        let markers = Markers::new(self.keyring(), account, reader);
        let begin = markers.read(after);
        let mut last = begin.last().map(str::to_owned);
        let mut shown = begin.shown;
        let (mut items, mut looked_at, mut look) = (Vec::new(), 0, viewer.look());
        if limit == 0 {
            return Ok(Seen { items, next: None });
        }
        let turn = meta.list_turn().await?;
        loop {
            let rows = meta.repository_rows(&turn, account, last.as_deref(), STEP).await?;
            let is_end = rows.len() < STEP as usize;
            let count = rows.len();
            for (at, row) in (1..).zip(rows) {
                let repository = QualifiedName::new(account, row.name.clone());
                let about = About { repository, upstream: row.upstream.clone(), exists: true };
                let is_seen = look.sees(&about, &row.settings).await?;
                if is_seen && items.len() == limit {
                    return Ok(Seen { items, next: shown });
                }
                looked_at += 1;
                last = Some(row.name.to_string());
                if is_seen {
                    shown.clone_from(&last);
                    items.push(item(row));
                }
                if (looked_at >= LOOKED_AT || look.is_spent()) && !(is_end && at == count) {
                    if is_seen {
                        return Ok(Seen { items, next: shown });
                    }
                    return Ok(Seen { items, next: markers.write(&Marker { shown, hidden: last }) });
                }
            }
            if is_end {
                return Ok(Seen { items, next: None });
            }
        }
    }
}
