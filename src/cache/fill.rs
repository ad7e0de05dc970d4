//! A blob that is being fetched, as its readers see it.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use prometheus::IntGauge;
use tokio::sync::watch;

use super::HELD_BACK_BYTES;
use super::disk::{Pin, Reservation};
use super::error::Error;
use super::origin::{Origin, Stream};
use crate::oci::{Digest, Hasher};
use crate::storage::OriginId;
use crate::upstream::{Joined, Party};

/// Shared by the task that fetches and everyone who reads.
pub(super) struct Fill {
    pub(super) digest: Digest,
    pub(super) source: Origin,
    /// All who read, on whose behalf upstream is asked. `None` where nobody waits for a turn.
    pub(super) party: Option<Party>,
    /// Set once, before the progress leaves `Opening`, if there is a file.
    file: OnceLock<Arc<File>>,
    /// Bytes in all; set once with the first answer, if upstream tells.
    total: OnceLock<u64>,
    progress: watch::Sender<Progress>,
    /// Who waits for upstream's first answer.
    waiting: watch::Sender<usize>,
    all_waiting: IntGauge,
    readers: watch::Sender<usize>,
    /// Sources of readers from other repositories, to go on with where the fill's own stalls.
    others: Mutex<VecDeque<Origin>>,
    /// Keeps the published blob from eviction while anyone still reads it here.
    pin: OnceLock<Pin>,
    /// Room of a file that was not published, or was not what it should be, while anyone still reads it here.
    room: OnceLock<Reservation>,
}

/// Sources of other repositories that are remembered.
const MAX_OTHERS: usize = 8;

/// A reader's view of the fill: upstream is asked on its behalf as well until the last clone is dropped.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) fill: Arc<Fill>,
    /// The reader's own: the fill may have been begun for another repository.
    pub(super) source: Origin,
    _joined: Option<Arc<Joined>>,
    _counted: Arc<Counted>,
}

impl Reading {
    /// The fill's failure, as it is told to this reader: what its origin answers another repository is no answer to this one.
    pub(super) fn told(&self, error: Error) -> Error {
        if error.is_answer() && !self.fill.source.is_same(&self.source) {
            return Error::Stopped { digest: self.fill.digest };
        }
        error
    }
}

/// Counts a reader, however it ends.
struct Counted(Arc<Fill>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.readers.send_modify(|readers| *readers = readers.saturating_sub(1));
    }
}

/// Counts an asker for as long as it waits, however that ends.
pub(super) struct Waiting(Arc<Fill>);

impl Waiting {
    pub(super) fn fill(&self) -> &Arc<Fill> {
        &self.0
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|waiting| *waiting = waiting.saturating_sub(1));
        self.0.all_waiting.dec();
    }
}

#[derive(Clone)]
pub(super) enum Progress {
    /// Upstream has not answered.
    Opening,
    /// So many bytes have arrived.
    Arriving(u64),
    /// All bytes have arrived and are what they should be.
    Verified(u64),
    /// Nothing more can be kept: readers go on from here by themselves.
    Detached(Detached),
    Failed(Error),
}

/// Where a fill was when the disk gave out.
#[derive(Clone)]
pub(super) struct Detached {
    /// Bytes that are in the file.
    pub(super) at: u64,
    /// The state of the hash over these.
    pub(super) hasher: Hasher,
    /// Who has sent them all, to this fill, if it was one.
    sender: Option<OriginId>,
    /// The upstream body, for the first who goes on.
    spare: Arc<Mutex<Option<Stream>>>,
}

impl Detached {
    pub(super) fn new(at: u64, hasher: Hasher, sender: Option<OriginId>, stream: Option<Stream>) -> Self {
        Self { at, hasher, sender, spare: Arc::new(Mutex::new(stream)) }
    }

    /// Whether all of them came from there.
    pub(super) fn is_of(&self, source: &Origin) -> bool {
        self.at == 0 || self.sender == Some(source.id())
    }

