//! Where a blob can be had, and how it is opened.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use reqwest::Method;
use tokio::time::Instant;

use super::arrival;
use super::client::Channel;
use super::error::{Error, ErrorKind};
use super::extent::{Extent, Head, Wanted};
use super::places::{NoPlace, Pace, Party, Place};
use super::remote::{Turn, Upstream};
use super::request::{Ask, Reply};
use super::stream::Stream;
use crate::oci::{ByteRange, Digest, RepositoryName};
use crate::turns::Asker;

/// Where a blob can be had. Cheap to clone.
#[derive(Clone)]
pub struct Source {
    upstream: Arc<Upstream>,
    repository: RepositoryName,
    digest: Digest,
    asker: Asker,
    /// Index of the endpoint to ask first: the one after that whose body broke off last. Otherwise one that answers every
    /// request and breaks off every body would keep the others from being asked. Shared by all clones.
    first: Arc<AtomicUsize>,
    /// Indices of the endpoints that sent what there is of the blob, in order. Shared by all clones.
    senders: Arc<Mutex<Vec<usize>>>,
    /// What several endpoints sent was wrong together, or they contradict each other: nothing is put together any more.
    alone: bool,
    /// A range was opened before. Shared by all clones.
    has_opened_range: Arc<AtomicBool>,
    /// Bytes of the blob, as told first. Shared by all clones.
    total: Arc<OnceLock<u64>>,
    /// Of all bodies that are opened. Shared by all clones.
    pace: Arc<arrival::Pace>,
}

