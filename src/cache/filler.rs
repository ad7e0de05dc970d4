//! The task that fetches a blob: open, reserve, write while hashing, verify, publish.
//!
//! It belongs to nobody who asks. While one batch is hashed and written on a blocking thread the next one is read from
//! upstream, so the network never waits for the hash unless the hash is slower, and then upstream is held back.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::disk::{Disk, Reservation};
use super::error::Error;
use super::fill::{Detached, Fill, Progress};
use super::flights::Landing;
use super::origin::Stream;
use super::pass_through::{check, pause};
use super::supply::Supply;
use crate::oci::Digest;
use crate::storage::{self, Sending, Writer, joined};
use crate::telemetry::Metrics;

/// Bytes read ahead of what is being hashed.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// Room is promised in steps of this where the size is not known.
const RESERVE_STEP_BYTES: u64 = 16 << 20;

pub(super) struct Filler {
    pub(super) fill: Arc<Fill>,
    pub(super) disk: Arc<Disk>,
    pub(super) metrics: Metrics,
    pub(super) attempts: u32,
    /// Where the bytes come from: the fill's source, or the bucket that all replicas share.
    pub(super) supply: Supply,
    /// The process is going down: keep what has come, to be resumed.
    pub(super) stop: CancellationToken,
}

/// Wakes everyone who waits if the task ends without having said how.
struct Unfinished<'a>(&'a Fill);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.fail(Error::Stopped { digest: self.0.digest });
    }
}

/// How a fill ended, where it did not fail.
enum End {
    Stored,
    /// The disk gave out; readers go on by themselves.
    Detached,
}

/// A fill that has a file and room for it.
struct Begun {
    writer: Writer,
    reservation: Reservation,
    /// `None` when an earlier process had fetched all of it.
    stream: Option<Stream>,
    /// What comes goes on to the bucket.
    sending: Option<Sending>,
}

impl Filler {
    /// `expected` is the blob's size in bytes, if a manifest told it. The fill lands before its failure is told, so that
    /// whoever hears of it and asks again starts another.
    pub(super) async fn run(mut self, expected: Option<u64>, landing: Landing<Digest, Fill>) {
        let fill = self.fill.clone();
        let _unfinished = Unfinished(&fill);
        let landing = landing;
        let started = Instant::now();
        self.metrics.cache_fills_in_flight.inc();
        self.supply.take_turn().await;
        let result = self.fetch(expected).await;
        self.metrics.cache_fills_in_flight.dec();
        let label = match &result {
            Ok(End::Stored) => {
                self.metrics.cache_fill_seconds.observe(started.elapsed().as_secs_f64());
                "stored"
            }
            Ok(End::Detached) => "pass_through",
            Err(Error::Corrupt { upstream, .. }) => {
                self.metrics.cache_digest_mismatches.with_label_values(&[upstream]).inc();
                "corrupt"
            }
            Err(_) => "failed",
        };
        self.metrics.cache_fills.with_label_values(&[label]).inc();
        if let Err(error) = result {
            tracing::warn!(digest = %fill.digest, %error, "a fill failed");
            drop(landing);
            fill.fail(error);
        }
    }

    async fn fetch(&mut self, expected: Option<u64>) -> Result<End, Error> {
        let Some(mut begun) = self.begin(expected).await? else { return Ok(End::Detached) };
        let mut attempts = 0;
        loop {
            let before = begun.writer.staged.len();
            let Some(stream) = begun.stream.take() else { break };
            let (writer, ended) = self.copy(begun.writer, &mut begun.reservation, stream, begun.sending.as_ref()).await;
            begun.writer = writer;
            let error = match ended {
                Ok(()) => break,
                Err(Broken::Disk(detached)) => {
                    self.fill.advance(Progress::Detached(*detached));
                    return Ok(End::Detached);
                }
                Err(Broken::Stopped) => {
                    self.leave(begun.writer.staged, begun.reservation).await;
                    return Err(Error::Stopped { digest: self.fill.digest });
                }
                Err(Broken::Origin(error)) => error,
            };
            if begun.writer.staged.len() > before {
                attempts = 0;
            }
            match self.reopen(begun.writer.staged.len(), &mut attempts, error).await {
                Ok(stream) => begun.stream = Some(stream),
                Err(error) => {
                    self.leave(begun.writer.staged, begun.reservation).await;
                    return Err(error);
                }
            }
        }
        self.finish(begun).await
    }

