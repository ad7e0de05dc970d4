//! The task that fetches a blob: open, reserve, write while hashing, verify, publish.
//!
//! It belongs to nobody who asks. While one batch is hashed and written on a blocking thread the next one is read from
//! upstream, so the network never waits for the hash unless the hash is slower, and then upstream is held back.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::blob_cache::FlightKey;
use super::disk::{Disk, Reservation};
use super::error::Error;
use super::fill::{Detached, Fill, Progress};
use super::flights::Landing;
use super::origin::{Origin, Stream};
use super::pass_through::{check, pause};
use super::room::on_disk;
use super::supply::Supply;
use crate::storage::{self, OriginId, Sending, Writer, joined};
use crate::telemetry::Metrics;
use crate::upstream::Place;

/// Bytes read ahead of what is being hashed.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// Room is promised in steps of a share of the limit, as the bytes come: an upstream that announces much and sends little holds
/// little.
const STEPS: u64 = 64;
const LEAST_STEP_BYTES: u64 = 1 << 20;
const MOST_STEP_BYTES: u64 = 32 << 20;

/// How often it is looked whether a fill stalls, and whether it is in somebody's way then.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A fill that brings less between two looks, and that nobody reads, gives its place to whoever waits for one.
const LEAST_BYTES: u64 = 64 << 10;

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
    output: Output,
    /// `None` when an earlier process had fetched all of it.
    stream: Option<Stream>,
    /// What comes goes on to the bucket.
    sending: Option<Sending>,
}

/// Where the bytes go: the file with the hash over it, and the room that is promised to it.
struct Output {
    writer: Writer,
    reservation: Reservation,
    past: Past,
}

/// Where the bytes of a file come from.
#[derive(Clone, Copy)]
struct Past {
    /// The origin whose file it is: left, it is gone on with for that origin only.
    owner: OriginId,
    /// An earlier fill left some of them.
    is_resumed: bool,
    /// Another origin than the owner sent some of them.
    is_mixed: bool,
}

impl Past {
    /// Who has sent all bytes, to this fill, if it was one.
    fn sender(self) -> Option<OriginId> {
        (!self.is_resumed && !self.is_mixed).then_some(self.owner)
    }
}

/// The disk takes no more: it failed, or there is no room.
struct NoRoom(Option<storage::Error>);

impl Output {
    fn len(&self) -> u64 {
        self.writer.staged.len()
    }

    /// Appends the batch, of so many bytes. It comes back in every case, with what could be written.
    async fn append(mut self, batch: Vec<Bytes>, bytes: u64, total: Option<u64>) -> (Self, Result<(), NoRoom>) {
        let length = self.len() + bytes;
        if !self.reservation.covers(length) {
            let (back, grown) = self.grow(length, total).await;
            self = back;
            if let Err(none) = grown {
                return (self, Err(none));
            }
        }
        let (writer, written) = self.writer.append(batch).await;
        (Self { writer, ..self }, written.map_err(|error| NoRoom(Some(error))))
    }

    /// Makes room for `length` bytes, and for a step more if it can be had.
    async fn grow(mut self, length: u64, total: Option<u64>) -> (Self, Result<(), NoRoom>) {
        let step_bytes = (self.reservation.limit() / STEPS).clamp(LEAST_STEP_BYTES, MOST_STEP_BYTES);
        let step = length.saturating_add(step_bytes);
        let wanted = total.map_or(step, |total| step.min(total.max(length)));
        let growing = tokio::task::spawn_blocking(move || {
            let grown = if self.reservation.grow_to(wanted) {
                self.writer.staged.reserve(wanted)
            } else if self.reservation.grow_to(length) {
                self.writer.staged.reserve(length)
            } else {
                return (self, Err(NoRoom(None)));
            };
            (self, grown.map_err(|error| NoRoom(Some(error))))
        });
        joined(growing.await).await
    }
}

