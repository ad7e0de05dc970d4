//! Heads of units, the newest first, with the names of their tags side by side in memory: each rule goes over all of
//! them.

use std::ops::Range;

use super::image::{Image, StorageClass};

#[derive(Debug, Default)]
pub(super) struct Heads {
    standard: Vec<Head>,
    archive: Vec<Head>,
    /// Places of names in `text`.
    names: Vec<Range<usize>>,
    text: String,
}

#[derive(Debug)]
struct Head {
    image: usize,
    /// Places in `names`.
    tags: Range<usize>,
}

impl Heads {
    pub fn of(images: &[Image], newest_first: &[usize]) -> Self {
        let mut heads = Self::default();
        let image = |index: &usize| images.get(*index).map(|image| (*index, image));
        for (index, image) in newest_first.iter().filter_map(image) {
            let first = heads.names.len();
            image.tag_names().for_each(|name| heads.add_name(name));
            let head = Head { image: index, tags: first..heads.names.len() };
            match image.storage_class {
                StorageClass::Standard => heads.standard.push(head),
                StorageClass::Archive => heads.archive.push(head),
            }
        }
        heads
    }

    pub fn len(&self) -> usize {
        self.standard.len() + self.archive.len()
    }

    /// Indexes of images with the names of their tags.
    pub fn of_class(
        &self,
        storage_class: StorageClass,
    ) -> impl Iterator<Item = (usize, impl Iterator<Item = &str> + Clone)> {
        let heads = match storage_class {
            StorageClass::Standard => &self.standard,
            StorageClass::Archive => &self.archive,
        };
        heads.iter().map(|head| (head.image, self.names_at(head.tags.clone())))
    }

    fn add_name(&mut self, name: &str) {
        let start = self.text.len();
        self.text.push_str(name);
        self.names.push(start..self.text.len());
    }

    fn names_at(&self, places: Range<usize>) -> impl Iterator<Item = &str> + Clone {
        self.names.get(places).unwrap_or_default().iter().filter_map(|place| self.text.get(place.clone()))
    }
}
