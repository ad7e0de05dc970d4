//! An upload that this process goes on with, and taking in what a request brings for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::{Mutex, MutexGuard};

use super::super::Repository;
use super::super::quota::{Quotas, Room};
use super::Upload;
use crate::meta::now_ms;
use crate::oci::{Algorithm, Hasher};
use crate::registry::{BrokenOff, Error, Incoming};
use crate::storage::{self, Sending, Writer};

/// Bytes read ahead of what is being hashed and written.
const MAX_BATCH_BYTES: usize = 1 << 20;

pub(in crate::registry::hosted) struct Session {
    /// `None` while a request writes to it or opens it, and when it has ended.
    place: Mutex<Option<Parked>>,
    /// Bytes that have come.
    bytes: AtomicU64,
    /// When a request last wrote to it.
    touched_at_ms: AtomicU64,
}

/// An upload between two requests.
pub(super) struct Parked {
    /// Over all that is in the file.
    pub(super) hasher: Hasher,
    /// Bytes in the file.
    pub(super) bytes: u64,
    /// Bytes from the beginning that lie in the bucket as well.
    pub(super) in_pieces: u64,
    pub(super) room: Room,
}

/// An upload that a request writes to.
pub(super) struct Open {
    pub(super) writer: Writer,
    pub(super) in_pieces: u64,
    pub(super) room: Room,
}

/// Why bytes were not all taken.
pub(super) enum Stopped {
    Client(BrokenOff),
    Storage(storage::Error),
    /// The bucket takes no more; how that came is said when the sending is finished.
    Bucket,
    /// There is no room for them.
    Refused(Error),
}

/// Where the room for an upload's bytes is taken.
pub(super) struct Quota<'a> {
    pub(super) quotas: &'a Arc<Quotas>,
    pub(super) repository: &'a Repository,
}

impl Parked {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        Self { hasher: Hasher::new(algorithm), bytes: 0, in_pieces: 0, room: Room::default() }
    }
}

impl Open {
    /// Closes the file.
    pub(super) fn park(self) -> Parked {
        let Self { writer: Writer { staged, hasher }, in_pieces, mut room } = self;
        let bytes = staged.len();
        room.shrink(bytes);
        Parked { hasher, bytes, in_pieces, room }
    }
}

impl Session {
    pub(super) fn new(parked: Parked) -> Self {
        let session = Self::opening(parked.bytes);
        if let Ok(mut place) = session.place.try_lock() {
            *place = Some(parked);
        }
        session
    }

    /// One whose bytes are not here yet.
    pub(super) fn opening(bytes: u64) -> Self {
        let session = Self { place: Mutex::new(None), bytes: AtomicU64::new(bytes), touched_at_ms: AtomicU64::new(0) };
        session.touch();
        session
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// What is here of it, once that is known better than when it was begun.
    pub(super) fn has_come(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Release);
    }

    /// The right to write: one request at a time.
    pub(super) fn take(&self, upload: &Upload) -> Result<MutexGuard<'_, Option<Parked>>, Error> {
        let busy = |_| Error::UploadBusy { repository: upload.repository.name.clone(), id: upload.id.clone() };
        self.place.try_lock().map_err(busy)
    }

    /// The same, unless a request is writing to it.
    pub(super) fn take_idle(&self) -> Option<MutexGuard<'_, Option<Parked>>> {
        self.place.try_lock().ok()
    }

    /// Whether no request is writing to it.
    pub(super) fn is_idle(&self) -> bool {
        self.take_idle().is_some()
    }

    pub(super) fn touched_at_ms(&self) -> u64 {
        self.touched_at_ms.load(Ordering::Relaxed)
    }

    fn touch(&self) {
        self.touched_at_ms.store(u64::try_from(now_ms()).unwrap_or_default(), Ordering::Relaxed);
    }

    /// Takes the body to its end. Each batch must have room; while one is hashed and written, the next one is read; `sending` is told of
    /// each.
    pub(super) async fn take_in(
        &self,
        writer: Writer,
        room: &mut Room,
        quota: Quota<'_>,
        mut body: Incoming,
        sending: Option<&Sending>,
    ) -> (Writer, Result<(), Stopped>) {
        let mut idle = Some(writer);
        let mut batch: Vec<Bytes> = Vec::new();
        let mut batch_bytes = 0;
        let mut ended = None;
        let work = futures_util::future::Fuse::terminated();
        tokio::pin!(work);
        loop {
            if let Some(writer) = idle.take() {
                let bytes = writer.staged.len();
                self.bytes.store(bytes, Ordering::Release);
                self.touch();
                if let Some(sending) = sending {
                    sending.advance(bytes);
                    if sending.has_failed() {
                        return (writer, Err(Stopped::Bucket));
                    }
                }
                if !batch.is_empty() {
                    let needed = bytes.saturating_add(batch_bytes as u64);
                    if let Err(refused) = room.reach(quota.quotas, quota.repository, needed).await {
                        return (writer, Err(Stopped::Refused(refused)));
                    }
                    batch_bytes = 0;
                    work.set(futures_util::FutureExt::fuse(writer.append(std::mem::take(&mut batch))));
                } else if let Some(ended) = ended {
                    return (writer, ended);
                } else {
                    idle = Some(writer);
                }
            }
            tokio::select! {
                biased;
                (writer, written) = &mut work, if idle.is_none() => {
                    if let Err(error) = written {
                        self.bytes.store(writer.staged.len(), Ordering::Release);
                        return (writer, Err(Stopped::Storage(error)));
                    }
                    idle = Some(writer);
                }
                chunk = body.next(), if ended.is_none() && batch_bytes < MAX_BATCH_BYTES => match chunk {
                    Ok(Some(chunk)) => {
                        batch_bytes += chunk.len();
                        batch.push(chunk);
                    }
                    Ok(None) => ended = Some(Ok(())),
                    Err(broken_off) => ended = Some(Err(Stopped::Client(broken_off))),
                },
            }
        }
    }
}
