//! Naive model: sets of names, rescanned for each question, from the JSON of the policy.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::{DAY_MS, StorageClass};
use super::random::World;
use crate::lifecycle::{Image, Tag};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Done {
    Expired,
    Archived,
    Untagged(String),
}

type Outcome<'w> = BTreeMap<(&'w str, Done), u32>;

/// All that a policy does to a repository, with the priority of the rule that does it.
pub(super) fn expected(world: &World, now_ms: i64) -> Outcome<'_> {
    let model = Model { world, now_ms };
    let mut rules: Vec<&Value> = world.rules.iter().collect();
    rules.sort_by_key(|rule| rule["rulePriority"].as_u64());
    let mut outcome = Outcome::new();
    let mut claimed: BTreeSet<&str> = BTreeSet::new();
    let mut claimed_tags: BTreeSet<(&str, &str)> = BTreeSet::new();
    for rule in rules {
        let priority = u32::try_from(rule["rulePriority"].as_u64().unwrap()).unwrap();
        let action = rule["action"]["type"].as_str().unwrap();
        if rule["entrepot"]["subject"] == "tag" {
            let matched = model.matched_tags(rule);
            for (image, tag) in &matched {
                let is_past = model.is_tag_past(rule, &matched, image, tag);
                if action == "keep" && is_past {
                    continue;
                }
                let is_free = !claimed.contains(image.digest.as_str())
                    && !claimed_tags.contains(&(image.digest.as_str(), tag.name.as_str()));
                if action == "expire" && is_past && is_free {
                    outcome.insert((&image.digest, Done::Untagged(tag.name.clone())), priority);
                }
                claimed_tags.insert((&image.digest, &tag.name));
            }
        } else {
            let matched = model.matched(rule);
            for image in &matched {
                let is_past = model.is_past(rule, &matched, image);
                if action == "keep" && is_past {
                    continue;
                }
                let is_free = !claimed.contains(image.digest.as_str())
                    && !claimed_tags.iter().any(|(digest, _)| *digest == image.digest);
                if action != "keep" && is_past && is_free {
                    let done = if action == "expire" { Done::Expired } else { Done::Archived };
                    outcome.insert((&image.digest, done), priority);
                }
                claimed.insert(&image.digest);
            }
        }
    }
    model.follow(&mut outcome);
    outcome
}

struct Model<'w> {
    world: &'w World,
    now_ms: i64,
}