    /// Opens the staging file and the upstream, tells the readers, and makes room. `None` when nothing can be kept: the
    /// readers have been told to go on by themselves.
    async fn begin(&mut self, expected: Option<u64>) -> Result<Option<Begun>, Error> {
        let digest = self.fill.digest;
        let disk = self.disk.clone();
        let (mut staged, mut reservation) = match blocking(move || disk.stage(&digest)).await {
            Ok(staged) => staged,
            Err(error) => return self.detach("reserve", Some(&error), None).await.map(|()| None),
        };
        if expected.is_some_and(|expected| staged.len() > expected) {
            staged = self.restart(staged).await?;
        }
        let resumed = staged.len();
        let stream = if resumed > 0 && expected == Some(resumed) {
            None
        } else {
            match self.supply.open(&self.fill.source, resumed, expected).await {
                Ok(stream) => Some(stream),
                Err(error) if resumed > 0 && error.is_misbehaviour() => {
                    // What is there may be longer than the blob, or of another one: begin again.
                    staged = self.restart(staged).await?;
                    Some(self.supply.open(&self.fill.source, 0, expected).await?)
                }
                Err(error) => {
                    self.leave(staged, reservation).await;
                    return Err(error);
                }
            }
        };
        let resumed = staged.len();
        let total = stream.as_ref().and_then(|stream| stream.total).or(expected);
        self.fill.set_total(total);
        let reserved = blocking(move || {
            if !reservation.grow_to(total.unwrap_or(RESERVE_STEP_BYTES).max(staged.len())) {
                return Ok(None);
            }
            if let Some(total) = total {
                staged.reserve(total)?;
            }
            Ok(Some((staged, reservation)))
        })
        .await;
        let (staged, reservation) = match reserved {
            Ok(Some(reserved)) => reserved,
            Ok(None) => return self.detach("reserve", None, stream).await.map(|()| None),
            Err(error) => return self.detach("reserve", Some(&error), stream).await.map(|()| None),
        };
        self.fill.set_file(staged.file().clone());
        self.fill.advance(Progress::Arriving(resumed));
        let mut writer = Writer::new(staged, digest.algorithm());
        if resumed > 0 {
            tracing::info!(%digest, bytes = resumed, "going on with a fill of an earlier process");
            self.metrics.cache_fill_resumes.inc();
            let (rehashed, result) = writer.rehash(digest.algorithm()).await;
            writer = rehashed;
            result.map_err(|error| self.unreadable(error))?;
        }
        let sending = self.supply.send(&writer.staged);
        Ok(Some(Begun { writer, reservation, stream, sending }))
    }

