//! Repositories of one's own: what was pushed here.
//!
//! Bytes of blobs are in the depot (files here, or a bucket), all facts are in `meta`; manifests are small and lie with the facts, so that a manifest, what
//! it refers to and its tags change in one transaction. A blob is acknowledged when its file is durable and the database
//! knows it, in this order (`uploads/`); it goes when nobody has needed it for a while (`reclaim.rs`).

mod bare;
mod blobs;
mod manifests;
mod mutability;
mod pulled;
mod pulled_room;
mod pulls;
mod quota;
mod reclaim;
mod referrers;
mod remembered;
mod scrub;
mod tags;
mod uploads;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::task::TaskTracker;

use self::pulled_room::PulledRoom;
use self::pulls::Pulls;
use self::quota::{Quotas, Taken};
use self::remembered::Remembered;
use self::uploads::Sessions;
use super::error::Error;
use super::templates;
use crate::cache::BlobCache;
use crate::config::{AccountSettings, HostedSettings};
use crate::ecr::AppliedFor;
use crate::meta::{Meta, RepositoryId, RepositoryRow, RepositorySettings, now_ms};
use crate::oci::{AccountId, QualifiedName, RepositoryName};
use crate::storage::{Depot, joined};
use crate::telemetry::Metrics;
use crate::turns::Asker;

pub(super) use self::manifests::Deletion;
pub(super) use self::mutability::{of_repository, stored};
pub(super) use self::pulled::{PulledManifest, Puller};
pub(super) use self::pulls::MAX_EXCLUSIONS;
pub use self::quota::Exceeded;
pub use self::reclaim::{ReclaimPosition, Reclaimed};
pub(super) use self::referrers::no_referrers;
pub use self::scrub::{ScrubPosition, Scrubbed};
pub(super) use self::uploads::Client as UploadClient;

/// Cheap to clone.
#[derive(Clone)]
pub struct Hosted {
    inner: Arc<Inner>,
    /// In the turns of whoever asks.
    meta: Meta,
}

struct Inner {
    depot: Depot,
    /// In front of a bucket.
    cache: BlobCache,
    settings: HostedSettings,
    metrics: Metrics,
    remembered: Remembered,
    /// Uploads that this process goes on with.
    uploads: Sessions,
    pulls: Pulls,
    pulled_room: PulledRoom,
    quotas: Arc<Quotas>,
    tasks: TaskTracker,
}

/// A repository of one's own.
#[derive(Clone, Debug)]
pub(super) struct Repository {
    id: RepositoryId,
    account: AccountId,
    name: RepositoryName,
}

impl Repository {
    /// One that is pulled through, for reading what is known of it.
    pub(super) fn of_row(account: AccountId, row: &RepositoryRow) -> Self {
        Self { id: row.id, account, name: row.name.clone() }
    }

    pub(super) fn account(&self) -> AccountId {
        self.account
    }

    pub(super) fn qualified(&self) -> QualifiedName {
        QualifiedName::new(self.account, self.name.clone())
    }
}

impl Hosted {
    pub(super) fn new(
        depot: Depot,
        cache: BlobCache,
        meta: Meta,
        settings: HostedSettings,
        accounts: &[AccountSettings],
        metrics: Metrics,
    ) -> Self {
        let quotas = Arc::new(Quotas::new(meta.clone(), &settings, accounts));
        let remembered = Remembered::new(!meta.is_shared());
        let inner = Inner {
            depot,
            cache,
            settings,
            metrics,
            remembered,
            uploads: Sessions::default(),
            pulls: Pulls::new(),
            pulled_room: PulledRoom::new(),
            quotas,
            tasks: TaskTracker::new(),
        };
        Self { inner: Arc::new(inner), meta }
    }

    /// The same, with what is written down in the turns of `asker`.
    pub(super) fn on_behalf_of(&self, asker: Asker) -> Self {
        Self { inner: self.inner.clone(), meta: self.meta.on_behalf_of(asker) }
    }

    pub(super) async fn repository(&self, name: &QualifiedName) -> Result<Option<Repository>, Error> {
        let meta = &self.meta;
        let id = self.inner.remembered.repository(name, || meta.repository(name)).await?;
        Ok(id.map(|id| Repository { id, account: name.account, name: name.name.clone() }))
    }

    /// Room for a repository that is about to be made.
    pub(super) async fn take_repository(&self, account: AccountId) -> Result<Taken, Error> {
        self.inner.quotas.take_repository(account).await
    }

    pub(super) fn repository_was_made(&self) {
        self.inner.remembered.repository_was_made();
    }

    pub(super) fn repository_is_gone(&self, id: RepositoryId) {
        self.inner.remembered.repository_was_made();
        self.inner.remembered.changed(id);
        self.inner.pulls.forget(id);
    }

    /// Makes a repository where pushing may make one: anywhere, or where a template is for it, which says how it is set up. `None` if
    /// somebody else was faster.
    pub(super) async fn make_repository(&self, name: QualifiedName) -> Result<Option<Repository>, Error> {
        let meta = &self.meta;
        let settings = match templates::settings_for(meta, &name, AppliedFor::CreateOnPush).await? {
            Some(settings) => settings,
            None if self.inner.settings.create_on_push => RepositorySettings::default(),
            None => return Err(Error::NotCreated(name.name)),
        };
        let _room = self.inner.quotas.take_repository(name.account).await?;
        let id = meta.add_repository(&name, None, &settings, now_ms()).await?;
        self.inner.remembered.repository_was_made();
        match id {
            Some(id) => Ok(Some(Repository { id, account: name.account, name: name.name })),
            None => match meta.repository_row(&name).await? {
                Some(RepositoryRow { upstream: Some(upstream), .. }) => {
                    Err(Error::Leftover { repository: name.name, upstream })
                }
                _ => Ok(None),
            },
        }
    }

    /// Lets what is being written come to its end.
    pub(super) async fn close(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.flush_pulls().await;
    }

    /// Carries on even if whoever asked has left, so that what was begun on disk and in the database is brought to an end.
    async fn carry_out<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        joined(self.inner.tasks.spawn(work).await).await
    }
}

/// What a panic under one of these locks leaves is whole: they are held for one operation on a map.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
