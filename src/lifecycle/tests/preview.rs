//! Previews as the API answers them.

use super::*;

#[test]
fn lines_and_summary() {
    let images = [
        image("sha256:a", &["v1", "v1.0"], 40),
        image("sha256:b", &["w1"], 41),
        image("sha256:c", &[], 500).archived(100),
        image("sha256:d", &["v2"], 1),
        image("sha256:e", &["sha-1", "x1"], 50),
    ];
    let policy = policy(&[
        "1 tagged v* pushed 30 expire",
        "2 tagged w* pushed 30 archive",
        r#"3 tagged sha-* pushed 30 expire {"subject": "tag"}"#,
        "4 any archived 90 expire",
    ]);
    let plan = evaluate(&policy, &images, LOOSE, NOW_MS);
    let lines: Vec<_> = plan.preview_lines().collect();
    assert_eq!(
        serde_json::to_value(&lines).unwrap(),
        json!([
            {
                "imageTags": [],
                "imageDigest": "sha256:c",
                "imagePushedAt": (NOW_MS - 500 * DAY_MS) as f64 / 1000.0,
                "action": { "type": "EXPIRE" },
                "appliedRulePriority": 4,
                "storageClass": "ARCHIVE"
            },
            {
                "imageTags": ["sha-1"],
                "imageDigest": "sha256:e",
                "imagePushedAt": (NOW_MS - 50 * DAY_MS) as f64 / 1000.0,
                "action": { "type": "UNTAG" },
                "appliedRulePriority": 3,
                "storageClass": "STANDARD"
            },
            {
                "imageTags": ["w1"],
                "imageDigest": "sha256:b",
                "imagePushedAt": (NOW_MS - 41 * DAY_MS) as f64 / 1000.0,
                "action": { "type": "TRANSITION", "targetStorageClass": "ARCHIVE" },
                "appliedRulePriority": 2,
                "storageClass": "STANDARD"
            },
            {
                "imageTags": ["v1", "v1.0"],
                "imageDigest": "sha256:a",
                "imagePushedAt": (NOW_MS - 40 * DAY_MS) as f64 / 1000.0,
                "action": { "type": "EXPIRE" },
                "appliedRulePriority": 1,
                "storageClass": "STANDARD"
            }
        ])
    );
    assert_eq!(
        serde_json::to_value(plan.preview_summary()).unwrap(),
        json!({
            "expiringImageTotalCount": 2,
            "transitioningImageTotalCounts": [{ "targetStorageClass": "ARCHIVE", "imageTotalCount": 1 }]
        })
    );
}

#[test]
fn a_summary_of_nothing_has_no_transitions() {
    let plan = evaluate(&policy(&[]), &[], LOOSE, NOW_MS);
    assert_eq!(serde_json::to_value(plan.preview_summary()).unwrap(), json!({ "expiringImageTotalCount": 0 }));
}

#[test]
fn lines_show_what_follows() {
    let images = [image("index", &["v1"], 50).index_of(&["amd64"]), image("amd64", &[], 50)];
    let policy = policy(&["7 any pushed 30 expire"]);
    let plan = evaluate(&policy, &images, LOOSE, NOW_MS);
    let lines: Vec<_> = plan.preview_lines().map(|line| (line.image_digest, line.applied_rule_priority)).collect();
    assert_eq!(lines, [("index", 7), ("amd64", 7)]);
    assert_eq!(plan.preview_summary().expiring_image_total_count, 2);
}
