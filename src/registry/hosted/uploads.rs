//! Uploads: bytes come in order, are hashed as they come, and become a blob when their digest holds.
//!
//! What has come of an upload is in its file, so that it goes on after a broken connection and after a restart. One request at a
//! time writes to it. The work belongs to a task of its own: a client that leaves ends the body, not the upload.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::{Mutex, MutexGuard};

use super::{Hosted, Repository, lock, now_ms};
use crate::action::{Chunk, Mount, UploadStart};
use crate::meta::UploadRow;
use crate::oci::{Algorithm, Digest, UploadId};
use crate::registry::{Answer, Body, BrokenOff, Error, Incoming, Object, UploadState};
use crate::storage::{self, Staged, Writer};

/// Bytes read ahead of what is being hashed and written.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// An upload that this process has open.
pub(super) struct Session {
    /// `None` while it is being opened, and when it has ended.
    writer: Mutex<Option<Writer>>,
    /// Bytes that have come.
    bytes: AtomicU64,
    /// When a request last wrote to it.
    touched_at_ms: AtomicU64,
}

/// Why bytes were not all taken.
enum Stopped {
    Client(BrokenOff),
    Disk(storage::Error),
}

impl Hosted {
    /// Begins an upload; or, if the request says that its body is the whole blob, ends it, too; or, if another repository has
    /// the blob, makes none.
    pub(in crate::registry) async fn start_upload(
        &self,
        repository: Repository,
        start: UploadStart,
        body: Incoming,
    ) -> Result<Answer, Error> {
        if let Some(mount) = start.mount
            && let Some(answer) = self.mount(&repository, mount).await?
        {
            return Ok(answer);
        }
        let id = new_id();
        let algorithm = start.digest.map_or(start.algorithm, |digest| digest.algorithm());
        let staged = self.inner.depot.upload(id.as_str()).await?;
        let row = UploadRow {
            id: id.to_string(),
            repository: repository.id,
            algorithm: algorithm.name().to_owned(),
            holder: self.inner.depot.holder().to_owned(),
        };
        self.inner.meta.begin_upload(&row, now_ms()).await?;
        let session = Arc::new(Session::new(Writer::new(staged.outlasting(), algorithm)));
        lock(&self.inner.uploads).insert(id.clone(), session);
        match start.digest {
            Some(digest) => self.finish_upload(repository, id, digest, Chunk::default(), body).await,
            None => Ok(answer(repository, id, 0, UploadState::Started)),
        }
    }

    pub(in crate::registry) async fn read_upload(
        &self,
        repository: &Repository,
        id: &UploadId,
    ) -> Result<Answer, Error> {
        let session = self.session(repository, id).await?;
        Ok(answer(repository.clone(), id.clone(), session.bytes.load(Ordering::Acquire), UploadState::Known))
    }

    pub(in crate::registry) async fn append_upload(
        &self,
        repository: Repository,
        id: UploadId,
        chunk: Chunk,
        body: Incoming,
    ) -> Result<Answer, Error> {
        let this = self.clone();
        self.carry_out(async move {
            let session = this.session(&repository, &id).await?;
            let mut place = session.take(&repository, &id)?;
            this.append(&session, &mut place, &repository, &id, chunk, body).await?;
            this.inner.meta.touch_upload(id.as_str(), now_ms()).await?;
            Ok(answer(repository, id, session.bytes.load(Ordering::Acquire), UploadState::Appended))
        })
        .await
    }

    pub(in crate::registry) async fn finish_upload(
        &self,
        repository: Repository,
        id: UploadId,
        digest: Digest,
        chunk: Chunk,
        body: Incoming,
    ) -> Result<Answer, Error> {
        let this = self.clone();
        self.carry_out(async move {
            let session = this.session(&repository, &id).await?;
            let mut place = session.take(&repository, &id)?;
            this.append(&session, &mut place, &repository, &id, chunk, body).await?;
            let Some(writer) = place.take() else { return Err(gone(&repository, &id)) };
            let ended = this.publish(&repository, &id, writer, digest).await;
            // Whatever came of it, the upload is over: what does not hold leaves nothing.
            lock(&this.inner.uploads).remove(&id);
            if ended.is_err() {
                this.discard(&id).await;
            }
            ended.map(|()| Answer::of(Body::BlobPushed { repository: repository.name, digest }))
        })
        .await
    }

