//! The streams of an HTTP/2 connection: how many there are, and whether the client takes what it asked for.
//!
//! The socket of such a connection is never stalled, however little the client takes: it may answer pings while the window of
//! every stream is shut. So each stream is watched by itself. hyper polls a body for the next piece only when the client has
//! taken the piece before, and between the two the stream waits for the client.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::Instant;

use super::places::RequestPlace;
use super::taking::{Patience, Taking};
use crate::telemetry::Metrics;

tokio::task_local! {
    /// Of the stream whose task is polled.
    static PROGRESS: Arc<Progress>;
}

/// Counts the streams of a connection. Cheap to clone.
#[derive(Clone)]
pub(super) struct Streams {
    count: watch::Sender<Count>,
}

#[derive(Clone, Copy, Default)]
struct Count {
    open: usize,
    /// Since the connection began.
    begun: u64,
}

/// A stream that is counted until it is dropped.
pub(super) struct OpenStream {
    count: watch::Sender<Count>,
    _place: Option<RequestPlace>,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self { count: watch::Sender::new(Count::default()) }
    }

    pub(super) fn begin(&self, place: Option<RequestPlace>) -> OpenStream {
        self.count.send_modify(|count| {
            count.open += 1;
            count.begun += 1;
        });
        OpenStream { count: self.count.clone(), _place: place }
    }

    /// Returns when no stream has been open for so long.
    pub(super) async fn idle(&self, timeout: Duration) {
        let mut counts = self.count.subscribe();
        loop {
            // The sender is `self`'s.
            let Ok(seen) = counts.wait_for(|count| count.open == 0).await.map(|count| *count) else { return };
            let next = counts.wait_for(|count| count.begun != seen.begun);
            if tokio::time::timeout(timeout, next).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.count.send_modify(|count| count.open -= 1);
    }
}

/// Runs the tasks of streams, and drops those whose client takes nothing, or too little: the stream is reset, the connection lives.
#[derive(Clone)]
pub(super) struct StreamTasks {
    pub(super) patience: Patience,
    pub(super) metrics: Metrics,
}

impl<F> hyper::rt::Executor<F> for StreamTasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let (patience, metrics) = (self.patience.clone(), self.metrics.clone());
        tokio::spawn(async move {
            let progress = Arc::new(Progress::default());
            let stream = PROGRESS.scope(progress.clone(), stream);
            tokio::select! {
                () = stream => {}
                () = progress.stalled(&patience) => metrics.http_ended.with_label_values(&["stalled_stream"]).inc(),
            }
        });
    }
}

/// How the client takes the pieces of an answer.
#[derive(Default)]
struct Progress(Mutex<Pieces>);

#[derive(Default)]
struct Pieces {
    taking: Taking,
    /// Bytes of the piece that the client has to take.
    offered: u64,
}

impl Progress {
    /// The client has taken the piece before, and has one of so many bytes; `None` while it waits for the next one.
    fn client_has_a_piece(&self, bytes: Option<u64>) {
        let mut pieces = self.lock();
        let taken = std::mem::replace(&mut pieces.offered, bytes.unwrap_or_default());
        pieces.taking.took(taken);
        if bytes.is_some() {
            pieces.taking.waits(Instant::now());
        }
    }

    /// Returns when the client is given up.
    async fn stalled(&self, patience: &Patience) {
        loop {
            let next = self.lock().taking.look(Instant::now(), patience, true);
            let Some(next) = next else { return };
            tokio::time::sleep_until(next).await;
        }
    }

    /// Nothing that holds the lock panics or awaits.
    fn lock(&self) -> MutexGuard<'_, Pieces> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of a stream's answer.
pub(super) struct StreamBody<B> {
    pub(super) body: B,
    pub(super) _open: OpenStream,
}

impl<B: Body<Data = Bytes> + Unpin> Body for StreamBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.get_mut().body).poll_frame(context);
        let piece = match &polled {
            Poll::Ready(Some(Ok(frame))) => Some(frame.data_ref().map_or(0, |bytes| bytes.len() as u64)),
            _ => None,
        };
        // Outside of a stream's task nobody watches.
        let _ = PROGRESS.try_with(|progress| progress.client_has_a_piece(piece));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
