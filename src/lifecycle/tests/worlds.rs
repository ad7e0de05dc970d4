//! Random worlds: policies and repositories of a few images that relate in all ways, by seeds, held against a naive
//! model and against what has to be true of every plan.

mod model;
mod random;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::{Done, expected};
use random::World;

use super::*;

const WORLDS: u64 = 3_000;

fn done<'i>(plan: &Plan<'i>) -> BTreeMap<(&'i str, Done), u32> {
    let mut all = BTreeMap::new();
    for step in plan.preview() {
        let digest = step.image.digest.as_str();
        match &step.deed {
            Deed::Expire => drop(all.insert((digest, Done::Expired), step.rule_priority)),
            Deed::Archive => drop(all.insert((digest, Done::Archived), step.rule_priority)),
            Deed::Untag(names) => names.iter().for_each(|name| {
                all.insert((digest, Done::Untagged((*name).to_owned())), step.rule_priority);
            }),
        }
    }
    all
}

fn plan<'i>(world: &'i World, policy: &Policy, now_ms: i64) -> Plan<'i> {
    evaluate(policy, &world.images, LOOSE, now_ms)
}

/// The repository after the steps were taken.
fn after(images: &[Image], plan: &Plan<'_>, now_ms: i64) -> Vec<Image> {
    let mut images = images.to_vec();
    for step in plan.preview() {
        let at = images.iter().position(|image| image.digest == step.image.digest).expect("an image once");
        match &step.deed {
            Deed::Expire => drop(images.remove(at)),
            Deed::Archive => {
                images[at].storage_class = StorageClass::Archive;
                images[at].archived_at_ms = Some(now_ms);
            }
            Deed::Untag(names) => images[at].tags.retain(|tag| !names.contains(&tag.name.as_str())),
        }
    }
    images
}

#[test]
fn agrees_with_the_model() {
    let mut kinds = HashMap::new();
    for seed in 0..WORLDS {
        let world = World::new(seed);
        let policy = world.policy();
        let found = done(&plan(&world, &policy, NOW_MS));
        assert_eq!(found, expected(&world, NOW_MS), "seed {seed}: {:#?}", world);
        for (_, done) in found.keys() {
            *kinds.entry(std::mem::discriminant(done)).or_insert(0) += 1;
        }
    }
    assert!(kinds.len() == 3 && kinds.values().all(|count| *count > 100), "{kinds:?}");
}

#[test]
fn each_image_is_acted_on_once_and_in_order() {
    for seed in 0..WORLDS {
        let world = World::new(seed);
        let policy = world.policy();
        let plan = plan(&world, &policy, NOW_MS);
        let mut acted = BTreeSet::new();
        let mut untagged = BTreeSet::new();
        for step in plan.preview() {
            let digest = step.image.digest.as_str();
            match &step.deed {
                Deed::Untag(names) => assert!(names.iter().all(|name| untagged.insert(*name)), "seed {seed}"),
                Deed::Expire | Deed::Archive => assert!(acted.insert(digest), "seed {seed}"),
            }
            if let Some(holder) = step.follows {
                assert!(acted.contains(holder.digest.as_str()), "seed {seed}: {digest} before {}", holder.digest);
            }
        }
        after(&world.images, &plan, NOW_MS);
    }
}

/// No manifest goes while something that stays lists it or is what it refers to; none is archived while something that
/// can be pulled does.
#[test]
fn nothing_of_a_kept_unit_is_taken() {
    for seed in 0..WORLDS {
        let world = World::new(seed);
        let policy = world.policy();
        let plan = plan(&world, &policy, NOW_MS);
        let left = after(&world.images, &plan, NOW_MS);
        let is_left = |digest: &str| left.iter().find(|image| image.digest == digest);
        for step in plan.preview().iter().filter(|step| !matches!(step.deed, Deed::Untag(_))) {
            let holders = world.images.iter().filter(|image| world.holds(image, step.image));
            for holder in holders.filter_map(|holder| is_left(&holder.digest)) {
                let is_archived = holder.storage_class == StorageClass::Archive;
                assert!(step.deed == Deed::Archive && is_archived, "seed {seed}: {}", step.image.digest);
            }
        }
    }
}

