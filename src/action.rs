//! The closed list of all that anyone can ask.
//!
//! A request is parsed into an [`Action`] once; policy decides about it and the registry carries it out, and neither
//! looks at a URI again.
//!
//! *Never* here: parsing, deciding, or carrying anything out.

use crate::oci::{AcceptSet, AccountId, Algorithm, Digest, MediaType, Reference, RepositoryName, Tag, UploadId};

/// A repository as a client names it: a path, and possibly a registry that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedName {
    pub path: RepositoryName,
    /// `?ns=` or `OCI-Namespace`: the host of the registry that the client means.
    pub namespace: Option<String>,
    /// The `Host` that the request came to, lower case, with its port.
    pub host: Option<String>,
    /// The registry that the client chose otherwise than by the host.
    pub registry: Option<AccountId>,
}

/// Where a list goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most so many entries.
    pub n: Option<u32>,
    /// Entries after this one.
    pub last: Option<String>,
}

/// Whether the client wants the bytes or only what describes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    Head,
    Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `/v2/`
    Ping,
    ListRepositories {
        page: Page,
        /// As in [`RequestedName`].
        host: Option<String>,
    },
    ListTags {
        name: RequestedName,
        page: Page,
    },
    ReadManifest {
        name: RequestedName,
        reference: Reference,
        accept: AcceptSet,
        want: Want,
    },
    ReadBlob {
        name: RequestedName,
        digest: Digest,
        want: Want,
    },
    ListReferrers {
        name: RequestedName,
        subject: Digest,
        artifact_type: Option<String>,
        page: Page,
    },
    StartUpload {
        name: RequestedName,
        start: UploadStart,
    },
    ReadUpload {
        name: RequestedName,
        id: UploadId,
    },
    AppendUpload {
        name: RequestedName,
        id: UploadId,
        chunk: Chunk,
    },
    FinishUpload {
        name: RequestedName,
        id: UploadId,
        digest: Digest,
        chunk: Chunk,
    },
    CancelUpload {
        name: RequestedName,
        id: UploadId,
    },
    PushManifest {
        name: RequestedName,
        reference: Reference,
        /// `Content-Type`, without its parameters.
        media_type: Option<MediaType>,
        /// Tags beside the reference.
        tags: Vec<Tag>,
    },
    DeleteManifest {
        name: RequestedName,
        reference: Reference,
    },
    DeleteBlob {
        name: RequestedName,
        digest: Digest,
    },
}

/// How an upload begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadStart {
    /// The body of this request is the whole blob.
    pub digest: Option<Digest>,
    /// Of the digest that will be told at the end.
    pub algorithm: Algorithm,
    /// A blob that another repository has would do.
    pub mount: Option<Mount>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    pub digest: Digest,
    pub from: Option<RepositoryName>,
}

/// What the client says of the bytes that it sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// `Content-Range`: the place of the first byte.
    pub start: Option<u64>,
    /// Bytes, if the client tells how many.
    pub length: Option<u64>,
}

impl Action {
    /// The repository that it is about.
    pub const fn repository(&self) -> Option<&RequestedName> {
        match self {
            Self::Ping | Self::ListRepositories { .. } => None,
            Self::ListTags { name, .. }
            | Self::ReadManifest { name, .. }
            | Self::ReadBlob { name, .. }
            | Self::ListReferrers { name, .. }
            | Self::StartUpload { name, .. }
            | Self::ReadUpload { name, .. }
            | Self::AppendUpload { name, .. }
            | Self::FinishUpload { name, .. }
            | Self::CancelUpload { name, .. }
            | Self::PushManifest { name, .. }
            | Self::DeleteManifest { name, .. }
            | Self::DeleteBlob { name, .. } => Some(name),
        }
    }

    /// Whether it changes what the registry holds.
    pub const fn writes(&self) -> bool {
        match self {
            Self::Ping
            | Self::ListRepositories { .. }
            | Self::ListTags { .. }
            | Self::ReadManifest { .. }
            | Self::ReadBlob { .. }
            | Self::ListReferrers { .. } => false,
            Self::StartUpload { .. }
            | Self::ReadUpload { .. }
            | Self::AppendUpload { .. }
            | Self::FinishUpload { .. }
            | Self::CancelUpload { .. }
            | Self::PushManifest { .. }
            | Self::DeleteManifest { .. }
            | Self::DeleteBlob { .. } => true,
        }
    }
}
