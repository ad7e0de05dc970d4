//! Why something about users and roles cannot be done.

use crate::auth::{EnrolmentError, NotGiven};
use crate::iam::{Code, Entity, Fault};
use crate::meta::{self, StillHas};
use crate::policy::DocumentError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("The {} with name {} cannot be found.", .0.kind.word(), .0.name)]
    NoEntity(Entity),
    #[error("{0} is not the ARN of a user or role of this account")]
    NotAPrincipal(String),
    #[error("{} with name {} already exists.", title(.0), .0.name)]
    IsThere(Entity),
    #[error("{} {} stands in the configuration: change it there", title(.0), .0.name)]
    Declared(Entity),
    #[error("{0} is no name for a user: it means something else to clients that log in")]
    Reserved(String),
    #[error("The Access Key with id {0} cannot be found.")]
    NoAccessKey(String),
    #[error("{} {} has no policy {policy}", title(.of), .of.name)]
    NoPolicy { of: Entity, policy: String },
    #[error("There is a tag with the key {0}, which differs in capitals only: write it so, or remove it first.")]
    OtherCapitals(String),
    #[error("{0} is the name of a policy that comes with the program: attach that, or choose another name")]
    PresetName(String),
    #[error("policy {policy:?} of {} {} is refused: {source}", .of.kind.word(), .of.name)]
    Policy { of: Entity, policy: String, source: DocumentError },
    #[error("Password should have a minimum length of {0}")]
    ShortPassword(u32),
    #[error("Login Profile for User {0} cannot be found.")]
    NoPassword(String),
    #[error("Login Profile for User {0} already exists.")]
    HasPassword(String),
    #[error("Cannot delete entity, must {} first.", remedy(*.0))]
    StillHas(StillHas),
    #[error("Cannot exceed quota for {what}: {most}; remove one first")]
    TooMany { what: &'static str, most: u64 },
    #[error("Cannot call GetSessionToken with session credentials")]
    SessionOfSession,
    #[error("{0}")]
    TooLong(String),
    #[error("{0}")]
    Session(NotGiven),
    #[error("{0}")]
    Enrolment(EnrolmentError),
    #[error("{0}")]
    Meta(#[from] meta::Error),
}

impl Error {
    /// As it is told to a client. What is the registry's affair is in its log.
    pub fn fault(&self) -> Fault {
        let code = match self {
            Self::NoEntity(_) | Self::NoAccessKey(_) | Self::NoPolicy { .. } | Self::NoPassword(_) => {
                Code::NoSuchEntity
            }
            Self::IsThere(_) | Self::HasPassword(_) => Code::EntityAlreadyExists,
            Self::Declared(_) => Code::UnmodifiableEntity,
            Self::Reserved(_) | Self::PresetName(_) | Self::NotAPrincipal(_) | Self::OtherCapitals(_) => {
                Code::InvalidInput
            }
            Self::Policy { .. } => Code::MalformedPolicyDocument,
            Self::StillHas(_) => Code::DeleteConflict,
            Self::TooMany { .. } => Code::LimitExceeded,
            Self::SessionOfSession => Code::AccessDenied,
            Self::TooLong(_) => Code::ValidationError,
            Self::Session(NotGiven::Nobody) => Code::AccessDenied,
            Self::Session(NotGiven::Principal(_) | NotGiven::Name(_)) => Code::ValidationError,
            Self::ShortPassword(_) | Self::Enrolment(EnrolmentError::Password(_)) => Code::PasswordPolicyViolation,
            Self::Enrolment(EnrolmentError::Busy) => Code::Throttling,
            Self::Session(NotGiven::Token(_) | NotGiven::Away | NotGiven::Meta(_))
            | Self::Enrolment(_)
            | Self::Meta(_) => {
                return Fault::server(self);
            }
        };
        Fault::new(code, self.to_string())
    }
}

impl From<EnrolmentError> for Error {
    fn from(error: EnrolmentError) -> Self {
        Self::Enrolment(error)
    }
}

fn title(entity: &Entity) -> &'static str {
    match entity.kind {
        crate::iam::EntityKind::User => "User",
        crate::iam::EntityKind::Role => "Role",
    }
}

fn remedy(has: StillHas) -> &'static str {
    match has {
        StillHas::AccessKeys => "delete access keys",
        StillHas::Password => "delete login profile",
        StillHas::Policies => "detach and delete all policies",
    }
}
