//! Ages, orders and pulls, to the millisecond.

use super::*;

fn at(digest: &str, pushed_at_ms: i64) -> Image {
    Image { pushed_at_ms, ..image(digest, &[], 0) }
}

#[test]
fn ages_are_strict() {
    let limit = NOW_MS - 14 * DAY_MS;
    let images = [at("A", limit - 1), at("B", limit), at("C", limit + 1), at("D", NOW_MS + DAY_MS)];
    assert_steps(&["1 any pushed 14 expire"], &images, &["expire A by 1"]);
    let archived = [limit - 1, limit].map(|archived_at_ms| Image {
        digest: archived_at_ms.to_string(),
        archived_at_ms: Some(archived_at_ms - 76 * DAY_MS),
        ..image("", &[], 500).archived(0)
    });
    let expected = format!("expire {} by 1", limit - 1);
    assert_steps(&["1 any archived 90 expire"], &archived, &[&expected]);
}

#[test]
fn extreme_times_are_no_panic() {
    let images = [at("A", i64::MIN), at("B", i64::MAX), at("C", 0), at("D", -1)];
    let policy = policy(&["1 any pushed 2147483647 expire"]);
    for now_ms in [i64::MIN, -1, 0, NOW_MS, i64::MAX] {
        evaluate(&policy, &images, LOOSE, now_ms);
    }
    assert_eq!(words(&evaluate(&policy, &images, LOOSE, NOW_MS)), ["expire A by 1"]);
}

#[test]
fn ties_are_ordered_by_digest() {
    let images = ["B", "D", "A", "C"].map(|digest| at(digest, NOW_MS));
    assert_steps(&["1 any more 2 expire"], &images, &["expire A by 1", "expire B by 1"]);
}

#[test]
fn a_restored_image_counts_from_its_restore() {
    let images = [image("A", &[], 100).restored(10), image("B", &[], 50), image("C", &[], 20)];
    assert_steps(&["1 any pushed 14 expire"], &images, &["expire B by 1", "expire C by 1"]);
    assert_steps(&["1 any more 1 expire"], &images, &["expire B by 1", "expire C by 1"]);
}

/// Base of `sinceImagePulled`: the last pull; without one since then, the restore or the push.
#[test]
fn pulls() {
    let rules = ["1 any pulled 30 archive"];
    for (name, image, is_due) in [
        ("pulled long ago", image("A", &[], 100).pulled(31), true),
        ("pulled at the limit", image("A", &[], 100).pulled(30), false),
        ("never pulled, old", image("A", &[], 31), true),
        ("never pulled, new", image("A", &[], 30), false),
        ("restored and not pulled since", image("A", &[], 100).restored(30).pulled(60), false),
        ("restored long ago and not pulled since", image("A", &[], 100).restored(31).pulled(60), true),
        ("restored long ago and pulled since", image("A", &[], 100).restored(31).pulled(29), false),
        ("pushed again after its last pull", image("A", &[], 20).pulled(60), false),
    ] {
        let expected: &[&str] = if is_due { &["archive A by 1"] } else { &[] };
        assert_eq!(words(&evaluate(&policy(&rules), &[image], LOOSE, NOW_MS)), expected, "{name}");
    }
}

/// A repository whose images were never pulled loses none before its age.
#[test]
fn never_pulled_is_pulled_when_pushed() {
    let images = [image("A", &["v1"], 1), image("B", &["v2"], 29), image("C", &["v3"], 31)];
    assert_steps(&["1 any pulled 30 expire"], &images, &["expire C by 1"]);
}

/// Clients of an index pull the index and one child; nodes that have the index pull the child alone.
#[test]
fn a_pull_of_a_child_is_one_of_its_index() {
    let images = [
        image("inner", &[], 100).index_of(&["amd64"]),
        image("amd64", &[], 100).pulled(5),
        image("outer", &["v1"], 100).index_of(&["inner", "arm64"]),
        image("arm64", &[], 100),
        image("unused", &["v2"], 100).index_of(&["s390x"]),
        image("s390x", &[], 100).pulled(40),
    ];
    assert_steps(&["1 any pulled 30 expire"], &images, &["expire unused by 1", "expire s390x with unused by 1"]);
}

/// Verifiers pull signatures of what nobody runs.
#[test]
fn a_pull_of_a_referrer_is_none_of_its_subject() {
    let images = [image("A", &["v1"], 100), image("sig", &[], 100).about("A", "sig").pulled(1)];
    assert_steps(&["1 any pulled 30 expire"], &images, &["expire A by 1", "expire sig with A by 1"]);
}
