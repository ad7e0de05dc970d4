//! Policies and repositories in few words, for the tests of this room.

mod brake;
mod documented;
mod extensions;
mod grammar;
mod hostile;
mod preview;
mod times;
mod units;
mod worlds;

use serde_json::{Value, json};

use super::{Brake, Deed, Dialect, Image, Plan, Policy, StorageClass, Tag, evaluate};

const DAY_MS: i64 = 86_400_000;
const NOW_MS: i64 = 1_800_000_000_000;

/// No brake: what rules say is what goes.
const LOOSE: Brake = Brake { max_share_percent: 100, always_allowed: 0 };

/// A policy of rules such as `1 tagged prod*,beta* more 3 expire`; with `{...}` at its end, a rule has that as its
/// `entrepot`.
///
/// Priority, then `any`, `untagged`, `tagged PATTERNS` or `prefix PREFIXES`, then nothing (for keep), `more N`, `pushed
/// DAYS`, `pulled DAYS` or `archived DAYS`, then `expire`, `archive` or `keep`.
fn text(rules: &[&str]) -> String {
    let rules: Vec<Value> = rules.iter().map(|rule| rule_of(rule)).collect();
    let is_extended =
        |rule: &Value| rule.get("entrepot").is_some() || rule["action"]["type"] == "keep" || pulls_expire(rule);
    let mut policy = json!({ "rules": rules });
    if rules.iter().any(is_extended) {
        policy["entrepot"] = json!({ "version": 1 });
    }
    policy.to_string()
}

fn pulls_expire(rule: &Value) -> bool {
    rule["action"]["type"] == "expire" && rule["selection"]["countType"] == "sinceImagePulled"
}

fn rule_of(words: &str) -> Value {
    let (words, extension) = match words.find('{').filter(|_| words.ends_with('}')) {
        Some(at) if words[..at].ends_with(' ') => (&words[..at], Some(&words[at..])),
        _ => (words, None),
    };
    let mut words = words.split_whitespace();
    let mut next = || words.next().expect("a word");
    let number = |word: &str| word.parse::<u64>().expect("a number");
    let list = |word: &str| word.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut rule = json!({ "rulePriority": number(next()) });
    let mut selection = json!({});
    match next() {
        "tagged" => {
            selection["tagStatus"] = json!("tagged");
            selection["tagPatternList"] = json!(list(next()));
        }
        "prefix" => {
            selection["tagStatus"] = json!("tagged");
            selection["tagPrefixList"] = json!(list(next()));
        }
        status => selection["tagStatus"] = json!(status),
    }
    let action = loop {
        let count_type = match next() {
            "more" => "imageCountMoreThan",
            "pushed" => "sinceImagePushed",
            "pulled" => "sinceImagePulled",
            "archived" => "sinceImageTransitioned",
            "in-archive" => {
                selection["storageClass"] = json!("archive");
                continue;
            }
            action => break action,
        };
        selection["countType"] = json!(count_type);
        selection["countNumber"] = json!(number(next()));
        if count_type != "imageCountMoreThan" {
            selection["countUnit"] = json!("days");
        }
        if count_type == "sinceImageTransitioned" {
            selection["storageClass"] = json!("archive");
        }
    };
    rule["selection"] = selection;
    rule["action"] = match action {
        "archive" => json!({ "type": "transition", "targetStorageClass": "archive" }),
        action => json!({ "type": action }),
    };
    if let Some(extension) = extension {
        rule["entrepot"] = serde_json::from_str(extension).expect("JSON");
    }
    rule
}

#[track_caller]
fn policy(rules: &[&str]) -> Policy {
    Policy::parse(&text(rules), Dialect::Extended).unwrap_or_else(|error| panic!("{error}"))
}

/// An image that was pushed with its tags so many days ago.
fn image(digest: &str, tags: &[&str], days: i64) -> Image {
    let pushed_at_ms = NOW_MS - days * DAY_MS;
    let tag = |name: &&str| Tag { name: (*name).to_owned(), pushed_at_ms };
    Image {
        digest: digest.to_owned(),
        artifact_type: None,
        tags: tags.iter().map(tag).collect(),
        pushed_at_ms,
        pulled_at_ms: None,
        activated_at_ms: None,
        archived_at_ms: None,
        storage_class: StorageClass::Standard,
        children: Vec::new(),
        subject: None,
    }
}

impl Image {
    fn pulled(mut self, days: i64) -> Self {
        self.pulled_at_ms = Some(NOW_MS - days * DAY_MS);
        self
    }

    fn archived(mut self, days: i64) -> Self {
        self.archived_at_ms = Some(NOW_MS - days * DAY_MS);
        self.storage_class = StorageClass::Archive;
        self
    }

    fn restored(mut self, days: i64) -> Self {
        self.activated_at_ms = Some(NOW_MS - days * DAY_MS);
        self
    }

    fn index_of(mut self, children: &[&str]) -> Self {
        self.children = children.iter().map(|child| (*child).to_owned()).collect();
        self
    }

    fn about(mut self, subject: &str, artifact_type: &str) -> Self {
        self.subject = Some(subject.to_owned());
        self.artifact_type = Some(artifact_type.to_owned());
        self
    }
}

/// Steps in words: `expire A by 1`, `archive B by 2`, `untag A v1,v2 by 1`; with `with X` where the image follows
/// another.
fn words(plan: &Plan<'_>) -> Vec<String> {
    let word = |step: &super::Step<'_>| {
        let digest = &step.image.digest;
        let deed = match &step.deed {
            Deed::Expire => format!("expire {digest}"),
            Deed::Archive => format!("archive {digest}"),
            Deed::Untag(names) => format!("untag {digest} {}", names.join(",")),
        };
        let with = step.follows.map(|holder| format!(" with {}", holder.digest)).unwrap_or_default();
        format!("{deed}{with} by {}", step.rule_priority)
    };
    plan.preview().iter().map(word).collect()
}

/// Checks what a policy does to images, in order.
#[track_caller]
fn assert_steps(rules: &[&str], images: &[Image], expected: &[&str]) {
    assert_eq!(words(&evaluate(&policy(rules), images, LOOSE, NOW_MS)), expected);
}
