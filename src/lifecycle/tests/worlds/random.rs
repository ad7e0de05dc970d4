//! Worlds by seeds. Names and times are few, so that they meet often.

use fastrand::Rng;
use serde_json::{Value, json};

use super::super::{DAY_MS, Dialect, NOW_MS, Policy, StorageClass, image};
use crate::lifecycle::{Image, Tag};

const TYPES: [&str; 3] = ["application/vnd.cncf.notary.signature", "application/sbom", "application/other"];
const TAGS: [&str; 12] = ["a-1", "a-2", "a-3", "b-1", "b-2", "a-b-1", "c", "v1", "v2", "v1.1", "latest", "a-"];
const PATTERNS: [&str; 9] = ["*", "a-*", "*-1", "b*", "v*.*", "a*", "latest", "*-*", "v*"];
const PREFIXES: [&str; 5] = ["a", "a-", "v1", "b-", "l"];
const GROUPS: [&str; 4] = ["{*}-*", "a-{*}", "{*}", "*{-*}"];
const DAYS: [u64; 5] = [1, 5, 10, 30, 90];

#[derive(Debug)]
pub(super) struct World {
    pub images: Vec<Image>,
    pub rules: Vec<Value>,
    attaches: bool,
}

impl World {
    /// A repository, and a policy that ECR's rules about rules allow.
    pub fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let attaches = random.u8(..8) == 0;
        let mut world = Self { images: images(&mut random), rules: Vec::new(), attaches };
        while world.has_circle() {
            world.images = images(&mut random);
        }
        loop {
            world.rules = rules(&mut random);
            if Policy::parse(&world.text(), Dialect::Extended).is_ok() {
                return world;
            }
        }
    }

    pub fn policy(&self) -> Policy {
        Policy::parse(&self.text(), Dialect::Extended).expect("a policy")
    }

    pub fn is_extended(&self) -> bool {
        let is_extension = |rule: &Value| {
            let (selection, action) = (&rule["selection"], &rule["action"]["type"]);
            let expires_by_pull = selection["countType"] == "sinceImagePulled" && action == "expire";
            rule.get("entrepot").is_some() || action == "keep" || expires_by_pull
        };
        self.attaches || self.rules.iter().any(is_extension)
    }

    pub fn text(&self) -> String {
        let mut policy = json!({ "rules": self.rules });
        if self.is_extended() {
            policy["entrepot"] = json!({ "version": 1, "attachSignatureTags": self.attaches });
        }
        policy.to_string()
    }

    /// Whether one image lists another, is its subject, or is named by its tags.
    pub fn holds(&self, holder: &Image, held: &Image) -> bool {
        let lists = |index: &Image, child: &Image| index.children.contains(&child.digest);
        let refers = held.subject.as_ref() == Some(&holder.digest) || self.names(held, holder);
        holder.digest != held.digest && (lists(holder, held) || (refers && !lists(held, holder)))
    }

    /// Whether an image follows another because of its tags.
    pub fn is_attached(&self, image: &Image) -> bool {
        let lists = |child: &Image| image.children.contains(&child.digest);
        self.images.iter().any(|other| other.digest != image.digest && self.names(image, other) && !lists(other))
    }

    fn names(&self, image: &Image, subject: &Image) -> bool {
        let name = subject.digest.replace(':', "-");
        let names = |tag: &Tag| tag.name == name || tag.name == format!("{name}.sig");
        self.attaches && !image.tags.is_empty() && image.tags.iter().all(names)
    }

    /// Whether images hold each other, which only one who means it can bring about.
    fn has_circle(&self) -> bool {
        let mut left: Vec<&Image> = self.images.iter().collect();
        loop {
            let heads = |image: &&Image| !left.iter().any(|other| self.holds(other, image));
            let next: Vec<&Image> = left.iter().copied().filter(|image| !heads(image)).collect();
            if next.is_empty() || next.len() == left.len() {
                return !next.is_empty();
            }
            left = next;
        }
    }
}

fn digest(index: usize) -> String {
    format!("sha256:{}", format!("{index:x}").repeat(64))
}

fn images(random: &mut Rng) -> Vec<Image> {
    let count = random.usize(..=9);
    let mut tags: Vec<String> = TAGS.iter().map(|tag| (*tag).to_owned()).collect();
    tags.extend((0..3).map(|_| format!("{}.sig", digest(random.usize(..6)).replace(':', "-"))));
    tags.sort();
    tags.dedup();
    random.shuffle(&mut tags);
    (0..count).map(|index| one_image(random, index, &mut tags)).collect()
}

