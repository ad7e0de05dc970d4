//! When images were last pulled, and whose pulls do not count.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Hosted, Inner, lock};
use crate::memory::{self, Map};
use crate::meta::{DocumentKind, Meta, RepositoryId, now_ms};
use crate::oci::{AccountId, Digest};

/// A change of the exclusions that was not announced is seen after this.
const REMEMBERED: Duration = Duration::from_secs(5);

/// How long a client waits for that.
const PATIENCE: Duration = Duration::from_millis(100);

/// Rows of one transaction: others wait for it with SQLite.
const BATCH_ROWS: usize = 500;

/// ECR's limit.
pub const MAX_EXCLUSIONS: u32 = 100;

pub(super) struct Pulls {
    /// Since the last flush.
    times: Mutex<HashMap<(RepositoryId, Digest), i64>>,
    /// Counts changes of the exclusions.
    changes: AtomicU64,
    /// Principals whose pulls leave no trace, such as scanners, by the count that they were asked for at.
    excluded: Map<(u64, AccountId), Arc<HashSet<String>>>,
    asking: tokio::sync::Mutex<()>,
}

impl Pulls {
    pub(super) fn new() -> Self {
        let excluded = Map::expiring(memory::Kind::Exclusions, REMEMBERED, |_, names: &Arc<HashSet<String>>| {
            names.iter().map(|name| size_of::<String>() + name.len()).sum()
        });
        Self { times: Mutex::default(), changes: AtomicU64::new(0), excluded, asking: tokio::sync::Mutex::default() }
    }

    pub(super) fn forget(&self, repository: RepositoryId) {
        lock(&self.times).retain(|(of, _), _| *of != repository);
    }

    /// `None` where it has to be asked.
    fn is_known_excluded(&self, account: AccountId, principal: &str) -> Option<bool> {
        let excluded = self.excluded.get(&(self.changes.load(Ordering::Acquire), account))?;
        let is_excluded = !excluded.is_empty()
            && (excluded.contains(principal) || role(principal).is_some_and(|role| excluded.contains(&role)));
        Some(is_excluded)
    }

    /// One question at a time, whoever waits.
    async fn is_excluded(&self, meta: &Meta, account: AccountId, principal: &str) -> bool {
        let _turn = self.asking.lock().await;
        if let Some(known) = self.is_known_excluded(account, principal) {
            return known;
        }
        let key = (self.changes.load(Ordering::Acquire), account);
        let rows = meta.documents(account, DocumentKind::PullTimeExclusion, None, MAX_EXCLUSIONS).await;
        // While the database is away nobody waits for it again.
        let rows = rows.unwrap_or_else(|error| {
            if error.unavailable().is_none() {
                tracing::warn!(%error, "it is not known whose pulls do not count");
            }
            Vec::new()
        });
        self.excluded.insert(key, Arc::new(rows.into_iter().map(|row| row.name).collect()));
        self.is_known_excluded(account, principal).unwrap_or_default()
    }
}

impl Hosted {
    /// A client got the image.
    pub(in crate::registry) async fn note_pull(
        &self,
        account: AccountId,
        repository: RepositoryId,
        digest: Digest,
        principal: &str,
    ) {
        let note = move |inner: &Inner| {
            lock(&inner.pulls.times).insert((repository, digest), now_ms());
        };
        match self.inner.pulls.is_known_excluded(account, principal) {
            Some(true) => {}
            Some(false) => note(&self.inner),
            None => {
                let (inner, meta, principal) = (self.inner.clone(), self.meta.clone(), principal.to_owned());
                let asked = self.inner.tasks.spawn(async move {
                    if !inner.pulls.is_excluded(&meta, account, &principal).await {
                        note(&inner);
                    }
                });
                // It goes on behind the answer.
                let _ = tokio::time::timeout(PATIENCE, asked).await;
            }
        }
    }

    /// When the manifest was pulled, if that was since pulls were last written down.
    pub(in crate::registry) fn recent_pull_ms(&self, repository: RepositoryId, digest: Digest) -> Option<i64> {
        lock(&self.inner.pulls.times).get(&(repository, digest)).copied()
    }

    /// The exclusions are others now.
    pub fn exclusions_changed(&self) {
        self.inner.pulls.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Writes down when manifests were pulled.
    pub async fn flush_pulls(&self) {
        let times = std::mem::take(&mut *lock(&self.inner.pulls.times));
        let mut pulls: Vec<_> = times.into_iter().map(|((repository, digest), at)| (repository, digest, at)).collect();
        // Replicas that write the same rows in the same order never wait for each other in a circle.
        pulls.sort_unstable();
        for batch in pulls.chunks(BATCH_ROWS) {
            if let Err(error) = self.meta.put_pulls(batch).await {
                tracing::warn!(%error, "times of pulls were not written; they are written later");
                let mut times = lock(&self.inner.pulls.times);
                for (repository, digest, at) in batch {
                    let time = times.entry((*repository, *digest)).or_insert(*at);
                    *time = (*time).max(*at);
                }
            }
        }
    }
}

/// The role that a session is in: `arn:aws:sts::A:assumed-role/R/S` is in `arn:aws:iam::A:role/R`.
fn role(session: &str) -> Option<String> {
    let (account, entity) = session.strip_prefix("arn:aws:sts::")?.split_once(':')?;
    let (role, _) = entity.strip_prefix("assumed-role/")?.split_once('/')?;
    Some(format!("arn:aws:iam::{account}:role/{role}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whose_pulls_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta::open(&folder.path().join("x.db")).await.unwrap();
        let [account, other] = ["111111111111", "222222222222"].map(|text| text.parse::<AccountId>().unwrap());
        for arn in ["arn:aws:iam::111111111111:user/scanner", "arn:aws:iam::111111111111:role/scan"] {
            meta.add_document(account, DocumentKind::PullTimeExclusion, arn, "{}", 1).await.unwrap();
        }
        let pulls = Pulls::new();
        for (account, principal, expected) in [
            (account, "arn:aws:iam::111111111111:user/scanner", true),
            (account, "arn:aws:sts::111111111111:assumed-role/scan/nightly", true),
            (account, "arn:aws:sts::111111111111:assumed-role/scanner/x", false),
            (account, "arn:aws:iam::111111111111:user/scan", false),
            (account, "anonymous", false),
            (other, "arn:aws:iam::111111111111:user/scanner", false),
        ] {
            assert_eq!(pulls.is_excluded(&meta, account, principal).await, expected, "{account} {principal}");
        }
    }
}
