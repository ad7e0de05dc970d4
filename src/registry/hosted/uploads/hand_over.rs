//! Going on with an upload: with what this replica has of it, or with what another has left in the bucket.
//!
//! What a request brought lies in the bucket as a piece before the request is answered, and the database says which replica may
//! add the next one. So a client may come to another replica with each request, and an upload outlives the replica it began at.

use std::sync::Arc;

use tokio::sync::MutexGuard;

use super::super::Hosted;
use super::super::quota::Room;
use super::session::{Open, Parked, Session};
use super::{Upload, gone, new_id};
use crate::meta::{PieceRow, UploadRow, now_ms};
use crate::oci::Algorithm;
use crate::registry::Error;
use crate::storage::{Sending, Writer};

/// What a request brings, on its way to the bucket.
pub(super) struct Piece {
    name: String,
    start: u64,
    pub(super) sending: Sending,
}

impl Hosted {
    pub(super) async fn upload_row(&self, upload: &Upload) -> Result<UploadRow, Error> {
        let row = self.meta.upload(upload.id.as_str()).await?;
        row.filter(|row| row.repository == upload.repository.id).ok_or_else(|| gone(upload))
    }

    /// The upload as this process has it open; opened if an earlier process began it, taken over if another replica did.
    pub(super) async fn session(&self, upload: &Upload) -> Result<Arc<Session>, Error> {
        let row = self.upload_row(upload).await?;
        self.session_of(upload, row).await
    }

    /// The same, for a request that brings more.
    pub(super) async fn session_to_write(&self, upload: &Upload) -> Result<Arc<Session>, Error> {
        let row = self.upload_row(upload).await?;
        self.go_on_with(upload, &row).await?;
        self.session_of(upload, row).await
    }

    async fn session_of(&self, upload: &Upload, row: UploadRow) -> Result<Arc<Session>, Error> {
        if row.holder != self.inner.depot.holder() {
            if !self.inner.depot.is_shared() {
                let (repository, id) = (upload.repository.name.clone(), upload.id.clone());
                return Err(Error::UploadElsewhere { repository, id });
            }
            return self.take_over(upload, &row).await;
        }
        if let Some(session) = self.inner.uploads.get(&upload.id) {
            return Ok(session);
        }
        let algorithm = algorithm(&row);
        let bytes = self.inner.depot.upload_bytes(upload.id.as_str()).await?;
        if bytes < row.bytes {
            return self.take_over(upload, &row).await;
        }
        let mut parked = Parked { in_pieces: row.bytes, ..Parked::new(algorithm) };
        if bytes > 0 {
            let staged = self.inner.depot.upload(upload.id.as_str()).await?;
            let (writer, hashed) = Writer::new(staged.outlasting(), algorithm).rehash(algorithm).await;
            hashed?;
            parked = Open { writer, in_pieces: row.bytes, room: Room::default() }.park();
        }
        Ok(self.inner.uploads.add(upload.id.clone(), Session::new(parked)))
    }

    /// Opens the upload's file for a request. What cannot be opened stays as it was.
    pub(super) async fn open(
        &self,
        upload: &Upload,
        place: &mut MutexGuard<'_, Option<Parked>>,
    ) -> Result<Open, Error> {
        let staged = match place.as_ref() {
            Some(_) => self.inner.depot.upload(upload.id.as_str()).await?.outlasting(),
            None => return Err(gone(upload)),
        };
        let Some(Parked { hasher, bytes, in_pieces, room }) = place.take() else { return Err(gone(upload)) };
        if staged.len() == bytes {
            return Ok(Open { writer: Writer { staged, hasher }, in_pieces, room });
        }
        // Somebody has touched the file behind our back: nothing can be said of what it holds.
        tracing::warn!(upload = %upload.id, expected = bytes, found = staged.len(), "the file of an upload is not as it was left");
        drop(staged);
        self.discard(&upload.id).await;
        Err(gone(upload))
    }

    /// Begins to send what follows what is in the bucket. `None` without a bucket.
    pub(super) fn begin_piece(&self, upload: &Upload, open: &Open) -> Option<Piece> {
        let (name, start) = (new_id().to_string(), open.in_pieces);
        let sending = self.inner.depot.send_piece(upload.id.as_str(), &name, &open.writer.staged, start)?;
        Some(Piece { name, start, sending })
    }

    /// What has come is in the bucket when this returns, and every replica knows it.
    pub(super) async fn keep_piece(&self, upload: &Upload, open: &mut Open, piece: Piece) -> Result<(), Error> {
        let (id, end) = (upload.id.as_str(), open.writer.staged.len());
        if end == piece.start {
            return Ok(());
        }
        piece.sending.finish(end).await?;
        let row = PieceRow { start: piece.start, size: end - piece.start, name: piece.name };
        let digest = open.writer.hasher.clone().finish();
        let added = self.meta.add_piece(id, self.inner.depot.holder(), &row, &digest, now_ms()).await?;
        if added {
            open.in_pieces = end;
            return Ok(());
        }
        self.remove_piece(id, &row.name).await;
        // Or nobody does any more.
        self.upload_row(upload).await?;
        let (repository, id) = (upload.repository.name.clone(), upload.id.clone());
        Err(Error::UploadElsewhere { repository, id })
    }

    /// That it cannot be removed now is no failure: a scrub does it.
    pub(super) async fn remove_piece(&self, upload: &str, piece: &str) {
        if let Err(error) = self.inner.depot.remove_piece(upload, piece).await {
            tracing::warn!(%error, upload, piece, "a piece of an upload is left in the bucket");
        }
    }

    /// Makes this replica the one that goes on. What it may have had of the upload is given up for what the bucket has.
    async fn take_over(&self, upload: &Upload, row: &UploadRow) -> Result<Arc<Session>, Error> {
        let session = Arc::new(Session::opening(row.bytes));
        let mut place = session.take(upload)?;
        // Whoever still writes to it, or is about to take it over as well, goes first.
        self.inner
            .uploads
            .replace(&upload.id, session.clone(), |earlier| earlier.take(upload).map(|mut it| drop(it.take())))?;
        match self.fetch_pieces(upload).await {
            Ok(open) => {
                // Others may have added to it since the row was read.
                session.has_come(open.writer.staged.len());
                *place = Some(open.park());
            }
            Err(error) => {
                self.inner.uploads.remove(&upload.id);
                return Err(error);
            }
        }
        drop(place);
        Ok(session)
    }

    async fn fetch_pieces(&self, upload: &Upload) -> Result<Open, Error> {
        let (meta, depot) = (&self.meta, &self.inner.depot);
        let id = upload.id.as_str();
        meta.take_over_upload(id, depot.holder(), now_ms()).await?;
        // From here on no other replica adds to it.
        let row = self.upload_row(upload).await?;
        let pieces = meta.upload_pieces(id).await?;
        let staged = depot.fresh_upload(id).await?;
        let mut writer = Writer::new(staged.outlasting(), algorithm(&row));
        for piece in &pieces {
            let (back, found) = depot.fetch_piece(id, &piece.name, writer).await?;
            writer = back;
            if !found || writer.staged.len() != piece.start + piece.size {
                return Err(gone(upload));
            }
        }
        tracing::info!(upload = id, bytes = row.bytes, "an upload is taken over from another replica");
        Ok(Open { writer, in_pieces: row.bytes, room: Room::default() })
    }
}

pub(super) fn algorithm(row: &UploadRow) -> Algorithm {
    if row.algorithm == Algorithm::Sha512.name() { Algorithm::Sha512 } else { Algorithm::Sha256 }
}
