//! A map that remembers as much as its share holds, the latest uses.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::kind::Kind;

/// What an entry costs beside its key, its value and what these point to: hash table, two queues, counts. Measured.
const OVERHEAD_BYTES: usize = 320;

/// What must go is let go a few hundred entries at a time.
const ROUNDS: usize = 64;

/// Remembers until others need the room, until the lifetime is over, or until it is told to forget. What was inserted last is always
/// kept, unless it is larger than the share. Cheap to clone.
#[derive(Clone)]
pub struct Map<K, V> {
    kept: Cache<K, Weighed<V>>,
    limit: u64,
    held: Arc<Held>,
    /// Bytes that a key and a value point to.
    beyond: fn(&K, &V) -> usize,
}

#[derive(Clone)]
struct Weighed<V> {
    value: V,
    bytes: u32,
}

/// Bytes of one map, and of all of its kind.
struct Held {
    own: AtomicU64,
    all: Option<&'static AtomicU64>,
}

impl<K, V> Map<K, V>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// `beyond` tells the bytes that a key and a value point to: lengths of texts, mostly.
    pub fn new(kind: Kind, beyond: fn(&K, &V) -> usize) -> Self {
        Self::build(kind, None, beyond)
    }

    /// As [`Self::new`], forgetting each entry `lifetime` after it was inserted.
    pub fn expiring(kind: Kind, lifetime: Duration, beyond: fn(&K, &V) -> usize) -> Self {
        Self::build(kind, Some(lifetime), beyond)
    }

    fn build(kind: Kind, lifetime: Option<Duration>, beyond: fn(&K, &V) -> usize) -> Self {
        let limit = kind.limit();
        let held = Arc::new(Held { own: AtomicU64::new(0), all: kind.held() });
        let gone = held.clone();
        let mut builder = Cache::builder()
            .max_capacity(limit)
            .weigher(|_: &K, weighed: &Weighed<V>| weighed.bytes)
            // Newcomers are kept, however many come: what was found out is looked up again at once.
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |_, weighed: Weighed<V>, _| gone.sub(weighed.bytes));
        if let Some(lifetime) = lifetime {
            builder = builder.time_to_live(lifetime);
        }
        Self { kept: builder.build(), limit, held, beyond }
    }

    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.kept.get(key).map(|weighed| weighed.value)
    }

    pub fn contains_key(&self, key: &K) -> bool {
        self.kept.contains_key(key)
    }

    /// Remembers it, and forgets what was used least lately if there is no room for it. One that is larger than the share is not remembered,
    /// nor is what was remembered under its key.
    pub fn insert(&self, key: K, value: V) {
        let size = size_of::<K>() + size_of::<Weighed<V>>() + OVERHEAD_BYTES;
        let bytes = size.saturating_add((self.beyond)(&key, &value));
        let Some(bytes) = u32::try_from(bytes).ok().filter(|bytes| u64::from(*bytes) <= self.limit) else {
            self.kept.invalidate(&key);
            return;
        };
        self.held.add(bytes);
        self.kept.insert(key, Weighed { value, bytes });
        // The cache beneath counts and evicts now and then; here what comes makes room before more comes.
        for _ in 0..ROUNDS {
            if self.held.own.load(Ordering::Relaxed) <= self.limit {
                break;
            }
            self.kept.run_pending_tasks();
        }
    }

    pub fn remove(&self, key: &K) {
        self.kept.invalidate(key);
    }

    pub fn clear(&self) {
        self.kept.invalidate_all();
        self.kept.run_pending_tasks();
    }

    /// What there is, in no order.
    pub fn values(&self) -> impl Iterator<Item = V> {
        self.kept.iter().map(|(_, weighed)| weighed.value)
    }
}

impl Held {
    fn add(&self, bytes: u32) {
        self.own.fetch_add(u64::from(bytes), Ordering::Relaxed);
        if let Some(all) = self.all {
            all.fetch_add(u64::from(bytes), Ordering::Relaxed);
        }
    }

    fn sub(&self, bytes: u32) {
        self.own.fetch_sub(u64::from(bytes), Ordering::Relaxed);
        if let Some(all) = self.all {
            all.fetch_sub(u64::from(bytes), Ordering::Relaxed);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(all) = self.all {
            all.fetch_sub(*self.own.get_mut(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Map<u32, Arc<str>> {
        // Of an upstream, so that no other test has a part in the counts of this one.
        Map::new(Kind::Helpers, |_, text| text.len())
    }

    fn held(map: &Map<u32, Arc<str>>) -> u64 {
        map.held.own.load(Ordering::Relaxed)
    }

    /// At every moment, whatever sizes come in whatever order.
    #[test]
    fn t15_a_map_never_holds_more_than_its_share() {
        let map = texts();
        for n in 0..20_000u32 {
            let text = "x".repeat((n as usize * 97) % 50_000 / (1 + n as usize % 50));
            map.insert(n % 3_000, text.as_str().into());
            assert!(held(&map) <= map.limit, "{n}: {}", held(&map));
            assert_eq!(map.get(&(n % 3_000)).as_deref(), Some(text.as_str()), "what came last is there");
        }
        assert!(held(&map) > map.limit / 2);
    }

    #[test]
    fn t15_one_that_is_larger_than_the_share_is_not_remembered_nor_what_was_before_it() {
        let map = texts();
        map.insert(1, "small".into());
        map.insert(2, "other".into());
        map.insert(1, "x".repeat(128 << 10).as_str().into());
        assert_eq!(map.get(&1), None);
        assert_eq!(map.get(&2).as_deref(), Some("other"));
    }

    #[test]
    fn t15_what_is_forgotten_counts_no_more() {
        let map = texts();
        for n in 0..100 {
            map.insert(n, "x".repeat(200).as_str().into());
        }
        let full = held(&map);
        map.remove(&7);
        map.insert(8, "".into());
        map.kept.run_pending_tasks();
        assert!(held(&map) < full - 300);
        map.clear();
        assert_eq!((held(&map), map.values().count()), (0, 0));
        map.insert(1, "x".into());
        let all = map.held.all.unwrap();
        assert!(all.load(Ordering::Relaxed) > 0);
    }

    #[test]
    fn forgets_when_the_lifetime_is_over() {
        let map = Map::expiring(Kind::Distrusted, Duration::from_millis(1), |_: &u32, (): &()| 0);
        map.insert(1, ());
        while map.contains_key(&1) {
            std::thread::yield_now();
        }
    }
}
