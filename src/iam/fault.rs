//! Why an operation was refused, in AWS's terms.

use std::fmt;

use super::operation_name::Service;
use super::xml::Xml;

/// The name of the error on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    AccessDenied,
    DeleteConflict,
    EntityAlreadyExists,
    ExpiredToken,
    IdpRejectedClaim,
    IncompleteSignature,
    InvalidAction,
    InvalidClientTokenId,
    InvalidIdentityToken,
    InvalidInput,
    LimitExceeded,
    MalformedPolicyDocument,
    MissingAuthenticationToken,
    NoSuchEntity,
    PasswordPolicyViolation,
    ServiceFailure,
    SignatureDoesNotMatch,
    Throttling,
    UnmodifiableEntity,
    ValidationError,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    code: Code,
    message: String,
    /// What went wrong inside, for the log alone.
    cause: Option<String>,
}

impl Code {
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDenied",
            Self::DeleteConflict => "DeleteConflict",
            Self::EntityAlreadyExists => "EntityAlreadyExists",
            Self::ExpiredToken => "ExpiredToken",
            Self::IdpRejectedClaim => "IDPRejectedClaim",
            Self::IncompleteSignature => "IncompleteSignature",
            Self::InvalidAction => "InvalidAction",
            Self::InvalidClientTokenId => "InvalidClientTokenId",
            Self::InvalidIdentityToken => "InvalidIdentityToken",
            Self::InvalidInput => "InvalidInput",
            Self::LimitExceeded => "LimitExceeded",
            Self::MalformedPolicyDocument => "MalformedPolicyDocument",
            Self::MissingAuthenticationToken => "MissingAuthenticationToken",
            Self::NoSuchEntity => "NoSuchEntity",
            Self::PasswordPolicyViolation => "PasswordPolicyViolation",
            Self::ServiceFailure => "ServiceFailure",
            Self::SignatureDoesNotMatch => "SignatureDoesNotMatch",
            Self::Throttling => "Throttling",
            Self::UnmodifiableEntity => "UnmodifiableEntity",
            Self::ValidationError => "ValidationError",
        }
    }

    pub const fn status(self) -> u16 {
        match self {
            Self::AccessDenied
            | Self::ExpiredToken
            | Self::IdpRejectedClaim
            | Self::InvalidClientTokenId
            | Self::MissingAuthenticationToken
            | Self::SignatureDoesNotMatch => 403,
            Self::NoSuchEntity => 404,
            Self::DeleteConflict | Self::EntityAlreadyExists | Self::LimitExceeded => 409,
            Self::ServiceFailure => 500,
            Self::IncompleteSignature
            | Self::InvalidAction
            | Self::InvalidIdentityToken
            | Self::InvalidInput
            | Self::MalformedPolicyDocument
            | Self::PasswordPolicyViolation
            | Self::Throttling
            | Self::UnmodifiableEntity
            | Self::ValidationError => 400,
        }
    }
}

impl Fault {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), cause: None }
    }

    /// A value that is against the service model.
    pub(super) fn constraint(parameter: &str, value: Option<&str>, constraint: &str) -> Self {
        let value =
            value.map_or("null".to_owned(), |value| format!("'{}'", value.chars().take(128).collect::<String>()));
        let message = format!(
            "1 validation error detected: Value {value} at '{parameter}' failed to satisfy constraint: {constraint}"
        );
        Self::new(Code::ValidationError, message)
    }

    pub(super) fn missing(parameter: &str) -> Self {
        Self::constraint(parameter, None, "Member must not be null")
    }

    /// What went wrong is the registry's affair, and in its log, under the request's id.
    pub fn server(cause: impl fmt::Display) -> Self {
        let message = "The request could not be carried out: try again; the registry's log says why";
        Self { cause: Some(cause.to_string()), ..Self::new(Code::ServiceFailure, message) }
    }

    /// For the log.
    pub fn logged(&self) -> String {
        match &self.cause {
            Some(cause) => format!("{}: {cause}", self.code.name()),
            None => self.to_string(),
        }
    }

    pub const fn code(&self) -> Code {
        self.code
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn to_xml(&self, service: Service, request_id: &str) -> String {
        let side = if self.code.status() >= 500 { "Receiver" } else { "Sender" };
        Xml::document("ErrorResponse", service.namespace(), |xml| {
            xml.nest("Error", |xml| {
                xml.text("Type", side);
                xml.text("Code", self.code.name());
                xml.text("Message", &self.message);
            });
            xml.text("RequestId", request_id);
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}
