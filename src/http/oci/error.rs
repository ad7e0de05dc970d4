//! Which status and code an error has, and what its body says (distribution-spec, "Error codes").
//!
//! Two exhaustive tables: a new error cannot be forgotten. What upstream answered is told as upstream's answer; what
//! upstream failed to answer is a gateway's failure, never "not found".

use std::time::Duration;

use http::StatusCode;

use super::route::RouteError;
use crate::cache;
use crate::http::changes::Fault;
use crate::http::gate::Stopped;
use crate::oci::{ErrorCode, RepositoryName, UploadId};
use crate::policy::Denied;
use crate::registry::{BrokenOff, Error, NameError, Object};
use crate::upstream::{self, ErrorKind};

/// A failed request, ready to be written.
#[derive(Debug)]
pub struct Failure {
    pub status: StatusCode,
    pub code: ErrorCode,
    pub message: String,
    pub retry_after: Option<Duration>,
    /// What went wrong inside, for the log where `message` does not say it.
    pub cause: Option<String>,
    /// The upstream whose credential was refused: who is challenged for it.
    pub challenged_by: Option<String>,
    /// How to log in here.
    pub challenge: Option<String>,
    /// Where an upload goes on.
    pub upload: Option<(RepositoryName, UploadId, u64)>,
}

/// Clients that are told to come back without a time come back after this.
const RETRY_AFTER: Duration = Duration::from_secs(10);

impl From<RouteError> for Failure {
    fn from(error: RouteError) -> Self {
        let (status, code) = match &error {
            RouteError::NoSuchPath(_) => (StatusCode::NOT_FOUND, ErrorCode::Unsupported),
            RouteError::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported),
            RouteError::Name(_) => (StatusCode::BAD_REQUEST, ErrorCode::NameInvalid),
            RouteError::Digest(_) => (StatusCode::BAD_REQUEST, ErrorCode::DigestInvalid),
            RouteError::Tag(_) => (StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown),
            RouteError::BadTag(_) => (StatusCode::BAD_REQUEST, ErrorCode::TagInvalid),
            RouteError::Upload(_) => (StatusCode::NOT_FOUND, ErrorCode::BlobUploadUnknown),
            RouteError::ContentRange(_) => (StatusCode::BAD_REQUEST, ErrorCode::BlobUploadInvalid),
            RouteError::PageSize(_) | RouteError::Control(_) => {
                (StatusCode::BAD_REQUEST, ErrorCode::PaginationNumberInvalid)
            }
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let (status, code, retry_after) = answer_to(&error);
        let said = message.clone();
        let message = match &error {
            // What went wrong inside is for the log, not for whoever asks.
            Error::Cache { object, source: cache::Error::Storage { .. } } => {
                format!("{object} cannot be read from disk here; the log has the reason under this request's id")
            }
            Error::Cache { object, source: cache::Error::Bucket { .. } } => {
                format!(
                    "{object} is in a bucket that cannot be read now; the log has the reason under this request's id"
                )
            }
            Error::Storage(source) if source.is_remote() => {
                "the bucket that holds what is pushed cannot be written now: nothing was kept; push again later"
                    .to_owned()
            }
            Error::Storage(source) if source.is_full() => {
                "the disk that holds what is pushed is full: nothing was kept; push again when there is room".to_owned()
            }
            Error::Storage(_) => "the disk failed; the log has the reason under this request's id".to_owned(),
            Error::Meta(source) if source.is_full() => {
                "the disk that holds the database is full: nothing was kept; push again when there is room".to_owned()
            }
            Error::Meta(source) if source.unavailable().is_some() => {
                let why = source.unavailable().map_or("", |why| why.cause.in_words());
                format!("{why} now: nothing was changed; try again in a while")
            }
            Error::Meta(_) => "the database failed; the log has the reason under this request's id".to_owned(),
            _ => message,
        };
        let challenged_by = match &error {
            Error::Upstream { source, .. } | Error::Cache { source: cache::Error::Upstream(source), .. }
                if status == StatusCode::UNAUTHORIZED =>
            {
                Some(source.upstream.to_string())
            }
            _ => None,
        };
        let upload = match error {
            Error::OutOfOrder { repository, id, at } => Some((repository, id, at)),
            _ => None,
        };
        let cause = Some(said).filter(|said| *said != message);
        Self { retry_after, challenged_by, upload, cause, ..Self::new(status, code, message) }
    }
}