    pub(super) fn take_spare(&self) -> Option<Stream> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Fill {
    pub(super) fn new(source: Origin, all_waiting: IntGauge) -> Self {
        Self {
            digest: *source.digest(),
            party: source.party(),
            source,
            file: OnceLock::new(),
            total: OnceLock::new(),
            progress: watch::Sender::new(Progress::Opening),
            waiting: watch::Sender::new(0),
            all_waiting,
            readers: watch::Sender::new(0),
            others: Mutex::default(),
            pin: OnceLock::new(),
            room: OnceLock::new(),
        }
    }

    pub(super) fn read(self: &Arc<Self>, source: Origin) -> Reading {
        let joined = self.party.as_ref().zip(source.asker()).map(|(party, asker)| Arc::new(party.join(asker)));
        self.readers.send_modify(|readers| *readers += 1);
        self.offer(&source);
        Reading { fill: self.clone(), source, _joined: joined, _counted: Arc::new(Counted(self.clone())) }
    }

    /// Counts an asker.
    pub(super) fn wait(self: &Arc<Self>) -> Waiting {
        self.waiting.send_modify(|waiting| *waiting += 1);
        self.all_waiting.inc();
        Waiting(self.clone())
    }

    /// Notes where else the bytes may be had: `source` is a reader's.
    fn offer(&self, source: &Origin) {
        let mut others = self.lock_others();
        if source.is_same(&self.source) || others.iter().any(|other| other.is_same(source)) {
            return;
        }
        if others.len() >= MAX_OTHERS {
            others.pop_front();
        }
        others.push_back(source.clone());
    }

    pub(super) fn has_other(&self) -> bool {
        !self.lock_others().is_empty()
    }

    /// The source that was offered last; each is given once.
    pub(super) fn take_other(&self) -> Option<Origin> {
        self.lock_others().pop_back()
    }

    fn lock_others(&self) -> MutexGuard<'_, VecDeque<Origin>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody waits for the answer or reads.
    pub(super) fn is_read(&self) -> bool {
        *self.readers.borrow() > 0
    }

    /// Returns when nobody waits for the answer or reads.
    pub(super) async fn unread(&self) {
        // The sender lives in `self`.
        let _ = self.readers.subscribe().wait_for(|readers| *readers == 0).await;
    }

    /// Returns when nobody waits for the answer any more. Whoever comes after that is told so, and asks anew.
    pub(super) async fn abandoned(&self) {
        // The sender lives in `self`.
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting == 0).await;
    }

    /// Waits for upstream's first answer.
    pub(super) async fn opened(&self) -> Result<(), Error> {
        let mut progress = self.progress.subscribe();
        let seen = progress.wait_for(|progress| !matches!(progress, Progress::Opening)).await;
        match seen.as_deref() {
            Ok(Progress::Failed(error)) => Err(error.clone()),
            Ok(_) => Ok(()),
            // The sender lives in `self`.
            Err(_) => Err(Error::Stopped { digest: self.digest }),
        }
    }

    /// Waits until no more comes here: it is verified, or readers go on by themselves.
    pub(super) async fn ended(&self) -> Result<(), Error> {
        let mut progress = self.progress.subscribe();
        let is_under_way = |progress: &Progress| matches!(progress, Progress::Opening | Progress::Arriving(_));
        let seen = progress.wait_for(|progress| !is_under_way(progress)).await;
        match seen.as_deref() {
            Ok(Progress::Failed(error)) => Err(error.clone()),
            Ok(_) => Ok(()),
            // The sender lives in `self`.
            Err(_) => Err(Error::Stopped { digest: self.digest }),
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    pub(super) fn file(&self) -> Option<&Arc<File>> {
        self.file.get()
    }

    pub(super) fn total(&self) -> Option<u64> {
        self.total.get().copied()
    }

    pub(super) fn set_total(&self, total: Option<u64>) {
        if let Some(total) = total {
            // The first answer stands: later ones were checked against it.
            let _ = self.total.set(total);
        }
    }

    pub(super) fn set_file(&self, file: Arc<File>) {
        let _ = self.file.set(file);
    }

    pub(super) fn keep(&self, pin: Pin) {
        let _ = self.pin.set(pin);
    }

    pub(super) fn keep_room(&self, room: Reservation) {
        let _ = self.room.set(room);
    }

    pub(super) fn advance(&self, progress: Progress) {
        self.progress.send_replace(progress);
    }

    /// Fails the fill unless it has ended in another way.
    pub(super) fn fail(&self, error: Error) {
        self.progress.send_if_modified(|progress| match progress {
            Progress::Opening | Progress::Arriving(_) => {
                *progress = Progress::Failed(error);
                true
            }
            _ => false,
        });
    }

    /// How far into the file readers may go when so many bytes have arrived.
    pub(super) fn visible(&self, arrived: u64) -> u64 {
        match self.total() {
            Some(total) => arrived.min(total.saturating_sub(HELD_BACK_BYTES)),
            None => arrived.saturating_sub(HELD_BACK_BYTES),
        }
    }
}