    pub(in crate::registry) async fn cancel_upload(
        &self,
        repository: &Repository,
        id: &UploadId,
    ) -> Result<Answer, Error> {
        let session = self.session(repository, id).await?;
        let mut place = session.take(repository, id)?;
        place.take();
        lock(&self.inner.uploads).remove(id);
        self.discard(id).await;
        Ok(Answer::of(Body::UploadCancelled))
    }

    /// Gives the repository a blob that another of our own has. `None` if that cannot be: then it is uploaded.
    async fn mount(&self, repository: &Repository, mount: Mount) -> Result<Option<Answer>, Error> {
        let Mount { digest, from } = mount;
        let from = match from {
            None => None,
            Some(name) => match self.repository(&name).await? {
                Some(from) => Some(from.id),
                None => return Ok(None),
            },
        };
        let mounted = self.inner.meta.mount_blob(repository.id, &digest, from, now_ms()).await?;
        Ok(mounted.map(|_| Answer::of(Body::BlobPushed { repository: repository.name.clone(), digest })))
    }

    /// The upload as this process has it open; opened if an earlier process began it.
    async fn session(&self, repository: &Repository, id: &UploadId) -> Result<Arc<Session>, Error> {
        let row = self.inner.meta.upload(id.as_str()).await?;
        let row = row.filter(|row| row.repository == repository.id).ok_or_else(|| gone(repository, id))?;
        if row.holder != self.inner.depot.holder() {
            return Err(Error::UploadElsewhere { repository: repository.name.clone(), id: id.clone() });
        }
        if let Some(session) = lock(&self.inner.uploads).get(id) {
            return Ok(session.clone());
        }
        let algorithm = if row.algorithm == Algorithm::Sha512.name() { Algorithm::Sha512 } else { Algorithm::Sha256 };
        let staged = self.inner.depot.upload(id.as_str()).await?;
        let (writer, hashed) = Writer::new(staged.outlasting(), algorithm).rehash(algorithm).await;
        hashed?;
        let mut uploads = lock(&self.inner.uploads);
        // Two requests may have opened it; both found the same bytes, and the first stays.
        Ok(uploads.entry(id.clone()).or_insert_with(|| Arc::new(Session::new(writer))).clone())
    }

    /// Takes the request's bytes, if they are the next ones. What has come stays, whatever happens to the rest.
    async fn append(
        &self,
        session: &Session,
        place: &mut Option<Writer>,
        repository: &Repository,
        id: &UploadId,
        chunk: Chunk,
        body: Incoming,
    ) -> Result<(), Error> {
        let Some(writer) = place.take() else { return Err(gone(repository, id)) };
        let at = writer.staged.len();
        if chunk.start.is_some_and(|start| start != at) {
            *place = Some(writer);
            return Err(Error::OutOfOrder { repository: repository.name.clone(), id: id.clone(), at });
        }
        let (writer, taken) = take_in(writer, body, session).await;
        let came = writer.staged.len() - at;
        *place = Some(writer);
        match taken {
            Ok(()) => {}
            Err(Stopped::Client(broken_off)) => return Err(broken_off.into()),
            Err(Stopped::Disk(error)) => {
                self.inner.metrics.storage_errors.with_label_values(&["write"]).inc();
                return Err(error.into());
            }
        }
        match chunk.length {
            Some(told) if told != came => {
                Err(Error::WrongSize { object: Object::Upload(repository.name.clone(), id.clone()), told, found: came })
            }
            _ => Ok(()),
        }
    }

    /// The digest holds, the bytes are durable, the database knows them: in this order.
    async fn publish(
        &self,
        repository: &Repository,
        id: &UploadId,
        mut writer: Writer,
        digest: Digest,
    ) -> Result<(), Error> {
        let mut found = writer.hasher.clone().finish();
        if found.algorithm() != digest.algorithm() {
            let (rehashed, result) = writer.rehash(digest.algorithm()).await;
            result?;
            found = rehashed.hasher.clone().finish();
            writer = rehashed;
        }
        if found != digest {
            return Err(Error::WrongDigest { object: Object::Blob(repository.name.clone(), digest), found });
        }
        let size = writer.staged.len();
        let meta = &self.inner.meta;
        meta.claim_blob(&digest, size, now_ms()).await?;
        self.publish_bytes(writer.staged, &digest).await?;
        let link = || meta.link_blob(repository.id, &digest, size, Some(id.as_str()), now_ms());
        if link().await? {
            return Ok(());
        }
        // It took longer than the grace, and the blob was taken for forgotten: before its bytes came, which then are there
        // without a row, or after.
        meta.claim_blob(&digest, size, now_ms()).await?;
        if self.inner.depot.has(&digest, size).await? && link().await? {
            return Ok(());
        }
        Err(Error::Forgotten(Object::Blob(repository.name.clone(), digest)))
    }