/// The name of an error in the records of changes.
pub fn fault(error: &Error) -> Fault {
    let (_, code, _) = answer_to(error);
    let name = code.as_str().to_owned();
    match error {
        Error::Denied(denied) => Fault::Refused { name, why: denied.reason().into_owned() },
        _ => Fault::Failed(name),
    }
}

fn answer_to(error: &Error) -> (StatusCode, ErrorCode, Option<Duration>) {
    match error {
        Error::Name(
            NameError::UnknownNamespace(_)
            | NameError::UnknownRegistry(_)
            | NameError::Unknown(_)
            | NameError::NoRepository(_)
            | NameError::Nested { .. },
        ) => (StatusCode::NOT_FOUND, ErrorCode::NameUnknown, None),
        Error::Unknown(object) | Error::NotOurs { object, .. } => (StatusCode::NOT_FOUND, unknown(object), None),
        Error::ReadOnly { .. } | Error::Leftover { .. } => {
            (StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported, None)
        }
        Error::Upstream { object, source } | Error::Cache { object, source: cache::Error::Upstream(source) } => {
            upstream_failure(object, source)
        }
        Error::Cache { source: cache::Error::Corrupt { .. }, .. } => {
            (StatusCode::BAD_GATEWAY, ErrorCode::Unknown, None)
        }
        Error::Cache {
            source: cache::Error::Stopped { .. } | cache::Error::Abandoned { .. } | cache::Error::Stalled { .. },
            ..
        } => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, Some(RETRY_AFTER)),
        Error::Cache { source: cache::Error::Bucket { .. }, .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, Some(RETRY_AFTER))
        }
        Error::Meta(source) if let Some(why) = source.unavailable() => {
            (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, Some(why.retry_after()))
        }
        Error::Meta(source) if source.is_busy() => {
            (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, Some(RETRY_AFTER))
        }
        Error::Storage(source) if source.is_remote() => {
            (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, Some(RETRY_AFTER))
        }
        Error::Storage(source) if source.is_full() => (StatusCode::INSUFFICIENT_STORAGE, ErrorCode::Unavailable, None),
        Error::Meta(source) if source.is_full() => (StatusCode::INSUFFICIENT_STORAGE, ErrorCode::Unavailable, None),
        Error::Cache { source: cache::Error::Storage { .. } | cache::Error::Lost { .. }, .. }
        | Error::Meta(_)
        | Error::Storage(_)
        | Error::Damaged { .. } => (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Unknown, None),
        Error::Forgotten(_) | Error::UploadElsewhere { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, Some(RETRY_AFTER))
        }
        Error::Denied(_) => (StatusCode::FORBIDDEN, ErrorCode::Denied, None),
        Error::MadeMeanwhile | Error::TagsChange(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, Some(RETRY_AFTER))
        }
        Error::NotCreated(_) => (StatusCode::NOT_FOUND, ErrorCode::NameUnknown, None),
        Error::TooManyUploads { .. } => (StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests, Some(RETRY_AFTER)),
        Error::NoSuchUpload { .. } => (StatusCode::NOT_FOUND, ErrorCode::BlobUploadUnknown, None),
        Error::UploadBusy { .. } => (StatusCode::CONFLICT, ErrorCode::BlobUploadInvalid, None),
        Error::OutOfOrder { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::BlobUploadInvalid, None),
        Error::BrokenOff(BrokenOff::NoRoom) => {
            (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, Some(RETRY_AFTER))
        }
        Error::BrokenOff(_) => (StatusCode::BAD_REQUEST, ErrorCode::BlobUploadInvalid, None),
        Error::WrongDigest { .. } => (StatusCode::BAD_REQUEST, ErrorCode::DigestInvalid, None),
        Error::WrongSize { .. } => (StatusCode::BAD_REQUEST, ErrorCode::SizeInvalid, None),
        Error::ManifestTooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::SizeInvalid, None),
        Error::ManifestInvalid { .. } => (StatusCode::BAD_REQUEST, ErrorCode::ManifestInvalid, None),
        Error::MissingReferences { .. } => (StatusCode::NOT_FOUND, ErrorCode::ManifestBlobUnknown, None),
        // As ECR answers where a registry is full.
        Error::QuotaExceeded(_) => (StatusCode::FORBIDDEN, ErrorCode::Denied, None),
        Error::ImmutableTag { .. } => (StatusCode::BAD_REQUEST, ErrorCode::TagInvalid, None),
        // As a registry answers that deletes no blobs ("Deleting Blobs"): this one it does not delete now.
        Error::InUse(_) => (StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported, None),
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::Denied, denied.to_string())
    }
}

