//! A file, whole or growing, as a body.

use std::fs::File;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use rustix::io::{Errno, ReadWriteFlags};
use tokio::task::JoinHandle;

use super::body::BodyError;
use super::buffers::{self, BUFFER_BYTES, Buffer, Client, FIRST_BYTES};
use super::mapping::{FileRegions, WINDOW_BYTES};
use super::residency;
use crate::cache::{BlobReader, ByteStream, Visible};
use crate::oci::ByteRange;

/// Bytes given to the connection at a time.
const SLICE_BYTES: u64 = 1 << 20;

/// hyper copies slices smaller than this, which would read the mapping.
const MIN_SLICE_BYTES: u64 = 4096;

/// Files shorter than this are not worth a mapping.
const MIN_MAPPED_BYTES: u64 = 64 << 10;

pub(super) struct FileBody {
    reader: BlobReader,
    /// Offset of the next byte.
    at: u64,
    /// Offset up to which the file may be read now.
    visible: u64,
    /// Bytes of the next piece that is read.
    piece: usize,
    /// Where the connection sends files.
    regions: Option<FileRegions>,
    /// A part of the file as memory. It may reach beyond what has arrived.
    window: Option<Window>,
    /// Work on a blocking thread.
    work: Option<Work>,
    /// What follows the file.
    rest: Option<ByteStream>,
}

struct Window {
    bytes: Bytes,
    /// Offset of its first byte.
    start: u64,
}

enum Work {
    BringIn(JoinHandle<io::Result<()>>),
    Read(JoinHandle<io::Result<Bytes>>),
}

impl FileBody {
    pub(super) fn new(reader: BlobReader, regions: Option<&FileRegions>) -> Self {
        let at = reader.start();
        let regions = regions.cloned();
        Self { reader, at, visible: at, piece: FIRST_BYTES, regions, window: None, work: None, rest: None }
    }

    /// For this client.
    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        client: Client,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            if let Some(rest) = &mut self.rest {
                let next = ready!(Pin::new(rest).poll_next(context));
                return Poll::Ready(next.map(|next| next.map_err(BodyError::Blob)));
            }
            if let Some(work) = &mut self.work {
                let finished = ready!(work.poll(context));
                self.work = None;
                match finished {
                    Ok(Some(bytes)) => return Poll::Ready(Some(Ok(self.step(bytes, client)))),
                    // It is in the kernel's hands now: go on even if it was pushed out again meanwhile.
                    Ok(None) => return Poll::Ready(Some(self.slice(client))),
                    Err(error) => return Poll::Ready(Some(Err(BodyError::File(error)))),
                }
            }
            if self.reader.end().is_some_and(|end| self.at >= end) {
                return Poll::Ready(None);
            }
            if self.at >= self.visible {
                match ready!(self.reader.poll_visible(context, self.at)) {
                    Ok(Visible::Until(visible)) => self.visible = visible,
                    Ok(Visible::End) => return Poll::Ready(None),
                    Ok(Visible::Rest(rest)) => self.rest = Some(rest),
                    Err(error) => return Poll::Ready(Some(Err(BodyError::Blob(error)))),
                }
                continue;
            }
            if self.next_len() >= MIN_SLICE_BYTES && self.has_window() {
                let range = self.next_range();
                if residency::is_resident(self.reader.file(), range) {
                    return Poll::Ready(Some(self.slice(client)));
                }
                let file = self.reader.file().clone();
                self.work = Some(Work::BringIn(tokio::task::spawn_blocking(move || residency::bring_in(&file, range))));
                continue;
            }
            match self.read_without_waiting(client) {
                Ok(Some(bytes)) => return Poll::Ready(Some(Ok(self.step(bytes, client)))),
                Ok(None) => {
                    let (file, at, count) = (self.reader.file().clone(), self.at, self.read_len());
                    self.work = Some(Work::Read(tokio::task::spawn_blocking(move || read(&file, at, count, client))));
                }
                Err(error) => return Poll::Ready(Some(Err(BodyError::File(error)))),
            }
        }
    }

    /// Bytes of the next slice: all that is left if a slice of its own would be too small for the rest.
    fn next_len(&self) -> u64 {
        let left = self.visible - self.at;
        if left < SLICE_BYTES + MIN_SLICE_BYTES { left } else { SLICE_BYTES }
    }

    fn next_range(&self) -> ByteRange {
        ByteRange { start: self.at, end: self.at + self.next_len() }
    }

    /// Whether the next slice is mapped. Where it is not, the next part of the file is mapped, if that can be: otherwise it is read.
    fn has_window(&mut self) -> bool {
        let (Some(regions), Some(end)) = (&self.regions, self.reader.end()) else { return false };
        let next = self.next_range();
        if self.window.as_ref().is_some_and(|window| window.slice(next).is_some()) {
            return true;
        }
        self.window = None;
        let Some(range) = ByteRange::new(self.at, end.min(self.at.saturating_add(WINDOW_BYTES))) else { return false };
        if range.len() >= MIN_MAPPED_BYTES {
            let mapped = regions.map(self.reader.file(), range);
            self.window = mapped.ok().map(|bytes| Window { bytes, start: range.start });
        }
        self.window.is_some()
    }

    fn read_len(&self) -> usize {
        usize::try_from(self.visible - self.at).unwrap_or(usize::MAX).min(self.piece)
    }

    fn slice(&mut self, client: Client) -> Result<Bytes, BodyError> {
        match self.window.as_ref().and_then(|window| window.slice(self.next_range())) {
            Some(bytes) => Ok(self.step(bytes, client)),
            None => Err(BodyError::File(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    fn step(&mut self, bytes: Bytes, client: Client) -> Bytes {
        self.at += bytes.len() as u64;
        // The client took the piece before: hyper asks for the next one then.
        self.piece = if buffers::is_short(client) { FIRST_BYTES } else { BUFFER_BYTES.min(self.piece * 2) };
        bytes
    }

    /// `None` when the bytes are on the disk only.
    fn read_without_waiting(&self, client: Client) -> io::Result<Option<Bytes>> {
        let mut buffer = Buffer::take(self.read_len(), client);
        let mut space = [IoSliceMut::new(buffer.space())];
        match rustix::io::preadv2(self.reader.file(), &mut space, self.at, ReadWriteFlags::NOWAIT) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => Ok(Some(buffer.filled(count))),
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn read(file: &Arc<File>, at: u64, count: usize, client: Client) -> io::Result<Bytes> {
    let mut buffer = Buffer::take(count, client);
    match file.read_at(buffer.space(), at)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => Ok(buffer.filled(count)),
    }
}

impl Window {
    /// `None` where it does not reach so far.
    fn slice(&self, range: ByteRange) -> Option<Bytes> {
        let within = |offset: u64| offset.checked_sub(self.start).and_then(|within| usize::try_from(within).ok());
        let (from, to) = (within(range.start)?, within(range.end)?);
        (to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }
}

impl Work {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let finished = match self {
            Self::BringIn(task) => ready!(Pin::new(task).poll(context)).map(|done| done.map(|()| None)),
            Self::Read(task) => ready!(Pin::new(task).poll(context)).map(|done| done.map(Some)),
        };
        Poll::Ready(finished.unwrap_or_else(|error| Err(io::Error::other(error))))
    }
}
