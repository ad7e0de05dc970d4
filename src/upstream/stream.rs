//! A blob's bytes while they arrive.

use std::time::Duration;

use bytes::{Buf, Bytes};

use super::arrival::Waits;
use super::body::broken;
use super::error::{Error, ErrorKind};
use super::extent::{Extent, Then};
use super::places::Place;
use super::source::Source;
use crate::metering::Fetched;

/// Once every byte has come, the end of a body without announced length is waited for no longer than this.
const END_TIME: Duration = Duration::from_secs(1);

/// A body that is arriving. It holds its place below `max_fetches` until it is dropped.
pub struct Stream {
    /// Offset in the blob of the next byte.
    pub start: u64,
    /// Size of the whole blob in bytes, if upstream said it.
    pub total: Option<u64>,
    source: Source,
    /// Of the endpoint that sends it.
    index: usize,
    /// `None` once the end has been seen.
    response: Option<reqwest::Response>,
    /// What `chunk` has still to pass over and to bring.
    extent: Extent,
    waits: Waits,
    fetched: Fetched,
    place: Place,
}

impl Stream {
    pub(super) fn new(
        source: Source,
        index: usize,
        response: reqwest::Response,
        start: u64,
        extent: Extent,
        place: Place,
    ) -> Self {
        let fetched = source.upstream().fetch(source.repository());
        let (response, waits) = (Some(response), Waits::new());
        Self { start, total: extent.total, source, index, response, extent, waits, fetched, place }
    }

    /// From now on the stream is read at the pace of one client. `false` where as many are as may be: then it must be dropped,
    /// and opened again by [`Source::open_at_readers_pace`], which waits.
    #[must_use]
    pub fn turn_to_readers_pace(&mut self) -> bool {
        self.place.turn_to_readers()
    }

    /// The next bytes, or `None` at the end of the body. Fails when nothing comes for the stall timeout, when less comes than
    /// `min_rate`, or when the body ends before its announced length or goes on after it. Only time in which upstream has sent
    /// nothing counts. May be dropped while it waits without losing bytes.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.next().await.map_err(|detail| {
            self.response = None;
            self.source.turn_from(self.index);
            self.source.upstream().error(ErrorKind::BrokenBody { detail })
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        while self.extent.length != Some(0) {
            let stall = self.source.upstream().settings().stall_timeout;
            let Some(read) = self.read(stall).await? else {
                return Err(format!("nothing came for {} s", stall.as_secs_f64()));
            };
            let Some(mut bytes) = read else {
                return match self.extent.length {
                    None if self.extent.skip == 0 => self.end(),
                    _ => Err(format!("it ended at byte {}, before its end", self.start)),
                };
            };
            let skipped = usize::try_from(self.extent.skip).map_or(bytes.len(), |skip| skip.min(bytes.len()));
            bytes.advance(skipped);
            self.extent.skip -= skipped as u64;
            if bytes.is_empty() {
                continue;
            }
            if let Some(left) = &mut self.extent.length {
                if bytes.len() as u64 > *left {
                    if self.extent.then == Then::End {
                        return Err("it goes on after its announced length".to_owned());
                    }
                    bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                }
                *left -= bytes.len() as u64;
            }
            self.start += bytes.len() as u64;
            return Ok(Some(bytes));
        }
        match self.extent.then {
            Then::Excess => self.end(),
            Then::Shortage => Err(format!("only the bytes before {} were sent", self.start)),
            Then::End => match self.read(END_TIME).await {
                Ok(Some(Some(bytes))) if !bytes.is_empty() => Err("it goes on after its announced length".to_owned()),
                _ => self.end(),
            },
        }
    }

    /// What comes next, or `None` when nothing does in `time`; within, `None` is the end of the body.
    async fn read(&mut self, time: Duration) -> Result<Option<Option<Bytes>>, String> {
        let Some(response) = &mut self.response else { return Ok(Some(None)) };
        let (read, waited) = self.waits.wait(time, response.chunk()).await;
        let Some(read) = read else {
            self.source.pace().note(waited, 0)?;
            return Ok(None);
        };
        let read = read.map_err(|error| match broken(&error) {
            ErrorKind::BrokenBody { detail } => detail,
            kind => kind.to_string(),
        })?;
        let bytes = read.as_ref().map_or(0, |bytes| bytes.len() as u64);
        self.source.upstream().received_bytes.inc_by(bytes);
        self.fetched.add(bytes);
        self.source.pace().note(waited, bytes)?;
        Ok(Some(read))
    }

    fn end(&mut self) -> Result<Option<Bytes>, String> {
        self.response = None;
        self.extent.length = Some(0);
        self.extent.then = Then::Excess;
        Ok(None)
    }
}
