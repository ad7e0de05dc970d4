//! Evaluation of a policy: which rule takes which image or tag.
//!
//! All rules look at the repository as it is before the run. A rule matches images, finds those of them that are due,
//! and acts on those that no earlier rule has claimed; then it claims all that it has matched, due or not. So an image
//! is acted on by one rule at most, and a rule shields what it matches from the rules below it, while claimed images
//! still fill places in their counts.
//!
//! Extensions keep to this. A keep rule claims what it keeps, and leaves the rest to the rules below. A rule about tags
//! claims the tags that it matches, for rules about tags, and their images, for rules about images: neither a claimed
//! tag nor an image that has one goes by a rule below.
//!
//! Cost: n images with t tags are put in order once, n log n + t log t. Then each rule looks at each head, and each
//! entry of its lists at each tag, for the length of the tag: rules × n + entries × t, with at most 50 rules and 500
//! entries.

use std::collections::BTreeMap;

use super::brake::{Brake, Removed};
use super::claims::Claims;
use super::extension::Subject;
use super::fates::{End, Fate, Key, follow};
use super::image::Image;
use super::image_rules;
use super::plan::{Deed, Plan, Step};
use super::policy::Policy;
use super::tag_rules::{Tags, Taken};
use super::units::Units;

/// Evaluates a policy for all images of a repository. `now_ms` is one instant for the whole run, in milliseconds since
/// 1970.
pub fn evaluate<'i>(policy: &Policy, images: &'i [Image], brake: Brake, now_ms: i64) -> Plan<'i> {
    let units = Units::of(images, policy.extension().attach_signature_tags);
    let mut claims = Claims::none(images.len());
    let mut decisions = vec![None; images.len()];
    let has_tag_rules = policy.rules().iter().any(|rule| rule.extension.subject == Subject::Tag);
    let mut tags = if has_tag_rules { Tags::of(&units) } else { Tags::default() };
    for rule in policy.rules() {
        match rule.extension.subject {
            Subject::Image => image_rules::apply(rule, &units, now_ms, &mut claims, &mut decisions),
            Subject::Tag => tags.apply(rule, &units, now_ms, &mut claims),
        }
    }
    let going = decisions.iter().flatten().filter(|decision| decision.end == End::Gone).count();
    let taken = tags.taken();
    let brake = brake.narrowed(policy.extension().max_share_percent);
    let stop = brake
        .check(Removed::Images, going, units.heads().len())
        .and_then(|()| brake.check(Removed::Tags, taken.values().map(|taken| taken.names.len()).sum(), tags.len()));
    Plan::new(steps(&units, &follow(&units, &decisions), taken), stop.err())
}

/// The oldest first, and nothing before what it follows.
fn steps<'i>(units: &Units<'i>, fates: &[Option<Fate<'i>>], taken: BTreeMap<(usize, u32), Taken<'i>>) -> Vec<Step<'i>> {
    let fate = |index: usize| fates.get(index).copied().flatten();
    let acts = fates.iter().zip(units.images()).filter_map(|(fate, image)| {
        let Fate { decision, follows, key } = (*fate)?;
        let deed = match decision.end {
            End::Gone => Deed::Expire,
            End::Archived => Deed::Archive,
        };
        Some((key, Step { image, deed, rule_priority: decision.rule_priority, follows }))
    });
    let untags = taken.into_iter().filter_map(|((index, rule_priority), Taken { names, time_ms })| {
        // A manifest that goes takes its tags with it.
        let goes = fate(index).is_some_and(|fate| fate.decision.end == End::Gone);
        let image = units.image(index).filter(|_| !goes)?;
        Some((Key { time_ms, depth: 0 }, Step { image, deed: Deed::Untag(names), rule_priority, follows: None }))
    });
    let mut steps: Vec<(Key, Step<'i>)> = acts.chain(untags).collect();
    steps.sort_by(|(key, step), (other_key, other)| {
        (key, &step.image.digest, step.rule_priority).cmp(&(other_key, &other.image.digest, other.rule_priority))
    });
    steps.into_iter().map(|(_, step)| step).collect()
}
