//! Uploads of many parts, noted in the bucket while they are under way, so that others end those of processes that were killed.
//!
//! A store keeps the parts of an upload that never ended, and takes money for them, until somebody ends it by its id; not every store lists
//! such uploads below a prefix (MinIO does not). So a small object names each one from before its first part leaves until it has ended.
//! The note of a long one is written anew now and then: a note that is old is of nobody who lives.

use std::time::{Duration, SystemTime};

use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, ObjectMeta, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Notes are far shorter.
const MAX_NOTE_BYTES: u64 = 16 << 10;

/// An upload of many parts.
pub(super) struct Multipart {
    store: AmazonS3,
    path: Path,
    id: MultipartId,
    note: Path,
    /// One that gives no sign of life for so long is ended by others.
    ttl: Duration,
}

#[derive(Serialize, Deserialize)]
struct Note {
    object: String,
    upload: String,
}

impl Multipart {
    /// `notes` is the folder of the notes.
    pub(super) async fn begin(store: AmazonS3, path: Path, notes: Path, ttl: Duration) -> object_store::Result<Self> {
        let id = store.create_multipart(&path).await?;
        let note = notes.join(format!("{:032x}", fastrand::u128(..)));
        let begun = Self { store, path, id, note, ttl };
        match begun.write_note().await {
            Ok(()) => Ok(begun),
            Err(error) => {
                begun.abort().await?;
                Err(error)
            }
        }
    }

    /// Parts count from 0.
    pub(super) fn put_part(
        &self,
        index: usize,
        bytes: PutPayload,
    ) -> impl Future<Output = object_store::Result<PartId>> + Send + use<> {
        let (store, path, id) = (self.store.clone(), self.path.clone(), self.id.clone());
        async move { store.put_part(&path, &id, index, bytes).await }
    }

    /// Gives signs of life until `waiting` is over.
    pub(super) async fn while_alive<T>(&self, waiting: impl Future<Output = T>) -> T {
        let pause = self.ttl / 4;
        let mut signs = tokio::time::interval_at(Instant::now() + pause, pause);
        tokio::pin!(waiting);
        loop {
            tokio::select! {
                biased;
                done = &mut waiting => return done,
                _ = signs.tick() => {
                    if let Err(error) = self.write_note().await {
                        tracing::warn!(%error, object = %self.path, "a long upload to the bucket could not say that it goes on");
                    }
                }
            }
        }
    }

    pub(super) async fn complete(&self, parts: Vec<PartId>) -> object_store::Result<()> {
        self.store.complete_multipart(&self.path, &self.id, parts).await?;
        self.remove_note().await;
        Ok(())
    }

    pub(super) async fn abort(&self) -> object_store::Result<()> {
        end(&self.store, &self.path, &self.id).await?;
        self.remove_note().await;
        Ok(())
    }

    async fn write_note(&self) -> object_store::Result<()> {
        let note = Note { object: self.path.to_string(), upload: self.id.clone() };
        let note = serde_json::to_vec(&note).unwrap_or_default();
        self.store.put(&self.note, PutPayload::from(note)).await.map(|_| ())
    }

    /// One that is left is found to be of an upload that has ended.
    async fn remove_note(&self) {
        if let Err(error) = self.store.delete(&self.note).await {
            tracing::debug!(%error, note = %self.note, "the note of an upload that has ended stays for a day");
        }
    }
}

/// The place of the note of an upload that has given no sign of life for `ttl`.
pub(super) fn abandoned(note: ObjectMeta, ttl: Duration) -> Option<Path> {
    let modified: SystemTime = note.last_modified.into();
    let is_old = modified.elapsed().is_ok_and(|passed| passed >= ttl) && note.size <= MAX_NOTE_BYTES;
    is_old.then_some(note.location)
}

/// Ends the upload that the note names.
pub(super) async fn end_noted(store: &AmazonS3, note: &Path) -> object_store::Result<()> {
    let found = match store.get(note).await {
        Ok(found) => found.bytes().await?,
        Err(object_store::Error::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    // What cannot be read is of nobody.
    if let Ok(Note { object, upload }) = serde_json::from_slice(&found) {
        end(store, &Path::from(object), &upload).await?;
    }
    match store.delete(note).await {
        Err(object_store::Error::NotFound { .. }) => Ok(()),
        deleted => deleted,
    }
}

/// One that has ended is no error.
async fn end(store: &AmazonS3, path: &Path, id: &MultipartId) -> object_store::Result<()> {
    match store.abort_multipart(path, id).await {
        Err(object_store::Error::NotFound { .. }) => Ok(()),
        ended => ended,
    }
}
