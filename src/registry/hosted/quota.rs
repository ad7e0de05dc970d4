//! How much may be pushed, to a repository and to all of an account.
//!
//! What there is is counted by the database and remembered for moments, with what has come here since; what is on its way counts as
//! well, also what uploads have brought that have not ended. Several replicas together may go past a quota by what each takes in such a
//! moment. A refusal is never given on a remembered count.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Repository, lock};
use crate::config::{AccountSettings, HostedSettings};
use crate::memory::{self, Map};
use crate::meta::{self, Holdings, Meta, RepositoryId};
use crate::oci::{AccountId, Digest};
use crate::registry::Error;

const REMEMBERED: Duration = Duration::from_secs(10);

pub(super) struct Quotas {
    meta: Meta,
    /// Of each repository.
    repository: Quota,
    accounts: HashMap<AccountId, Quota>,
    held: Map<Key, Arc<Held>>,
    under_way: Mutex<UnderWay>,
}

#[derive(Default)]
struct UnderWay {
    /// What has been let in and is not in the database yet.
    pending: HashMap<Key, More>,
    /// For each count that is being made: how many are, and what was taken off `pending` since the first of them began. The database may
    /// not have told of it.
    counting: HashMap<Key, (usize, More)>,
}

/// Room that was taken, until what it was taken for is there or is not to be.
#[must_use]
pub(in crate::registry) struct Taken {
    quotas: Arc<Quotas>,
    of: Vec<(Key, More)>,
}

/// Room for what an upload brings, as it comes.
#[derive(Default)]
pub(super) struct Room {
    taken: Option<Taken>,
    /// Bytes for which room was taken.
    bytes: u64,
    /// Bytes that need none: the repository has the blob already.
    free: u64,
}

/// Counts before a refusal, where others' uploads end while it is counted.
const COUNTS: usize = 20;

/// `None` is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Quota {
    repositories: Option<u64>,
    images: Option<u64>,
    bytes: Option<u64>,
}

/// Who holds what is counted.
#[derive(Clone, Copy)]
enum Holder<'a> {
    Account(AccountId),
    Repository(&'a Repository),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Account(AccountId),
    Repository(RepositoryId),
}

#[derive(Default)]
struct Held {
    repositories: AtomicU64,
    images: AtomicU64,
    bytes: AtomicU64,
}

/// What is to be added.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct More {
    pub(super) repositories: u64,
    pub(super) images: u64,
    pub(super) bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Repositories,
    Images,
    Bytes,
}

/// A quota that would be exceeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    holder: String,
    kind: Kind,
    /// Where the limit is set.
    key: &'static str,
    limit: u64,
    held: u64,
    more: u64,
}

impl Quotas {
    pub(super) fn new(meta: Meta, settings: &HostedSettings, accounts: &[AccountSettings]) -> Self {
        let of_account = |account: &AccountSettings| {
            let quota =
                Quota { repositories: account.max_repositories, images: account.max_images, bytes: account.max_bytes };
            (account.id, quota)
        };
        let repository =
            Quota { repositories: None, images: settings.max_repository_images, bytes: settings.max_repository_bytes };
        let held = Map::expiring(memory::Kind::Quotas, REMEMBERED, |_, _| size_of::<Held>());
        let accounts = accounts.iter().map(of_account).filter(|(_, quota)| quota.is_any()).collect();
        Self { meta, repository, accounts, held, under_way: Mutex::default() }
    }

    pub(super) async fn take_repository(self: &Arc<Self>, account: AccountId) -> Result<Taken, Error> {
        let mut taken = self.nothing();
        self.check(Holder::Account(account), More { repositories: 1, ..More::default() }, &mut taken).await?;
        Ok(taken)
    }

    /// Room for a blob, which the repository may have already.
    pub(super) async fn take_blob(
        self: &Arc<Self>,
        repository: &Repository,
        digest: &Digest,
        size: u64,
    ) -> Result<Taken, Error> {
        if !self.is_any(repository) || self.meta.blob_link(repository.id, digest).await?.is_some() {
            return Ok(self.nothing());
        }
        self.take(repository, More { bytes: size, ..More::default() }).await
    }

