//! What the database said, in memory, where no other process writes to it.
//!
//! Every entry is kept under the count of changes that its question was asked at. A change counts up after it is
//! committed, so an answer that was read before it is never found after it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::lock;
use crate::memory::{self, Map};
use crate::meta::{Error, ManifestRow, RepositoryId};
use crate::oci::{QualifiedName, Reference};

pub(super) struct Remembered {
    enabled: bool,
    made: AtomicU64,
    repositories: Map<(u64, QualifiedName), Option<RepositoryId>>,
    changes: Mutex<HashMap<RepositoryId, u64>>,
    manifests: Map<(u64, RepositoryId, Reference), Arc<ManifestRow>>,
}

impl Remembered {
    pub(super) fn new(enabled: bool) -> Self {
        let manifest = |(_, _, reference): &(u64, RepositoryId, Reference), row: &Arc<ManifestRow>| {
            let tag = if let Reference::Tag(tag) = reference { tag.as_str().len() } else { 0 };
            tag + size_of::<ManifestRow>() + row.content.len() + row.media_type.as_str().len()
        };
        Self {
            enabled,
            made: AtomicU64::new(0),
            repositories: Map::new(memory::Kind::Repositories, |(_, name), _| name.name.as_str().len()),
            changes: Mutex::default(),
            manifests: Map::new(memory::Kind::Manifests, manifest),
        }
    }

    pub(super) async fn repository<F>(
        &self,
        name: &QualifiedName,
        ask: impl FnOnce() -> F,
    ) -> Result<Option<RepositoryId>, Error>
    where
        F: Future<Output = Result<Option<RepositoryId>, Error>>,
    {
        if !self.enabled {
            return ask().await;
        }
        let key = (self.made.load(Ordering::Acquire), name.clone());
        if let Some(known) = self.repositories.get(&key) {
            return Ok(known);
        }
        let answer = ask().await?;
        self.repositories.insert(key, answer);
        Ok(answer)
    }

    pub(super) fn repository_was_made(&self) {
        self.made.fetch_add(1, Ordering::Release);
    }

    pub(super) async fn manifest<F>(
        &self,
        repository: RepositoryId,
        reference: &Reference,
        ask: impl FnOnce() -> F,
    ) -> Result<Option<Arc<ManifestRow>>, Error>
    where
        F: Future<Output = Result<Option<ManifestRow>, Error>>,
    {
        if !self.enabled {
            return Ok(ask().await?.map(Arc::new));
        }
        let change = lock(&self.changes).get(&repository).copied().unwrap_or_default();
        let key = (change, repository, reference.clone());
        if let Some(known) = self.manifests.get(&key) {
            return Ok(Some(known));
        }
        let row = ask().await?.map(Arc::new);
        if let Some(row) = &row {
            self.manifests.insert(key, row.clone());
        }
        Ok(row)
    }

    /// Manifests or tags of the repository are others now.
    pub(super) fn changed(&self, repository: RepositoryId) {
        *lock(&self.changes).entry(repository).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer that was on its way while the repository was made is not believed afterwards.
    #[tokio::test]
    async fn a_late_answer_is_not_kept_for_the_new_state() {
        let remembered = Remembered::new(true);
        let name = QualifiedName::new("000000000000".parse().unwrap(), "a".parse().unwrap());
        let late = remembered.repository(&name, || async {
            remembered.repository_was_made();
            Ok(None)
        });
        assert_eq!(late.await.unwrap(), None);
        let asked = remembered.repository(&name, || async { Ok(Some(RepositoryId::for_tests(7))) });
        assert_eq!(asked.await.unwrap(), Some(RepositoryId::for_tests(7)));
        let again = remembered.repository(&name, || async { panic!("it is known") });
        assert_eq!(again.await.unwrap(), Some(RepositoryId::for_tests(7)));
    }
}
