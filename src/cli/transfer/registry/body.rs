//! A blob on its way out of a layout.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cli::transfer::error::Error;
use crate::cli::transfer::layout::Piece;
use crate::oci::{Digest, Hasher};

const CHUNK_BYTES: u64 = 256 << 10;
/// Chunks that are read ahead.
const AHEAD: usize = 4;

/// The bytes of a piece. The last of them are held back until the digest holds, so that a registry never gets a whole
/// body of wrong bytes.
pub(super) struct Outgoing {
    chunks: mpsc::Receiver<Bytes>,
    left: u64,
    sent: Arc<AtomicU64>,
}

#[derive(Debug, thiserror::Error)]
#[error("the blob cannot be sent")]
pub(super) struct Aborted;

impl Outgoing {
    /// The task says why a body ended early; a body that nobody wants any more is no error. `sent` counts bytes.
    pub(super) fn start(piece: Piece, digest: Digest, sent: Arc<AtomicU64>) -> (Self, JoinHandle<Result<(), Error>>) {
        let (sender, chunks) = mpsc::channel(AHEAD);
        let left = piece.size();
        let task = tokio::task::spawn_blocking(move || read(&piece, digest, &sender));
        (Self { chunks, left, sent }, task)
    }
}

fn read(piece: &Piece, digest: Digest, sender: &mpsc::Sender<Bytes>) -> Result<(), Error> {
    let mut hasher = Hasher::new(digest.algorithm());
    let mut held_back = Bytes::new();
    let mut offset = 0;
    while offset < piece.size() {
        let chunk = Bytes::from(piece.read(offset, CHUNK_BYTES)?);
        offset += chunk.len() as u64;
        hasher.update(&chunk);
        let before = std::mem::replace(&mut held_back, chunk);
        if !before.is_empty() && sender.blocking_send(before).is_err() {
            return Ok(());
        }
    }
    let found = hasher.finish();
    if found != digest {
        return Err(Error::layout(piece.path(), format!("blob {digest} is damaged: its bytes are {found}")));
    }
    // Who does not want it any more has answered already.
    let _ = sender.blocking_send(held_back);
    Ok(())
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        match self.chunks.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(Some(Err(Aborted))),
            Poll::Ready(Some(chunk)) => {
                let count = chunk.len() as u64;
                self.left = self.left.saturating_sub(count);
                self.sent.fetch_add(count, Ordering::Relaxed);
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
