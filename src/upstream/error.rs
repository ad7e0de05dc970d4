//! Why an upstream gave no answer.
//!
//! `NotFound`, `Unauthorized` and `Denied` are answers, told to the client as they are. The rest are failures: a cached
//! answer may stand in for them.

use std::time::Duration;

use crate::config::UpstreamName;

/// Cloned to everyone who waited for the same answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("upstream {upstream}: {kind}")]
pub struct Error {
    pub upstream: UpstreamName,
    pub kind: ErrorKind,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum ErrorKind {
    #[error("it does not have what was asked for")]
    NotFound,
    /// Docker Hub and others say this of a repository that does not exist, too (C50).
    #[error(
        "it does not let us in (401): the repository does not exist, or this upstream needs another username and password"
    )]
    Unauthorized,
    #[error("it denies access (403): the credential of this upstream has no right to it")]
    Denied,
    #[error("it limits our rate (429)")]
    RateLimited { retry_after: Option<Duration> },
    #[error("it cannot be reached: {detail}")]
    Unreachable { detail: String },
    /// Not asked, because it has failed again and again.
    #[error("{host} has failed repeatedly and is asked again in {} s", pause.as_secs())]
    LeftAlone { host: String, pause: Duration },
    /// Not asked at all: fetches from it hold all the places that there are.
    #[error(
        "as many blobs are being fetched from it as `max_fetches` allows, and none of them ended within {} s",
        waited.as_secs_f64()
    )]
    Busy { waited: Duration },
    /// Its answer was not read: others that are being received have the memory that there is.
    #[error(
        "answers of upstreams that are being received take all of `cache.documents`, and this one waited for room in vain"
    )]
    NoRoom,
    #[error("it did not answer in time")]
    TimedOut,
    #[error("it failed with status {status}")]
    Failed { status: u16, retry_after: Option<Duration> },
    #[error("its token service gave no token: {detail}")]
    LoginFailed { detail: String, retry_after: Option<Duration> },
    /// It answered with what cannot be right: a lie about sizes, a page instead of a manifest, a redirect that must
    /// not be followed.
    #[error("it sent an answer that cannot be used: {detail}")]
    Misbehaved { detail: String },
    #[error("the body broke off: {detail}")]
    BrokenBody { detail: String },
}

impl ErrorKind {
    /// The same without what it tells of a host, where it does.
    pub(super) fn coarse(&self) -> Option<Self> {
        let detail = || "the log of this registry says why".to_owned();
        match self {
            Self::Unreachable { .. } => Some(Self::Unreachable { detail: detail() }),
            Self::Misbehaved { .. } => Some(Self::Misbehaved { detail: detail() }),
            Self::BrokenBody { .. } => Some(Self::BrokenBody { detail: detail() }),
            Self::LoginFailed { retry_after, .. } => {
                Some(Self::LoginFailed { detail: detail(), retry_after: *retry_after })
            }
            _ => None,
        }
    }
}

impl Error {
    /// The upstream has spoken; asking again soon would bring the same.
    pub fn is_answer(&self) -> bool {
        matches!(self.kind, ErrorKind::NotFound | ErrorKind::Unauthorized | ErrorKind::Denied)
    }

    /// Bytes of the texts in it.
    pub fn text_bytes(&self) -> usize {
        let detail = match &self.kind {
            ErrorKind::Unreachable { detail }
            | ErrorKind::LoginFailed { detail, .. }
            | ErrorKind::Misbehaved { detail }
            | ErrorKind::BrokenBody { detail } => detail.len(),
            ErrorKind::LeftAlone { host, .. } => host.len(),
            _ => 0,
        };
        self.upstream.as_str().len() + detail
    }

    pub fn is_not_found(&self) -> bool {
        matches!(self.kind, ErrorKind::NotFound)
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            ErrorKind::RateLimited { retry_after }
            | ErrorKind::Failed { retry_after, .. }
            | ErrorKind::LoginFailed { retry_after, .. } => retry_after,
            _ => None,
        }
    }
}
