//! OCI image layouts (image-spec, image-layout.md) as folders and as tar archives.
//!
//! A [`Target`] is written: blobs arrive at a place of their own, are hashed on the way, and are part of the layout only when
//! their digest and size hold. A [`Layout`] is read: each blob is a [`Piece`] of a file, whichever of the two it is.
//!
//! *Never* here: the network, or what an image is.

mod index;

mod archive;
mod blob_writer;
mod folder;
mod target;

mod piece;
mod source;

pub(super) use blob_writer::BlobWriter;
pub(super) use index::Entry;
pub(super) use piece::Piece;
pub(super) use source::Layout;
pub(super) use target::Target;

/// The content of the file `oci-layout`.
const OCI_LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// Indexes and manifests are held in memory, and are no larger than this.
pub(super) const MAX_DOCUMENT_BYTES: u64 = 32 << 20;

/// Where a blob lies within a layout, with `/` between the parts.
fn blob_path(digest: &crate::oci::Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}
