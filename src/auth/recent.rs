//! Remembering for moments, under a hash that nobody outside can foretell.

use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

use crate::memory::{self, Map};

/// What was found out a moment ago. Keys are not kept, only 128 bits of keyed hashes of them: whoever reads the memory finds no
/// credential, and nobody can make two of them meet.
pub struct Recent<V: Clone + Send + Sync + 'static> {
    keys: [RandomState; 2],
    known: Map<(u64, u64), V>,
}

impl<V: Clone + Send + Sync + 'static> Recent<V> {
    /// `beyond` tells the bytes that a value points to.
    pub fn new(kind: memory::Kind, lifetime: Duration, beyond: fn(&(u64, u64), &V) -> usize) -> Self {
        let known = Map::expiring(kind, lifetime, beyond);
        Self { keys: [RandomState::new(), RandomState::new()], known }
    }

    pub fn get<K: Hash + ?Sized>(&self, key: &K) -> Option<V> {
        self.known.get(&self.hash(key))
    }

    pub fn insert<K: Hash + ?Sized>(&self, key: &K, value: V) {
        self.known.insert(self.hash(key), value);
    }

    fn hash<K: Hash + ?Sized>(&self, key: &K) -> (u64, u64) {
        let [one, two] = &self.keys;
        (one.hash_one(key), two.hash_one(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers() {
        let recent = Recent::new(memory::Kind::Logins, Duration::from_secs(60), |_, _: &i32| 0);
        recent.insert(&("a", 1), 7);
        assert_eq!(recent.get(&("a", 1)), Some(7));
        assert_eq!(recent.get(&("a", 2)), None);
    }
}
