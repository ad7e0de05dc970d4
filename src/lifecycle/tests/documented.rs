//! The example policies of AWS's user guide ("Examples of lifecycle policies in Amazon ECR", as of 2026), as they are
//! written there, with the repositories and results that it gives; where it gives none, with a repository on both sides
//! of the limit.

use super::*;

#[track_caller]
fn assert_example(policy: &str, images: &[Image], expected: &[&str]) {
    let policy = Policy::parse(policy, Dialect::Ecr).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(words(&evaluate(&policy, images, LOOSE, NOW_MS)), expected);
}

#[test]
fn filtering_on_image_age() {
    let policy = r#"{ "rules": [ {
        "rulePriority": 1,
        "description": "Expire images older than 14 days",
        "selection": {
            "tagStatus": "tagged",
            "tagPatternList": ["prod*"],
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": 14
        },
        "action": { "type": "expire" }
    } ] }"#;
    let images = [
        image("A", &["prod-1"], 15),
        image("B", &["prod-2"], 14),
        image("C", &["dev-1"], 15),
        image("D", &[], 15),
        image("E", &["dev-2", "prod"], 20),
    ];
    assert_example(policy, &images, &["expire E by 1", "expire A by 1"]);
}

#[test]
fn filtering_on_last_pulled_time() {
    let policy = r#"{ "rules": [ {
        "rulePriority": 1,
        "description": "Archive images not pulled in 90 days",
        "selection": {
            "tagStatus": "any",
            "countType": "sinceImagePulled",
            "countUnit": "days",
            "countNumber": 90
        },
        "action": { "type": "transition", "targetStorageClass": "archive" }
    } ] }"#;
    let images = [
        image("A", &["v1"], 200).pulled(91),
        image("B", &["v2"], 200).pulled(90),
        image("C", &["v3"], 91),
        image("D", &[], 90),
        image("E", &[], 300).restored(50).pulled(120),
        image("F", &[], 300).archived(200),
    ];
    assert_example(policy, &images, &["archive A by 1", "archive C by 1"]);
}

#[test]
fn filtering_on_archive_transition_time() {
    let policy = r#"{ "rules": [ {
        "rulePriority": 1,
        "description": "Expire images archived for more than 365 days",
        "selection": {
            "tagStatus": "any",
            "storageClass": "archive",
            "countType": "sinceImageTransitioned",
            "countUnit": "days",
            "countNumber": 365
        },
        "action": { "type": "expire" }
    } ] }"#;
    let images = [
        image("A", &["v1"], 1000).archived(366),
        image("B", &["v2"], 1000).archived(365),
        image("C", &["v3"], 1000),
        image("D", &[], 1000).archived(400),
    ];
    assert_example(policy, &images, &["expire D by 1", "expire A by 1"]);
}

#[test]
fn filtering_on_image_count() {
    let policy = r#"{ "rules": [ {
        "rulePriority": 1,
        "description": "Keep only one untagged image, expire all others",
        "selection": { "tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 1 },
        "action": { "type": "expire" }
    } ] }"#;
    let images = [image("A", &[], 3), image("B", &["v1"], 9), image("C", &[], 1), image("D", &[], 2)];
    assert_example(policy, &images, &["expire A by 1", "expire D by 1"]);
}

fn prod_and_beta() -> [Image; 3] {
    [image("A", &["beta-1", "prod-1"], 10), image("B", &["beta-2", "prod-2"], 9), image("C", &["beta-3"], 8)]
}

#[test]
fn filtering_on_multiple_rules_a() {
    let policy = r#"{ "rules": [
        {
            "rulePriority": 1,
            "description": "Rule 1",
            "selection": {
                "tagStatus": "tagged",
                "tagPatternList": ["prod*"],
                "countType": "imageCountMoreThan",
                "countNumber": 1
            },
            "action": { "type": "expire" }
        },
        {
            "rulePriority": 2,
            "description": "Rule 2",
            "selection": {
                "tagStatus": "tagged",
                "tagPatternList": ["beta*"],
                "countType": "imageCountMoreThan",
                "countNumber": 1
            },
            "action": { "type": "expire" }
        }
    ] }"#;
    assert_example(policy, &prod_and_beta(), &["expire A by 1"]);
    assert_example(
        &policy.replace("tagPatternList", "tagPrefixList").replace('*', ""),
        &prod_and_beta(),
        &["expire A by 1"],
    );
}

#[test]
fn filtering_on_multiple_rules_b() {
    let policy = r#"{ "rules": [
        {
            "rulePriority": 1,
            "description": "Rule 1",
            "selection": {
                "tagStatus": "tagged",
                "tagPatternList": ["beta*"],
                "countType": "imageCountMoreThan",
                "countNumber": 1
            },
            "action": { "type": "expire" }
        },
        {
            "rulePriority": 2,
            "description": "Rule 2",
            "selection": {
                "tagStatus": "tagged",
                "tagPatternList": ["prod*"],
                "countType": "imageCountMoreThan",
                "countNumber": 1
            },
            "action": { "type": "expire" }
        }
    ] }"#;
    assert_example(policy, &prod_and_beta(), &["expire A by 1", "expire B by 1"]);
}