/// An image that refers to none but earlier ones, as digests make it.
fn one_image(random: &mut Rng, index: usize, tags: &mut Vec<String>) -> Image {
    let time = |random: &mut Rng| NOW_MS - random.i64(0..14) * 7 * DAY_MS - i64::from(random.bool());
    let mut image = image(&digest(index), &[], 0);
    image.pushed_at_ms = time(random);
    let count = [0, 0, 1, 1, 2, 3][random.usize(..6)].min(tags.len());
    let names = tags.drain(..count);
    image.tags = names.map(|name| Tag { name, pushed_at_ms: 0 }).collect();
    for tag in &mut image.tags {
        tag.pushed_at_ms = image.pushed_at_ms.max(time(random));
    }
    image.pulled_at_ms = random.bool().then(|| time(random));
    if random.u8(..5) == 0 {
        image.activated_at_ms = Some(image.pushed_at_ms + random.i64(0..20) * DAY_MS);
    }
    if random.u8(..4) == 0 {
        image.storage_class = StorageClass::Archive;
        image.archived_at_ms = (random.u8(..6) > 0).then(|| NOW_MS - random.i64(60..120) * DAY_MS);
    }
    if random.u8(..3) == 0 {
        image.children = (0..random.usize(1..4)).map(|_| digest(random.usize(..=index))).collect();
    }
    if random.u8(..4) == 0 {
        image.subject = Some(digest(random.usize(..=index)));
        image.artifact_type = Some(TYPES[random.usize(..TYPES.len())].to_owned());
    }
    image
}

fn rules(random: &mut Rng) -> Vec<Value> {
    let extends = random.bool();
    let mut priorities: Vec<u32> = (1..9).collect();
    random.shuffle(&mut priorities);
    let count = random.usize(1..5);
    priorities.into_iter().take(count).map(|priority| rule(random, priority, extends)).collect()
}

fn rule(random: &mut Rng, priority: u32, extends: bool) -> Value {
    let days = |random: &mut Rng| DAYS[random.usize(..DAYS.len())];
    let about_tags = extends && random.u8(..3) == 0;
    let action = match random.u8(..4) {
        0 if extends => "keep",
        1 if !about_tags => "transition",
        _ => "expire",
    };
    let archives = json!({ "type": "transition", "targetStorageClass": "archive" });
    let mut selection = json!({ "tagStatus": "any" });
    match random.u8(if about_tags { 2..5 } else { 0..5 }) {
        0 => {}
        1 => selection["tagStatus"] = json!("untagged"),
        kind => {
            selection["tagStatus"] = json!("tagged");
            let (list, entries) =
                if kind == 2 { ("tagPrefixList", &PREFIXES[..]) } else { ("tagPatternList", &PATTERNS[..]) };
            let count = if random.u8(..3) == 0 { 2 } else { 1 };
            selection[list] = json!(random.choose_multiple(entries.iter(), count));
        }
    }
    let mut extension = json!({});
    if action == "keep" {
        match random.u8(..4) {
            0 => extension["newest"] = json!(random.u8(1..4)),
            1 => extension["pulledWithinDays"] = json!(days(random)),
            2 => extension["pushedWithinDays"] = json!(days(random)),
            _ => {}
        }
        if random.u8(..4) == 0 && !about_tags {
            selection["storageClass"] = json!("archive");
        }
    } else {
        let kinds = ["imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned"];
        let kind = kinds[random.usize(..if action == "expire" && !about_tags { 4 } else { 3 })];
        selection["countType"] = json!(kind);
        selection["countNumber"] = json!(days(random));
        match kind {
            "imageCountMoreThan" => selection["countNumber"] = json!(random.u8(1..4)),
            "sinceImageTransitioned" => {
                selection["storageClass"] = json!("archive");
                selection["countNumber"] = json!(90);
                selection["countUnit"] = json!("days");
            }
            _ => selection["countUnit"] = json!("days"),
        }
    }
    if extends {
        let counts = selection["countType"] == "imageCountMoreThan" || extension.get("newest").is_some();
        if counts && selection["tagStatus"] == "tagged" && random.bool() {
            extension["groupBy"] = json!(GROUPS[random.usize(..GROUPS.len())]);
        }
        extend(random, &mut extension);
        if about_tags {
            extension["subject"] = json!("tag");
        }
    }
    let action = if action == "transition" { archives } else { json!({ "type": action }) };
    let mut rule = json!({ "rulePriority": priority, "selection": selection, "action": action });
    if extends && (extension != json!({}) || random.bool()) {
        rule["entrepot"] = extension;
    }
    rule
}

fn extend(random: &mut Rng, extension: &mut Value) {
    if random.u8(..5) == 0 {
        extension["signed"] = json!(random.bool());
    }
    if random.u8(..5) == 0 {
        let wanted = ["application/sbom", "*other", "application/*"][random.usize(..3)];
        extension["artifactTypes"] = json!([wanted]);
    }
}
