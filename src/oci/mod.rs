//! The vocabulary of the OCI specifications: digests, names, tags, media types, descriptors, manifests, byte ranges
//! and error codes.
//!
//! Every type has one fallible constructor, so a value that exists is well formed; nothing later checks it again.
//!
//! *Never* here: IO, async, configuration, or anything that knows about HTTP beyond the text of a header.

mod account_id;
mod digest;
mod error_code;
mod hash;
pub mod json;
mod manifest;
mod media_type;
mod name;
mod qualified_name;
mod range;
mod reference;
mod upload_id;

pub use account_id::{AccountId, AccountIdError};
pub use digest::{Algorithm, Digest, DigestError};
pub use error_code::ErrorCode;
pub use hash::Hasher;
pub use manifest::{Descriptor, MAX_DESCRIPTORS, Manifest, ManifestError};
pub use media_type::{AcceptSet, MediaType, NoMediaType};
pub use name::{NameError, RepositoryName};
pub use qualified_name::QualifiedName;
pub use range::{ByteRange, RangeRequest};
pub use reference::{Reference, ReferenceError, Tag};
pub use upload_id::{UploadId, UploadIdError};