#[test]
fn filtering_on_multiple_tags_a() {
    let policy = r#"{ "rules": [ {
        "rulePriority": 1,
        "description": "Rule 1",
        "selection": {
            "tagStatus": "tagged",
            "tagPatternList": ["alpha*", "beta*"],
            "countType": "sinceImagePushed",
            "countNumber": 5,
            "countUnit": "days"
        },
        "action": { "type": "expire" }
    } ] }"#;
    let images = [
        image("A", &["alpha-1"], 12),
        image("B", &["beta-1"], 11),
        image("C", &["alpha-2", "beta-2"], 10),
        image("D", &["alpha-3"], 4),
        image("E", &["beta-3"], 3),
        image("F", &["alpha-4", "beta-4"], 2),
    ];
    assert_example(policy, &images, &["expire C by 1"]);
}

#[test]
fn filtering_on_multiple_tags_b() {
    let policy = r#"{ "rules": [ {
        "rulePriority": 1,
        "description": "Rule 1",
        "selection": {
            "tagStatus": "tagged",
            "tagPatternList": ["alpha*", "beta*"],
            "countType": "imageCountMoreThan",
            "countNumber": 1
        },
        "action": { "type": "expire" }
    } ] }"#;
    let images = [
        image("A", &["alpha-1", "beta-1", "gamma-1"], 10),
        image("B", &["alpha-2", "beta-2"], 9),
        image("C", &["alpha-3", "beta-3", "gamma-2"], 8),
    ];
    assert_example(policy, &images, &["expire A by 1", "expire B by 1"]);
}

#[test]
fn filtering_on_all_images_a() {
    let policy = r#"{ "rules": [ {
        "rulePriority": 1,
        "description": "Rule 1",
        "selection": { "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1 },
        "action": { "type": "expire" }
    } ] }"#;
    let images =
        [image("A", &["alpha-1"], 4), image("B", &["beta-1"], 3), image("C", &[], 2), image("D", &["alpha-2"], 1)];
    assert_example(policy, &images, &["expire A by 1", "expire B by 1", "expire C by 1"]);
}

#[test]
fn filtering_on_all_images_b() {
    let policy = r#"{ "rules": [
        {
            "rulePriority": 1,
            "description": "Rule 1",
            "selection": {
                "tagStatus": "tagged",
                "tagPatternList": ["alpha*"],
                "countType": "imageCountMoreThan",
                "countNumber": 1
            },
            "action": { "type": "expire" }
        },
        {
            "rulePriority": 2,
            "description": "Rule 2",
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 1
            },
            "action": { "type": "expire" }
        },
        {
            "rulePriority": 3,
            "description": "Rule 3",
            "selection": { "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1 },
            "action": { "type": "expire" }
        }
    ] }"#;
    // Both D and E were pushed one day ago: which of them is the newest is open, and rule 2 has claimed E. The guide's
    // result needs E to be the newer one.
    let images = [
        image("A", &["alpha-1", "beta-1"], 4),
        image("B", &[], 3),
        image("C", &["alpha-2"], 2),
        image("D", &["git hash"], 1),
        image("E", &[], 1),
    ];
    assert_example(policy, &images, &["expire A by 1", "expire B by 2", "expire D by 3"]);
}

#[test]
fn archiving_images_older_than_a_number_of_days() {
    let policy = r#"{ "rules": [ {
        "rulePriority": 1,
        "description": "Archive production images older than 30 days",
        "selection": {
            "tagStatus": "tagged",
            "tagPatternList": ["prod*"],
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": 30
        },
        "action": { "type": "transition", "targetStorageClass": "archive" }
    } ] }"#;
    let images = [
        image("A", &["prod-1"], 31),
        image("B", &["prod-2"], 30),
        image("C", &["dev-1"], 31),
        image("D", &["prod-3"], 99).archived(40),
        image("E", &["prod-4"], 99).restored(29),
    ];
    assert_example(policy, &images, &["archive A by 1"]);
}

#[test]
fn combining_archive_and_expire_rules() {
    let policy = r#"{ "rules": [
        {
            "rulePriority": 1,
            "description": "Archive images older than 30 days",
            "selection": {
                "tagStatus": "any",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 30
            },
            "action": { "type": "transition", "targetStorageClass": "archive" }
        },
        {
            "rulePriority": 2,
            "description": "Expire images archived for more than 365 days",
            "selection": {
                "tagStatus": "any",
                "storageClass": "archive",
                "countType": "sinceImageTransitioned",
                "countUnit": "days",
                "countNumber": 365
            },
            "action": { "type": "expire" }
        }
    ] }"#;
    let images = [
        image("A", &["v1"], 31),
        image("B", &["v2"], 30),
        image("C", &["v3"], 500).archived(366),
        image("D", &[], 500).archived(365),
    ];
    assert_example(policy, &images, &["expire C by 2", "archive A by 1"]);
}
