//! Faults that any operation can answer: a request that cannot be read, a caller who is unknown or may not do it, a
//! limit, and our own failure.

use super::answer::Fault;
use super::exception::Exception;

/// Why policy refused, as AWS words it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    NoIdentityPolicyAllows,
    NoResourcePolicyAllows,
    IdentityPolicyDenies,
    ResourcePolicyDenies,
}

impl Fault {
    pub fn invalid_parameter(member: &str, detail: &str) -> Self {
        Self::new(
            Exception::InvalidParameter,
            format!("Invalid parameter at '{member}' failed to satisfy constraint: '{detail}'"),
        )
    }

    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(Exception::Validation, message)
    }

    /// The body is not what the protocol makes of the operation's input.
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::new(Exception::Serialization, message)
    }

    pub fn unknown_operation(target: &str) -> Self {
        const SHOWN_CHARS: usize = 200;
        let target: String = target.chars().take(SHOWN_CHARS).collect();
        if target.starts_with("SpencerFrontendService.") {
            let message = "This registry has the API of ecr and not that of ecr-public: use `aws ecr`, and a policy for \"Principal\": \"*\" on \
                           repositories that everybody may pull from";
            return Self::new(Exception::UnknownOperation, message);
        }
        Self::new(Exception::UnknownOperation, format!("There is no operation {target:?}"))
    }

    /// An operation of ECR that this registry does not offer.
    pub fn unsupported_operation(name: &str) -> Self {
        Self::new(Exception::UnsupportedOperation, format!("This registry does not offer the operation {name}"))
    }

    /// `principal` and `resource` are ARNs; `resource` is `*` where the operation is about the registry.
    pub fn access_denied(principal: &str, action: &str, resource: &str, denial: Denial) -> Self {
        let why = match denial {
            Denial::NoIdentityPolicyAllows => format!("because no identity-based policy allows the {action} action"),
            Denial::NoResourcePolicyAllows => format!("because no resource-based policy allows the {action} action"),
            Denial::IdentityPolicyDenies => "with an explicit deny in an identity-based policy".to_owned(),
            Denial::ResourcePolicyDenies => "with an explicit deny in a resource-based policy".to_owned(),
        };
        Self::new(
            Exception::AccessDenied,
            format!("User: {principal} is not authorized to perform: {action} on resource: {resource} {why}"),
        )
    }

    pub fn missing_authentication_token() -> Self {
        Self::new(Exception::MissingAuthenticationToken, "Missing Authentication Token")
    }

    pub fn throttling() -> Self {
        Self::new(Exception::Throttling, "Rate exceeded")
    }

    /// `message` says which limit: every quota of ECR answers with this exception.
    pub fn limit_exceeded(message: impl Into<String>) -> Self {
        Self::new(Exception::LimitExceeded, message)
    }

    /// What failed inside is for our log, under the request's id; the client learns that it may try again.
    pub fn server(cause: impl std::fmt::Display) -> Self {
        Self::new(Exception::Server, "The registry failed to answer; try again").because(cause)
    }

    /// `error` is the name of the error of the key management service.
    pub fn kms(message: impl Into<String>, error: Option<&str>) -> Self {
        let fault = Self::new(Exception::Kms, message);
        match error {
            Some(error) => fault.with("kmsError", error),
            None => fault,
        }
    }
}
