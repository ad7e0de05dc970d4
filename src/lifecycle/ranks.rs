//! Ranks of things that come newest first, in one row or in groups by their tags.

use std::collections::HashMap;

use super::group::GroupPattern;

#[derive(Debug)]
pub(super) struct Ranks<'p, 't> {
    group_by: Option<&'p GroupPattern>,
    all: u64,
    groups: HashMap<&'t str, u64>,
}

impl<'p, 't> Ranks<'p, 't> {
    pub fn new(group_by: Option<&'p GroupPattern>) -> Self {
        Self { group_by, all: 0, groups: HashMap::new() }
    }

    /// Rank of the next thing, from 1 on; `None` where none of its tags is in a group. In several groups the best rank
    /// counts: a thing is not past the newest of a rule while one group has it among them.
    pub fn next(&mut self, tags: impl Iterator<Item = &'t str>) -> Option<u64> {
        let Some(pattern) = self.group_by else {
            self.all += 1;
            return Some(self.all);
        };
        let mut groups: Vec<&str> = tags.filter_map(|tag| pattern.group(tag)).collect();
        groups.sort_unstable();
        groups.dedup();
        let rank = |group| {
            let rank = self.groups.entry(group).or_default();
            *rank += 1;
            *rank
        };
        groups.into_iter().map(rank).min()
    }
}
