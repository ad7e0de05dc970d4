//! An upload that this process has open, and taking in what a request brings for it.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::{Mutex, MutexGuard};

use super::Upload;
use crate::meta::now_ms;
use crate::registry::{BrokenOff, Error, Incoming};
use crate::storage::{self, Sending, Writer};

/// Bytes read ahead of what is being hashed and written.
const MAX_BATCH_BYTES: usize = 1 << 20;

pub(in crate::registry::hosted) struct Session {
    /// `None` while it is being opened, and when it has ended.
    place: Mutex<Option<Open>>,
    /// Bytes that have come.
    bytes: AtomicU64,
    /// When a request last wrote to it.
    touched_at_ms: AtomicU64,
}

/// What has come of an upload.
pub(super) struct Open {
    pub(super) writer: Writer,
    /// Bytes from the beginning that lie in the bucket as well.
    pub(super) in_pieces: u64,
}

/// Why bytes were not all taken.
pub(super) enum Stopped {
    Client(BrokenOff),
    Storage(storage::Error),
    /// The bucket takes no more; how that came is said when the sending is finished.
    Bucket,
}

impl Session {
    pub(super) fn new(open: Open) -> Self {
        let session = Self::opening(open.writer.staged.len());
        if let Ok(mut place) = session.place.try_lock() {
            *place = Some(open);
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

    /// The right to write: one request at a time.
    pub(super) fn take(&self, upload: &Upload) -> Result<MutexGuard<'_, Option<Open>>, Error> {
        let busy = |_| Error::UploadBusy { repository: upload.repository.name.clone(), id: upload.id.clone() };
        self.place.try_lock().map_err(busy)
    }

    /// Whether no request has written to it since `before_ms`, and none is doing so.
    pub(super) fn is_idle_since(&self, before_ms: i64) -> bool {
        let touched = i64::try_from(self.touched_at_ms.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        touched < before_ms && self.place.try_lock().is_ok()
    }

    fn touch(&self) {
        self.touched_at_ms.store(u64::try_from(now_ms()).unwrap_or_default(), Ordering::Relaxed);
    }

    /// Takes the body to its end. While one batch is hashed and written, the next one is read; `sending` is told of each.
    pub(super) async fn take_in(
        &self,
        writer: Writer,
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
