//! Sending a file to a bucket, also while it still grows.
//!
//! Parts leave as soon as their bytes are in the file, and are read back from it, so that what is in memory is bounded however
//! many files are sent. The object is there only after [`Sending::finish`]; a sending that is dropped leaves no object.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::bucket::Bucket;
use super::error::Error;
use super::joined::joined;
use super::multipart::Multipart;
use super::traffic::Errand;

/// Bytes of one part; S3 wants 5 MiB at least. After each 2,500 parts they are twice as long, so that the 10,000 that S3 takes
/// are enough for 300 GB.
const PART_BYTES: u64 = 8 << 20;
const PARTS_OF_ONE_LENGTH: u32 = 2_500;

/// Parts of one object that are sent at once.
const PARTS_AT_ONCE: usize = 4;

/// A file that is on its way to the bucket.
pub struct Sending {
    growth: watch::Sender<Growth>,
    task: Option<JoinHandle<Result<(), Error>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// So many bytes are in the file.
    Growing(u64),
    /// These are all.
    Ended(u64),
}

/// What is sent, from where in the file, to where.
pub(super) struct Parcel {
    pub(super) bucket: Arc<Bucket>,
    pub(super) path: Path,
    pub(super) file: Arc<File>,
    pub(super) from: u64,
    pub(super) errand: Errand,
}

impl Sending {
    /// Sends what is in the file from `from` on; `present` bytes are in the file.
    pub(super) fn start(parcel: Parcel, present: u64) -> Self {
        let (growth, watched) = watch::channel(Growth::Growing(present));
        Self { growth, task: Some(tokio::spawn(parcel.send(watched))) }
    }

    /// So many bytes are in the file now.
    pub fn advance(&self, bytes: u64) {
        self.growth.send_replace(Growth::Growing(bytes));
    }

    /// Whether it has ended before its time, so that there is no use in going on.
    pub fn has_failed(&self) -> bool {
        self.task.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// The file has so many bytes: when this returns, they are an object.
    pub async fn finish(mut self, bytes: u64) -> Result<(), Error> {
        self.growth.send_replace(Growth::Ended(bytes));
        let Some(task) = self.task.take() else { return Ok(()) };
        joined(task.await).await
    }
}

impl Parcel {
    async fn send(self, mut growth: watch::Receiver<Growth>) -> Result<(), Error> {
        let first = Self::wait(&mut growth, self.from + PART_BYTES).await;
        match first {
            Some(Growth::Ended(end)) if end - self.from <= PART_BYTES => {
                let _turn = self.bucket.traffic.part(self.errand, end - self.from).await;
                let bytes = read(self.file.clone(), self.from, end - self.from).await?;
                let put = self.bucket.store.put(&self.path, PutPayload::from_bytes(bytes)).await;
                return put.map(|_| ()).map_err(|error| self.error(error));
            }
            Some(_) => {}
            None => return Ok(()),
        }
        let begun = self.bucket.begin_multipart(self.path.clone()).await;
        let upload = begun.map_err(|error| self.error(error))?;
        let done = match upload.while_alive(self.send_parts(&upload, &mut growth)).await {
            Ok(Some(parts)) => upload.complete(parts).await.map_err(|error| self.error(error)),
            // Given up.
            Ok(None) => {
                self.abort(&upload).await;
                return Ok(());
            }
            Err(error) => Err(error),
        };
        if done.is_err() {
            self.abort(&upload).await;
        }
        done
    }

    /// `None` when it was given up before the file had ended.
    async fn send_parts(
        &self,
        upload: &Multipart,
        growth: &mut watch::Receiver<Growth>,
    ) -> Result<Option<Vec<PartId>>, Error> {
        // Tasks of their own: they go on while this one waits for room.
        let (mut sending, mut sent) = (JoinSet::new(), BTreeMap::new());
        let mut at = self.from;
        for index in 0u32.. {
            let length = PART_BYTES << (index / PARTS_OF_ONE_LENGTH).min(4);
            let end = match Self::wait(growth, at + length).await {
                None => return Ok(None),
                Some(Growth::Growing(_)) => at + length,
                Some(Growth::Ended(end)) => end.min(at + length),
            };
            if end == at {
                break;
            }
            if sending.len() == PARTS_AT_ONCE {
                sent.extend(self.check_one(&mut sending).await?);
            }
            let turn = self.bucket.traffic.part(self.errand, end - at).await;
            let bytes = PutPayload::from_bytes(read(self.file.clone(), at, end - at).await?);
            let part = upload.put_part(index as usize, bytes);
            sending.spawn(async move {
                let _turn = turn;
                part.await.map(|part| (index, part))
            });
            at = end;
        }
        while !sending.is_empty() {
            sent.extend(self.check_one(&mut sending).await?);
        }
        Ok(Some(sent.into_values().collect()))
    }

    async fn check_one(
        &self,
        sending: &mut JoinSet<object_store::Result<(u32, PartId)>>,
    ) -> Result<Option<(u32, PartId)>, Error> {
        match sending.join_next().await {
            Some(ended) => joined(ended).await.map(Some).map_err(|error| self.error(error)),
            None => Ok(None),
        }
    }

    /// Waits until the file has `bytes`, or has ended; `None` when it was given up.
    async fn wait(growth: &mut watch::Receiver<Growth>, bytes: u64) -> Option<Growth> {
        let enough = |growth: &Growth| match growth {
            Growth::Growing(present) => *present >= bytes,
            Growth::Ended(_) => true,
        };
        growth.wait_for(enough).await.ok().map(|growth| *growth)
    }

    /// An upload that cannot be taken back is left to whoever collects garbage.
    async fn abort(&self, upload: &Multipart) {
        if let Err(error) = upload.abort().await {
            tracing::warn!(%error, object = %self.path, "what was sent of an upload that was given up is left in the bucket for a day");
        }
    }

    fn error(&self, source: object_store::Error) -> Error {
        self.bucket.error("write to", source)
    }
}

async fn read(file: Arc<File>, at: u64, length: u64) -> Result<Bytes, Error> {
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, at).map(|()| Bytes::from(bytes))
    });
    joined(read.await).await.map_err(Error::io("read", std::path::Path::new("(a file to be sent to the bucket)")))
}
