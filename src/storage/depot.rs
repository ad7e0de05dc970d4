//! Where pushed blobs are kept for good: in files here, or in a bucket. Uploads under way are files here in both cases.

use std::fs::File;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};

use super::bucket::Bucket;
use super::check::{Condition, Pace, check_file, check_object};
use super::error::Error;
use super::joined::joined;
use super::local::Storage;
use super::sending::Sending;
use super::staged::Staged;
use super::traffic::Errand;
use super::writer::Writer;
use crate::oci::Digest;

/// S3 copies no larger object in one request.
const MAX_COPIED_BYTES: u64 = 5 << 30;

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

    /// The same, without what it may hold.
    pub async fn fresh_upload(&self, id: &str) -> Result<Staged, Error> {
        let id = id.to_owned();
        self.on_disk(move |files| {
            files.remove_upload(&id)?;
            files.upload(&id)
        })
        .await
    }

    /// Bytes that the file of an upload holds; 0 when there is none.
    pub async fn upload_bytes(&self, id: &str) -> Result<u64, Error> {
        let id = id.to_owned();
        self.on_disk(move |files| files.upload_bytes(&id)).await
    }

    pub async fn remove_upload(&self, id: &str) -> Result<(), Error> {
        let id = id.to_owned();
        self.on_disk(move |files| files.remove_upload(&id)).await
    }

    /// Files of uploads that lie here, by id, with the time of their last change.
    pub async fn upload_files(&self) -> Result<Vec<(String, SystemTime)>, Error> {
        self.on_disk(Storage::scan_uploads).await
    }

    pub fn bucket(&self) -> Option<&Arc<Bucket>> {
        self.bucket.as_ref()
    }

    /// Whether what uploads bring is sent to a bucket, from where every replica can go on with it.
    pub fn is_shared(&self) -> bool {
        self.bucket.is_some()
    }

    /// Begins to send what an upload brings from byte `from` on. `None` without a bucket.
    pub fn send_piece(&self, upload: &str, piece: &str, staged: &Staged, from: u64) -> Option<Sending> {
        let bucket = self.bucket.as_ref()?;
        Some(bucket.send_piece(upload, piece, staged.file(), from, staged.len()))
    }

    /// Begins to send what will be the blob of `digest`, if it turns out to be that. `None` without a bucket.
    pub fn send_blob(&self, digest: &Digest, staged: &Staged) -> Option<Sending> {
        Some(self.bucket.as_ref()?.send(digest, staged.file(), staged.len(), Errand::Awaited))
    }

    /// Makes a piece that is the whole verified blob the blob. False when it must be sent instead.
    pub async fn promote_piece(&self, upload: &str, piece: &str, size: u64, digest: &Digest) -> Result<bool, Error> {
        match &self.bucket {
            Some(bucket) if size <= MAX_COPIED_BYTES => {
                bucket.promote_piece(upload, piece, digest).await.map(|()| true)
            }
            _ => Ok(false),
        }
    }

    /// Appends a piece to an upload's file. False when there is no such piece.
    pub async fn fetch_piece(&self, upload: &str, piece: &str, writer: Writer) -> Result<(Writer, bool), Error> {
        let Some(bucket) = &self.bucket else { return Ok((writer, false)) };
        let Some(mut stream) = bucket.get_piece(upload, piece).await? else { return Ok((writer, false)) };
        let mut writer = writer;
        while let Some(bytes) = stream.chunk().await? {
            let (back, written) = writer.append(vec![bytes]).await;
            written?;
            writer = back;
        }
        Ok((writer, true))
    }

    pub async fn remove_piece(&self, upload: &str, piece: &str) -> Result<(), Error> {
        match &self.bucket {
            Some(bucket) => bucket.remove_piece(upload, piece).await,
            None => Ok(()),
        }
    }

    /// Ends uploads to the bucket that nobody goes on with: of processes that were killed. Returns how many, and how many could not be ended.
    pub async fn end_abandoned(&self) -> Result<(u64, u64), Error> {
        match &self.bucket {
            Some(bucket) => bucket.end_abandoned().await,
            None => Ok((0, 0)),
        }
    }

    /// Every piece that lies in the bucket: the upload's id, the piece's name, the time of its last change.
    pub fn pieces(&self) -> BoxStream<'_, Result<(String, String, SystemTime), Error>> {
        match &self.bucket {
            Some(bucket) => bucket.list_pieces(),
            None => futures_util::stream::empty().boxed(),
        }
    }

    /// Keeps verified bytes for good, in files: when this returns they are durable.
    pub async fn publish(&self, staged: Staged, digest: &Digest) -> Result<(), Error> {
        let digest = *digest;
        self.on_disk(move |_| staged.publish(&digest)).await
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

    /// Sets damaged bytes aside, where they are never served. In a bucket they stay where they are: they were read over a network, and
    /// may be right. Whoever brings the blob again puts its bytes in their place.
    pub async fn quarantine(&self, digest: &Digest) -> Result<(), Error> {
        if self.is_shared() {
            return Ok(());
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
        joined(tokio::task::spawn_blocking(move || work(&files)).await).await
    }
}
