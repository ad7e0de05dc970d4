//! How much may be pushed, to a repository and to all of an account.
//!
//! What there is is counted by the database and remembered for moments, with what has come here since; what is on its way counts as
//! well. Several replicas together may go past a quota by what each takes in such a moment. A refusal is never given on a
//! remembered count.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Repository, lock};
use crate::config::{AccountSettings, HostedSettings};
use crate::meta::{self, Holdings, Meta, RepositoryId};
use crate::oci::{AccountId, Digest};
use crate::registry::Error;

const REMEMBERED: Duration = Duration::from_secs(10);

const MAX_REMEMBERED: u64 = 10_000;

pub(super) struct Quotas {
    meta: Meta,
    /// Of each repository.
    repository: Quota,
    accounts: HashMap<AccountId, Quota>,
    held: moka::sync::Cache<Key, Arc<Held>>,
    /// What has been let in and is not in the database yet.
    pending: Mutex<HashMap<Key, More>>,
}

/// Room that was taken, until what it was taken for is there or is not to be.
#[must_use]
pub(in crate::registry) struct Taken<'a> {
    quotas: &'a Quotas,
    of: Vec<(Key, More)>,
}

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
        let held = moka::sync::Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(REMEMBERED).build();
        let accounts = accounts.iter().map(of_account).filter(|(_, quota)| quota.is_any()).collect();
        Self { meta, repository, accounts, held, pending: Mutex::default() }
    }

    pub(super) async fn take_repository(&self, account: AccountId) -> Result<Taken<'_>, Error> {
        let mut taken = Taken { quotas: self, of: Vec::new() };
        self.check(Holder::Account(account), More { repositories: 1, ..More::default() }, Some(&mut taken)).await?;
        Ok(taken)
    }

    /// Room for a blob, which the repository may have already.
    pub(super) async fn take_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
    ) -> Result<Taken<'_>, Error> {
        if !self.is_any(repository) || self.meta.blob_link(repository.id, digest).await?.is_some() {
            return Ok(Taken { quotas: self, of: Vec::new() });
        }
        self.take(repository, More { bytes: size, ..More::default() }).await
    }

    pub(super) async fn take(&self, repository: &Repository, more: More) -> Result<Taken<'_>, Error> {
        let mut taken = Taken { quotas: self, of: Vec::new() };
        self.check(Holder::Repository(repository), more, Some(&mut taken)).await?;
        self.check(Holder::Account(repository.account), more, Some(&mut taken)).await?;
        Ok(taken)
    }

    /// Refuses bytes that would be refused when they have come.
    pub(super) async fn expect(&self, repository: &Repository, bytes: u64) -> Result<(), Error> {
        let more = More { bytes, ..More::default() };
        self.check(Holder::Repository(repository), more, None).await?;
        self.check(Holder::Account(repository.account), more, None).await
    }

    /// Whether there is a limit to what the repository may have.
    pub(super) fn is_any(&self, repository: &Repository) -> bool {
        self.repository.is_any() || self.accounts.contains_key(&repository.account)
    }

    async fn check(&self, holder: Holder<'_>, more: More, taken: Option<&mut Taken<'_>>) -> Result<(), Error> {
        let quota = match holder {
            Holder::Account(account) => self.accounts.get(&account).copied().unwrap_or_default(),
            Holder::Repository(_) => self.repository,
        };
        if !quota.is_any() {
            return Ok(());
        }
        let mut held = match self.held.get(&holder.key()) {
            Some(held) => held,
            None => self.count(holder.key()).await?,
        };
        if held.exceeding(quota, self.pending(holder.key()), more).is_some() {
            held = self.count(holder.key()).await?;
        }
        let mut all = lock(&self.pending);
        let pending = all.get(&holder.key()).copied().unwrap_or_default();
        match held.exceeding(quota, pending, more) {
            Some((kind, limit, held, more)) => {
                let (holder, key) = (holder.to_string(), holder.limit_key(kind));
                Err(Error::QuotaExceeded(Exceeded { holder, kind, key, limit, held, more }))
            }
            None => {
                if let Some(taken) = taken {
                    all.entry(holder.key()).or_default().add(more);
                    taken.of.push((holder.key(), more));
                }
                Ok(())
            }
        }
    }

    fn pending(&self, key: Key) -> More {
        lock(&self.pending).get(&key).copied().unwrap_or_default()
    }

    async fn count(&self, key: Key) -> Result<Arc<Held>, meta::Error> {
        let Holdings { repositories, images, bytes } = match key {
            Key::Account(account) => self.meta.account_holdings(account).await?,
            Key::Repository(repository) => self.meta.repository_holdings(repository).await?,
        };
        let held = Arc::new(Held {
            repositories: AtomicU64::new(repositories),
            images: AtomicU64::new(images),
            bytes: AtomicU64::new(bytes),
        });
        self.held.insert(key, held.clone());
        Ok(held)
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
impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut all = lock(&self.quotas.pending);
        for (key, more) in self.of.drain(..) {
            if let Some(held) = self.quotas.held.get(&key) {
                held.add(more);
            }
            if let Some(pending) = all.get_mut(&key) {
                pending.take_away(more);
                if pending.is_nothing() {
                    all.remove(&key);
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