    pub(super) async fn take(self: &Arc<Self>, repository: &Repository, more: More) -> Result<Taken, Error> {
        let mut taken = self.nothing();
        self.check(Holder::Repository(repository), more, &mut taken).await?;
        self.check(Holder::Account(repository.account), more, &mut taken).await?;
        Ok(taken)
    }

    fn nothing(self: &Arc<Self>) -> Taken {
        Taken { quotas: self.clone(), of: Vec::new() }
    }

    /// Whether there is a limit to what the repository may have.
    pub(super) fn is_any(&self, repository: &Repository) -> bool {
        self.repository.is_any() || self.accounts.contains_key(&repository.account)
    }

    async fn check(&self, holder: Holder<'_>, more: More, taken: &mut Taken) -> Result<(), Error> {
        let quota = match holder {
            Holder::Account(account) => self.accounts.get(&account).copied().unwrap_or_default(),
            Holder::Repository(_) => self.repository,
        };
        if !quota.is_any() {
            return Ok(());
        }
        let key = holder.key();
        let mut held = match self.held.get(&key) {
            Some(held) => held,
            None => self.count(key).await?.0,
        };
        let (mut exceeding, mut is_exact) = (self.try_take(key, quota, &held, more, taken), false);
        for _ in 0..COUNTS {
            if exceeding.is_none() || is_exact {
                break;
            }
            // What others let in and did not need counts as held until the next count.
            (held, is_exact) = self.count(key).await?;
            exceeding = self.try_take(key, quota, &held, more, taken);
        }
        match exceeding {
            None => Ok(()),
            Some((kind, limit, held, more)) => {
                let (holder, key) = (holder.to_string(), holder.limit_key(kind));
                Err(Error::QuotaExceeded(Exceeded { holder, kind, key, limit, held, more }))
            }
        }
    }

    /// `None` when there was room.
    fn try_take(
        &self,
        key: Key,
        quota: Quota,
        counted: &Arc<Held>,
        more: More,
        taken: &mut Taken,
    ) -> Option<(Kind, u64, u64, u64)> {
        let mut under_way = lock(&self.under_way);
        let pending = under_way.pending.get(&key).copied().unwrap_or_default();
        // The newest count has what came to be held since.
        let held = self.held.get(&key).unwrap_or_else(|| counted.clone());
        let exceeding = held.exceeding(quota, pending, more);
        if exceeding.is_none() {
            under_way.pending.entry(key).or_default().add(more);
            taken.add(key, more);
        }
        exceeding
    }

    /// Counts anew. True when the count is exact: nothing came to be held while it was made, else that may be counted twice.
    async fn count(&self, key: Key) -> Result<(Arc<Held>, bool), meta::Error> {
        let counting = Counting::begin(self, key);
        let Holdings { repositories, images, bytes } = match key {
            Key::Account(account) => self.meta.account_holdings(account).await?,
            Key::Repository(repository) => self.meta.repository_holdings(repository).await?,
        };
        let under_way = lock(&self.under_way);
        let settled = counting.settled(&under_way);
        let held = Arc::new(Held {
            repositories: AtomicU64::new(repositories + settled.repositories),
            images: AtomicU64::new(images + settled.images),
            bytes: AtomicU64::new(bytes + settled.bytes),
        });
        self.held.insert(key, held.clone());
        drop(under_way);
        Ok((held, settled.is_nothing()))
    }
}

/// A count that is being made: what comes to be held meanwhile is noted.
struct Counting<'a> {
    quotas: &'a Quotas,
    key: Key,
    /// What had been noted before it began.
    before: More,
}

impl<'a> Counting<'a> {
    fn begin(quotas: &'a Quotas, key: Key) -> Self {
        let mut under_way = lock(&quotas.under_way);
        let (counts, settled) = under_way.counting.entry(key).or_default();
        *counts += 1;
        Self { quotas, key, before: *settled }
    }

    fn settled(&self, under_way: &UnderWay) -> More {
        let mut settled = under_way.counting.get(&self.key).map(|(_, settled)| *settled).unwrap_or_default();
        settled.take_away(self.before);
        settled
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        let mut under_way = lock(&self.quotas.under_way);
        if let Some((counts, _)) = under_way.counting.get_mut(&self.key) {
            *counts -= 1;
            if *counts == 0 {
                under_way.counting.remove(&self.key);
            }
        }
    }
}