impl Filler {
    /// `told` is the blob's size in bytes, if somebody told it: no more than a hint. The fill lands before its failure is told,
    /// so that whoever hears of it and asks again starts another. `report` is called when the origin has sent the blob.
    pub(super) async fn run<F: Future<Output = ()>>(
        mut self,
        told: Option<u64>,
        landing: Landing<FlightKey, Fill>,
        report: impl FnOnce() -> F,
    ) {
        let fill = self.fill.clone();
        let _unfinished = Unfinished(&fill);
        let landing = landing;
        let started = Instant::now();
        self.metrics.cache_fills_in_flight.inc();
        let result = match self.supply.take_turn().await {
            Ok(()) => self.fetch(told).await,
            Err(error) => Err(error),
        };
        if matches!(fill.progress(), Progress::Verified(_)) {
            report().await;
        }
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
            Err(Error::Abandoned { .. }) => "abandoned",
            Err(_) => "failed",
        };
        self.metrics.cache_fills.with_label_values(&[label]).inc();
        if let Err(error) = result {
            if !matches!(error, Error::Abandoned { .. }) {
                tracing::warn!(digest = %fill.digest, %error, "a fill failed");
            }
            drop(landing);
            fill.fail(error);
        }
    }

    async fn fetch(&mut self, told: Option<u64>) -> Result<End, Error> {
        let Some(mut begun) = self.begin(told).await? else { return Ok(End::Detached) };
        let mut attempts = 0;
        loop {
            let before = begun.output.len();
            let Some(stream) = begun.stream.take() else { break };
            begun.output.past.is_mixed |= begun.output.past.owner != self.supply.origin().id();
            let (output, ended) = self.copy(begun.output, stream, begun.sending.as_ref()).await;
            begun.output = output;
            let error = match ended {
                Ok(()) => break,
                Err(Broken::Disk(NoRoom(error))) => {
                    self.give_out(begun.output, error.as_ref());
                    return Ok(End::Detached);
                }
                Err(Broken::Stopped) => {
                    self.leave(begun.output).await;
                    return Err(Error::Stopped { digest: self.fill.digest });
                }
                Err(Broken::InTheWay) => {
                    self.give_way(begun.output).await;
                    return Err(Error::Abandoned { digest: self.fill.digest });
                }
                Err(Broken::Origin(error)) => error,
            };
            if begun.output.len() > before {
                attempts = 0;
            }
            match self.reopen(begun.output.len(), &mut attempts, error).await {
                Ok(stream) => begun.stream = Some(stream),
                Err(error @ Error::Abandoned { .. }) => {
                    self.give_way(begun.output).await;
                    return Err(error);
                }
                Err(error) => {
                    self.leave(begun.output).await;
                    return Err(error);
                }
            }
        }
        self.finish(begun).await
    }

    /// Waits for the place upstream, opens the staging file and the upstream, tells the readers, and makes room. `None` when nothing
    /// can be kept: the readers have been told to go on by themselves.
    async fn begin(&mut self, told: Option<u64>) -> Result<Option<Begun>, Error> {
        let (digest, owner) = (self.fill.digest, self.supply.origin().id());
        // Whoever waits holds no file. What an earlier process had fetched all of needs no place.
        let may_be_whole = told.is_some_and(|told| self.disk.left_over_bytes(&digest, owner) == Some(on_disk(told)));
        let place = if may_be_whole { None } else { Some(self.place().await?) };
        let disk = self.disk.clone();
        let (staged, reservation) = match blocking(move || disk.stage(&digest, owner)).await {
            Ok(staged) => staged,
            Err(error) => {
                // It is opened in a place of readers.
                drop(place);
                return self.detach("reserve", Some(&error), None).await.map(|()| None);
            }
        };
        let past = Past { owner, is_resumed: !staged.is_empty(), is_mixed: false };
        let mut output = Output { writer: Writer::new(staged, digest.algorithm()), reservation, past };
        let resumed = output.len();
        if resumed > 0 && told == Some(resumed) {
            // An earlier process had perhaps fetched all of it.
            output = self.rehash(output).await?;
            if output.writer.hasher.clone().finish() == digest {
                return Ok(Some(self.arriving(output, resumed, None)));
            }
        }
        let stream = match self.open_first(place, resumed).await {
            Ok(stream) => stream,
            Err(error) if self.supply.gives_up_bucket(&error).await => {
                self.leave(output).await;
                return Box::pin(self.begin(told)).await;
            }
            Err(error) if resumed > 0 && error.is_misbehaviour() => {
                // What is there may be longer than the blob, or of another one: begin again.
                output = self.restart(output).await?;
                self.open_first(None, 0).await?
            }
            Err(error) => {
                self.leave(output).await;
                return Err(error);
            }
        };
        let resumed = output.len();
        self.fill.set_total(stream.total);
        let size = stream.total.unwrap_or(resumed);
        if !self.disk.admits(size, &output.reservation) {
            drop(output);
            return self.detach("reserve", None, Some(stream)).await.map(|()| None);
        }
        let (mut output, grown) = output.grow(resumed, stream.total).await;
        if let Err(NoRoom(error)) = grown {
            drop(output);
            return self.detach("reserve", error.as_ref(), Some(stream)).await.map(|()| None);
        }
        if resumed > 0 {
            tracing::info!(%digest, bytes = resumed, "going on with a fill of an earlier process");
            self.metrics.cache_fill_resumes.inc();
            output = self.rehash(output).await?;
        }
        Ok(Some(self.arriving(output, resumed, Some(stream))))
    }

    /// Waits for the turn to put the first question, unless nobody waits for its answer any more.
    async fn place(&self) -> Result<Option<Place>, Error> {
        tokio::select! {
            biased;
            place = self.supply.place(&self.fill) => place,
            () = self.fill.abandoned() => Err(Error::Abandoned { digest: self.fill.digest }),
        }
    }

    /// Puts the first question, in the place that was waited for if there is one.
    async fn open_first(&mut self, place: Option<Option<Place>>, start: u64) -> Result<Stream, Error> {
        let place = match place {
            Some(place) => place,
            None => self.place().await?,
        };
        let (fill, origin) = (self.fill.clone(), self.supply.origin().clone());
        tokio::select! {
            opened = origin.open_in(place, start, None) => opened,
            () = in_the_way(&fill, &origin) => Err(Error::Abandoned { digest: fill.digest }),
        }
    }

    /// From now on readers see what comes.
    fn arriving(&self, output: Output, arrived: u64, stream: Option<Stream>) -> Begun {
        self.fill.set_file(output.writer.staged.file().clone());
        self.fill.advance(Progress::Arriving(arrived));
        let sending = self.supply.send(&output.writer.staged);
        Begun { output, stream, sending }
    }

    /// Brings the hash up to what the file holds.
    async fn rehash(&self, output: Output) -> Result<Output, Error> {
        let (writer, result) = output.writer.rehash(self.fill.digest.algorithm()).await;
        result.map_err(|error| self.unreadable(error))?;
        Ok(Output { writer, ..output })
    }

    /// Copies the body to its end. The output comes back in every case.
    async fn copy(
        &self,
        output: Output,
        mut stream: Stream,
        sending: Option<&Sending>,
    ) -> (Output, Result<(), Broken>) {
        let mut idle = Some(output);
        let mut batch: Vec<Bytes> = Vec::new();
        let mut batch_bytes = 0;
        let mut ended = None;
        let mut looks = tokio::time::interval_at(tokio::time::Instant::now() + LOOK_EVERY, LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut brought = 0;
        let work = futures_util::future::Fuse::terminated();
        tokio::pin!(work);
        loop {
            if let Some(output) = idle.take() {
                if !batch.is_empty() {
                    let writing = output.append(std::mem::take(&mut batch), batch_bytes as u64, self.fill.total());
                    batch_bytes = 0;
                    work.set(futures_util::FutureExt::fuse(writing));
                } else if let Some(ended) = ended {
                    return (output, ended);
                } else {
                    idle = Some(output);
                }
            }
            tokio::select! {
                biased;
                (output, result) = &mut work, if idle.is_none() => {
                    if let Err(none) = result {
                        return (output, Err(Broken::Disk(none)));
                    }
                    let arrived = output.len();
                    // What waited for the disk is not upstream's to have brought.
                    brought = brought.max(LEAST_BYTES);
                    self.fill.advance(Progress::Arriving(arrived));
                    if let Some(sending) = sending {
                        sending.advance(arrived);
                    }
                    idle = Some(output);
                }
                chunk = stream.chunk(), if ended.is_none() && batch_bytes < MAX_BATCH_BYTES => match chunk {
                    Ok(Some(chunk)) => {
                        batch_bytes += chunk.len();
                        brought += chunk.len() as u64;
                        batch.push(chunk);
                    }
                    Ok(None) => ended = Some(Ok(())),
                    Err(error) => ended = Some(Err(Broken::Origin(error))),
                },
                () = self.stop.cancelled(), if ended.is_none() => ended = Some(Err(Broken::Stopped)),
                _ = looks.tick(), if ended.is_none() && batch_bytes < MAX_BATCH_BYTES => {
                    ended = self.look(std::mem::take(&mut brought)).map(Err);
                }
            }
        }
    }

    /// Whether the body is to be left, which has brought so many bytes since the last look.
    fn look(&self, brought: u64) -> Option<Broken> {
        let Self { fill, supply, .. } = self;
        if brought < LEAST_BYTES && !fill.is_read() && supply.origin().is_waited_for() {
            return Some(Broken::InTheWay);
        }
        (brought == 0 && fill.has_other()).then_some(Broken::Origin(Error::Stalled { digest: fill.digest }))
    }

    /// Leaves what has come to whoever asks next. A reader that came at the last moment goes on by itself.
    async fn give_way(&self, output: Output) {
        let (at, hasher, sender) = (output.len(), output.writer.hasher.clone(), output.past.sender());
        self.leave(output).await;
        self.fill.advance(Progress::Detached(Detached::new(at, hasher, sender, None)));
    }

    /// The disk took no more: readers go on from what is in the file, which counts until the last of them leaves.
    fn give_out(&self, output: Output, error: Option<&storage::Error>) {
        match error {
            Some(error) => self.disk.failed("write", error),
            None => self.tell_no_room(),
        }
        let Output { writer: Writer { staged, hasher }, reservation, past } = output;
        self.fill.keep_room(reservation);
        self.fill.advance(Progress::Detached(Detached::new(staged.len(), hasher, past.sender(), None)));
    }

    fn tell_no_room(&self) {
        tracing::warn!(
            digest = %self.fill.digest, bytes = self.fill.total(),
            "no room below the disk limit that is not in use, or the blob is larger than `cache.disk_object`; it is passed through and not kept"
        );
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
            None => self.tell_no_room(),
        }
        let stream = match stream {
            Some(stream) if stream.start == 0 => stream,
            other => {
                // Nobody waits for a place with another in hand.
                drop(other);
                self.supply.open(&self.fill, 0, self.fill.total()).await?
            }
        };
        self.fill.set_total(stream.total);
        let hasher = crate::oci::Hasher::new(self.fill.digest.algorithm());
        self.fill.advance(Progress::Detached(Detached::new(0, hasher, None, stream.at_readers_pace())));
        Ok(())
    }

    /// Asks for the rest: as a reader from another repository would, if there is one, or on the next endpoint.
    async fn reopen(&mut self, at: u64, attempts: &mut u32, error: Error) -> Result<Stream, Error> {
        let (fill, origin) = (self.fill.clone(), self.supply.origin().clone());
        tokio::select! {
            reopened = self.reopen_somewhere(at, attempts, error) => reopened,
            () = in_the_way(&fill, &origin) => Err(Error::Abandoned { digest: fill.digest }),
        }
    }

    async fn reopen_somewhere(&mut self, at: u64, attempts: &mut u32, mut error: Error) -> Result<Stream, Error> {
        loop {
            while let Some(other) = self.fill.take_other() {
                tracing::info!(digest = %self.fill.digest, bytes = at, %error, "going on with another repository of the upstream");
                if let Some(stream) = self.supply.open_elsewhere(&other, &self.fill, at).await {
                    self.metrics.cache_fill_resumes.inc();
                    return Ok(stream);
                }
            }
            if *attempts + 1 >= self.attempts {
                return Err(error);
            }
            tracing::info!(digest = %self.fill.digest, bytes = at, %error, "upstream broke off; asking for the rest");
            tokio::select! {
                paused = pause(attempts, error) => paused?,
                () = self.stop.cancelled() => return Err(Error::Stopped { digest: self.fill.digest }),
            }
            self.metrics.cache_fill_resumes.inc();
            match self.supply.open(&self.fill, at, self.fill.total()).await {
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
        let Begun { output: Output { writer: Writer { staged, hasher }, reservation, past }, sending, .. } = begun;
        let (size, to_blame) = (staged.len(), past.sender().is_some());
        if let Err(error) = check(&self.fill, self.supply.origin(), hasher, size, to_blame) {
            // Readers hold the file until they hear of it.
            self.fill.keep_room(reservation);
            if to_blame {
                self.supply.disown().await;
            }
            return Err(error);
        }
        self.supply.keep(size, sending);
        self.fill.set_total(Some(size));
        let (disk, digest) = (self.disk.clone(), self.fill.digest);
        self.fill.advance(Progress::Verified(size));
        let publishing = tokio::task::spawn_blocking(move || disk.publish(&digest, staged, reservation));
        match joined(publishing.await).await {
            Ok(pin) => {
                self.fill.keep(pin);
                Ok(End::Stored)
            }
            Err((error, reservation)) => {
                self.disk.failed("commit", &error);
                self.fill.keep_room(reservation);
                Ok(End::Detached)
            }
        }
    }

    /// Keeps what has arrived, to be resumed, unless several origins sent it: then it is nobody's. Readers hold the file until they
    /// hear of it, also when what is left must go: until then its room is counted once more.
    async fn leave(&self, output: Output) {
        let Output { writer, reservation, past } = output;
        self.fill.keep_room(reservation);
        let (disk, digest) = (self.disk.clone(), self.fill.digest);
        let left = blocking(move || {
            if !past.is_mixed {
                disk.leave(&digest, past.owner, writer.staged);
            }
            Ok(())
        });
        // It reports its own trouble.
        let _ = left.await;
    }

    /// Begins the file anew, with the room that the old one had.
    async fn restart(&self, output: Output) -> Result<Output, Error> {
        let algorithm = self.fill.digest.algorithm();
        let Output { writer: Writer { mut staged, .. }, reservation, past } = output;
        let restarted = blocking(move || staged.restart().map(|()| staged)).await;
        let staged = restarted.map_err(|error| self.unreadable(error))?;
        Ok(Output { writer: Writer::new(staged, algorithm), reservation, past: Past { is_resumed: false, ..past } })
    }

    fn unreadable(&self, error: storage::Error) -> Error {
        self.disk.failed("read", &error);
        Error::Storage { digest: self.fill.digest, source: Arc::new(error) }
    }
}

enum Broken {
    Origin(Error),
    /// It stalls, nobody reads it, and somebody waits for its place.
    InTheWay,
    Disk(NoRoom),
    Stopped,
}

/// Returns when nobody waits for the blob or reads it, and somebody waits for the place that fetching it takes.
async fn in_the_way(fill: &Fill, origin: &Origin) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        fill.unread().await;
        if origin.is_waited_for() {
            return;
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, storage::Error> + Send + 'static,
) -> Result<T, storage::Error> {
    joined(tokio::task::spawn_blocking(work).await).await
}