impl From<crate::meta::Error> for Failure {
    fn from(error: crate::meta::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Challenged { challenge, message } => Self {
                challenge: Some(challenge),
                ..Self::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, message)
            },
            Stopped::TooMany(error) => Self {
                retry_after: Some(error.wait),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests, error.to_string())
            },
            Stopped::Denied(denied) => denied.into(),
            Stopped::Unavailable(error) => error.into(),
        }
    }
}

/// README.md, "When upstream fails", is this table in words.
fn upstream_failure(object: &Object, error: &upstream::Error) -> (StatusCode, ErrorCode, Option<Duration>) {
    match &error.kind {
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, unknown(object), None),
        ErrorKind::Unauthorized => (StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, None),
        ErrorKind::Denied => (StatusCode::FORBIDDEN, ErrorCode::Denied, None),
        ErrorKind::RateLimited { retry_after } => {
            (StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests, Some(retry_after.unwrap_or(RETRY_AFTER)))
        }
        ErrorKind::LoginFailed { retry_after, .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, Some(retry_after.unwrap_or(RETRY_AFTER)))
        }
        ErrorKind::Busy { .. } | ErrorKind::NoRoom => {
            (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, Some(RETRY_AFTER))
        }
        ErrorKind::TimedOut => (StatusCode::GATEWAY_TIMEOUT, ErrorCode::Unavailable, Some(RETRY_AFTER)),
        ErrorKind::LeftAlone { pause, .. } => (StatusCode::BAD_GATEWAY, ErrorCode::Unavailable, Some(*pause)),
        ErrorKind::Unreachable { .. } | ErrorKind::BrokenBody { .. } => {
            (StatusCode::BAD_GATEWAY, ErrorCode::Unavailable, Some(RETRY_AFTER))
        }
        ErrorKind::Failed { retry_after, .. } => {
            (StatusCode::BAD_GATEWAY, ErrorCode::Unavailable, Some(retry_after.unwrap_or(RETRY_AFTER)))
        }
        ErrorKind::Misbehaved { .. } => (StatusCode::BAD_GATEWAY, ErrorCode::Unknown, None),
    }
}

fn unknown(object: &Object) -> ErrorCode {
    match object {
        Object::Manifest(..) => ErrorCode::ManifestUnknown,
        Object::Upload(..) => ErrorCode::BlobUploadUnknown,
        Object::Blob(..) | Object::Content(_) => ErrorCode::BlobUnknown,
        Object::Tags(_) | Object::Referrers(..) => ErrorCode::NameUnknown,
    }
}

impl Failure {
    /// The registry has no room for the request now.
    pub fn busy(why: &str) -> Self {
        let message = format!("{why}; try again in {} s", RETRY_AFTER.as_secs());
        let failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message);
        Self { retry_after: Some(RETRY_AFTER), ..failure }
    }

    /// What is asked for in HTTP/1.0 cannot be told from a part of it.
    pub fn length_unknown() -> Self {
        let message = "upstream does not tell how long this blob is, and with HTTP/1.0 its end could not be told from a cut: ask with \
                       HTTP/1.1 (for nginx before 1.29.7, `proxy_http_version 1.1`)";
        Self::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, ErrorCode::Unsupported, message.to_owned())
    }

    pub fn new(status: StatusCode, code: ErrorCode, message: String) -> Self {
        Self {
            status,
            code,
            message,
            cause: None,
            retry_after: None,
            challenged_by: None,
            challenge: None,
            upload: None,
        }
    }

    /// What the log says of it.
    pub fn logged(&self) -> &str {
        self.cause.as_deref().unwrap_or(&self.message)
    }

    /// The error body; the request's id leads to the log.
    pub fn document(&self, request_id: &str) -> String {
        serde_json::json!({
            "errors": [{
                "code": self.code.as_str(),
                "message": self.message,
                "detail": { "request_id": request_id },
            }]
        })
        .to_string()
    }
}