impl Taken {
    fn add(&mut self, key: Key, more: More) {
        match self.of.iter_mut().find(|(of, _)| *of == key) {
            Some((_, taken)) => taken.add(more),
            None => self.of.push((key, more)),
        }
    }

    /// Gives so many bytes back.
    fn shrink(&mut self, bytes: u64) {
        let less = More { bytes, ..More::default() };
        let mut under_way = lock(&self.quotas.under_way);
        for (key, taken) in &mut self.of {
            taken.take_away(less);
            if let Some(pending) = under_way.pending.get_mut(key) {
                pending.take_away(less);
            }
        }
    }
}

impl Room {
    /// The upload brings a blob of so many bytes that the repository has already.
    pub(super) const fn needs_none_for(&mut self, bytes: u64) {
        self.free = bytes;
    }

    /// Room for so many bytes in all, if there is not so much already.
    pub(super) async fn reach(
        &mut self,
        quotas: &Arc<Quotas>,
        repository: &Repository,
        bytes: u64,
    ) -> Result<(), Error> {
        let bytes = bytes.saturating_sub(self.free);
        let Some(missing) = bytes.checked_sub(self.bytes).filter(|missing| *missing > 0) else { return Ok(()) };
        if !quotas.is_any(repository) {
            return Ok(());
        }
        let mut more = quotas.take(repository, More { bytes: missing, ..More::default() }).await?;
        let taken = self.taken.get_or_insert_with(|| quotas.nothing());
        for (key, more) in more.of.drain(..) {
            taken.add(key, more);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// What was announced and did not come is for others.
    pub(super) fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.saturating_sub(self.free);
        if let (Some(taken), Some(surplus)) = (&mut self.taken, self.bytes.checked_sub(bytes)) {
            taken.shrink(surplus);
            self.bytes = bytes;
        }
    }
}

impl Quota {
    const fn is_any(&self) -> bool {
        self.repositories.is_some() || self.images.is_some() || self.bytes.is_some()
    }
}

impl Holder<'_> {
    const fn key(self) -> Key {
        match self {
            Self::Account(account) => Key::Account(account),
            Self::Repository(repository) => Key::Repository(repository.id),
        }
    }

    const fn limit_key(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (_, Kind::Repositories) => "account.max_repositories",
            (Self::Account(_), Kind::Images) => "account.max_images",
            (Self::Account(_), Kind::Bytes) => "account.max_bytes",
            (Self::Repository(_), Kind::Images) => "hosted.max_repository_images",
            (Self::Repository(_), Kind::Bytes) => "hosted.max_repository_bytes",
        }
    }
}

impl fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(account) => write!(f, "account {account}"),
            Self::Repository(repository) => write!(f, "repository {}", repository.name),
        }
    }
}

impl Held {
    /// What goes past its limit: the limit, what there is, and what is to come.
    fn exceeding(&self, quota: Quota, pending: More, more: More) -> Option<(Kind, u64, u64, u64)> {
        let held = |held: &AtomicU64| held.load(Ordering::Relaxed);
        let all = [
            (
                Kind::Repositories,
                quota.repositories,
                held(&self.repositories) + pending.repositories,
                more.repositories,
            ),
            (Kind::Images, quota.images, held(&self.images) + pending.images, more.images),
            (Kind::Bytes, quota.bytes, held(&self.bytes) + pending.bytes, more.bytes),
        ];
        let exceeding = |(kind, limit, held, more): (Kind, Option<u64>, u64, u64)| {
            let limit = limit.filter(|limit| more > 0 && held.saturating_add(more) > *limit)?;
            Some((kind, limit, held, more))
        };
        all.into_iter().find_map(exceeding)
    }

    fn add(&self, more: More) {
        self.repositories.fetch_add(more.repositories, Ordering::Relaxed);
        self.images.fetch_add(more.images, Ordering::Relaxed);
        self.bytes.fetch_add(more.bytes, Ordering::Relaxed);
    }
}

impl More {
    fn add(&mut self, more: Self) {
        self.repositories += more.repositories;
        self.images += more.images;
        self.bytes += more.bytes;
    }

    fn take_away(&mut self, less: Self) {
        self.repositories -= less.repositories;
        self.images -= less.images;
        self.bytes -= less.bytes;
    }

