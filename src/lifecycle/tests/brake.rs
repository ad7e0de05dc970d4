//! The brake: how much of a repository one run may remove.

use super::super::{Removed, Stop};
use super::*;

/// So many images, `old` of which a rule about 30 days takes.
fn repository(old: usize, new: usize) -> Vec<Image> {
    let ages = std::iter::repeat_n(50, old).chain(std::iter::repeat_n(1, new));
    ages.enumerate().map(|(index, days)| image(&format!("{index:03}"), &[&format!("v{index}")], days)).collect()
}

fn stop(rules: &[&str], images: &[Image], max_share_percent: u8, always_allowed: usize) -> Option<Stop> {
    evaluate(&policy(rules), images, Brake { max_share_percent, always_allowed }, NOW_MS).steps().err()
}

#[test]
fn a_larger_share_stops_the_run() {
    let rules = ["1 any pushed 30 expire"];
    for (old, new, share, always_allowed, stops) in [
        (50, 50, 50, 0, false),
        (51, 49, 50, 0, true),
        (51, 49, 51, 0, false),
        (51, 49, 50, 51, false),
        (51, 49, 50, 50, true),
        (1, 0, 99, 0, true),
        (1, 0, 100, 0, false),
        (100, 0, 100, 0, false),
        (1, 99, 1, 0, false),
        (2, 98, 1, 0, true),
        (0, 100, 0, 0, false),
        (1, 99, 0, 0, true),
        (0, 0, 0, 0, false),
    ] {
        let found = stop(&rules, &repository(old, new), share, always_allowed);
        let expected = Stop { removed: Removed::Images, going: old, of: old + new, max_share_percent: share };
        assert_eq!(found, stops.then_some(expected), "{old} of {} at {share} percent", old + new);
    }
}

#[test]
fn the_usual_brake_is_half_of_a_repository_that_is_not_small() {
    let plan_of = |images: &[Image]| {
        evaluate(&policy(&["1 any pushed 30 expire"]), images, Brake::default(), NOW_MS).steps().map(<[_]>::len)
    };
    assert_eq!(plan_of(&repository(10, 0)), Ok(10));
    assert_eq!(plan_of(&repository(11, 11)), Ok(11));
    let stop = plan_of(&repository(12, 11)).unwrap_err();
    assert_eq!(
        stop.to_string(),
        "12 of 23 images would be removed, and one run may remove 50 percent: \
         look at the preview, then change the policy or raise the share"
    );
}

#[test]
fn what_was_stopped_is_shown() {
    let images = repository(3, 0);
    let policy = policy(&["1 any pushed 30 expire"]);
    let plan = evaluate(&policy, &images, Brake { max_share_percent: 50, always_allowed: 0 }, NOW_MS);
    assert!(plan.steps().is_err());
    assert_eq!(plan.preview().len(), 3);
    assert_eq!(plan.preview_lines().count(), 3);
}

/// Children and referrers are no images of their own here either; archiving removes nothing.
#[test]
fn shares_are_of_units() {
    let mut images = repository(1, 1);
    images[0] = images[0].clone().index_of(&["child"]);
    images.push(image("child", &[], 50));
    images.push(image("sig", &[], 50).about("000", "sig"));
    assert_eq!(stop(&["1 any pushed 30 expire"], &images, 50, 0), None);
    assert_eq!(stop(&["1 any pushed 30 archive"], &repository(9, 1), 0, 0), None);
}

#[test]
fn a_policy_may_narrow_the_share_and_not_widen_it() {
    let with_share = |share: u8| {
        let mut policy: Value = serde_json::from_str(&text(&["1 any pushed 30 expire"])).unwrap();
        policy["entrepot"] = json!({ "version": 1, "maxSharePercent": share });
        Policy::parse(&policy.to_string(), Dialect::Extended).unwrap()
    };
    let share = |policy: &Policy| {
        let images = repository(4, 1);
        let brake = Brake { max_share_percent: 60, always_allowed: 0 };
        evaluate(policy, &images, brake, NOW_MS).steps().unwrap_err().max_share_percent
    };
    assert_eq!((share(&with_share(20)), share(&with_share(90))), (20, 60));
}

#[test]
fn tags_have_a_share_of_their_own() {
    let rules = [r#"1 tagged v* pushed 30 expire {"subject": "tag"}"#];
    let expected = Stop { removed: Removed::Tags, going: 3, of: 5, max_share_percent: 50 };
    assert_eq!(stop(&rules, &repository(3, 2), 50, 0), Some(expected));
    assert_eq!(stop(&rules, &repository(2, 2), 50, 0), None);
}
