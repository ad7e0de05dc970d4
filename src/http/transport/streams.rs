//! The streams of an HTTP/2 connection: how many there are, and whether the client takes what it asked for.
//!
//! The socket of such a connection is never stalled, however little the client takes: it may answer pings while the window of
//! every stream is shut. So each stream is watched by itself. hyper polls a body for the next piece only when the client has
//! taken the piece before, and between the two the stream waits for the client.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;

use super::buffers::{self, Client};
use super::places::RequestPlace;
use super::plain_io::SHORT_STALL;
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

/// Runs the tasks of streams, and drops those whose client takes nothing: the stream is reset, the connection lives.
#[derive(Clone)]
pub(super) struct StreamTasks {
    pub(super) stall_timeout: Duration,
    pub(super) client: Client,
    pub(super) metrics: Metrics,
}

impl<F> hyper::rt::Executor<F> for StreamTasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let (stall_timeout, client, metrics) = (self.stall_timeout, self.client, self.metrics.clone());
        tokio::spawn(async move {
            let progress = Arc::new(Progress::default());
            let stream = PROGRESS.scope(progress.clone(), stream);
            tokio::select! {
                () = stream => {}
                () = progress.stalled(stall_timeout, client) => metrics.http_ended.with_label_values(&["stalled_stream"]).inc(),
            }
        });
    }
}

/// Milliseconds of the clock since which the client has had a piece to take; 0 while it waits for the next one.
#[derive(Default)]
struct Progress(AtomicU64);

impl Progress {
    fn client_has_a_piece(&self, has: bool) {
        self.0.store(if has { clock_ms() } else { 0 }, Ordering::Relaxed);
    }

    /// Returns when the client has taken nothing for so long.
    async fn stalled(&self, timeout: Duration, client: Client) {
        loop {
            let limit = if buffers::is_short(client) { timeout.min(SHORT_STALL) } else { timeout };
            let waited = match self.0.load(Ordering::Relaxed) {
                0 => Duration::ZERO,
                since => Duration::from_millis(clock_ms().saturating_sub(since)),
            };
            let Some(left) = limit.checked_sub(waited).filter(|left| !left.is_zero()) else { return };
            // Memory may become short meanwhile.
            tokio::time::sleep(left.min(SHORT_STALL)).await;
        }
    }
}

/// Never 0.
fn clock_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
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
        let has = matches!(polled, Poll::Ready(Some(Ok(_))));
        // Outside of a stream's task nobody watches.
        let _ = PROGRESS.try_with(|progress| progress.client_has_a_piece(has));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