/// Whatever a rule takes at one time it takes later as well, when nothing has changed but the time.
#[test]
fn time_takes_more() {
    for seed in 0..WORLDS {
        let world = World::new(seed);
        let policy = world.policy();
        let mut before: BTreeSet<&str> = BTreeSet::new();
        let mut untagged: BTreeSet<&str> = BTreeSet::new();
        for now_ms in [NOW_MS - 40 * DAY_MS, NOW_MS, NOW_MS + 1, NOW_MS + 35 * DAY_MS, NOW_MS + 400 * DAY_MS] {
            let plan = plan(&world, &policy, now_ms);
            let of = |is_untagging: bool| {
                let steps = plan.preview().iter();
                steps.filter(move |step| matches!(step.deed, Deed::Untag(_)) == is_untagging)
            };
            let acted: BTreeSet<&str> = of(false).map(|step| step.image.digest.as_str()).collect();
            assert!(acted.is_superset(&before), "seed {seed}: {before:?}, then {acted:?}");
            before = acted;
            let names: BTreeSet<&str> = of(true)
                .flat_map(|step| if let Deed::Untag(names) = &step.deed { names.clone() } else { Vec::new() })
                .collect();
            let gone = world.images.iter().filter(|image| before.contains(image.digest.as_str()));
            let gone: BTreeSet<&str> = gone.flat_map(|image| image.tag_names()).collect();
            assert!(untagged.iter().all(|name| names.contains(name) || gone.contains(name)), "seed {seed}");
            untagged = names;
        }
    }
}

/// After a run the same policy takes nothing more at the same time, but for images that only the run has made so:
/// children with tags whose index has gone, images that have lost tags, and what they push out of a count.
#[test]
fn a_second_run_takes_nothing() {
    let mut settled = 0;
    for seed in 0..WORLDS {
        let world = World::new(seed);
        let policy = world.policy();
        let first = plan(&world, &policy, NOW_MS);
        let releases = first.preview().iter().any(|step| match step.deed {
            Deed::Untag(_) => true,
            Deed::Expire => world.images.iter().any(|image| !image.tags.is_empty() && world.holds(step.image, image)),
            Deed::Archive => false,
        });
        let left = after(&world.images, &first, NOW_MS);
        let second = evaluate(&policy, &left, LOOSE, NOW_MS);
        if !releases {
            assert_eq!(words(&second), Vec::<String>::new(), "seed {seed}: {world:#?}");
            settled += 1;
        }
    }
    assert!(settled > WORLDS / 2, "{settled}");
}

/// Runs come to an end, whatever the first ones release.
#[test]
fn runs_settle() {
    for seed in 0..WORLDS / 4 {
        let world = World::new(seed);
        let policy = world.policy();
        let mut images = world.images.clone();
        let runs = (0..20).take_while(|_| {
            let plan = evaluate(&policy, &images, LOOSE, NOW_MS);
            let is_busy = !plan.preview().is_empty();
            let next = after(&images, &plan, NOW_MS);
            images = next;
            is_busy
        });
        assert!(runs.count() < 20, "seed {seed}");
    }
}

/// The order in which images and rules come to the evaluation is nothing to it.
#[test]
fn the_order_of_rows_does_not_matter() {
    for seed in 0..WORLDS / 4 {
        let world = World::new(seed);
        let mut shuffled = World::new(seed);
        let mut random = fastrand::Rng::with_seed(seed);
        random.shuffle(&mut shuffled.images);
        random.shuffle(&mut shuffled.rules);
        let (policy, other) = (world.policy(), shuffled.policy());
        assert_eq!(policy, other);
        assert_eq!(words(&plan(&world, &policy, NOW_MS)), words(&plan(&shuffled, &other, NOW_MS)), "seed {seed}");
    }
}

/// A policy without extensions means the same in both dialects.
#[test]
fn dialects_agree() {
    let mut plain = 0;
    for seed in 0..WORLDS / 4 {
        let world = World::new(seed);
        if world.is_extended() {
            continue;
        }
        plain += 1;
        assert_eq!(Policy::parse(&world.text(), Dialect::Ecr).unwrap(), world.policy(), "seed {seed}");
    }
    assert!(plain > WORLDS / 16, "{plain}");
}
