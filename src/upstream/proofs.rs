//! Questions that an endpoint has answered: asked again, they show that it works where its `/v2/` is broken.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::oci::RepositoryName;

/// Of different repositories: one that has worked and is broken now proves nothing.
const MOST: usize = 4;

/// Of one endpoint, the newest last.
#[derive(Default)]
pub(super) struct Proofs(Mutex<VecDeque<Proof>>);

/// A question that can be put as a HEAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) repository: RepositoryName,
    /// What follows `/v2/`.
    pub(super) path: String,
    pub(super) accept: Option<String>,
}

impl Proofs {
    /// The endpoint itself has answered. Only manifests and blobs can be asked for by HEAD everywhere.
    pub(super) fn note(&self, repository: &RepositoryName, path: &str, accept: Option<&str>) {
        if !path.contains("/manifests/") && !path.contains("/blobs/") {
            return;
        }
        let (path, accept) = (path.to_owned(), accept.map(str::to_owned));
        let mut proofs = self.lock();
        proofs.retain(|other| other.repository != *repository);
        if proofs.len() >= MOST {
            proofs.pop_front();
        }
        proofs.push_back(Proof { repository: repository.clone(), path, accept });
    }

    /// The newest first.
    pub(super) fn all(&self) -> Vec<Proof> {
        self.lock().iter().rev().cloned().collect()
    }

    /// Nothing that holds the lock panics or awaits.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Proof>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_each_of_the_last_repositories() {
        let proofs = Proofs::default();
        let note = |repository: &str, path: &str| proofs.note(&repository.parse().unwrap(), path, None);
        for round in 0..10 {
            note("a", &format!("a/manifests/{round}"));
        }
        note("b", "b/tags/list");
        (0..6).for_each(|n| note(&format!("c{n}"), &format!("c{n}/blobs/x")));
        note("c3", "c3/blobs/y");
        let paths: Vec<_> = proofs.all().into_iter().map(|proof| proof.path).collect();
        assert_eq!(paths, ["c3/blobs/y", "c5/blobs/x", "c4/blobs/x", "c2/blobs/x"]);
    }
}
