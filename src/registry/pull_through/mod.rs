//! Repositories of upstreams: manifests, blobs, tags and referrers that other registries own.
//!
//! It decides whether what is kept may be served, and asks upstream through the cache for the rest.

mod blobs;
mod freshness;
mod kept;
mod listings;
mod manifests;
mod perishable;
mod refresher;
mod rights;
mod single_flight;
mod tag_list;
mod trim;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use self::kept::Kept;
use self::listings::ListQuestion;
use self::manifests::TagQuestion;
use self::perishable::Perishables;
use super::names::Repository;
use crate::cache::BlobCache;
use crate::memory;
use crate::meta::Meta;
use crate::telemetry::Metrics;

pub(super) struct PullThrough {
    kept: Arc<Kept>,
    tags: Arc<Perishables<TagQuestion>>,
    lists: Arc<Perishables<ListQuestion>>,
    tasks: TaskTracker,
}

impl PullThrough {
    pub(super) fn new(cache: BlobCache, meta: Meta, metrics: Metrics) -> Self {
        let tasks = TaskTracker::new();
        Self {
            kept: Arc::new(Kept::new(cache, meta, metrics, tasks.clone())),
            tags: Arc::new(Perishables::new(memory::Kind::Tags, tasks.clone())),
            lists: Arc::new(Perishables::new(memory::Kind::Lists, tasks.clone())),
            tasks,
        }
    }

    /// What is in memory is asked of the database again: some of it was deleted.
    pub(super) fn forget_all(&self) {
        self.kept.forget_all();
        self.tags.forget_all();
        self.lists.forget_all();
    }

    /// Waits for questions under way, so that their answers are written down.
    pub(super) async fn close(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
