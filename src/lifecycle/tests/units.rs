//! Units: an index with its children, subjects with their referrers.

use super::*;

const SIGNATURE: &str = "application/vnd.cncf.notary.signature";

/// Children are no images of their own: they fill no places in a count.
#[test]
fn children_are_not_counted() {
    let images = [
        image("v1", &["v1"], 3).index_of(&["v1-amd64", "v1-arm64"]),
        image("v1-amd64", &[], 3),
        image("v1-arm64", &[], 3),
        image("v2", &["v2"], 2).index_of(&["v2-amd64", "v2-arm64"]),
        image("v2-amd64", &[], 2),
        image("v2-arm64", &[], 2),
        image("v3", &["v3"], 1),
    ];
    assert_steps(
        &["1 any more 2 expire"],
        &images,
        &["expire v1 by 1", "expire v1-amd64 with v1 by 1", "expire v1-arm64 with v1 by 1"],
    );
    assert_steps(&["1 untagged more 1 expire"], &images, &[]);
    assert_steps(&["1 untagged pushed 1 expire"], &images, &[]);
}

#[test]
fn signatures_are_not_counted() {
    let images = [
        image("A", &["v1"], 3),
        image("A.sig", &[], 1).about("A", SIGNATURE),
        image("B", &["v2"], 2),
        image("B.sig", &[], 0).about("B", SIGNATURE),
    ];
    assert_steps(&["1 any more 1 expire"], &images, &["expire A by 1", "expire A.sig with A by 1"]);
    assert_steps(&["1 untagged pushed 1 expire"], &images, &[]);
}

#[test]
fn children_of_a_kept_index_stay() {
    let images = [
        image("old", &["v1"], 50).index_of(&["shared", "own"]),
        image("new", &["v2"], 1).index_of(&["shared"]),
        image("shared", &[], 50),
        image("own", &[], 50),
    ];
    assert_steps(&["1 any pushed 30 expire"], &images, &["expire old by 1", "expire own with old by 1"]);
}

/// Somebody has named it: it is an image of its own when its index has gone.
#[test]
fn a_tagged_child_outlives_its_index() {
    let images = [
        image("index", &["v1"], 50).index_of(&["amd64", "arm64"]),
        image("amd64", &["v1-amd64"], 50),
        image("arm64", &[], 50),
    ];
    let rules = ["1 any pushed 30 expire"];
    assert_steps(&rules, &images, &["expire index by 1", "expire arm64 with index by 1"]);
    assert_steps(&rules, &[images[1].clone()], &["expire amd64 by 1"]);
}

/// Even where they are tagged: they are about nothing else.
#[test]
fn referrers_go_with_their_subject() {
    let images = [
        image("A", &["v1"], 50),
        image("sig", &["signature"], 1).about("A", SIGNATURE),
        image("sbom", &[], 1).about("A", "sbom"),
        image("sbom.sig", &[], 1).about("sbom", SIGNATURE),
    ];
    assert_steps(
        &["1 tagged v* pushed 30 expire"],
        &images,
        &["expire A by 1", "expire sbom with A by 1", "expire sig with A by 1", "expire sbom.sig with sbom by 1"],
    );
}

#[test]
fn a_signature_of_a_child_follows_the_child() {
    let images = [
        image("index", &["v1"], 50).index_of(&["amd64"]),
        image("amd64", &[], 50),
        image("sig", &[], 50).about("amd64", SIGNATURE),
    ];
    assert_steps(
        &["1 any pushed 30 expire"],
        &images,
        &["expire index by 1", "expire amd64 with index by 1", "expire sig with amd64 by 1"],
    );
}

/// Attestations that an index lists are about a child of it: both hold them.
#[test]
fn an_attestation_has_two_holders() {
    let images = [
        image("index", &["v1"], 50).index_of(&["amd64", "attestation"]),
        image("amd64", &["v1-amd64"], 50),
        image("attestation", &[], 50).about("amd64", "attestation"),
    ];
    assert_steps(&["1 any pushed 30 expire"], &images, &["expire index by 1"]);
}

#[test]
fn a_referrer_of_nothing_is_an_image() {
    let images = [image("sig", &[], 50).about("gone", SIGNATURE)];
    assert_steps(&["1 untagged pushed 30 expire"], &images, &["expire sig by 1"]);
}

#[test]
fn an_index_without_its_children_is_an_image() {
    let images = [image("index", &["v1"], 50).index_of(&["elsewhere", "elsewhere"])];
    assert_steps(&["1 any pushed 30 expire"], &images, &["expire index by 1"]);
}