impl<'w> Model<'w> {
    fn holders(&self, image: &Image) -> Vec<&'w Image> {
        self.world.images.iter().filter(|holder| self.world.holds(holder, image)).collect()
    }

    fn referrers(&self, image: &Image) -> Vec<&'w Image> {
        let refers = |other: &&Image| {
            self.world.holds(image, other)
                && (other.subject.as_ref() == Some(&image.digest) || !image.children.contains(&other.digest))
        };
        self.world.images.iter().filter(refers).collect()
    }

    fn matched(&self, rule: &Value) -> Vec<&'w Image> {
        let class =
            if rule["selection"]["storageClass"] == "archive" { StorageClass::Archive } else { StorageClass::Standard };
        let status = rule["selection"]["tagStatus"].as_str().unwrap();
        let fits = |image: &&Image| {
            let tags = match status {
                "any" => true,
                "untagged" => image.tags.is_empty(),
                _ => entries(rule).iter().all(|entry| image.tags.iter().any(|tag| matches(entry, &tag.name))),
            };
            image.storage_class == class
                && tags
                && self.holders(image).is_empty()
                && self.referrers_fit(rule, image)
                && (rule["entrepot"]["groupBy"].is_null() || !groups(rule, image.tags.iter()).is_empty())
        };
        self.world.images.iter().filter(fits).collect()
    }

    fn matched_tags(&self, rule: &Value) -> Vec<(&'w Image, &'w Tag)> {
        let standard = self.world.images.iter().filter(|image| image.storage_class == StorageClass::Standard);
        let own = standard.filter(|image| !self.world.is_attached(image));
        let tags = own.flat_map(|image| image.tags.iter().map(move |tag| (image, tag)));
        let fits = |(image, tag): &(&Image, &Tag)| {
            entries(rule).iter().all(|entry| matches(entry, &tag.name))
                && self.referrers_fit(rule, image)
                && (rule["entrepot"]["groupBy"].is_null() || !groups(rule, [*tag].into_iter()).is_empty())
        };
        tags.filter(fits).collect()
    }

    fn referrers_fit(&self, rule: &Value, image: &Image) -> bool {
        let referrers = self.referrers(image);
        let kind = |referrer: &&Image| referrer.artifact_type.clone().unwrap_or_default();
        let is_signature = |referrer: &&Image| {
            kind(referrer).contains("notary") || referrer.tags.iter().any(|tag| tag.name.ends_with(".sig"))
        };
        let signed = &rule["entrepot"]["signed"];
        let types = rule["entrepot"]["artifactTypes"].as_array();
        (signed.is_null() || referrers.iter().any(is_signature) == signed.as_bool().unwrap())
            && types.is_none_or(|types| {
                let wanted = |found: &str| types.iter().any(|entry| matches(entry.as_str().unwrap(), found));
                referrers.iter().any(|referrer| wanted(&kind(referrer)))
            })
    }

    fn is_past(&self, rule: &Value, matched: &[&Image], image: &Image) -> bool {
        let newer = |group: Option<&str>| {
            let in_group = |other: &&&Image| group.is_none_or(|group| groups(rule, other.tags.iter()).contains(group));
            let key = |image: &Image| (ordering(image), image.digest.clone());
            matched.iter().filter(in_group).filter(|other| key(other) > key(image)).count()
        };
        let counts: Vec<usize> = match rule["entrepot"]["groupBy"].is_null() {
            true => vec![newer(None)],
            false => groups(rule, image.tags.iter()).iter().map(|group| newer(Some(group.as_str()))).collect(),
        };
        self.is_over(
            rule,
            counts.into_iter().min().unwrap(),
            ordering(image),
            self.last_pull(image),
            image.archived_at_ms,
        )
    }

    fn is_tag_past(&self, rule: &Value, matched: &[(&Image, &Tag)], image: &Image, tag: &Tag) -> bool {
        let key = |tag: &Tag| (tag.pushed_at_ms, tag.name.clone());
        let group = |tag: &Tag| groups(rule, [tag].into_iter());
        let newer = matched.iter().filter(|(_, other)| group(other) == group(tag) && key(other) > key(tag)).count();
        self.is_over(rule, newer, tag.pushed_at_ms, self.last_pull(image), None)
    }

    fn is_over(&self, rule: &Value, newer: usize, since: i64, pulled: Option<i64>, archived: Option<i64>) -> bool {
        let number = |value: &Value| value.as_i64();
        let older = |since: i64, days: i64| self.now_ms - since > days * DAY_MS;
        let pulled = since.max(pulled.unwrap_or(since));
        let extension = &rule["entrepot"];
        if rule["action"]["type"] == "keep" {
            return number(&extension["newest"]).is_some_and(|most| newer >= usize::try_from(most).unwrap())
                || number(&extension["pulledWithinDays"]).is_some_and(|days| older(pulled, days))
                || number(&extension["pushedWithinDays"]).is_some_and(|days| older(since, days));
        }
        let number = number(&rule["selection"]["countNumber"]).unwrap();
        match rule["selection"]["countType"].as_str().unwrap() {
            "imageCountMoreThan" => newer >= usize::try_from(number).unwrap(),
            "sinceImagePushed" => older(since, number),
            "sinceImagePulled" => older(pulled, number),
            _ => archived.is_some_and(|archived| older(archived, number)),
        }
    }

    fn last_pull(&self, image: &Image) -> Option<i64> {
        let children = self.world.images.iter().filter(|child| image.children.contains(&child.digest));
        let below = children.filter(|child| child.digest != image.digest).filter_map(|child| self.last_pull(child));
        below.chain(image.pulled_at_ms).max()
    }

    /// Adds what follows, again and again until nothing more does.
    fn follow(&self, outcome: &mut Outcome<'w>) {
        let state = |image: &Image, outcome: &Outcome<'_>| {
            let was_done = |done| outcome.contains_key(&(image.digest.as_str(), done));
            match image.storage_class {
                _ if was_done(Done::Expired) => 0,
                _ if was_done(Done::Archived) => 1,
                StorageClass::Archive => 1,
                StorageClass::Standard => 2,
            }
        };
        let acted = |image: &Image, outcome: &Outcome<'_>| {
            let get = |done| outcome.get(&(image.digest.as_str(), done)).copied();
            get(Done::Expired).or_else(|| get(Done::Archived))
        };
        // Those that hold others were made later, and come first.
        loop {
            let mut changed = false;
            for image in &self.world.images {
                let holders = self.holders(image);
                let Some(available) = holders.iter().map(|holder| state(holder, outcome)).max() else { continue };
                let is_referrer = holders.iter().any(|holder| self.referrers(holder).contains(&image));
                let by = holders.iter().filter_map(|holder| {
                    Some((self.key(holder, outcome)?, acted(holder, outcome)?, holder.digest.as_str()))
                });
                let Some((_, priority, _)) = by.max_by_key(|(key, _, digest)| (*key, std::cmp::Reverse(*digest)))
                else {
                    continue;
                };
                let may = available < 2 && (image.tags.is_empty() || is_referrer);
                if !may || (available == 1 && image.storage_class == StorageClass::Archive) {
                    continue;
                }
                let done = if available == 0 { Done::Expired } else { Done::Archived };
                let other = if available == 0 { Done::Archived } else { Done::Expired };
                outcome.remove(&(image.digest.as_str(), other));
                changed |= outcome.insert((image.digest.as_str(), done), priority) != Some(priority);
            }
            if !changed {
                break;
            }
        }
        let gone: BTreeSet<&str> =
            outcome.keys().filter(|(_, done)| *done == Done::Expired).map(|(digest, _)| *digest).collect();
        outcome.retain(|(digest, done), _| !matches!(done, Done::Untagged(_)) || !gone.contains(digest));
    }

    /// Time of the head, and how far below it an acted-on image is, at the most.
    fn key(&self, image: &Image, outcome: &Outcome<'_>) -> Option<(i64, u32)> {
        let get = |done| outcome.contains_key(&(image.digest.as_str(), done));
        if !get(Done::Expired) && !get(Done::Archived) {
            return None;
        }
        let holders = self.holders(image);
        if holders.is_empty() {
            return Some((ordering(image), 0));
        }
        let above = holders.into_iter().filter_map(|holder| self.key(holder, outcome)).max()?;
        Some((above.0, above.1 + 1))
    }
}