    /// Copies the body to its end. The writer comes back in every case.
    async fn copy(
        &self,
        writer: Writer,
        reservation: &mut Reservation,
        mut stream: Stream,
        sending: Option<&Sending>,
    ) -> (Writer, Result<(), Broken>) {
        let mut idle = Some(writer);
        let mut batch: Vec<Bytes> = Vec::new();
        let mut batch_bytes = 0;
        let mut ended = None;
        let work = futures_util::future::Fuse::terminated();
        tokio::pin!(work);
        loop {
            if let Some(writer) = idle.take() {
                if !batch.is_empty() {
                    let length = writer.staged.len() + batch_bytes as u64;
                    if !reservation.grow_to(length) {
                        return self.give_out(writer, stream, None);
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
                (writer, result) = &mut work, if idle.is_none() => {
                    let arrived = writer.staged.len();
                    if let Err(error) = result {
                        return self.give_out(writer, stream, Some(&error));
                    }
                    self.fill.advance(Progress::Arriving(arrived));
                    if let Some(sending) = sending {
                        sending.advance(arrived);
                    }
                    idle = Some(writer);
                }
                chunk = stream.chunk(), if ended.is_none() && batch_bytes < MAX_BATCH_BYTES => match chunk {
                    Ok(Some(chunk)) => {
                        batch_bytes += chunk.len();
                        batch.push(chunk);
                    }
                    Ok(None) => ended = Some(Ok(())),
                    Err(error) => ended = Some(Err(Broken::Origin(error))),
                },
                () = self.stop.cancelled(), if ended.is_none() => ended = Some(Err(Broken::Stopped)),
            }
        }
    }

    /// The disk took no more: readers go on from what is in the file.
    fn give_out(&self, writer: Writer, stream: Stream, error: Option<&storage::Error>) -> (Writer, Result<(), Broken>) {
        if let Some(error) = error {
            self.disk.failed("write", error);
        }
        drop(stream);
        let detached = Detached::new(writer.staged.len(), writer.hasher.clone(), None);
        (writer, Err(Broken::Disk(Box::new(detached))))
    }

    /// Nothing can be kept from the start: everyone streams for themselves.
    async fn detach(
        &mut self,
        operation: &'static str,
        error: Option<&storage::Error>,
        stream: Option<Stream>,
    ) -> Result<(), Error> {
        match error {
            Some(error) => self.disk.failed(operation, error),
            None => tracing::warn!(
                digest = %self.fill.digest, bytes = self.fill.total(),
                "no room below the disk limit that is not in use; the blob is passed through and not kept"
            ),
        }
        let stream = match stream {
            Some(stream) if stream.start == 0 => stream,
            _ => self.supply.open(&self.fill.source, 0, self.fill.total()).await?,
        };
        self.fill.set_total(stream.total);
        let stream = match stream.at_readers_pace() {
            Some(stream) => stream,
            None => self.fill.source.open_at_readers_pace(0, self.fill.total()).await?,
        };
        let hasher = crate::oci::Hasher::new(self.fill.digest.algorithm());
        self.fill.advance(Progress::Detached(Detached::new(0, hasher, Some(stream))));
        Ok(())
    }

    /// Asks for the rest, on the next endpoint if there is one.
    async fn reopen(&mut self, at: u64, attempts: &mut u32, mut error: Error) -> Result<Stream, Error> {
        loop {
            if *attempts + 1 >= self.attempts {
                return Err(error);
            }
            tracing::info!(digest = %self.fill.digest, bytes = at, %error, "upstream broke off; asking for the rest");
            tokio::select! {
                paused = pause(attempts, error) => paused?,
                () = self.stop.cancelled() => return Err(Error::Stopped { digest: self.fill.digest }),
            }
            self.metrics.cache_fill_resumes.inc();
            match self.supply.open(&self.fill.source, at, self.fill.total()).await {
                Ok(stream) => {
                    self.fill.set_total(stream.total);
                    return Ok(stream);
                }
                Err(again) => error = again,
            }
        }
    }

    /// Verifies, lets the readers have the end, and publishes.
    async fn finish(&mut self, begun: Begun) -> Result<End, Error> {
        let Begun { writer: Writer { staged, hasher }, reservation, sending, .. } = begun;
        let size = staged.len();
        let checked = check(&self.fill, self.supply.origin(), hasher, size);
        if checked.is_err() {
            self.supply.disown().await;
        }
        checked?;
        self.supply.keep(size, sending);
        self.fill.set_total(Some(size));
        self.fill.advance(Progress::Verified(size));
        let (disk, fill) = (self.disk.clone(), self.fill.clone());
        let published = blocking(move || {
            staged.publish(&fill.digest)?;
            fill.keep(disk.publish(&fill.digest, size, reservation));
            Ok(())
        })
        .await;
        match published {
            Ok(()) => Ok(End::Stored),
            Err(error) => {
                self.disk.failed("commit", &error);
                Ok(End::Detached)
            }
        }
    }

    /// Keeps what has arrived, to be resumed.
    async fn leave(&self, staged: storage::Staged, reservation: Reservation) {
        let (disk, digest) = (self.disk.clone(), self.fill.digest);
        let left = blocking(move || {
            disk.leave(&digest, staged, reservation);
            Ok(())
        });
        // It reports its own trouble.
        let _ = left.await;
    }

    async fn restart(&self, mut staged: storage::Staged) -> Result<storage::Staged, Error> {
        blocking(move || staged.restart().map(|()| staged)).await.map_err(|error| self.unreadable(error))
    }

    fn unreadable(&self, error: storage::Error) -> Error {
        self.disk.failed("read", &error);
        Error::Storage { digest: self.fill.digest, source: Arc::new(error) }
    }
}

enum Broken {
    Origin(Error),
    Disk(Box<Detached>),
    Stopped,
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, storage::Error> + Send + 'static,
) -> Result<T, storage::Error> {
    joined(tokio::task::spawn_blocking(work).await).await
}