/// Endpoints that are asked last for a blob.
#[derive(Clone, Copy)]
pub(super) struct Distrust {
    /// The others are asked first, beginning with the next one.
    worst: usize,
    /// What one of them has begun to send, no other goes on with.
    alone: bool,
}

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
        let distrust = upstream.distrusted.get(&digest);
        let first = distrust.map_or(0, |distrust| distrust.worst + 1);
        let settings = upstream.settings();
        // Each endpoint has one, and the last another.
        let chances = u32::try_from(settings.urls.len() + 1).unwrap_or(u32::MAX);
        let pace = Arc::new(arrival::Pace::new(settings.min_rate, settings.min_rate_window, chances));
        Self {
            upstream,
            repository,
            digest,
            asker: Asker::work("fetches"),
            first: Arc::new(AtomicUsize::new(first)),
            senders: Arc::default(),
            alone: distrust.is_some_and(|distrust| distrust.alone),
            has_opened_range: Arc::default(),
            total: Arc::default(),
            pace,
        }
    }

    /// The same, fetched on behalf of `asker`: places below `max_fetches` go to the askers in turn.
    #[must_use]
    pub fn on_behalf_of(self, asker: Asker) -> Self {
        Self { asker, ..self }
    }

    pub fn asker(&self) -> Asker {
        self.asker
    }

    /// For a fetch that others may join.
    pub fn party(&self) -> Party {
        self.upstream.places.party(self.asker)
    }

    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// The same fetch, going on with what `other` would ask: another repository of the same upstream.
    #[must_use]
    pub fn turned_to(&self, other: &Self) -> Self {
        Self { repository: other.repository.clone(), asker: other.asker, pace: other.pace.clone(), ..self.clone() }
    }

    /// Whether a fetch waits for a place below `max_fetches`.
    pub fn is_waited_for(&self) -> bool {
        self.upstream.places.is_waited_for()
    }

    /// Asks whether the repository has the blob, and for its size in bytes where upstream tells it.
    pub async fn confirm(&self) -> Result<Option<u64>, Error> {
        self.upstream.blob_head(&self.repository, &self.digest).await
    }

    /// Whether both are the same repository of the same upstream, asked with the same credentials.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.upstream, &other.upstream) && self.repository == other.repository
    }

    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    pub(super) fn pace(&self) -> &arrival::Pace {
        &self.pace
    }

    pub(super) fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// Opens the blob from byte `start` to its end, to be read as fast as it comes: a fill. Waits for a place below
    /// `max_fetches`, at most `queue_timeout` long; tries the endpoints in order, checks `Content-Range` against `start` and
    /// `expected_total`; skips what an upstream without ranges sends before `start`. A future that is dropped while it waits
    /// gives its turn back.
    ///
    /// There is no deadline for the whole: each request has `header_timeout`, each chunk of the body `stall_timeout`.
    pub async fn open(&self, start: u64, expected_total: Option<u64>) -> Result<Stream, Error> {
        let place = self.place(&self.party()).await?;
        self.open_in_place(place, start, expected_total).await
    }

    /// Waits for a place below `max_fetches` for a fill, at most `queue_timeout` long, on behalf of all who have joined. Dropped while
    /// it waits, it gives its turn back.
    pub async fn place(&self, party: &Party) -> Result<Place, Error> {
        self.upstream.place(Pace::Full, party).await
    }

    /// As [`Self::open`], in a place that the caller has waited for. The rest of what has begun to come waits for an upstream that is
    /// left alone: its readers have their heads.
    pub async fn open_in_place(&self, place: Place, start: u64, expected_total: Option<u64>) -> Result<Stream, Error> {
        let has_begun = start > 0 && self.last_sender().is_some();
        self.wait_if(has_begun).await;
        if self.alone && start > 0 && !has_begun {
            let detail = "its urls sent different bytes for the blob: it is fetched from the beginning".to_owned();
            return Err(self.upstream.error(ErrorKind::Misbehaved { detail }));
        }
        self.open_in(place, Wanted { start, end: None, total: expected_total }).await
    }

    /// As [`Self::open`], to be read at the pace of one client, for what is not going to be kept. At most half of the places
    /// below `max_fetches` (rounded up) are for such: fills never wait for all of them.
    pub async fn open_at_readers_pace(&self, start: u64, expected_total: Option<u64>) -> Result<Stream, Error> {
        self.wait_if(start > 0).await;
        let place = self.upstream.place(Pace::Readers, &self.party()).await?;
        self.open_in(place, Wanted { start, end: None, total: expected_total }).await
    }

    /// Opens one range only, at the pace of the client that reads it. The stream brings exactly the bytes of the range.
    pub async fn open_range(&self, range: ByteRange) -> Result<Stream, Error> {
        self.wait_if(self.has_opened_range.load(Ordering::Relaxed)).await;
        let place = self.upstream.place(Pace::Readers, &self.party()).await?;
        let total = self.total.get().copied();
        let opened = self.open_in(place, Wanted { start: range.start, end: Some(range.end), total }).await;
        self.has_opened_range.fetch_or(opened.is_ok(), Ordering::Relaxed);
        opened
    }

    async fn wait_if(&self, has_begun: bool) {
        if has_begun {
            self.upstream.admitted().await;
        }
    }

    async fn open_in(&self, place: Place, wanted: Wanted) -> Result<Stream, Error> {
        let upstream = &self.upstream;
        let ask = Ask {
            range: wanted.header(),
            ..Ask::new(Method::GET, Channel::Blob, format!("{}/blobs/{}", self.repository, self.digest))
        };
        let too_slow = |detail| upstream.error(ErrorKind::BrokenBody { detail });
        self.pace.check().map_err(too_slow)?;
        let (first, most) = self.endpoints(wanted);
        let (index, reply, extent) =
            upstream.over_endpoints_from(first, most, None, |turn| self.open_once(turn, &ask, wanted)).await?;
        if wanted.end.is_none() {
            self.note_sender(index, wanted.start);
        }
        Ok(Stream::new(self.clone(), index, reply.response, wanted.start, extent, place))
    }

    /// The index of the endpoint to ask first, and how many may be asked.
    fn endpoints(&self, wanted: Wanted) -> (usize, usize) {
        let all = self.upstream.settings().urls.len().max(1);
        match self.last_sender() {
            Some(sender) if self.alone && wanted.start > 0 && wanted.end.is_none() => (sender, 1),
            _ => (self.first.load(Ordering::Relaxed) % all, all),
        }
    }

    fn note_sender(&self, index: usize, start: u64) {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        if start == 0 {
            senders.clear();
        }
        if !senders.contains(&index) {
            senders.push(index);
        }
    }

    fn last_sender(&self) -> Option<usize> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner).last().copied()
    }

    async fn open_once(&self, turn: Turn<'_>, ask: &Ask, wanted: Wanted) -> Result<(usize, Reply, Extent), ErrorKind> {
        let reply = self.upstream.send(turn, &self.repository, ask).await?;
        refuse_page(&reply)?;
        reply.check_encoding()?;
        let head = Head::of(&reply);
        if ask.range.is_some()
            && let (Some(host), Some(known)) = (&reply.elsewhere, self.total.get())
        {
            head.check_whole(*known, host).map_err(|detail| ErrorKind::Misbehaved { detail })?;
        }
        let extent = wanted.extent(&head).map_err(|detail| {
            self.note_contradiction(turn.index, wanted, &head);
            ErrorKind::Misbehaved { detail }
        })?;
        if let Some(total) = extent.total.or(wanted.total) {
            let _ = self.total.set(total);
        }
        Ok((turn.index, reply, extent))
    }

    /// The bytes that came were not the blob's: for a while others are asked for it first. Where several sent them, the one that
    /// sent the beginning is the worst: it has broken off, too.
    pub fn distrust(&self) {
        let senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.put_last(senders.first().copied().unwrap_or_default(), self.alone || senders.len() > 1);
    }

    fn put_last(&self, worst: usize, alone: bool) {
        self.upstream.distrusted.insert(self.digest, Distrust { worst, alone });
    }

    /// Two endpoints tell different lengths of the blob. Neither is to be believed before its bytes have been verified, so the
    /// next fetch has them from one alone, and not from the one that has broken off.
    fn note_contradiction(&self, index: usize, wanted: Wanted, head: &Head) {
        let differ = wanted.total.zip(head.total()).is_some_and(|(expected, told)| expected != told);
        if let Some(sender) = self.last_sender().filter(|sender| differ && *sender != index) {
            self.put_last(sender, true);
        }
    }

    /// The body of this endpoint broke off: the rest is asked for elsewhere, where there is an elsewhere.
    pub(super) fn turn_from(&self, index: usize) {
        self.pace.broke_off();
        if self.alone {
            self.put_last(index, true);
        }
        self.first.store(index + 1, Ordering::Relaxed);
    }
}

impl Upstream {
    /// Waits for a place (C22).
    async fn place(&self, pace: Pace, party: &Party) -> Result<Place, Error> {
        let busy = |NoPlace| ErrorKind::Busy { waited: self.settings().queue_timeout };
        self.places.take(pace, party).await.map_err(|none| self.error(busy(none)))
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
