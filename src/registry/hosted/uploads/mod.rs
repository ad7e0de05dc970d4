//! Uploads: bytes come in order, are hashed as they come, and become a blob when their digest holds.
//!
//! What has come of an upload is in its file, so that it goes on after a broken connection and after a restart; with a bucket it
//! is there as well, so that it goes on at another replica. One request at a time writes to it. The work belongs to a task of its
//! own: a client that leaves ends the body, not the upload.

mod hand_over;
mod publish;
mod session;
mod sessions;
mod under_way;

use self::publish::Way;
use self::session::{Open, Parked, Quota, Session, Stopped};
pub(super) use self::sessions::Sessions;
pub(in crate::registry) use self::under_way::Client;
use super::{Hosted, Repository};
use crate::action::{Chunk, Mount, UploadStart};
use crate::meta::{UploadRow, now_ms};
use crate::oci::{Digest, UploadId};
use crate::registry::{Answer, Body, BrokenOff, Error, Incoming, Object, UploadState};
use crate::storage::Sending;

/// Which upload, to which repository.
#[derive(Clone)]
struct Upload {
    repository: Repository,
    id: UploadId,
}

impl Hosted {
    /// Begins an upload; or, if the request says that its body is the whole blob, ends it, too; or, if another repository has
    /// the blob, makes none.
    pub(in crate::registry) async fn start_upload(
        &self,
        repository: Repository,
        start: UploadStart,
        client: Client<'_>,
        body: Incoming,
    ) -> Result<Answer, Error> {
        if let Some(mount) = start.mount
            && let Some(answer) = self.mount(&repository, mount).await?
        {
            return Ok(answer);
        }
        let id = new_id();
        let algorithm = start.digest.map_or(start.algorithm, |digest| digest.algorithm());
        let row = UploadRow {
            id: id.to_string(),
            repository: repository.id,
            algorithm: algorithm.name().to_owned(),
            holder: self.inner.depot.holder().to_owned(),
            touched_at_ms: now_ms(),
            bytes: 0,
            digest: None,
        };
        self.begin_upload(&repository, &row, client).await?;
        self.inner.uploads.add(id.clone(), Session::new(Parked::new(algorithm)));
        match start.digest {
            Some(digest) => self.finish_upload(repository, id, digest, Chunk::default(), body).await,
            None => Ok(answer(Upload { repository, id }, 0, UploadState::Started)),
        }
    }

    pub(in crate::registry) async fn read_upload(
        &self,
        repository: &Repository,
        id: &UploadId,
    ) -> Result<Answer, Error> {
        let upload = Upload { repository: repository.clone(), id: id.clone() };
        let row = self.upload_row(&upload).await?;
        let elsewhere = row.holder != self.inner.depot.holder() && self.inner.depot.is_shared();
        let bytes = if elsewhere { row.bytes } else { self.session(&upload).await?.bytes() };
        Ok(answer(upload, bytes, UploadState::Known))
    }

    /// How many bytes have come, and their digest by the upload's algorithm.
    pub(in crate::registry) async fn measure_upload(
        &self,
        repository: &Repository,
        id: &UploadId,
    ) -> Result<(u64, Digest), Error> {
        let upload = Upload { repository: repository.clone(), id: id.clone() };
        let row = self.upload_row(&upload).await?;
        let elsewhere = row.holder != self.inner.depot.holder() && self.inner.depot.is_shared();
        if let (true, Some(digest)) = (elsewhere, row.digest) {
            return Ok((row.bytes, digest));
        }
        let session = self.session(&upload).await?;
        let place = session.take(&upload)?;
        let parked = place.as_ref().ok_or_else(|| gone(&upload))?;
        Ok((parked.bytes, parked.hasher.clone().finish()))
    }

