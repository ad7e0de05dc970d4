//! A reader's view of a file that is whole, or growing.

use std::fs::File;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::watch;
use tokio_util::sync::ReusableBoxFuture;

use super::disk::Pin;
use super::error::Error;
use super::fill::{Progress, Reading};
use super::pass_through::{self, ByteStream};
use crate::oci::ByteRange;

/// Bytes `start..end` of a blob's file, as far as they may be seen yet. Holding it keeps a whole blob from eviction;
/// dropping it means that the reader left, and touches nobody.
pub struct BlobReader {
    file: Arc<File>,
    start: u64,
    end: Option<u64>,
    state: State,
}

enum State {
    Whole { size: u64, _pin: Option<Arc<Pin>> },
    Growing { reading: Reading, progress: watch::Receiver<Progress>, change: Option<Change> },
}

/// Resolves when the fill has gone on; hands the receiver back.
type Change = ReusableBoxFuture<'static, watch::Receiver<Progress>>;

/// What a reader may do next.
pub enum Visible {
    /// Read the file up to this offset.
    Until(u64),
    /// The blob ends here: only where its size was not known before.
    End,
    /// The file ends here, and the rest comes from upstream directly.
    Rest(ByteStream),
}

impl BlobReader {
    pub(super) fn whole(file: Arc<File>, size: u64, range: Option<ByteRange>, pin: Option<Arc<Pin>>) -> Self {
        let (start, end) = range.map_or((0, size), |range| (range.start, range.end.min(size)));
        Self { file, start, end: Some(end), state: State::Whole { size, _pin: pin } }
    }

    pub(super) fn growing(file: Arc<File>, reading: Reading, range: Option<ByteRange>) -> Self {
        let (start, end) = range.map_or((0, reading.fill.total()), |range| (range.start, Some(range.end)));
        let progress = reading.fill.subscribe();
        Self { file, start, end, state: State::Growing { reading, progress, change: None } }
    }

    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Offset of the first byte.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Offset after the last byte, `None` while the blob's size is not known.
    pub fn end(&self) -> Option<u64> {
        self.end
    }

    /// Says what comes after offset `beyond`, up to which the reader has read. An error means that the blob cannot be
    /// completed: the reader must end in a way that its client cannot take for the end.
    pub fn poll_visible(&mut self, context: &mut Context<'_>, beyond: u64) -> Poll<Result<Visible, Error>> {
        let end = self.end;
        let clamp = |offset: u64| end.map_or(offset, |end| offset.min(end));
        let (Reading { fill, source, .. }, progress, change) = match &mut self.state {
            State::Whole { size, .. } => return Poll::Ready(Ok(Visible::Until(clamp(*size)))),
            State::Growing { reading, progress, change } => (reading, progress, change),
        };
        loop {
            if let Some(pending) = change {
                match pending.poll(context) {
                    Poll::Ready(receiver) => {
                        *progress = receiver;
                        *change = None;
                    }
                    Poll::Pending => return Poll::Pending,
                }
            }
            let now = progress.borrow_and_update().clone();
            match now {
                Progress::Verified(size) if beyond >= clamp(size) => return Poll::Ready(Ok(Visible::End)),
                Progress::Verified(size) => return Poll::Ready(Ok(Visible::Until(clamp(size)))),
                Progress::Failed(error) => return Poll::Ready(Err(error)),
                Progress::Detached(detached) => {
                    let until = clamp(fill.visible(detached.at));
                    if until > beyond {
                        return Poll::Ready(Ok(Visible::Until(until)));
                    }
                    let rest = pass_through::rest(fill, source.clone(), &self.file, detached, beyond, end);
                    return Poll::Ready(Ok(Visible::Rest(rest)));
                }
                Progress::Arriving(arrived) => {
                    let until = clamp(fill.visible(arrived));
                    if until > beyond {
                        return Poll::Ready(Ok(Visible::Until(until)));
                    }
                }
                Progress::Opening => {}
            }
            let mut receiver = progress.clone();
            *change = Some(ReusableBoxFuture::new(async move {
                // The sender lives as long as the fill, which this reader holds.
                let _ = receiver.changed().await;
                receiver
            }));
        }
    }
}
