//! Rules about images, applied to the heads of units.

use super::claims::Claims;
use super::condition::Standing;
use super::fates::{Decision, End};
use super::ranks::Ranks;
use super::rule::{Effect, Rule};
use super::units::Units;

/// Claims what the rule matches, and decides about what is due and was free; `decisions` are by index of the image.
pub(super) fn apply(
    rule: &Rule,
    units: &Units<'_>,
    now_ms: i64,
    claims: &mut Claims,
    decisions: &mut [Option<Decision>],
) {
    let mut ranks = Ranks::new(rule.extension.group_by.as_ref());
    for (index, tags) in units.heads().of_class(rule.selection.storage_class) {
        if !rule.selection.matches_tags(tags.clone()) || !rule.extension.referrers.matches(units.referrers_of(index)) {
            continue;
        }
        let (Some(rank), Some(image)) = (ranks.next(tags), units.image(index)) else { continue };
        let standing = Standing::new(image.ordering_ms(), units.pulled_ms(index), image.archived_at_ms, rank);
        let (condition, end) = match rule.effect {
            Effect::Expire(condition) => (Some(condition), Some(End::Gone)),
            Effect::Archive(condition) => (Some(condition), Some(End::Archived)),
            Effect::Keep(condition) => (condition, None),
        };
        let is_past = condition.is_some_and(|limit| limit.is_past(standing, now_ms));
        match (end, decisions.get_mut(index)) {
            (None, _) if is_past => continue,
            (Some(end), Some(decision)) if is_past && claims.is_free(index) => {
                *decision = Some(Decision { end, rule_priority: rule.priority });
            }
            _ => {}
        }
        claims.claim_image(index);
    }
}
