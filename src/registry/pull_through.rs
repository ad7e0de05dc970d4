//! The registry: everything it needs, and the one way in.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::task::TaskTracker;

use super::answer::{Answer, Body};
use super::error::Error;
use super::kept::Kept;
use super::listings::ListQuestion;
use super::manifests::TagQuestion;
use super::names::{Names, Repository};
use super::perishable::Perishables;
use crate::action::{Action, Page, RequestedName};
use crate::cache::BlobCache;
use crate::meta::Meta;
use crate::policy::Permit;
use crate::telemetry::Metrics;
use crate::upstream::Upstream;

/// Answers in memory of what tags mean.
const MAX_TAGS: u64 = 100_000;

/// Lists in memory; they can be large.
const MAX_LISTS: u64 = 1_000;

/// Entries of one page of a list where the client names no number.
pub(super) const PAGE_ENTRIES: u32 = 10_000;

/// Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    names: ArcSwap<Names>,
    pub(super) kept: Arc<Kept>,
    pub(super) tags: Arc<Perishables<TagQuestion>>,
    pub(super) lists: Arc<Perishables<ListQuestion>>,
    tasks: TaskTracker,
}

impl Registry {
    pub fn new(names: Names, cache: BlobCache, meta: Meta, metrics: Metrics) -> Self {
        let tasks = TaskTracker::new();
        let shared = Shared {
            names: ArcSwap::from_pointee(names),
            kept: Arc::new(Kept::new(cache, meta, metrics, tasks.clone())),
            tags: Arc::new(Perishables::new(MAX_TAGS, tasks.clone())),
            lists: Arc::new(Perishables::new(MAX_LISTS, tasks.clone())),
            tasks,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Carries out what was permitted.
    pub async fn answer(&self, permit: Permit) -> Result<Answer, Error> {
        match permit.into_action() {
            Action::Ping => Ok(Answer::of(Body::Pong)),
            Action::ListRepositories { page } => self.list_repositories(&page).await,
            Action::ListTags { name, page } => self.list_tags(self.resolve(&name)?, &name, &page).await,
            Action::ReadManifest { name, reference, accept, want } => {
                self.read_manifest(self.resolve(&name)?, reference, accept, want).await
            }
            Action::ReadBlob { name, digest, want } => self.read_blob(self.resolve(&name)?, digest, want).await,
            Action::ListReferrers { name, subject, artifact_type } => {
                self.list_referrers(self.resolve(&name)?, subject, artifact_type.as_deref()).await
            }
            Action::PushManifest { name }
            | Action::PushBlob { name }
            | Action::DeleteManifest { name }
            | Action::DeleteBlob { name } => {
                let repository = self.resolve(&name)?;
                let upstream = repository.upstream.name().to_string();
                Err(Error::ReadOnly { repository: repository.local, upstream })
            }
        }
    }

    /// Puts other upstreams in place. Requests under way end with those that they began with.
    pub fn apply(&self, names: Names) {
        self.shared.names.store(Arc::new(names));
    }

    pub fn upstreams(&self) -> Vec<Arc<Upstream>> {
        self.shared.names.load().upstreams().to_vec()
    }

    /// Waits for questions under way, so that their answers are written down.
    pub async fn close(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    fn resolve(&self, name: &RequestedName) -> Result<Repository, Error> {
        Ok(self.shared.names.load().resolve(name)?)
    }

    async fn list_repositories(&self, page: &Page) -> Result<Answer, Error> {
        let count = page.n.unwrap_or(PAGE_ENTRIES).min(PAGE_ENTRIES);
        let mut names = self.shared.kept.meta.repositories(page.last.as_deref(), count.saturating_add(1)).await?;
        let more = count > 0 && names.len() > count as usize;
        names.truncate(count as usize);
        Ok(Answer::of(Body::Repositories { names, more }))
    }
}

impl Answer {
    pub(super) fn of(body: Body) -> Self {
        Self { body, upstream: None, outcome: None, staleness: None }
    }
}
