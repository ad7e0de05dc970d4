//! The end of an upload: the digest holds, the bytes are durable, the database knows them, in this order.

use super::super::Hosted;
use super::Upload;
use super::session::Open;
use crate::meta::{PieceRow, now_ms};
use crate::oci::{Digest, UploadId};
use crate::registry::{Error, Object};
use crate::storage::{self, Sending, Staged};

/// How verified bytes come to lie where they are kept.
pub(super) enum Way {
    /// Their file is renamed.
    Rename,
    /// They are on their way to the bucket.
    Send(Sending),
    /// They are in the bucket, as one piece.
    Promote(PieceRow),
}

impl Way {
    /// Why the bucket took no more, if it did not.
    pub(super) async fn failure(self) -> Option<storage::Error> {
        match self {
            Self::Send(sending) if sending.has_failed() => sending.finish(0).await.err(),
            _ => None,
        }
    }
}

impl Hosted {
    /// How the blob will come to be kept, decided before its last bytes come, so that they can be sent while they do.
    /// `more` says whether any are still to come.
    pub(super) async fn way(&self, upload: &Upload, open: &Open, digest: &Digest, more: bool) -> Result<Way, Error> {
        let size = open.writer.staged.len();
        if !more && size > 0 && open.in_pieces == size {
            let mut pieces = self.meta.upload_pieces(upload.id.as_str()).await?;
            if let (1, Some(piece)) = (pieces.len(), pieces.pop()) {
                return Ok(Way::Promote(piece));
            }
        }
        Ok(self.inner.depot.send_blob(digest, &open.writer.staged).map_or(Way::Rename, Way::Send))
    }

    pub(super) async fn publish(&self, upload: &Upload, open: Open, digest: Digest, way: Way) -> Result<(), Error> {
        let Open { mut writer, in_pieces, mut room } = open;
        let object = || Object::Blob(upload.repository.name.clone(), digest);
        let mut found = writer.hasher.clone().finish();
        if found.algorithm() != digest.algorithm() {
            let (rehashed, result) = writer.rehash(digest.algorithm()).await;
            result?;
            found = rehashed.hasher.clone().finish();
            writer = rehashed;
        }
        if found != digest {
            return Err(Error::WrongDigest { object: object(), found });
        }
        let size = writer.staged.len();
        let id = upload.id.as_str();
        let pieces = if in_pieces > 0 { self.meta.upload_pieces(id).await? } else { Vec::new() };
        room.reach(&self.inner.quotas, &upload.repository, size).await?;
        self.meta.claim_blob(&digest, size, now_ms()).await?;
        self.put_in_place(id, writer.staged, &digest, way).await?;
        self.link(upload, &digest, size).await?;
        for piece in pieces {
            self.remove_piece(id, &piece.name).await;
        }
        // From here on the blob counts itself.
        drop(room);
        Ok(())
    }

    /// Ends an upload that another replica has brought into the bucket as one piece, and of which it told the digest. False when
    /// it is not so.
    pub(super) async fn publish_elsewhere(&self, upload: &Upload, digest: Digest) -> Result<bool, Error> {
        let row = self.upload_row(upload).await?;
        let (depot, meta, id) = (&self.inner.depot, &self.meta, upload.id.as_str());
        if row.holder == depot.holder() || row.digest != Some(digest) {
            return Ok(false);
        }
        let [piece] = &*meta.upload_pieces(id).await? else { return Ok(false) };
        let _room = self.inner.quotas.take_blob(&upload.repository, &digest, row.bytes).await?;
        meta.claim_blob(&digest, row.bytes, now_ms()).await?;
        if piece.size != row.bytes || !depot.promote_piece(id, &piece.name, piece.size, &digest).await? {
            return Ok(false);
        }
        self.link(upload, &digest, row.bytes).await?;
        self.remove_piece(id, &piece.name).await;
        Ok(true)
    }

    /// Removes what is left of an upload. What cannot be removed now is removed when it has expired.
    pub(super) async fn discard(&self, id: &UploadId) {
        if let Err(error) = self.remove_all_of(id).await {
            tracing::warn!(%error, upload = %id, "what is left of an upload cannot be removed");
        }
    }

    async fn remove_all_of(&self, id: &UploadId) -> Result<(), Error> {
        self.inner.uploads.remove(id);
        let (depot, meta) = (&self.inner.depot, &self.meta);
        depot.remove_upload(id.as_str()).await?;
        for piece in meta.upload_pieces(id.as_str()).await? {
            depot.remove_piece(id.as_str(), &piece.name).await?;
        }
        meta.end_upload(id.as_str()).await?;
        Ok(())
    }

    /// With a bucket, the file that was sent there becomes the cached copy.
    async fn put_in_place(
        &self,
        upload: &str,
        staged: Staged,
        digest: &Digest,
        way: Way,
    ) -> Result<(), storage::Error> {
        let depot = &self.inner.depot;
        let size = staged.len();
        match way {
            Way::Rename => return depot.publish(staged, digest).await,
            Way::Send(sending) => sending.finish(size).await?,
            Way::Promote(piece) => {
                let promoted = depot.promote_piece(upload, &piece.name, size, digest).await?;
                if !promoted && let Some(sending) = depot.send_blob(digest, &staged) {
                    sending.finish(size).await?;
                }
            }
        }
        self.inner.cache.adopt(*digest, staged.removed_on_drop()).await;
        Ok(())
    }

    async fn link(&self, upload: &Upload, digest: &Digest, size: u64) -> Result<(), Error> {
        let meta = &self.meta;
        let (repository, id) = (&upload.repository, upload.id.as_str());
        let link = || meta.link_blob(repository.id, digest, size, Some(id), now_ms());
        if link().await? {
            return Ok(());
        }
        // It took longer than the grace, and the blob was taken for forgotten: before its bytes came, which then are there
        // without a row, or after.
        meta.claim_blob(digest, size, now_ms()).await?;
        if self.inner.depot.has(digest, size).await? && link().await? {
            return Ok(());
        }
        Err(Error::Forgotten(Object::Blob(repository.name.clone(), *digest)))
    }
}
