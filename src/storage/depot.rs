//! Where pushed blobs are kept for good: in files here, or in a bucket. Uploads under way are files here in both cases.

use std::fs::File;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};

use super::bucket::Bucket;
use super::check::{Condition, Pace, check_file, check_object};
use super::error::Error;
use super::local::Storage;
use super::staged::Staged;
use crate::oci::Digest;

/// Cheap to clone.
#[derive(Clone)]
pub struct Depot {
    files: Arc<Storage>,
    /// Tells this replica from others.
    holder: Arc<str>,
    bucket: Option<Arc<Bucket>>,
}

/// A kept blob.
pub enum Kept {
    File(File, u64),
    /// It is had from there, through the cache.
    Bucket(Arc<Bucket>),
    Nowhere,
}

impl Depot {
    /// Reads, or makes up, this replica's own name. Blocks on IO.
    pub fn new(files: Storage, bucket: Option<Bucket>) -> Result<Self, Error> {
        let holder = files.own_name()?.into();
        Ok(Self { files: Arc::new(files), holder, bucket: bucket.map(Arc::new) })
    }

    /// This replica, which stays the same as long as its folder does.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Opens the file of an upload, with whatever it already holds.
    pub async fn upload(&self, id: &str) -> Result<Staged, Error> {
        let id = id.to_owned();
        self.on_disk(move |files| files.upload(&id)).await
    }

    pub async fn remove_upload(&self, id: &str) -> Result<(), Error> {
        let id = id.to_owned();
        self.on_disk(move |files| files.remove_upload(&id)).await
    }

    /// Keeps verified bytes for good: when this returns they are durable. With a bucket the file, which is now a mere copy, comes
    /// back; in every other case it is gone from the uploads.
    pub async fn publish(&self, staged: Staged, digest: &Digest) -> Result<Option<Staged>, Error> {
        let digest = *digest;
        let Some(bucket) = &self.bucket else {
            return self.on_disk(move |_| staged.publish(&digest)).await.map(|()| None);
        };
        let staged = staged.removed_on_drop();
        bucket.put(&digest, staged.file(), staged.len()).await?;
        Ok(Some(staged))
    }

    pub async fn open(&self, digest: &Digest) -> Result<Kept, Error> {
        if let Some(bucket) = &self.bucket {
            return Ok(Kept::Bucket(bucket.clone()));
        }
        let digest = *digest;
        let opened = self.on_disk(move |files| files.open_blob(&digest)).await?;
        Ok(opened.map_or(Kept::Nowhere, |(file, size)| Kept::File(file, size)))
    }

    /// Whether so many bytes are kept under the digest.
    pub async fn has(&self, digest: &Digest, size: u64) -> Result<bool, Error> {
        if let Some(bucket) = &self.bucket {
            return Ok(bucket.size(digest).await? == Some(size));
        }
        let digest = *digest;
        let opened = self.on_disk(move |files| files.open_blob(&digest)).await?;
        Ok(opened.is_some_and(|(_, found)| found == size))
    }

    /// Removing what is not there is no error.
    pub async fn remove(&self, digest: &Digest) -> Result<(), Error> {
        if let Some(bucket) = &self.bucket {
            return bucket.remove(digest).await;
        }
        let digest = *digest;
        self.on_disk(move |files| files.remove_blob(&digest)).await
    }

    /// Reads kept bytes again.
    pub async fn check(&self, digest: &Digest, pace: &mut Pace) -> Result<Condition, Error> {
        if let Some(bucket) = &self.bucket {
            return check_object(bucket, digest, pace).await;
        }
        let wanted = *digest;
        match self.on_disk(move |files| files.open_blob(&wanted)).await? {
            Some((file, _)) => check_file(file, digest, pace).await,
            None => Ok(Condition::Missing),
        }
    }

    /// Sets damaged bytes aside, where they are never served. In a bucket they are removed, which has versions for that.
    pub async fn quarantine(&self, digest: &Digest) -> Result<(), Error> {
        if let Some(bucket) = &self.bucket {
            return bucket.remove(digest).await;
        }
        let digest = *digest;
        self.on_disk(move |files| files.quarantine(&digest)).await
    }

    /// Everything that is kept, with the time of its last change.
    pub async fn list(&self) -> Result<BoxStream<'_, Result<(Digest, SystemTime), Error>>, Error> {
        if let Some(bucket) = &self.bucket {
            return Ok(bucket.list().map_ok(|object| (object.digest, object.modified)).boxed());
        }
        let found = self.on_disk(Storage::scan).await?;
        Ok(futures_util::stream::iter(found.into_iter().map(|blob| Ok((blob.digest, blob.modified)))).boxed())
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Storage) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let files = self.files.clone();
        match tokio::task::spawn_blocking(move || work(&files)).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Cancelled: the runtime is going down, and this task with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
}
