//! Where the bytes of a fill come from: an upstream, or the bucket that all replicas share, which is asked first.

use super::error::Error;
use super::fill::Fill;
use super::origin::{Origin, Stream};
use super::shared::{Lease, Shared, Turn};
use crate::storage::{self, Sending};
use crate::upstream::Place;

pub(super) struct Supply {
    origin: Origin,
    shared: Option<Shared>,
    /// It is this replica's turn to fetch the blob for all.
    lease: Option<Lease>,
    /// The origin has confirmed the blob for the repository.
    confirmed: bool,
}

impl Supply {
    /// `shared` is asked before an upstream is.
    pub(super) fn new(origin: Origin, shared: Option<Shared>, confirmed: bool) -> Self {
        let shared = shared.filter(|_| matches!(origin, Origin::Upstream(_)));
        Self { origin, shared, lease: None, confirmed }
    }

    /// Asks whether the bucket has it, or whose turn it is to fetch it. The bucket stands in for an upstream that has sent the
    /// blob once and says that this repository has it; what others sent is not served in its name.
    pub(super) async fn take_turn(&mut self) -> Result<(), Error> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let digest = *self.origin.digest();
        match shared.turn(&digest).await {
            Turn::Bucket(bucket) => {
                if shared.has_sent(self.origin.id(), &digest).await {
                    self.confirm().await?;
                    self.origin = Origin::Bucket(bucket, digest, None);
                }
            }
            Turn::Ours(lease) => self.lease = Some(lease),
            Turn::Alone => {}
        }
        Ok(())
    }

    async fn confirm(&self) -> Result<(), Error> {
        match &self.origin {
            Origin::Upstream(source) if !self.confirmed => source.confirm().await.map(drop).map_err(Error::Upstream),
            _ => Ok(()),
        }
    }

    /// Waits for its turn to be asked, on behalf of all who read the fill.
    pub(super) async fn place(&self, fill: &Fill) -> Result<Option<Place>, Error> {
        self.origin.place(fill.party.as_ref()).await
    }

    /// In a place that was waited for, from byte `start` on. A bucket that fails, where the upstream may do, is asked no more.
    pub(super) async fn open_in(
        &mut self,
        place: Option<Place>,
        fill: &Fill,
        start: u64,
        expected: Option<u64>,
    ) -> Result<Stream, Error> {
        match self.origin.open_in(place, start, expected).await {
            Err(error) if self.is_substitute() => {
                tracing::warn!(%error, digest = %fill.digest, "the bucket fails; the blob is fetched from upstream");
                self.origin = fill.source.clone();
                self.open(fill, start, expected).await
            }
            opened => opened,
        }
    }

    /// Waits for its turn and opens it.
    pub(super) async fn open(&mut self, fill: &Fill, start: u64, expected: Option<u64>) -> Result<Stream, Error> {
        let place = self.place(fill).await?;
        Box::pin(self.open_in(place, fill, start, expected)).await
    }

    /// The rest, from byte `start` on, as `other` would ask for it, who goes on to be asked if that works.
    pub(super) async fn open_elsewhere(&mut self, other: &Origin, fill: &Fill, start: u64) -> Option<Stream> {
        let other = self.origin.turned_to(other)?;
        let opened = async {
            let place = other.place(fill.party.as_ref()).await?;
            other.open_in(place, start, fill.total()).await
        };
        match opened.await {
            Ok(stream) => {
                self.origin = other;
                Some(stream)
            }
            Err(error) => {
                tracing::debug!(%error, digest = %fill.digest, "another repository does not help");
                None
            }
        }
    }

    /// Whether the bucket stands in for an upstream.
    fn is_substitute(&self) -> bool {
        self.shared.is_some() && matches!(self.origin, Origin::Bucket(..))
    }

    /// Begins to send what comes to the bucket, if that is this replica's to do.
    pub(super) fn send(&self, staged: &storage::Staged) -> Option<Sending> {
        let (shared, _) = self.shared.as_ref().zip(self.lease.as_ref())?;
        Some(shared.send(self.origin.digest(), staged.file(), staged.len()))
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What came was not the blob: if the bucket said that it was, nobody believes it again.
    pub(super) async fn disown(&self) {
        if self.is_substitute()
            && let Some(shared) = &self.shared
        {
            shared.lose(self.origin.digest()).await;
        }
    }

    /// The blob is whole and verified.
    pub(super) fn keep(&mut self, size: u64, sending: Option<Sending>) {
        if let (Some(shared), Some(sending), Some(lease)) = (&self.shared, sending, self.lease.take()) {
            shared.finish(*self.origin.digest(), size, sending, lease);
        }
    }
}
