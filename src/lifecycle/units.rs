//! Units of a repository: which manifests are held by others, and which are heads.
//!
//! An index holds its children, and a subject its referrers. A head is held by nothing that is in the repository; only
//! heads are matched, counted and acted on by rules.
//!
//! Digests rule out circles of children and circles of referrers, but not circles of both. An index that lists its own
//! subject holds it, and is not held by it. In a longer circle (an index refers to a signature of its own child) there
//! is no head: nothing of it, or held by it, is acted on.

use std::collections::{HashMap, HashSet};

use super::heads::Heads;
use super::image::Image;

#[derive(Debug)]
pub(super) struct Units<'i> {
    images: &'i [Image],
    held: Vec<Vec<Held>>,
    /// Each after all that hold it; without those in circles.
    order: Vec<usize>,
    heads: Heads,
    pulled_ms: Vec<Option<i64>>,
    is_attached_by_tags: Vec<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub image: usize,
    pub bond: Bond,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bond {
    Child,
    Referrer,
}

impl<'i> Units<'i> {
    /// With `attach_signature_tags`, an image whose tags all name one digest (`sha256-….sig`) refers to that image.
    pub fn of(images: &'i [Image], attach_signature_tags: bool) -> Self {
        let Bonds { held, is_attached_by_tags } = Bonds::of(images, attach_signature_tags);
        let mut holders = vec![0_u32; images.len()];
        for held in held.iter().flatten() {
            add(&mut holders, held.image, 1);
        }
        let mut heads: Vec<usize> = (0..images.len()).filter(|image| holders.get(*image) == Some(&0)).collect();
        let order = order(&held, holders, heads.clone());
        heads.sort_by(|a, b| age_key(images, *b).cmp(&age_key(images, *a)));
        let heads = Heads::of(images, &heads);
        let pulled_ms = pulled(images, &held, &order);
        Self { images, held, order, heads, pulled_ms, is_attached_by_tags }
    }

    pub fn image(&self, index: usize) -> Option<&'i Image> {
        self.images.get(index)
    }

    pub fn images(&self) -> &'i [Image] {
        self.images
    }

    pub fn order(&self) -> &[usize] {
        &self.order
    }

    pub fn heads(&self) -> &Heads {
        &self.heads
    }

    pub fn held_by(&self, index: usize) -> &[Held] {
        self.held.get(index).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn referrers_of(&self, index: usize) -> impl Iterator<Item = &'i Image> + Clone {
        let referrer = |held: &Held| (held.bond == Bond::Referrer).then(|| self.images.get(held.image)).flatten();
        self.held_by(index).iter().filter_map(referrer)
    }

    /// Whether the image is held by the one that all its tags name.
    pub fn is_attached_by_tags(&self, index: usize) -> bool {
        self.is_attached_by_tags.get(index).copied().unwrap_or_default()
    }

    /// Last pull of the image or of something below it in an index.
    pub fn pulled_ms(&self, index: usize) -> Option<i64> {
        self.pulled_ms.get(index).copied().flatten()
    }
}

/// Bonds between images that are in the repository, by index of the one that holds.
struct Bonds {
    held: Vec<Vec<Held>>,
    is_attached_by_tags: Vec<bool>,
}

impl Bonds {
    fn of(images: &[Image], attach_signature_tags: bool) -> Self {
        let by_digest: HashMap<&str, usize> =
            images.iter().enumerate().map(|(index, image)| (image.digest.as_str(), index)).collect();
        let mut bonds = Self { held: vec![Vec::new(); images.len()], is_attached_by_tags: Vec::new() };
        for (index, image) in images.iter().enumerate() {
            let others = |digest: &str| by_digest.get(digest).copied().filter(|other| *other != index);
            let children: HashSet<usize> = image.children.iter().filter_map(|child| others(child)).collect();
            let subjects = |digest: &str| others(digest).filter(|subject| !children.contains(subject));
            let subject = image.subject.as_deref().and_then(subjects);
            let named = attach_signature_tags.then(|| digest_of_tags(image)).flatten();
            let named = named.as_deref().and_then(subjects);
            children.iter().for_each(|child| bonds.add(index, *child, Bond::Child));
            subject.into_iter().for_each(|subject| bonds.add(subject, index, Bond::Referrer));
            named.filter(|_| named != subject).into_iter().for_each(|named| bonds.add(named, index, Bond::Referrer));
            bonds.is_attached_by_tags.push(named.is_some());
        }
        bonds
    }

    fn add(&mut self, holder: usize, image: usize, bond: Bond) {
        if let Some(held) = self.held.get_mut(holder) {
            held.push(Held { image, bond });
        }
    }
}

/// Kahn's algorithm: time and room are the number of manifests and of bonds between them.
fn order(held: &[Vec<Held>], mut holders: Vec<u32>, mut order: Vec<usize>) -> Vec<usize> {
    let mut next = 0;
    while let Some(holder) = order.get(next).copied() {
        next += 1;
        for held in held.get(holder).into_iter().flatten() {
            if let Some(count) = holders.get_mut(held.image) {
                *count -= 1;
                if *count == 0 {
                    order.push(held.image);
                }
            }
        }
    }
    order
}

fn pulled(images: &[Image], held: &[Vec<Held>], order: &[usize]) -> Vec<Option<i64>> {
    let mut pulled: Vec<Option<i64>> = images.iter().map(|image| image.pulled_at_ms).collect();
    for holder in order.iter().rev().copied() {
        let children = held.get(holder).into_iter().flatten().filter(|held| held.bond == Bond::Child);
        let last = children.filter_map(|child| pulled.get(child.image).copied().flatten()).max();
        if let Some(own) = pulled.get_mut(holder) {
            *own = last.max(*own);
        }
    }
    pulled
}

/// Digest that all tags of an image name: `sha256-<hex>`, alone or with `.sig`, `.att` or `.sbom`.
fn digest_of_tags(image: &Image) -> Option<String> {
    let named = |tag: &str| {
        let hex = tag.strip_prefix("sha256-")?;
        let hex = [".sig", ".att", ".sbom"].iter().find_map(|ending| hex.strip_suffix(ending)).unwrap_or(hex);
        let is_hex = hex.len() == 64 && hex.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
        is_hex.then(|| format!("sha256:{hex}"))
    };
    let mut names = image.tag_names().map(named);
    let first = names.next()??;
    names.all(|name| name.as_ref() == Some(&first)).then_some(first)
}

fn age_key(images: &[Image], index: usize) -> Option<(i64, &str)> {
    images.get(index).map(|image| (image.ordering_ms(), image.digest.as_str()))
}

fn add(counts: &mut [u32], index: usize, more: u32) {
    if let Some(count) = counts.get_mut(index) {
        *count += more;
    }
}