fn ordering(image: &Image) -> i64 {
    match image.storage_class {
        StorageClass::Standard => image.activated_at_ms.unwrap_or(i64::MIN).max(image.pushed_at_ms),
        StorageClass::Archive => image.archived_at_ms.unwrap_or(image.pushed_at_ms),
    }
}

/// Entries of a rule's list, as patterns.
fn entries(rule: &Value) -> Vec<String> {
    let text = |entry: &Value| entry.as_str().unwrap().to_owned();
    let selection = &rule["selection"];
    match (selection["tagPatternList"].as_array(), selection["tagPrefixList"].as_array()) {
        (Some(patterns), _) => patterns.iter().map(text).collect(),
        (_, Some(prefixes)) => prefixes.iter().map(|prefix| format!("{}*", text(prefix))).collect(),
        _ => Vec::new(),
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_at_checked(1) {
        None => text.is_empty(),
        Some(("*", rest)) => (0..=text.len()).any(|at| matches(rest, &text[at..])),
        Some((first, rest)) => text.strip_prefix(first).is_some_and(|text| matches(rest, text)),
    }
}

fn groups<'t>(rule: &Value, tags: impl Iterator<Item = &'t Tag>) -> BTreeSet<String> {
    let Some(pattern) = rule["entrepot"]["groupBy"].as_str() else { return BTreeSet::new() };
    tags.filter_map(|tag| group(pattern, &tag.name)).collect()
}

/// Tries the places of both braces: the longest of what comes before, then of what is inside, as wildcards take all
/// they can.
fn group(pattern: &str, tag: &str) -> Option<String> {
    let (before, rest) = pattern.split_once('{').unwrap();
    let (inside, after) = rest.split_once('}').unwrap();
    for start in (0..=tag.len()).rev() {
        for end in (start..=tag.len()).rev() {
            if matches(before, &tag[..start]) && matches(inside, &tag[start..end]) && matches(after, &tag[end..]) {
                return Some(tag[start..end].to_owned());
            }
        }
    }
    None
}
