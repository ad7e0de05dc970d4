//! The uploads that this process goes on with, between their requests.
//!
//! None of them holds a file: it is opened when a request brings bytes and closed at the request's end, so that uploads that nobody goes on
//! with cost memory only, and of that a bounded amount.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::super::lock;
use super::session::Session;
use crate::oci::UploadId;

/// Uploads in memory. The one that was touched longest ago goes first; going on with it means reading what it has brought again.
const MAX_SESSIONS: usize = 10_000;

#[derive(Default)]
pub(in crate::registry::hosted) struct Sessions(Mutex<HashMap<UploadId, Arc<Session>>>);

impl Sessions {
    pub(super) fn get(&self, id: &UploadId) -> Option<Arc<Session>> {
        lock(&self.0).get(id).cloned()
    }

    /// What is there already goes before: two requests may have opened an upload, and both found the same bytes.
    pub(super) fn add(&self, id: UploadId, session: Session) -> Arc<Session> {
        let mut sessions = lock(&self.0);
        if let Some(earlier) = sessions.get(&id) {
            return earlier.clone();
        }
        make_room(&mut sessions);
        let session = Arc::new(session);
        sessions.insert(id, session.clone());
        session
    }

    /// Puts one in the place of what is there, unless `keep` says why not.
    pub(super) fn replace<E>(
        &self,
        id: &UploadId,
        session: Arc<Session>,
        keep: impl FnOnce(&Session) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut sessions = lock(&self.0);
        if let Some(earlier) = sessions.get(id) {
            keep(earlier)?;
        }
        make_room(&mut sessions);
        sessions.insert(id.clone(), session);
        Ok(())
    }

    pub(super) fn remove(&self, id: &UploadId) {
        lock(&self.0).remove(id);
    }

    /// Those that no request is writing to.
    pub(super) fn idle(&self) -> Vec<UploadId> {
        let sessions = lock(&self.0);
        sessions.iter().filter(|(_, session)| session.is_idle()).map(|(id, _)| id.clone()).collect()
    }

    /// Removes it, if no request is writing to it.
    pub(super) fn remove_idle(&self, id: &UploadId) -> bool {
        let mut sessions = lock(&self.0);
        if !sessions.get(id).is_some_and(|session| session.is_idle()) {
            return false;
        }
        sessions.remove(id).is_some()
    }
}

fn make_room(sessions: &mut HashMap<UploadId, Arc<Session>>) {
    if sessions.len() < MAX_SESSIONS {
        return;
    }
    let idle = sessions.iter().filter(|(_, session)| session.is_idle());
    let oldest = idle.min_by_key(|(_, session)| session.touched_at_ms()).map(|(id, _)| id.clone());
    if let Some(oldest) = oldest {
        sessions.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::super::new_id;
    use super::super::session::Parked;
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn t08_uploads_in_memory_are_bounded() {
        let sessions = Sessions::default();
        let first = new_id();
        sessions.add(first.clone(), Session::new(Parked::new(Algorithm::Sha256)));
        for _ in 0..MAX_SESSIONS {
            sessions.add(new_id(), Session::new(Parked::new(Algorithm::Sha256)));
        }
        assert_eq!(sessions.idle().len(), MAX_SESSIONS);
    }
}
