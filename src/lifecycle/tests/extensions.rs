//! Extensions, by the wishes of ECR's users that they answer.

use super::*;

#[test]
fn expire_by_last_pull() {
    let images = [image("A", &["v1"], 100).pulled(31), image("B", &["v2"], 100).pulled(29), image("C", &["v3"], 20)];
    assert_steps(&["1 any pulled 30 expire"], &images, &["expire A by 1"]);
}

#[test]
fn keep_by_tag() {
    let images = [image("A", &["v1"], 100), image("B", &["dev-1"], 100), image("C", &["dev-2", "v2"], 100)];
    assert_steps(&["1 tagged v* keep", "2 any pushed 30 expire"], &images, &["expire B by 2"]);
}

/// A rule above a keep rule comes first, as everywhere.
#[test]
fn keep_rules_have_their_place() {
    let images = [image("A", &["v1", "broken"], 100), image("B", &["v2"], 100)];
    let rules = ["1 tagged broken pushed 1 expire", "2 tagged v* keep", "3 any pushed 1 expire"];
    assert_steps(&rules, &images, &["expire A by 1"]);
}

#[test]
fn keep_what_was_pulled_lately() {
    let images = [
        image("A", &["v1"], 100).pulled(20),
        image("B", &["v2"], 100).pulled(40),
        image("C", &["v3"], 100),
        image("D", &[], 20),
    ];
    let keep = r#"1 any keep {"pulledWithinDays": 30}"#;
    assert_steps(&[keep, "2 any more 1 expire"], &images, &["expire B by 2", "expire C by 2"]);
}