    pub(in crate::registry) async fn append_upload(
        &self,
        repository: Repository,
        id: UploadId,
        chunk: Chunk,
        body: Incoming,
    ) -> Result<Answer, Error> {
        let (this, upload) = (self.clone(), Upload { repository, id });
        self.carry_out(async move {
            let session = this.session_to_write(&upload).await?;
            let mut place = session.take(&upload)?;
            let open = this.open(&upload, &mut place).await?;
            let piece = this.begin_piece(&upload, &open);
            let sending = piece.as_ref().map(|piece| &piece.sending);
            let (mut open, taken) = this.append(&session, open, &upload, chunk, body, sending).await;
            if is_full(&taken) {
                return this.give_up(&upload, open, taken).await;
            }
            let kept = match piece {
                Some(piece) => this.in_use(&upload.id, this.keep_piece(&upload, &mut open, piece)).await,
                None => Ok(()),
            };
            *place = Some(open.park());
            kept.and(taken)?;
            // With a bucket the piece has done so.
            if !this.inner.depot.is_shared() && !this.meta.touch_upload(upload.id.as_str(), now_ms()).await? {
                place.take();
                this.discard(&upload.id).await;
                return Err(gone(&upload));
            }
            Ok(answer(upload, session.bytes(), UploadState::Appended))
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
        let (this, upload) = (self.clone(), Upload { repository, id });
        self.carry_out(async move {
            let pushed = Body::BlobPushed { repository: upload.repository.name.clone(), digest };
            let more = chunk.length != Some(0);
            if !more && this.publish_elsewhere(&upload, digest).await? {
                return Ok(Answer::of(pushed));
            }
            let session = this.session_to_write(&upload).await?;
            let mut place = session.take(&upload)?;
            let mut open = this.open(&upload, &mut place).await?;
            // What is there already is pushed again without more room.
            if this.inner.quotas.is_any(&upload.repository)
                && let Ok(Some(link)) = this.meta.blob_link(upload.repository.id, &digest).await
            {
                open.room.needs_none_for(link.size);
            }
            let way = match this.way(&upload, &open, &digest, more).await {
                Ok(way) => way,
                Err(error) => {
                    *place = Some(open.park());
                    return Err(error);
                }
            };
            let sending = if let Way::Send(sending) = &way { Some(sending) } else { None };
            let (open, taken) = this.append(&session, open, &upload, chunk, body, sending).await;
            if is_full(&taken) {
                return this.give_up(&upload, open, taken).await;
            }
            if let Err(error) = taken {
                *place = Some(open.park());
                return Err(way.failure().await.map_or(error, Error::from));
            }
            let ended = this.in_use(&upload.id, this.publish(&upload, open, digest, way)).await;
            // Whatever came of it, the upload is over: what does not hold leaves nothing.
            this.inner.uploads.remove(&upload.id);
            if ended.is_err() {
                this.discard(&upload.id).await;
            }
            ended.map(|()| Answer::of(pushed))
        })
        .await
    }

    pub(in crate::registry) async fn cancel_upload(
        &self,
        repository: &Repository,
        id: &UploadId,
    ) -> Result<Answer, Error> {
        let upload = Upload { repository: repository.clone(), id: id.clone() };
        self.upload_row(&upload).await?;
        if let Some(session) = self.inner.uploads.get(id) {
            session.take(&upload)?.take();
        }
        self.discard(id).await;
        Ok(Answer::of(Body::UploadCancelled))
    }

    /// Gives the repository a blob that another of our own has. `None` if that cannot be: then it is uploaded.
    async fn mount(&self, repository: &Repository, mount: Mount) -> Result<Option<Answer>, Error> {
        let Mount { digest, from } = mount;
        let from = match from {
            None => None,
            Some(name) => match self.repository(&repository.qualified().beside(name)).await? {
                Some(from) => Some(from.id),
                None => return Ok(None),
            },
        };
        let mut room = None;
        // Only of what may be read there: else a refusal would tell what others have.
        if let Some(from) = from.filter(|_| self.inner.quotas.is_any(repository)) {
            let Some(link) = self.meta.blob_link(from, &digest).await? else { return Ok(None) };
            room = Some(self.inner.quotas.take_blob(repository, &digest, link.size).await?);
        }
        let mounted = self.meta.mount_blob(repository.id, &digest, from, now_ms()).await?;
        drop(room);
        Ok(mounted.map(|_| Answer::of(Body::BlobPushed { repository: repository.name.clone(), digest })))
    }

    /// Takes the request's bytes, if they are the next ones. What has come stays, whatever happens to the rest.
    async fn append(
        &self,
        session: &Session,
        open: Open,
        upload: &Upload,
        chunk: Chunk,
        body: Incoming,
        sending: Option<&Sending>,
    ) -> (Open, Result<(), Error>) {
        let Open { writer, in_pieces, mut room } = open;
        let at = writer.staged.len();
        let Upload { repository, id } = upload;
        if chunk.start.is_some_and(|start| start != at) {
            let error = Error::OutOfOrder { repository: repository.name.clone(), id: id.clone(), at };
            return (Open { writer, in_pieces, room }, Err(error));
        }
        // What is known to be too much need not come.
        let expected = at.saturating_add(chunk.length.unwrap_or_default());
        if let Err(error) = room.reach(&self.inner.quotas, repository, expected).await {
            return (Open { writer, in_pieces, room }, Err(error));
        }
        let quota = Quota { quotas: &self.inner.quotas, repository };
        let (writer, taken) = self.in_use(id, session.take_in(writer, &mut room, quota, body, sending)).await;
        let came = writer.staged.len() - at;
        let result = match taken {
            Ok(()) => match chunk.length {
                Some(told) if told != came => {
                    let object = Object::Upload(repository.name.clone(), id.clone());
                    Err(Error::WrongSize { object, told, found: came })
                }
                _ => Ok(()),
            },
            Err(Stopped::Client(broken_off)) => Err(broken_off.into()),
            Err(Stopped::Refused(refused)) => Err(refused),
            // The caller has the reason.
            Err(Stopped::Bucket) => Err(BrokenOff::Client("the bucket takes no more".to_owned()).into()),
            Err(Stopped::Storage(error)) => {
                self.inner.metrics.storage_errors.with_label_values(&["write"]).inc();
                Err(error.into())
            }
        };
        (Open { writer, in_pieces, room }, result)
    }

    /// Where the disk is full, what has come makes it no emptier: the upload ends, and its bytes go.
    async fn give_up<T>(&self, upload: &Upload, open: Open, taken: Result<(), Error>) -> Result<T, Error> {
        drop(open);
        self.discard(&upload.id).await;
        match taken {
            Err(error) => Err(error),
            Ok(()) => Err(gone(upload)),
        }
    }
}

fn is_full(taken: &Result<(), Error>) -> bool {
    matches!(taken, Err(Error::Storage(error)) if error.is_full())
}

fn answer(upload: Upload, bytes: u64, state: UploadState) -> Answer {
    Answer::of(Body::Upload { repository: upload.repository.name, id: upload.id, bytes, state })
}

fn gone(upload: &Upload) -> Error {
    Error::NoSuchUpload { repository: upload.repository.name.clone(), id: upload.id.clone() }
}

fn new_id() -> UploadId {
    let mut bytes = [0; 16];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        // The system has no randomness to give; what is left cannot be foretold either, but may be guessed.
        bytes = fastrand::u128(..).to_be_bytes();
    }
    UploadId::from_random(bytes)
}
