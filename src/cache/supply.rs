//! Where the bytes of a fill come from: an upstream, or the bucket that all replicas share, which is asked first.

use super::error::Error;
use super::fill::Fill;
use super::origin::{Origin, Stream};
use super::shared::{Lease, Shared, Turn};
use crate::meta::{self, Fetch};
use crate::storage::{self, Sending};
use crate::upstream::Place;

pub(super) struct Supply {
    /// Asked now.
    origin: Origin,
    /// Of the fill.
    source: Origin,
    shared: Option<Shared>,
    /// To the bucket's copy, while the bucket stands in for an upstream.
    stand_in: Option<meta::Claim>,
    /// It is this replica's turn to fetch the blob for all.
    lease: Option<Lease>,
    /// The origin has confirmed the blob for the repository.
    confirmed: bool,
}

impl Supply {
    /// `shared` is asked before an upstream is.
    pub(super) fn new(origin: Origin, shared: Option<Shared>, confirmed: bool) -> Self {
        let shared = shared.filter(|_| matches!(origin, Origin::Upstream(_)));
        Self { source: origin.clone(), origin, shared, stand_in: None, lease: None, confirmed }
    }

    /// Asks whether the bucket has it, or whose turn it is to fetch it. The bucket stands in for an upstream that has sent the
    /// blob once and says that this repository has it; what others sent is not served in its name.
    pub(super) async fn take_turn(&mut self) -> Result<(), Error> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let digest = *self.origin.digest();
        match shared.turn(Fetch { origin: self.origin.id(), digest }).await {
            Turn::Bucket(bucket, claim) => {
                if shared.has_sent(self.origin.id(), &digest).await {
                    self.confirm().await?;
                    self.origin = Origin::Bucket(bucket, digest, None);
                    self.stand_in = Some(claim);
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

    /// Waits for its turn and opens it, from byte `start` on. A bucket that fails, where the upstream may do, is asked no more.
    pub(super) async fn open(&mut self, fill: &Fill, start: u64, expected: Option<u64>) -> Result<Stream, Error> {
        let opened = self.open_once(fill, start, expected).await;
        match opened {
            Err(error) if self.gives_up_bucket(&error).await => self.open_once(fill, start, expected).await,
            opened => opened,
        }
    }

    async fn open_once(&self, fill: &Fill, start: u64, expected: Option<u64>) -> Result<Stream, Error> {
        let place = self.place(fill).await?;
        self.origin.open_in(place, start, expected).await
    }

    /// Whether the bucket stood in for an upstream, which from now on is asked itself.
    pub(super) async fn gives_up_bucket(&mut self, error: &Error) -> bool {
        let Some(claim) = self.stand_in.take() else { return false };
        let digest = *self.origin.digest();
        tracing::warn!(%error, %digest, "the bucket fails; the blob is fetched from upstream");
        if let (Error::Lost { .. }, Some(shared)) = (error, &self.shared) {
            shared.lose(&digest, claim).await;
        }
        self.origin = self.source.clone();
        true
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

    /// Begins to send what comes to the bucket, if that is this replica's to do.
    pub(super) fn send(&self, staged: &storage::Staged) -> Option<Sending> {
        let (shared, _) = self.shared.as_ref().zip(self.lease.as_ref())?;
        Some(shared.send(self.origin.digest(), staged.file(), staged.len()))
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// All came from where it is asked for, and was not the blob: if the bucket said that it was, nobody believes it again.
    pub(super) async fn disown(&self) {
        if let (Some(claim), Some(shared)) = (self.stand_in, &self.shared) {
            shared.lose(self.origin.digest(), claim).await;
        }
    }

    /// The blob is whole and verified.
    pub(super) fn keep(&mut self, size: u64, sending: Option<Sending>) {
        if let (Some(shared), Some(sending), Some(lease)) = (&self.shared, sending, self.lease.take()) {
            shared.finish(*self.origin.digest(), size, sending, lease);
        }
    }
}
