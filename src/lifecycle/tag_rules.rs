//! Rules about tags, applied to the tags of all images of the standard class, children and referrers included.

use std::collections::BTreeMap;

use super::claims::Claims;
use super::condition::{Condition, Standing};
use super::image::{StorageClass, Tag};
use super::ranks::Ranks;
use super::rule::{Effect, Rule};
use super::units::Units;

/// Tags of a repository, the newest first.
#[derive(Debug, Default)]
pub(super) struct Tags<'i> {
    tags: Vec<Place<'i>>,
}

#[derive(Debug)]
struct Place<'i> {
    image: usize,
    tag: &'i Tag,
    is_claimed: bool,
    /// Priority of the rule that takes the tag away.
    taken_by: Option<u32>,
}

/// Tags that one rule takes away from one image.
#[derive(Debug)]
pub(super) struct Taken<'i> {
    pub names: Vec<&'i str>,
    /// Time of the oldest of them.
    pub time_ms: i64,
}

impl<'i> Tags<'i> {
    /// Tags by which an image is attached to another are not among them: they follow it.
    pub fn of(units: &Units<'i>) -> Self {
        let mut tags: Vec<Place<'i>> = Vec::new();
        for (image, of) in units.images().iter().enumerate() {
            if of.storage_class == StorageClass::Standard && !units.is_attached_by_tags(image) {
                tags.extend(of.tags.iter().map(|tag| Place { image, tag, is_claimed: false, taken_by: None }));
            }
        }
        tags.sort_by(|a, b| (b.tag.pushed_at_ms, &b.tag.name).cmp(&(a.tag.pushed_at_ms, &a.tag.name)));
        Self { tags }
    }

    /// Number of tags that rules could take.
    pub fn len(&self) -> usize {
        self.tags.len()
    }

    /// Claims the tags that the rule matches, with their images, and takes what is due and was free.
    pub fn apply(&mut self, rule: &Rule, units: &Units<'i>, now_ms: i64, claims: &mut Claims) {
        let mut ranks = Ranks::new(rule.extension.group_by.as_ref());
        // Once for each image, which may have as many tags as referrers.
        let fits = |image| rule.extension.referrers.matches(units.referrers_of(image));
        let fits: Vec<bool> = (0..units.images().len()).map(fits).collect();
        for place in &mut self.tags {
            let name = place.tag.name.as_str();
            if !rule.selection.matches_tag(name) || fits.get(place.image) != Some(&true) {
                continue;
            }
            let Some(rank) = ranks.next([name].into_iter()) else { continue };
            // Pulls are known by image: one that is pulled by any tag is in use by all of them.
            let standing = Standing::new(place.tag.pushed_at_ms, units.pulled_ms(place.image), None, rank);
            let is_past = |condition: Condition| condition.is_past(standing, now_ms);
            match rule.effect {
                Effect::Keep(condition) if condition.is_some_and(is_past) => continue,
                Effect::Expire(condition) if is_past(condition) => {
                    if !place.is_claimed && claims.are_tags_free(place.image) {
                        place.taken_by = Some(rule.priority);
                    }
                }
                Effect::Keep(_) | Effect::Expire(_) | Effect::Archive(_) => {}
            }
            place.is_claimed = true;
            claims.claim_tag_of(place.image);
        }
    }

    /// What was taken, by index of the image and priority of the rule.
    pub fn taken(&self) -> BTreeMap<(usize, u32), Taken<'i>> {
        let mut taken: BTreeMap<(usize, u32), Taken<'i>> = BTreeMap::new();
        for place in self.tags.iter().rev() {
            if let Some(priority) = place.taken_by {
                let of_image = taken
                    .entry((place.image, priority))
                    .or_insert_with(|| Taken { names: Vec::new(), time_ms: place.tag.pushed_at_ms });
                of_image.names.push(&place.tag.name);
            }
        }
        taken
    }
}
