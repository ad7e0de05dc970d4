//! Where a blob can be had, and how it is opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Method;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::client::Channel;
use super::error::{Error, ErrorKind};
use super::extent::{Extent, Head, Wanted};
use super::remote::{Turn, Upstream};
use super::request::{Ask, Reply};
use super::stream::Stream;
use crate::oci::{ByteRange, Digest, RepositoryName};

/// Where a blob can be had. Cheap to clone.
#[derive(Clone)]
pub struct Source {
    upstream: Arc<Upstream>,
    repository: RepositoryName,
    digest: Digest,
    /// Index of the endpoint to ask first: the one after that whose body broke off last. Otherwise one that answers every
    /// request and breaks off every body would keep the others from being asked. Shared by all clones.
    first: Arc<AtomicUsize>,
    /// Index of the endpoint that sent the last body.
    opened: Arc<AtomicUsize>,
}

/// A place below `max_fetches`, given back when it is dropped.
pub(super) struct Place {
    _fetch: OwnedSemaphorePermit,
    _range: Option<OwnedSemaphorePermit>,
}

/// Counts a fetch that waits, for as long as it does, however it ends.
struct Waiting<'a>(&'a prometheus::IntGauge);

impl Upstream {
    /// HEAD of a blob: its size where upstream tells it (C12).
    ///
    /// Where HEAD does not work, as at storage whose signed URLs are for GET only, one byte is asked for.
    pub async fn blob_head(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<u64>, Error> {
        let deadline = Instant::now() + self.settings().patience();
        self.over_endpoints(Some(deadline), |turn| self.size_once(turn, repository, digest)).await
    }

    async fn size_once(
        &self,
        turn: Turn<'_>,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, ErrorKind> {
        let path = format!("{repository}/blobs/{digest}");
        let head = Ask::new(Method::HEAD, Channel::Api, path.clone());
        let answered = match self.send(turn, repository, &head).await {
            Ok(reply) => {
                refuse_page(&reply).map(|()| reply.header("content-length").and_then(|text| text.parse().ok()))
            }
            Err(kind) => Err(kind),
        };
        match answered {
            Err(ErrorKind::Misbehaved { .. } | ErrorKind::Failed { status: 405 | 501, .. }) => {}
            answered => return answered,
        }
        let byte = Ask { range: Some("bytes=0-0".to_owned()), ..Ask::new(Method::GET, Channel::Blob, path) };
        let reply = self.send(turn, repository, &byte).await?;
        refuse_page(&reply)?;
        Ok(Head::of(&reply).total())
    }
}

impl Source {
    pub(super) fn new(upstream: Arc<Upstream>, repository: RepositoryName, digest: Digest) -> Self {
        let first = upstream.distrusted.get(&digest).map_or(0, |index| index + 1);
        Self { upstream, repository, digest, first: Arc::new(AtomicUsize::new(first)), opened: Arc::default() }
    }

    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    pub(super) fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// Opens the blob from byte `start` to its end. Waits for a place below `max_fetches`, tries the endpoints in order,
    /// checks `Content-Range` against `start` and `expected_total`; skips what an upstream without ranges sends before
    /// `start`.
    ///
    /// There is no deadline for the whole: each request has `header_timeout`, each chunk of the body `stall_timeout`.
    pub async fn open(&self, start: u64, expected_total: Option<u64>) -> Result<Stream, Error> {
        let place = self.upstream.place(false).await;
        self.open_in(place, Wanted { start, end: None, total: expected_total }).await
    }

    /// Opens one range only, for what is not going to be kept. The stream brings exactly the bytes of the range.
    ///
    /// Ranges go at the pace of the clients that read them, so they get at most half of the places below `max_fetches`
    /// (rounded up): fills never wait for all of them.
    pub async fn open_range(&self, range: ByteRange) -> Result<Stream, Error> {
        let place = self.upstream.place(true).await;
        self.open_in(place, Wanted { start: range.start, end: Some(range.end), total: None }).await
    }

    async fn open_in(&self, place: Place, wanted: Wanted) -> Result<Stream, Error> {
        let upstream = &self.upstream;
        let ask = Ask {
            range: wanted.header(),
            ..Ask::new(Method::GET, Channel::Blob, format!("{}/blobs/{}", self.repository, self.digest))
        };
        let first = self.first.load(Ordering::Relaxed) % upstream.settings().urls.len().max(1);
        let (index, reply, extent) =
            upstream.over_endpoints_from(first, None, |turn| self.open_once(turn, &ask, wanted)).await?;
        self.opened.store(index, Ordering::Relaxed);
        Ok(Stream::new(self.clone(), index, reply.response, wanted.start, extent, place))
    }

    async fn open_once(&self, turn: Turn<'_>, ask: &Ask, wanted: Wanted) -> Result<(usize, Reply, Extent), ErrorKind> {
        let reply = self.upstream.send(turn, &self.repository, ask).await?;
        refuse_page(&reply)?;
        reply.check_encoding()?;
        let extent = wanted.extent(&Head::of(&reply)).map_err(|detail| ErrorKind::Misbehaved { detail })?;
        Ok((turn.index, reply, extent))
    }

    /// The bytes that came were not the blob's: for a while others are asked for it first.
    pub fn distrust(&self) {
        self.upstream.distrusted.insert(self.digest, self.opened.load(Ordering::Relaxed));
    }

    /// The body of this endpoint broke off: the rest is asked for elsewhere, where there is an elsewhere.
    pub(super) fn turn_from(&self, index: usize) {
        self.first.store(index + 1, Ordering::Relaxed);
    }
}

impl Upstream {
    /// Waits, in order of arrival, for a place (C22).
    async fn place(&self, for_range: bool) -> Place {
        let range = if for_range { self.permit(&self.ranges).await } else { None };
        let fetch = self.permit(&self.fetches).await;
        match fetch {
            Some(fetch) => Place { _fetch: fetch, _range: range },
            None => unreachable!("the semaphore of fetches is never closed"),
        }
    }

    async fn permit(&self, places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = places.clone().try_acquire_owned() {
            return Some(permit);
        }
        self.fetches_waiting.inc();
        let _waiting = Waiting(&self.fetches_waiting);
        places.clone().acquire_owned().await.ok()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A blob is never a web page by its type: it is a captive portal's or a login form (C15).
fn refuse_page(reply: &Reply) -> Result<(), ErrorKind> {
    match reply.media_type() {
        Some(media_type) if matches!(media_type.as_str(), "text/html" | "application/xhtml+xml") => {
            Err(ErrorKind::Misbehaved { detail: format!("it sends {media_type} where a blob was asked for") })
        }
        _ => Ok(()),
    }
}