#[test]
fn keep_the_newest_and_what_is_young() {
    let images = [
        image("A", &["v1"], 100),
        image("B", &["v2"], 90),
        image("C", &["w1"], 80),
        image("D", &["w2"], 5),
        image("E", &["w3"], 50),
    ];
    let rules = [r#"1 tagged v* keep {"newest": 1}"#, r#"2 any keep {"pushedWithinDays": 7}"#, "3 any pushed 1 expire"];
    assert_steps(&rules, &images, &["expire A by 3", "expire C by 3", "expire E by 3"]);
}

/// A keep rule counts what rules above it have claimed, like every rule.
#[test]
fn kept_places_are_counted_over_claimed_images() {
    let images = [image("A", &["v1"], 3), image("B", &["v2", "bad"], 2), image("C", &["v3", "bad"], 1)];
    let rules = ["1 tagged bad pushed 9 expire", r#"2 tagged v* keep {"newest": 2}"#, "3 any pushed 1 expire"];
    assert_steps(&rules, &images, &["expire A by 3"]);
}

#[test]
fn the_newest_three_of_each_branch() {
    let tags = [
        ("main-1", 9),
        ("main-2", 8),
        ("main-3", 7),
        ("main-4", 6),
        ("fix-login-1", 5),
        ("fix-login-2", 4),
        ("main", 99),
        ("fix-login-3", 3),
        ("fix-login-4", 2),
        ("fix-1", 50),
    ];
    let images = tags.map(|(tag, days)| image(tag, &[tag], days));
    let rules = [r#"1 tagged * more 3 expire {"groupBy": "{*}-*"}"#];
    assert_steps(&rules, &images, &["expire main-1 by 1", "expire fix-login-1 by 1"]);
    let keep = [r#"1 tagged * keep {"groupBy": "{*}-*", "newest": 1}"#, "2 any more 1 expire"];
    let expected = ["main", "main-1", "main-2", "main-3", "fix-login-1", "fix-login-2", "fix-login-3"]
        .map(|tag| format!("expire {tag} by 2"));
    assert_eq!(words(&evaluate(&policy(&keep), &images, LOOSE, NOW_MS)), expected);
}

/// An image of several groups stays while one of them counts it among its newest.
#[test]
fn an_image_of_two_groups() {
    let images = [
        image("A", &["main-1", "fix-1"], 9),
        image("B", &["main-2", "main-3"], 8),
        image("C", &["main-4"], 7),
        image("D", &["fix-2"], 6),
    ];
    let rules = [r#"1 tagged * more 1 expire {"groupBy": "{*}-*"}"#];
    assert_steps(&rules, &images, &["expire A by 1", "expire B by 1"]);
    assert_steps(&rules, &images[..3], &["expire B by 1"]);
    // Two tags in one group are one place.
    let rules = [r#"1 tagged * more 2 expire {"groupBy": "{*}-*"}"#];
    assert_steps(&rules, &[image("E", &["main-0"], 10), images[0].clone(), images[1].clone()], &["expire E by 1"]);
}

#[test]
fn suffixes_are_patterns() {
    let images = [image("A", &["1-rc"], 9), image("B", &["2-rc"], 8), image("C", &["rc-3"], 7)];
    assert_steps(&["1 tagged *-rc more 1 expire"], &images, &["expire A by 1"]);
}

#[test]
fn tags_go_and_images_stay() {
    let images = [
        image("A", &["sha-1", "v1"], 9),
        image("B", &["sha-2", "sha-3"], 8),
        image("C", &["sha-4"], 1),
        image("D", &["v2"], 9),
    ];
    let rules = [r#"1 tagged sha-* pushed 7 expire {"subject": "tag"}"#];
    assert_steps(&rules, &images, &["untag A sha-1 by 1", "untag B sha-2,sha-3 by 1"]);
}

#[test]
fn the_newest_tags_stay() {
    let mut images = [image("A", &["sha-1", "sha-2", "sha-3", "v1"], 9), image("B", &["sha-4"], 20)];
    for (tag, days) in images[0].tags.iter_mut().zip([30, 20, 10, 1]) {
        tag.pushed_at_ms = NOW_MS - days * DAY_MS;
    }
    let rules = [r#"1 tagged sha-* more 2 expire {"subject": "tag"}"#];
    assert_steps(&rules, &images, &["untag A sha-1,sha-2 by 1"]);
}

#[test]
fn the_newest_tags_of_each_group_stay() {
    let images = [image("A", &["eu-1", "us-1"], 9), image("B", &["eu-2", "eu"], 8), image("C", &["eu-3"], 7)];
    let rules = [r#"1 tagged * more 2 expire {"subject": "tag", "groupBy": "{*}-*"}"#];
    assert_steps(&rules, &images, &["untag A eu-1 by 1"]);
}

/// A tag rule matches a tag by itself: the entries are not shared out over the tags of an image.
#[test]
fn each_entry_has_to_match_the_tag() {
    let images = [image("A", &["a-x", "b-y", "a-y"], 9)];
    let rules = [r#"1 tagged a-*,*-y pushed 7 expire {"subject": "tag"}"#];
    assert_steps(&rules, &images, &["untag A a-y by 1"]);
}

/// A tag that a rule has claimed does not go with its image by a rule below, whether it is due itself or not.
#[test]
fn claimed_tags_hold_their_image() {
    let images = [image("A", &["sha-1"], 100), image("B", &["sha-2"], 1), image("C", &["dev"], 100)];
    let rules = [r#"1 tagged sha-* pushed 30 expire {"subject": "tag"}"#, "2 any pushed 50 expire"];
    assert_steps(&rules, &images, &["untag A sha-1 by 1", "expire C by 2"]);
    let untagged = [image("A", &[], 100), images[1].clone()];
    assert_steps(&rules, &untagged, &["expire A by 2"]);
}

#[test]
fn claimed_images_hold_their_tags() {
    let images = [image("A", &["v1", "sha-1"], 100), image("B", &["sha-2"], 100)];
    let rules = ["1 tagged v* more 5 expire", r#"2 tagged sha-* pushed 30 expire {"subject": "tag"}"#];
    assert_steps(&rules, &images, &["untag B sha-2 by 2"]);
}

#[test]
fn kept_tags() {
    let images = [image("A", &["v1", "sha-1"], 100), image("B", &["sha-2"], 100)];
    let rules = [
        r#"1 tagged v* keep {"subject": "tag"}"#,
        r#"2 tagged * pushed 30 expire {"subject": "tag"}"#,
        "3 any pushed 1 expire",
    ];
    assert_steps(&rules, &images, &["untag A sha-1 by 2", "untag B sha-2 by 2"]);
    let newest =
        [r#"1 tagged * keep {"subject": "tag", "newest": 1}"#, r#"2 tagged * pushed 30 expire {"subject": "tag"}"#];
    assert_steps(&newest, &images, &["untag A sha-1 by 2", "untag B sha-2 by 2"]);
}

/// Pulls are counted by image.
#[test]
fn tags_of_pulled_images_stay() {
    let images = [image("A", &["v1"], 100).pulled(5), image("B", &["v2"], 100).pulled(50), image("C", &["v3"], 20)];
    let rules = [r#"1 tagged v* pulled 30 expire {"subject": "tag"}"#];
    assert_steps(&rules, &images, &["untag B v2 by 1"]);
}

#[test]
fn tags_of_children_and_archived_images() {
    let images = [
        image("index", &["v1"], 100).index_of(&["amd64"]),
        image("amd64", &["v1-amd64"], 100),
        image("cold", &["v0-amd64"], 100).archived(20),
    ];
    let rules = [r#"1 tagged *-amd64 pushed 30 expire {"subject": "tag"}"#];
    assert_steps(&rules, &images, &["untag amd64 v1-amd64 by 1"]);
}

/// A referrer that goes takes its tags with it.
#[test]
fn tags_of_what_goes_are_no_steps() {
    let images = [image("A", &["v1"], 100), image("sig", &["sig-1"], 100).about("A", "sig")];
    let rules = [r#"1 tagged sig-* pushed 30 expire {"subject": "tag"}"#, "2 tagged v* pushed 30 expire"];
    assert_steps(&rules, &images, &["expire A by 2", "expire sig with A by 2"]);
    let archived = [r#"1 tagged sig-* pushed 30 expire {"subject": "tag"}"#, "2 tagged v* pushed 30 archive"];
    assert_steps(&archived, &images, &["archive A by 2", "untag sig sig-1 by 1", "archive sig with A by 2"]);
}

const NOTATION: &str = "application/vnd.cncf.notary.signature";
const COSIGN: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SBOM: &str = "application/vnd.cyclonedx+json";

#[test]
fn keep_what_is_signed() {
    let images = [
        image("A", &["v1"], 100),
        image("A.sig", &[], 100).about("A", NOTATION),
        image("B", &["v2"], 100),
        image("B.sig", &[], 100).about("B", COSIGN),
        image("C", &["v3"], 100),
        image("C.sig", &[], 100).about("C", BUNDLE),
        image("D", &["v4"], 100),
        image("D.sbom", &[], 100).about("D", SBOM),
        image("E", &["v5"], 100),
    ];
    let expected = ["expire D by 2", "expire E by 2", "expire D.sbom with D by 2"];
    assert_steps(&[r#"1 any keep {"signed": true}"#, "2 any pushed 30 expire"], &images, &expected);
    let unsigned = [r#"2 any pushed 30 expire {"signed": false}"#];
    assert_steps(&unsigned, &images, &expected);
}

#[test]
fn keep_what_has_referrers_of_a_type() {
    let images = [
        image("A", &["v1"], 100),
        image("A.sbom", &[], 100).about("A", SBOM),
        image("B", &["v2"], 100),
        image("B.sig", &[], 100).about("B", NOTATION),
        image("C", &["v3"], 100),
    ];
    let keep = r#"1 any keep {"artifactTypes": ["application/vnd.cyclonedx*", "application/spdx*"]}"#;
    assert_steps(
        &[keep, "2 any pushed 30 expire"],
        &images,
        &["expire B by 2", "expire C by 2", "expire B.sig with B by 2"],
    );
    let both = r#"1 any keep {"artifactTypes": ["*"], "signed": false}"#;
    let kept = ["expire B by 2", "expire C by 2", "expire B.sig with B by 2"];
    assert_steps(&[both, "2 any pushed 30 expire"], &images, &kept);
}

const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const A_SIG: &str = "sha256-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.sig";

fn attaching(rules: &[&str]) -> Policy {
    let mut policy: Value = serde_json::from_str(&text(rules)).unwrap();
    policy["entrepot"] = json!({ "version": 1, "attachSignatureTags": true });
    Policy::parse(&policy.to_string(), Dialect::Extended).unwrap()
}

/// "Keep one" kept a signature: clients push those as tagged images where they know of no referrers.
#[test]
fn signature_tags_belong_to_their_image() {
    let attestation = A_SIG.replace(".sig", ".att");
    let index = A_SIG.replace(".sig", "");
    let other = A_SIG.replace("aaaa", "bbbb");
    let images = [
        image(A, &["v1"], 9),
        image("sig", &[A_SIG], 1),
        image("att", &[&attestation], 1),
        image("fallback", &[&index], 1),
        image("named", &[&A_SIG.replace(".sig", ".sbom"), "mine"], 1),
        image("other", &[&other], 1),
        image("B", &["v2"], 5),
    ];
    let steps = |policy: &Policy| words(&evaluate(policy, &images, LOOSE, NOW_MS));
    let expected = [
        format!("expire {A} by 1"),
        format!("expire att with {A} by 1"),
        format!("expire fallback with {A} by 1"),
        format!("expire sig with {A} by 1"),
        "expire B by 1".to_owned(),
    ];
    let rules = ["1 any more 2 expire"];
    assert_eq!(steps(&attaching(&rules)), expected);
    assert!(!steps(&policy(&rules)).contains(&expected[3]), "ECR counts them as images");
    let kept = attaching(&[r#"1 any keep {"signed": true}"#, "2 any pushed 4 expire"]);
    assert_eq!(steps(&kept), ["expire B by 2"]);
    let untagging = [r#"1 tagged sha256-* pushed 1 expire {"subject": "tag"}"#];
    let untagged = |policy: &Policy| evaluate(policy, &images, LOOSE, NOW_MS + DAY_MS).preview().len();
    assert_eq!((untagged(&attaching(&untagging)), untagged(&policy(&untagging))), (2, 5));
}
