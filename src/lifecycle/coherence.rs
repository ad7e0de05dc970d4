//! Rules about rules: what ECR refuses because of how the rules of one policy stand to each other.
//!
//! Where a rule claims all that it selects, a later one with the same selection would never act. Rules that claim only
//! a part, which extensions make possible, may repeat a selection.

use std::collections::BTreeMap;

use super::error::{PolicyError, Problem};
use super::image::StorageClass;
use super::rule::Rule;
use super::selection::{TagEntry, TagStatus};

/// Tag patterns and prefixes of all rules together, which bounds what an evaluation compares.
const MAX_ENTRIES: usize = 500;

/// Checks rules that are in order of their priorities.
pub(super) fn check(rules: &[Rule]) -> Result<(), PolicyError> {
    let entries: usize = rules.iter().map(|rule| rule.selection.entries().len()).sum();
    if entries > MAX_ENTRIES {
        let problem = Problem::TooManyItems { maximum: MAX_ENTRIES, found: entries };
        return Err(problem.at("rules").hint("tagPrefixList and tagPatternList of all rules together"));
    }
    check_priorities(rules)?;
    for storage_class in [StorageClass::Standard, StorageClass::Archive] {
        let of_class: Vec<&Rule> = rules.iter().filter(|rule| rule.selection.storage_class == storage_class).collect();
        check_any(&of_class)?;
        let claiming: Vec<&Rule> = of_class.into_iter().filter(|rule| rule.claims_all()).collect();
        check_untagged(&claiming)?;
        check_entries(&claiming)?;
    }
    Ok(())
}

fn check_priorities(rules: &[Rule]) -> Result<(), PolicyError> {
    let pairs = rules.iter().zip(rules.iter().skip(1));
    match pairs.into_iter().find(|(rule, next)| rule.priority == next.priority) {
        Some((twice, _)) => Err(refuse("Rule priorities must be unique.", &[twice])),
        None => Ok(()),
    }
}

fn check_any(of_class: &[&Rule]) -> Result<(), PolicyError> {
    let claims_all = |rule: &&&Rule| rule.claims_all() && rule.selection.tags == TagStatus::Any;
    match (of_class.iter().find(claims_all), of_class.last()) {
        (Some(any), Some(last)) if any.priority != last.priority => {
            Err(refuse("Rule for tagStatus=ANY must have the lowest priority per storage class", &[*any, *last]))
        }
        _ => Ok(()),
    }
}

fn check_untagged(claiming: &[&Rule]) -> Result<(), PolicyError> {
    let untagged: Vec<&Rule> =
        claiming.iter().copied().filter(|rule| rule.selection.tags == TagStatus::Untagged).collect();
    if untagged.len() < 2 {
        return Ok(());
    }
    Err(refuse("Only one rule can select Untagged images per storage class", &untagged))
}

fn check_entries(claiming: &[&Rule]) -> Result<(), PolicyError> {
    let mut seen: BTreeMap<&TagEntry, &Rule> = BTreeMap::new();
    for rule in claiming {
        for entry in rule.selection.entries() {
            if let Some(first) = seen.insert(entry, rule) {
                let problem = "Tag prefixes and patterns must be unique across rules per storage class.";
                return Err(refuse(problem, &[first, *rule]));
            }
        }
    }
    Ok(())
}

fn refuse(problem: &'static str, rules: &[&Rule]) -> PolicyError {
    let priorities: Vec<String> = rules.iter().map(|rule| rule.priority.to_string()).collect();
    Problem::Broken(problem).at("rules").hint(format!("rulePriority {}", priorities.join(", ")))
}