    const fn is_nothing(self) -> bool {
        self.repositories == 0 && self.images == 0 && self.bytes == 0
    }
}

/// From here on it counts as held: if it came to nothing, until the next count.
impl Drop for Taken {
    fn drop(&mut self) {
        let mut under_way = lock(&self.quotas.under_way);
        for (key, more) in self.of.drain(..) {
            if let Some(held) = self.quotas.held.get(&key) {
                held.add(more);
            }
            if let Some((_, settled)) = under_way.counting.get_mut(&key) {
                settled.add(more);
            }
            if let Some(pending) = under_way.pending.get_mut(&key) {
                pending.take_away(more);
                if pending.is_nothing() {
                    under_way.pending.remove(&key);
                }
            }
        }
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { holder, kind, key, limit, held, more } = self;
        let what = match kind {
            Kind::Repositories => "repositories",
            Kind::Images => "images",
            Kind::Bytes => "bytes",
        };
        write!(
            f,
            "the quota of {holder} is {limit} {what} (`{key}`): it has {held}, and this is {more} more; delete what is not \
             needed, or have the quota raised"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::meta::RepositorySettings;
    use crate::oci::QualifiedName;

    /// Of many who come at once no more are let in than fit, whatever is counted meanwhile, and no fewer.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn t12_a_quota_holds_for_those_who_come_at_once() {
        crate::meta::tests::on_each(async |meta| {
            let settings = config::parse("[hosted]\nmax_repository_bytes = \"100B\"").unwrap().hosted;
            let account = "000000000000".parse().unwrap();
            for round in 0..20 {
                let quotas = Arc::new(Quotas::new(meta.clone(), &settings, &[]));
                let name: crate::oci::RepositoryName = format!("r{round}").parse().unwrap();
                let settings = RepositorySettings::default();
                let id = meta.add_repository(&QualifiedName::new(account, name.clone()), None, &settings, 1).await;
                let repository = Repository { id: id.unwrap().unwrap(), account, name };
                let push = |writer: usize| {
                    let (meta, quotas, repository) = (meta.clone(), quotas.clone(), repository.clone());
                    tokio::spawn(async move {
                        let digest = Digest::of(format!("{round} {writer}").as_bytes());
                        let Ok(room) = quotas.take_blob(&repository, &digest, 10).await else { return false };
                        meta.claim_blob(&digest, 10, 1).await.unwrap();
                        assert!(meta.link_blob(repository.id, &digest, 10, None, 1).await.unwrap());
                        drop(room);
                        true
                    })
                };
                let pushed = futures_util::future::join_all((0..24).map(push)).await;
                let pushed = pushed.into_iter().filter(|pushed| *pushed.as_ref().unwrap()).count();
                assert_eq!(pushed, 10, "round {round}");
                assert_eq!(meta.repository_holdings(repository.id).await.unwrap().bytes, 100);
                assert!(lock(&quotas.under_way).pending.is_empty() && lock(&quotas.under_way).counting.is_empty());
            }
        })
        .await;
    }

    /// T21: what uploads have brought is not free for others until they have ended.
    #[tokio::test]
    async fn t21_what_uploads_bring_counts_while_they_are_under_way() {
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta::open(&folder.path().join("x.db")).await.unwrap();
        let settings = config::parse("[hosted]\nmax_repository_bytes = \"100B\"").unwrap().hosted;
        let quotas = Arc::new(Quotas::new(meta.clone(), &settings, &[]));
        let account = "000000000000".parse().unwrap();
        let repository = Repository { id: RepositoryId::for_tests(1), account, name: "a".parse().unwrap() };
        let (mut one, mut two) = (Room::default(), Room::default());
        one.reach(&quotas, &repository, 60).await.unwrap();
        two.reach(&quotas, &repository, 40).await.unwrap();
        two.reach(&quotas, &repository, 30).await.unwrap();
        assert!(two.reach(&quotas, &repository, 41).await.is_err());
        one.shrink(50);
        two.reach(&quotas, &repository, 50).await.unwrap();
        assert!(two.reach(&quotas, &repository, 51).await.is_err());
        drop(one);
        two.reach(&quotas, &repository, 100).await.unwrap();
        drop(two);
        assert!(lock(&quotas.under_way).pending.is_empty());
    }
}