    /// Keeps verified bytes for good. With a bucket, the file that was sent there becomes the cached copy.
    async fn publish_bytes(&self, staged: Staged, digest: &Digest) -> Result<(), storage::Error> {
        if let Some(sent) = self.inner.depot.publish(staged, digest).await? {
            self.inner.cache.adopt(*digest, sent).await;
        }
        Ok(())
    }

    /// Removes what is left of an upload. What cannot be removed now is removed when it has expired.
    pub(super) async fn discard(&self, id: &UploadId) {
        if let Err(error) = self.inner.depot.remove_upload(id.as_str()).await {
            tracing::warn!(%error, upload = %id, "an upload's file cannot be removed");
            return;
        }
        if let Err(error) = self.inner.meta.end_upload(id.as_str()).await {
            tracing::warn!(%error, upload = %id, "an upload cannot be forgotten");
        }
    }

    /// Closes uploads that no request has written to for a while; the next one opens them again.
    pub(super) fn close_idle_uploads(&self, before_ms: i64) {
        lock(&self.inner.uploads).retain(|_, session| {
            let touched = i64::try_from(session.touched_at_ms.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
            touched >= before_ms || session.writer.try_lock().is_err()
        });
    }
}

impl Session {
    fn new(writer: Writer) -> Self {
        let session = Self {
            bytes: AtomicU64::new(writer.staged.len()),
            writer: Mutex::new(Some(writer)),
            touched_at_ms: AtomicU64::new(0),
        };
        session.touch();
        session
    }

    fn touch(&self) {
        self.touched_at_ms.store(u64::try_from(now_ms()).unwrap_or_default(), Ordering::Relaxed);
    }

    fn take(&self, repository: &Repository, id: &UploadId) -> Result<MutexGuard<'_, Option<Writer>>, Error> {
        let busy = |_| Error::UploadBusy { repository: repository.name.clone(), id: id.clone() };
        self.writer.try_lock().map_err(busy)
    }
}

/// While one batch is hashed and written, the next one is read.
async fn take_in(writer: Writer, mut body: Incoming, session: &Session) -> (Writer, Result<(), Stopped>) {
    let mut idle = Some(writer);
    let mut batch: Vec<Bytes> = Vec::new();
    let mut batch_bytes = 0;
    let mut ended = None;
    let work = futures_util::future::Fuse::terminated();
    tokio::pin!(work);
    loop {
        if let Some(writer) = idle.take() {
            session.bytes.store(writer.staged.len(), Ordering::Release);
            session.touch();
            if !batch.is_empty() {
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
            (writer, written) = &mut work, if idle.is_none() => {
                if let Err(error) = written {
                    session.bytes.store(writer.staged.len(), Ordering::Release);
                    return (writer, Err(Stopped::Disk(error)));
                }
                idle = Some(writer);
            }
            chunk = body.next(), if ended.is_none() && batch_bytes < MAX_BATCH_BYTES => match chunk {
                Ok(Some(chunk)) => {
                    batch_bytes += chunk.len();
                    batch.push(chunk);
                }
                Ok(None) => ended = Some(Ok(())),
                Err(broken_off) => ended = Some(Err(Stopped::Client(broken_off))),
            },
        }
    }
}

fn answer(repository: Repository, id: UploadId, bytes: u64, state: UploadState) -> Answer {
    Answer::of(Body::Upload { repository: repository.name, id, bytes, state })
}

fn gone(repository: &Repository, id: &UploadId) -> Error {
    Error::NoSuchUpload { repository: repository.name.clone(), id: id.clone() }
}

fn new_id() -> UploadId {
    let mut bytes = [0; 16];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        // The system has no randomness to give; what is left cannot be foretold either, but may be guessed.
        bytes = fastrand::u128(..).to_be_bytes();
    }
    UploadId::from_random(bytes)
}
