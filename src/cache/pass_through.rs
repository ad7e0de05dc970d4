//! Bytes that go to one client straight from upstream, because they cannot or need not be kept.
//!
//! A whole blob is verified on its way all the same: the last bytes are held back until digest and size hold. A range
//! cannot be verified by anyone but the client that puts the whole together. Both go on with a new request when upstream
//! breaks off.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream as FuturesStream;
use futures_util::stream;

use super::HELD_BACK_BYTES;
use super::error::Error;
use super::fill::{Detached, Fill};
use super::origin::{Origin, Stream};
use crate::oci::{ByteRange, Hasher};

pub type ByteStream = Pin<Box<dyn FuturesStream<Item = Result<Bytes, Error>> + Send>>;

/// How often a body that brings nothing new is asked for again.
const ATTEMPTS: u32 = 5;

/// One range, as upstream sends it.
pub(super) async fn range(source: Origin, range: ByteRange) -> Result<ByteStream, Error> {
    let stream = source.open_range(range).await?;
    let state = Ranged { source, stream: Some(stream), range, attempts: 0 };
    Ok(Box::pin(stream::try_unfold(
        state,
        |mut state| async move { Ok(state.next().await?.map(|bytes| (bytes, state))) },
    )))
}

/// A whole blob of which nothing was kept; `source` is the reader's own. The fill's body goes to the first who comes; everybody else
/// has to have one before the head of the answer goes out.
pub(super) async fn whole(fill: &Arc<Fill>, source: Origin, detached: &Detached) -> Result<ByteStream, Error> {
    let stream = match detached.take_spare() {
        Some(spare) => spare,
        None => source.open_at_readers_pace(detached.at, fill.total()).await?,
    };
    Ok(verified(fill, source, detached, VecDeque::new(), Some(stream)))
}

/// What follows offset `beyond`, which a reader of the fill's file has reached.
pub(super) fn rest(
    fill: &Arc<Fill>,
    source: Origin,
    file: &Arc<File>,
    detached: Detached,
    beyond: u64,
    end: Option<u64>,
) -> ByteStream {
    let to_the_end = end == fill.total();
    if to_the_end && beyond <= detached.at {
        // What is in the file but was held back goes ahead of what upstream sends, and is held back again.
        let mut held = vec![0; usize::try_from(detached.at - beyond).unwrap_or_default()];
        return match file.read_exact_at(&mut held, beyond) {
            Ok(()) => verified(fill, source, &detached, VecDeque::from([held.into()]), detached.take_spare()),
            Err(_) => failed(Error::Stopped { digest: fill.digest }),
        };
    }
    let Some(bytes) = end.and_then(|end| ByteRange::new(beyond, end)) else {
        return failed(Error::Stopped { digest: fill.digest });
    };
    let state = Ranged { source, stream: None, range: bytes, attempts: 0 };
    Box::pin(stream::try_unfold(state, |mut state| async move { Ok(state.next().await?.map(|bytes| (bytes, state))) }))
}

fn failed(error: Error) -> ByteStream {
    Box::pin(stream::once(async { Err(error) }))
}

fn verified(
    fill: &Arc<Fill>,
    source: Origin,
    detached: &Detached,
    mut held: VecDeque<Bytes>,
    stream: Option<Stream>,
) -> ByteStream {
    held.retain(|bytes| !bytes.is_empty());
    let held_bytes = held.iter().map(|bytes| bytes.len() as u64).sum();
    let (to_blame, hasher, at) = (detached.is_of(&source), Some(detached.hasher.clone()), detached.at);
    let state = Verified { fill: fill.clone(), source, to_blame, stream, hasher, at, held, held_bytes, attempts: 0 };
    Box::pin(stream::try_unfold(state, |mut state| async move { Ok(state.next().await?.map(|bytes| (bytes, state))) }))
}

struct Ranged {
    source: Origin,
    stream: Option<Stream>,
    /// What is still to come.
    range: ByteRange,
    attempts: u32,
}

impl Ranged {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while self.range.start < self.range.end {
            match self.read().await {
                Ok(Some(mut bytes)) => {
                    bytes.truncate(usize::try_from(self.range.len()).unwrap_or(usize::MAX));
                    self.range.start += bytes.len() as u64;
                    self.attempts = 0;
                    return Ok(Some(bytes));
                }
                Ok(None) => self.stream = None,
                Err(error) => {
                    self.stream = None;
                    pause(&mut self.attempts, error).await?;
                }
            }
        }
        Ok(None)
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Error> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => self.stream.insert(self.source.open_range(self.range).await?),
        };
        stream.chunk().await
    }
}

struct Verified {
    fill: Arc<Fill>,
    source: Origin,
    /// All bytes are the source's.
    to_blame: bool,
    stream: Option<Stream>,
    /// Taken when the end has been verified.
    hasher: Option<Hasher>,
    /// Bytes that the hash has seen.
    at: u64,
    /// None of them is empty: what is held back is released from the front.
    held: VecDeque<Bytes>,
    held_bytes: u64,
    attempts: u32,
}

impl Verified {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let first = self.held.front().map_or(0, |bytes| bytes.len() as u64);
            if self.hasher.is_none() || (first > 0 && self.held_bytes - first >= HELD_BACK_BYTES) {
                self.held_bytes -= first;
                return Ok(self.held.pop_front());
            }
            match self.read().await {
                Ok(Some(bytes)) => self.take(bytes),
                Ok(None) => self.verify()?,
                Err(error) => {
                    self.stream = None;
                    pause(&mut self.attempts, error).await?;
                }
            }
        }
    }

    fn take(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes);
        }
        self.at += bytes.len() as u64;
        self.held_bytes += bytes.len() as u64;
        self.held.push_back(bytes);
        self.attempts = 0;
    }

    fn verify(&mut self) -> Result<(), Error> {
        let Some(hasher) = self.hasher.take() else { return Ok(()) };
        check(&self.fill, &self.source, hasher, self.at, self.to_blame)
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Error> {
        if self.fill.total() == Some(self.at) {
            return Ok(None);
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => self.stream.insert(self.source.open_at_readers_pace(self.at, self.fill.total()).await?),
        };
        stream.chunk().await
    }
}

/// The end of a blob: are these the bytes that were asked for? The origin is `to_blame` where it has sent all of them.
pub(super) fn check(fill: &Fill, origin: &Origin, hasher: Hasher, arrived: u64, to_blame: bool) -> Result<(), Error> {
    let corrupt = |detail| {
        origin.distrust(to_blame);
        Error::Corrupt { upstream: origin.name(), digest: fill.digest, detail }
    };
    match fill.total() {
        Some(total) if total != arrived => {
            return Err(corrupt(format!("{arrived} bytes came where {total} were announced")));
        }
        _ => {}
    }
    let found = hasher.finish();
    if found == fill.digest { Ok(()) } else { Err(corrupt(format!("the bytes are {found}"))) }
}

/// Waits before another attempt, or gives the error back when there have been enough.
pub(super) async fn pause(attempts: &mut u32, error: Error) -> Result<(), Error> {
    *attempts += 1;
    if *attempts >= ATTEMPTS || error.is_answer() {
        return Err(error);
    }
    let backoff = Duration::from_millis((100 << (*attempts).min(6)) + fastrand::u64(0..100));
    let asked = error.retry_after().unwrap_or_default().min(Duration::from_secs(60));
    tokio::time::sleep(backoff.max(asked)).await;
    Ok(())
}
