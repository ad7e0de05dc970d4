//! Fates of manifests that follow others: children of an index that goes or is archived, and referrers of their
//! subjects.
//!
//! A manifest follows when all that hold it have gone or are archived, and at least one of them by this run. A child
//! that has tags does not follow an index: somebody has named it, and it is an image of its own afterwards. A referrer
//! follows its subject with or without tags, as it is about nothing else.

use std::cmp::Reverse;

use super::image::{Image, StorageClass};
use super::units::{Bond, Units};

/// A rule's decision about the head of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub end: End,
    pub rule_priority: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Gone,
    Archived,
}

/// State of an image after the run, the most available last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum After {
    #[default]
    Gone,
    Archived,
    Standard,
}

/// Facts about the holders of one image.
#[derive(Clone, Debug, Default)]
struct Holders<'i> {
    most_available: After,
    has_subject: bool,
    /// The last holder that this run acts on; of several at once, the first by digest.
    acting: Option<Acting<'i>>,
}

#[derive(Clone, Copy, Debug)]
struct Acting<'i> {
    holder: &'i Image,
    decision: Decision,
    key: Key,
}

/// Place of a step in the plan: time of the head that brings it about, and how far below the head it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub time_ms: i64,
    pub depth: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Fate<'i> {
    pub decision: Decision,
    /// `None` for the head of a unit.
    pub follows: Option<&'i Image>,
    pub key: Key,
}

/// Fates by index of the image: decisions about heads, and what follows from them.
pub(super) fn follow<'i>(units: &Units<'i>, decisions: &[Option<Decision>]) -> Vec<Option<Fate<'i>>> {
    let mut holders: Vec<Holders<'i>> = vec![Holders::default(); decisions.len()];
    let mut fates = vec![None; decisions.len()];
    for index in units.order().iter().copied() {
        let (Some(image), Some(above), Some(place)) = (units.image(index), holders.get(index), fates.get_mut(index))
        else {
            continue;
        };
        let decided = decisions.get(index).copied().flatten();
        let key = Key { time_ms: image.ordering_ms(), depth: 0 };
        let fate = decided.map(|decision| Fate { decision, follows: None, key }).or_else(|| above.followed_by(image));
        *place = fate;
        let after = fate.map_or(After::of(image), |fate| fate.decision.end.into());
        for held in units.held_by(index) {
            let Some(below) = holders.get_mut(held.image) else { continue };
            below.most_available = below.most_available.max(after);
            below.has_subject |= held.bond == Bond::Referrer;
            if let Some(Fate { decision, key, .. }) = fate {
                let acting = Acting { holder: image, decision, key };
                below.acting = below.acting.into_iter().chain([acting]).max_by_key(Acting::order);
            }
        }
    }
    fates
}

impl<'i> Holders<'i> {
    fn followed_by(&self, image: &Image) -> Option<Fate<'i>> {
        let Acting { holder, decision, key } = self.acting?;
        let end = match self.most_available {
            After::Standard => return None,
            After::Archived => End::Archived,
            After::Gone => End::Gone,
        };
        let is_free = image.tags.is_empty() || self.has_subject;
        let is_there = end == End::Archived && image.storage_class == StorageClass::Archive;
        (is_free && !is_there).then_some(Fate {
            decision: Decision { end, ..decision },
            follows: Some(holder),
            key: Key { depth: key.depth.saturating_add(1), ..key },
        })
    }
}

impl<'i> Acting<'i> {
    fn order(&self) -> (Key, Reverse<&'i str>) {
        (self.key, Reverse(&self.holder.digest))
    }
}

impl From<End> for After {
    fn from(end: End) -> Self {
        match end {
            End::Gone => Self::Gone,
            End::Archived => Self::Archived,
        }
    }
}

impl After {
    fn of(image: &Image) -> Self {
        match image.storage_class {
            StorageClass::Standard => Self::Standard,
            StorageClass::Archive => Self::Archived,
        }
    }
}
