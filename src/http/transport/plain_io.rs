//! A TCP connection that sends parts of files where it is given their addresses, and gives up on clients that stall.
//!
//! hyper's timer for a request's head runs between requests as well, so it is set to the time that a connection may be
//! idle; that a head which has begun is finished soon is watched here.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::mapping::{FileRegions, Located};
use super::taking::{Patience, Taking};

/// Bytes that one `sendfile` may send before others on the same thread have their turn.
const MAX_SEND_BYTES: usize = 1 << 20;

pub(super) struct PlainIo {
    stream: TcpStream,
    regions: FileRegions,
    stall: Stall,
    head: Option<HeadWatch>,
}

/// Tells when requests begin and end. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Requests(Arc<AtomicU64>);

/// Being carried out, until it is dropped.
pub(super) struct InProgress(Arc<AtomicU64>);

impl Requests {
    /// A request's head has come whole. The count is odd while one is carried out.
    pub(super) fn begin(&self) -> InProgress {
        self.0.fetch_add(1, Ordering::Relaxed);
        InProgress(self.0.clone())
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Notices a head that does not come to its end.
struct HeadWatch {
    timeout: Duration,
    requests: Requests,
    /// When bytes came that are not of a request that is carried out, and how many requests there had been.
    begun: Option<(Instant, u64)>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Notices that a client takes nothing, or too little.
struct Stall {
    patience: Patience,
    taking: Taking,
    timer: Option<Pin<Box<Sleep>>>,
}

impl PlainIo {
    pub(super) fn new(stream: TcpStream, patience: Patience) -> Self {
        let stall = Stall { patience, taking: Taking::default(), timer: None };
        Self { stream, regions: FileRegions::default(), stall, head: None }
    }

    /// For HTTP/1.1: a head must end `timeout` after it has begun.
    pub(super) fn watch_heads(&mut self, timeout: Duration) -> Requests {
        let requests = Requests::default();
        self.head = Some(HeadWatch { timeout, requests: requests.clone(), begun: None, timer: None });
        requests
    }

    /// For a client that is not served.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// For the bodies of this connection.
    pub(super) fn regions(&self) -> &FileRegions {
        &self.regions
    }

    fn poll_send(&mut self, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.regions.is_empty() {
            return Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        }
        let located = slices.iter().enumerate().find_map(|(at, slice)| Some((at, self.regions.locate(slice)?)));
        match located {
            None => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
            Some((0, located)) => {
                let slice: &[u8] = slices.first().map_or(&[], |slice| slice);
                self.poll_send_file(context, &located, slice)
            }
            // More follows at once: the kernel need not send a small packet for the head alone.
            Some((at, _)) => self.poll_send_more(context, slices.get(..at).unwrap_or(slices)),
        }
    }

    fn poll_send_file(&mut self, context: &mut Context<'_>, part: &Located, slice: &[u8]) -> Poll<io::Result<usize>> {
        let count = slice.len().min(MAX_SEND_BYTES);
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            let mut offset = part.offset;
            let send = || Ok(rustix::fs::sendfile(&self.stream, &part.file, Some(&mut offset), count)?);
            match self.stream.try_io(Interest::WRITABLE, send) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Ok(sent) => return Poll::Ready(Ok(sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if cannot(&error) => return Pin::new(&mut self.stream).poll_write(context, slice),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_send_more(&mut self, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            let send = || {
                let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
                Ok(rustix::net::sendmsg(&self.stream, slices, &mut SendAncillaryBuffer::default(), flags)?)
            };
            match self.stream.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

/// The file system of this file cannot be sent from; the mapping is read instead.
fn cannot(error: &io::Error) -> bool {
    let unable = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP];
    error.raw_os_error().is_some_and(|code| unable.iter().any(|errno| errno.raw_os_error() == code))
}

impl HeadWatch {
    fn watch(&mut self, context: &mut Context<'_>, received: bool) -> io::Result<()> {
        let count = self.requests.0.load(Ordering::Relaxed);
        if count % 2 == 1 || self.begun.is_some_and(|(_, then)| then != count) {
            self.begun = None;
        }
        if count.is_multiple_of(2) && received {
            self.begun.get_or_insert_with(|| (Instant::now(), count));
        }
        let Some((begun, _)) = self.begun else { return Ok(()) };
        let due = begun + self.timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the request's head did not come to its end"))
            }
            Poll::Pending => Ok(()),
        }
    }
}

impl Stall {
    /// Turns "not now" into an error when it has been said for too long, or too often.
    ///
    /// `holds_memory`: what the client does not take is memory of ours, not a file.
    fn watch(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
        holds_memory: bool,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(taken) = &polled {
            self.taking.took(taken.as_ref().map_or(0, |bytes| *bytes as u64));
            return polled;
        }
        let now = Instant::now();
        self.taking.waits(now);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(now)));
        // The timer may be of an earlier stall that ended.
        while timer.as_mut().poll(context).is_ready() {
            match self.taking.look(Instant::now(), &self.patience, holds_memory) {
                Some(next) => timer.as_mut().reset(next),
                None => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes too little")));
                }
            }
        }
        Poll::Pending
    }
}

impl AsyncRead for PlainIo {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if let Some(head) = &mut this.head {
            head.watch(context, buffer.filled().len() > before)?;
        }
        polled
    }
}

impl AsyncWrite for PlainIo {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = this.poll_send(context, slices);
        let holds_memory = this.regions.is_empty();
        this.stall.watch(context, polled, holds_memory)
    }

    /// hyper queues bodies by reference only where this is true.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
