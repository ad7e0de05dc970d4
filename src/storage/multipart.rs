//! Uploads of many parts, noted in the bucket while they are under way, so that others end those of processes that were killed.
//!
//! A store keeps the parts of an upload that never ended, and takes money for them, until somebody ends it by its id; not every store lists
//! such uploads below a prefix (MinIO does not). So a small object names each one from before its first part leaves until it has ended.
//! The note of a long one is written anew now and then: a note that is old is of nobody who lives.

use std::sync::Arc;

use futures_util::TryStreamExt;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::bucket::Bucket;
use super::error::Error;

/// The folder of the notes.
const FOLDER: &str = "multipart";

/// Notes are far shorter.
const MAX_NOTE_BYTES: u64 = 16 << 10;

/// Notes that are looked at at once.
const AT_ONCE: usize = 4;

/// An upload of many parts.
pub(super) struct Multipart {
    bucket: Arc<Bucket>,
    path: Path,
    id: MultipartId,
    note: Path,
}

#[derive(Serialize, Deserialize)]
struct Note {
    object: String,
    upload: String,
}

impl Multipart {
    pub(super) async fn begin(bucket: Arc<Bucket>, path: Path) -> object_store::Result<Self> {
        let id = bucket.store.create_multipart(&path).await?;
        let note = bucket.place(FOLDER, &format!("{:032x}", fastrand::u128(..)));
        let begun = Self { bucket, path, id, note };
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
        let (bucket, path, id) = (self.bucket.clone(), self.path.clone(), self.id.clone());
        async move { bucket.store.put_part(&path, &id, index, bytes).await }
    }

    /// Gives signs of life until `waiting` is over.
    pub(super) async fn while_alive<T>(&self, waiting: impl Future<Output = T>) -> T {
        let pause = self.bucket.multipart_ttl / 4;
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
        self.bucket.store.complete_multipart(&self.path, &self.id, parts).await?;
        self.remove_note().await;
        Ok(())
    }

    pub(super) async fn abort(&self) -> object_store::Result<()> {
        self.bucket.end_multipart(&self.path, &self.id).await?;
        self.remove_note().await;
        Ok(())
    }

    async fn write_note(&self) -> object_store::Result<()> {
        let note = Note { object: self.path.to_string(), upload: self.id.clone() };
        let note = serde_json::to_vec(&note).unwrap_or_default();
        self.bucket.store.put(&self.note, PutPayload::from(note)).await.map(|_| ())
    }

    /// One that is left is found to be of an upload that has ended.
    async fn remove_note(&self) {
        if let Err(error) = self.bucket.store.delete(&self.note).await {
            tracing::debug!(%error, note = %self.note, "the note of an upload that has ended stays for a day");
        }
    }
}

impl Bucket {
    /// Ends uploads that have given no sign of life for long. Returns how many, and how many could not be ended.
    pub(super) async fn end_abandoned(&self) -> Result<(u64, u64), Error> {
        let age = self.multipart_ttl;
        let is_old = move |object: object_store::ObjectMeta| {
            let modified: std::time::SystemTime = object.last_modified.into();
            let is_old = modified.elapsed().is_ok_and(|passed| passed >= age) && object.size <= MAX_NOTE_BYTES;
            is_old.then_some(object.location)
        };
        let ended = self.list_objects(FOLDER, is_old).map_ok(|note| async move {
            let ended = self.end_noted(&note).await;
            if let Err(error) = &ended {
                tracing::warn!(%error, %note, "an upload to the bucket that nobody goes on with cannot be ended");
            }
            Ok(ended.is_ok())
        });
        let all: Vec<bool> = ended.try_buffer_unordered(AT_ONCE).try_collect().await?;
        let count = all.iter().filter(|ended| **ended).count() as u64;
        Ok((count, all.len() as u64 - count))
    }

    async fn end_noted(&self, path: &Path) -> object_store::Result<()> {
        let found = match self.store.get(path).await {
            Ok(found) => found.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        // What cannot be read is of nobody.
        if let Ok(Note { object, upload }) = serde_json::from_slice(&found) {
            self.end_multipart(&Path::from(object), &upload).await?;
        }
        match self.store.delete(path).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            deleted => deleted,
        }
    }

    /// One that has ended is no error.
    async fn end_multipart(&self, path: &Path, id: &MultipartId) -> object_store::Result<()> {
        match self.store.abort_multipart(path, id).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            ended => ended,
        }
    }
}
