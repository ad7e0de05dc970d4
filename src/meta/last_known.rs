//! What PostgreSQL said last, for as long as it cannot be asked.
//!
//! Only what a pull needs is kept: repositories, manifests, links to blobs, users, roles and what policies say. It is used for nothing
//! else than to answer while the database is not there, and no longer than `meta.last_known` after it was said. Whatever is changed here,
//! or announced by another replica, is forgotten: what is not known for sure is not answered.
//!
//! An answer is kept under the counts of changes that its question was asked at, so that one which was on its way while something
//! changed is never believed.

use std::any::Any;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::changes::Change;
use crate::memory::{Kind, Map};

/// Counts of changes: topics that share one are forgotten together.
const TOPICS: usize = 4096;

/// Something that answers are about, and that can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Topic(usize);

/// A question, by a text that no other question has.
pub(super) struct Question {
    key: String,
    topics: [Topic; 2],
}

/// An answer that is kept.
pub(super) trait Fact: Clone + Send + Sync + 'static {
    /// Whether it is one that may be given later. "There is none" often is not.
    fn is_kept(&self) -> bool;
    /// Bytes in memory, about.
    fn bytes(&self) -> usize;
    /// Manifests have a limit of their own.
    const IS_MANIFEST: bool = false;
}

/// Cheap to clone. `None` keeps nothing.
#[derive(Clone)]
pub(super) struct LastKnown(Option<Arc<Inner>>);

struct Inner {
    changes: Box<[AtomicU64]>,
    manifests: Map<String, Entry>,
    facts: Map<String, Entry>,
}

#[derive(Clone)]
struct Entry {
    asked_at: [u64; 2],
    /// Of the fact.
    bytes: usize,
    fact: Arc<dyn Any + Send + Sync>,
}

impl Topic {
    /// Users and roles.
    pub(super) const PRINCIPALS: Self = Self(0);
    /// Policies of repositories and registries.
    pub(super) const POLICIES: Self = Self(1);

    pub(super) fn of(kind: &'static str, which: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (kind, which).hash(&mut hasher);
        Self(2 + usize::try_from(hasher.finish() % (TOPICS as u64 - 2)).unwrap_or_default())
    }

    /// What an announcement is about.
    pub(super) fn of_change(change: Change) -> Option<Self> {
        match change {
            Change::Principals => Some(Self::PRINCIPALS),
            Change::Policies => Some(Self::POLICIES),
            Change::Rules | Change::Exclusions | Change::Pulled | Change::Jobs => None,
        }
    }
}

impl Question {
    pub(super) fn new(key: String, one: Topic, other: Topic) -> Self {
        Self { key, topics: [one, other] }
    }
}

impl LastKnown {
    pub(super) const fn nothing() -> Self {
        Self(None)
    }

    pub(super) fn within(bound: Duration) -> Self {
        if bound.is_zero() {
            return Self::nothing();
        }
        let map = |kind| Map::expiring(kind, bound, |key: &String, entry: &Entry| key.len() + entry.bytes);
        Self(Some(Arc::new(Inner {
            changes: (0..TOPICS).map(|_| AtomicU64::new(0)).collect(),
            manifests: map(Kind::LastManifests),
            facts: map(Kind::LastFacts),
        })))
    }

    /// The counts of changes, to be taken before the question is asked.
    pub(super) fn counts(&self, question: &Question) -> [u64; 2] {
        self.0.as_ref().map_or([0, 0], |inner| question.topics.map(|topic| inner.count(topic).load(Ordering::Acquire)))
    }

    pub(super) fn put<T: Fact>(&self, question: Question, asked_at: [u64; 2], fact: &T) {
        let Some(inner) = &self.0 else { return };
        if fact.is_kept() {
            let entry = Entry { asked_at, bytes: fact.bytes(), fact: Arc::new(fact.clone()) };
            inner.kept::<T>().insert(question.key, entry);
        } else {
            inner.kept::<T>().remove(&question.key);
        }
    }

    pub(super) fn get<T: Fact>(&self, question: &Question) -> Option<T> {
        let entry = self.0.as_ref()?.kept::<T>().get(&question.key)?;
        let is_good = entry.asked_at == self.counts(question);
        entry.fact.downcast_ref::<T>().filter(|_| is_good).cloned()
    }

    pub(super) fn forget(&self, topic: Topic) {
        if let Some(inner) = &self.0 {
            inner.count(topic).fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Inner {
    fn count(&self, Topic(at): Topic) -> &AtomicU64 {
        // A topic is below their number.
        self.changes.get(at).unwrap_or_else(|| unreachable!("topic {at}"))
    }

    fn kept<T: Fact>(&self) -> &Map<String, Entry> {
        if T::IS_MANIFEST { &self.manifests } else { &self.facts }
    }
}

/// Forgets when it is dropped: after a transaction has ended, however it did.
pub(super) struct Forgets {
    pub(super) last_known: LastKnown,
    pub(super) topics: Vec<Topic>,
}

impl Drop for Forgets {
    fn drop(&mut self) {
        for topic in &self.topics {
            self.last_known.forget(*topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Fact for Option<u8> {
        fn is_kept(&self) -> bool {
            self.is_some()
        }
        fn bytes(&self) -> usize {
            1
        }
    }

    fn question(key: &str) -> Question {
        Question::new(key.to_owned(), Topic::of("repository", 1), Topic::of("tag", (1, "latest")))
    }

    fn ask(known: &LastKnown, answer: Option<u8>) {
        let counts = known.counts(&question("a"));
        known.put(question("a"), counts, &answer);
    }

    #[test]
    fn what_changed_is_not_believed() {
        let known = LastKnown::within(Duration::from_secs(60));
        let get = || known.get::<Option<u8>>(&question("a")).flatten();
        for topic in [Topic::of("repository", 1), Topic::of("tag", (1, "latest"))] {
            ask(&known, Some(1));
            assert_eq!(get(), Some(1));
            known.forget(Topic::PRINCIPALS);
            assert_eq!(get(), Some(1));
            known.forget(topic);
            assert_eq!(get(), None);
        }
        ask(&known, Some(1));
        drop(Forgets { last_known: known.clone(), topics: vec![Topic::of("repository", 1)] });
        assert_eq!(get(), None);
    }

    /// An answer that was on its way while something changed is of before.
    #[test]
    fn a_late_answer_is_not_believed() {
        let known = LastKnown::within(Duration::from_secs(60));
        let counts = known.counts(&question("a"));
        known.forget(Topic::of("repository", 1));
        known.put(question("a"), counts, &Some(1_u8));
        assert_eq!(known.get::<Option<u8>>(&question("a")), None);
    }

    #[test]
    fn what_is_gone_is_not_known() {
        let known = LastKnown::within(Duration::from_secs(60));
        ask(&known, Some(1));
        ask(&known, None);
        assert_eq!(known.get::<Option<u8>>(&question("a")), None);
        let off = LastKnown::within(Duration::ZERO);
        ask(&off, Some(1));
        assert_eq!(off.get::<Option<u8>>(&question("a")), None);
    }
}