#[test]
fn units_are_archived_as_one() {
    let images = [
        image("index", &["v1"], 50).index_of(&["amd64", "shared", "cold"]),
        image("amd64", &[], 50),
        image("cold", &[], 50).archived(20),
        image("shared", &[], 50),
        image("sig", &[], 50).about("index", SIGNATURE),
        image("other", &["v2"], 1).index_of(&["shared"]),
    ];
    assert_steps(
        &["1 any pushed 30 archive"],
        &images,
        &["archive index by 1", "archive amd64 with index by 1", "archive sig with index by 1"],
    );
}

/// The one that is archived keeps the child, in the archive.
#[test]
fn a_child_of_an_expired_and_an_archived_index_is_archived() {
    let images = [
        image("old", &["v1"], 50).index_of(&["shared"]),
        image("older", &["w1"], 60).index_of(&["shared"]),
        image("shared", &[], 60),
    ];
    assert_steps(
        &["1 tagged w* pushed 30 archive", "2 tagged v* pushed 30 expire"],
        &images,
        &["archive older by 1", "expire old by 2", "archive shared with old by 2"],
    );
    let cold = [images[0].clone(), images[1].clone().archived(10), images[2].clone()];
    assert_steps(&["2 tagged v* pushed 30 expire"], &cold, &["expire old by 2", "archive shared with old by 2"]);
}

#[test]
fn an_archived_unit_expires_as_one() {
    let images = [
        image("index", &["v1"], 500).archived(100).index_of(&["amd64"]),
        image("amd64", &[], 500).archived(100),
        image("sig", &[], 1).about("index", SIGNATURE),
    ];
    assert_steps(
        &["1 any archived 90 expire"],
        &images,
        &["expire index by 1", "expire amd64 with index by 1", "expire sig with index by 1"],
    );
}

/// Indexes of indexes, each seven deep, with a child that all of them share.
#[test]
fn steps_come_after_what_they_follow() {
    let mut images = vec![image("leaf", &[], 90)];
    for chain in ["a", "b"] {
        for depth in 0..7_i64 {
            let next = if depth == 6 { "leaf".to_owned() } else { format!("{chain}{}", depth + 1) };
            let tags: &[&str] = if depth == 0 { &[chain] } else { &[] };
            images.push(image(&format!("{chain}{depth}"), tags, 60 + depth).index_of(&[&next, "leaf"]));
        }
    }
    let policy = policy(&["1 any pushed 30 expire"]);
    let plan = evaluate(&policy, &images, LOOSE, NOW_MS);
    let steps = plan.steps().unwrap();
    assert_eq!(steps.len(), images.len());
    for (at, step) in steps.iter().enumerate() {
        let holders = images.iter().filter(|image| image.children.contains(&step.image.digest));
        for holder in holders {
            assert!(steps[..at].iter().any(|earlier| earlier.image == holder), "{}", step.image.digest);
        }
    }
}

/// An index may refer to one of its own children: it is an index with a child all the same.
#[test]
fn an_index_of_its_subject() {
    let images = [
        image("index", &["v1"], 50).index_of(&["amd64"]).about("amd64", "t"),
        image("amd64", &[], 50),
        image("sig", &[], 50).about("amd64", SIGNATURE),
    ];
    assert_steps(
        &["1 any pushed 30 expire"],
        &images,
        &["expire index by 1", "expire amd64 with index by 1", "expire sig with amd64 by 1"],
    );
    assert_steps(&["1 untagged pushed 30 expire"], &images, &[]);
}

#[test]
fn circles_are_left_alone() {
    let images = [
        image("index", &["v1"], 50).index_of(&["amd64"]).about("sig", "t"),
        image("amd64", &[], 50),
        image("sig", &[], 50).about("amd64", SIGNATURE),
        image("a", &[], 50).index_of(&["b"]),
        image("b", &[], 50).index_of(&["a", "c"]),
        image("c", &[], 50),
        image("self", &[], 50).index_of(&["self"]).about("self", SIGNATURE),
    ];
    assert_steps(&["1 any pushed 30 expire"], &images, &["expire self by 1"]);
}

#[test]
fn two_rows_of_one_digest_are_no_panic() {
    let images = [image("A", &["v1"], 50), image("A", &["v2"], 50), image("I", &[], 50).index_of(&["A"])];
    evaluate(&policy(&["1 any pushed 30 expire"]), &images, LOOSE, NOW_MS);
}
