//! What was pushed here.

mod blobs;
mod holdings;
mod images;
mod manifests;
mod reclaim;
mod references;
mod repositories;
mod tags;
mod trim;
mod uploads;

pub use blobs::{BlobLink, Claim, StoredBlobRow, Unlinked};
pub use holdings::Holdings;
pub use images::ImageRow;
pub use manifests::{ManifestRow, Most, NewManifest, Put, ReferrerRow, Removed, TagWrites};
pub use reclaim::{Condemned, ForgottenLink, Reclaimable};
pub use references::{Reference, ReferenceKind};
pub use repositories::{RepositoryColumn, RepositoryId, RepositoryRow, RepositorySettings};
pub use tags::TagMove;
pub use trim::BareRepository;
pub use uploads::{Begun, PieceRow, UploadLimits, UploadRow};

use super::Error;
use crate::oci::Digest;

fn digest(text: String) -> Result<Digest, Error> {
    text.parse().map_err(|_| Error::Malformed { what: "a digest", text })
}

/// Sizes are written as they are read: no file has more bytes than SQL can count.
pub(super) fn to_sql(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

pub(super) fn from_sql(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or_default()
}
