//! Whoever writes announces what kind of thing changed, and whoever remembers such things forgets them.
//!
//! With PostgreSQL an announcement is a notification: the database delivers it when the transaction commits, to every replica, the
//! one that wrote included (`listener.rs`). With SQLite it is passed on within the process, after the commit. Only kinds are
//! announced, never what changed, and kinds are counted: a subscriber that was busy sees what changed meanwhile, each kind once,
//! and there is no queue that could grow or overflow.
//!
//! Announcements can be lost, with a connection or a process. What is remembered therefore also expires by itself.

use tokio::sync::watch;

/// Kinds of things that are remembered in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Users and roles, their keys and passwords, and what their own policies say.
    Principals,
    /// Policies and tags of repositories, policies of registries, and how far these reach.
    Policies,
    /// Pull-through rules.
    Rules,
    /// Principals whose pulls do not count as use.
    Exclusions,
    /// What was kept of repositories of upstreams, where somebody deleted it.
    Pulled,
    /// Jobs that can be taken.
    Jobs,
}

/// How often things of each kind changed, in the order of [`Change::ALL`].
type Counts = [u64; Change::ALL.len()];

/// Where announcements arrive. Cheap to clone.
#[derive(Clone)]
pub(super) struct Announcements(watch::Sender<Counts>);

/// What changes from the moment on that it was asked for. A clone has seen what this one has.
#[derive(Clone)]
pub struct Changes {
    counts: watch::Receiver<Counts>,
    seen: Counts,
}

impl Change {
    pub const ALL: [Self; 6] =
        [Self::Principals, Self::Policies, Self::Rules, Self::Exclusions, Self::Pulled, Self::Jobs];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Principals => "principals",
            Self::Policies => "policies",
            Self::Rules => "rules",
            Self::Exclusions => "exclusions",
            Self::Pulled => "pulled",
            Self::Jobs => "jobs",
        }
    }

    /// What a notification says. One that a newer version sends may mean anything.
    pub(super) fn announced(payload: &str) -> Vec<Self> {
        match Self::ALL.into_iter().find(|change| change.name() == payload) {
            Some(change) => vec![change],
            None => Self::ALL.to_vec(),
        }
    }
}

impl Announcements {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Counts::default()))
    }

    pub(super) fn pass_on(&self, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        self.0.send_modify(|counts| {
            for (_, count) in Change::ALL.iter().zip(counts).filter(|(change, _)| changes.contains(change)) {
                *count += 1;
            }
        });
    }

    pub(super) fn subscribe(&self) -> Changes {
        let mut counts = self.0.subscribe();
        let seen = *counts.borrow_and_update();
        Changes { counts, seen }
    }
}

impl Changes {
    /// Waits until something has changed, and says what: each kind once, however often it changed. Nothing is lost when the wait is
    /// given up.
    pub async fn next(&mut self) -> Vec<Change> {
        if self.counts.changed().await.is_err() {
            // Nobody is left who could announce anything.
            std::future::pending::<()>().await;
        }
        let now = *self.counts.borrow_and_update();
        let before = std::mem::replace(&mut self.seen, now);
        let kinds = Change::ALL.into_iter().zip(before.into_iter().zip(now));
        kinds.filter(|(_, (before, now))| before != now).map(|(change, _)| change).collect()
    }

    /// Waits until things of this kind have changed.
    pub async fn next_of(&mut self, change: Change) {
        while !self.next().await.contains(&change) {}
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn kinds_keep_their_names() {
        for change in Change::ALL {
            assert_eq!(Change::announced(change.name()), [change]);
        }
        for foreign in ["", "tomorrow", "policies "] {
            assert_eq!(Change::announced(foreign), Change::ALL, "{foreign:?}");
        }
    }

    #[test]
    fn a_busy_subscriber_sees_each_kind_once() {
        let announcements = Announcements::new();
        announcements.pass_on(&[Change::Principals]);
        let mut changes = announcements.subscribe();
        assert_eq!(changes.next().now_or_never(), None, "that was before");
        for _ in 0..100_000 {
            announcements.pass_on(&[Change::Exclusions]);
            announcements.pass_on(&[Change::Policies]);
        }
        assert_eq!(changes.next().now_or_never(), Some(vec![Change::Policies, Change::Exclusions]));
        announcements.pass_on(&[]);
        assert_eq!(changes.next().now_or_never(), None);
        announcements.pass_on(&Change::ALL);
        assert_eq!(changes.next().now_or_never(), Some(Change::ALL.to_vec()));
        announcements.pass_on(&[Change::Policies]);
        assert_eq!(changes.next_of(Change::Rules).now_or_never(), None);
        announcements.pass_on(&[Change::Rules]);
        assert_eq!(changes.next_of(Change::Rules).now_or_never(), Some(()));
        drop(announcements);
        assert_eq!(changes.next().now_or_never(), None);
    }
}
