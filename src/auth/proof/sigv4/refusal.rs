//! Why a signed request is not believed, in AWS's terms.

use super::super::unix_time::UnixTime;

/// Shown as the message that the client gets: it repeats what the client sent, and no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("Missing Authentication Token: sign the request with Signature Version 4")]
    Missing,
    #[error("Unsupported signing algorithm: sign the request with AWS4-HMAC-SHA256")]
    OtherAlgorithm,
    #[error("The signature is incomplete: {0}")]
    Incomplete(&'static str),
    #[error("The signature is incomplete: header '{0}' must be among SignedHeaders")]
    HeaderNotSigned(String),
    #[error("The signature is incomplete: header '{0}' is signed or needed, but the request does not have it")]
    HeaderAbsent(String),
    #[error("The signature is incomplete: header '{0}' must be there only once")]
    HeaderRepeated(&'static str),
    #[error("Credential should be scoped to service {expected}, not '{given}'")]
    OtherService { given: String, expected: String },
    #[error("Credential is scoped to day {scope}, but X-Amz-Date is {date}: both must be of one day")]
    OtherDay { scope: String, date: String },
    #[error("Signature expired: {} is earlier than {}, the earliest that is accepted now: set the client's clock", .signed_at.basic(), .earliest.basic())]
    TooOld { signed_at: UnixTime, earliest: UnixTime },
    #[error("Signature not yet current: {} is later than {}, the latest that is accepted now: set the client's clock", .signed_at.basic(), .latest.basic())]
    TooNew { signed_at: UnixTime, latest: UnixTime },
    #[error(
        "The payload must be signed: X-Amz-Content-Sha256 must be the SHA-256 of the whole body, in lower-case hexadecimal digits"
    )]
    PayloadNotSigned,
    #[error("The body is not the one that was signed: X-Amz-Content-Sha256 is not its SHA-256")]
    OtherPayload,
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your secret access key, and that nothing between changes the Host header.\n\nThe canonical request should have been\n'{canonical}'\n\nThe string to sign should have been\n'{string_to_sign}'\n"
    )]
    Mismatch { canonical: String, string_to_sign: String },
    /// Said by the caller, who looked for the key.
    #[error("The access key of the request does not exist or is not active")]
    UnknownAccessKey,
    /// Said by the caller, who opened the session token.
    #[error("The session token of the request is not valid for its access key")]
    InvalidSessionToken,
    /// Said by the caller, who opened the session token.
    #[error("The session token of the request expired at {at}: ask for new temporary credentials")]
    ExpiredSessionToken { at: UnixTime },
}

impl Refusal {
    /// The exception's name on the wire.
    pub const fn aws_error(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::OtherAlgorithm
            | Self::Incomplete(_)
            | Self::HeaderNotSigned(_)
            | Self::HeaderAbsent(_)
            | Self::HeaderRepeated(_) => "IncompleteSignatureException",
            Self::OtherService { .. }
            | Self::OtherDay { .. }
            | Self::TooOld { .. }
            | Self::TooNew { .. }
            | Self::PayloadNotSigned
            | Self::OtherPayload
            | Self::Mismatch { .. } => "InvalidSignatureException",
            Self::UnknownAccessKey | Self::InvalidSessionToken => "UnrecognizedClientException",
            Self::ExpiredSessionToken { .. } => "ExpiredTokenException",
        }
    }
}
