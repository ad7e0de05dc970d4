//! Language that policies are read in: ECR's, or ECR's with this registry's extensions where a policy declares them.

use super::error::{PolicyError, Problem};
use super::members::Members;

/// Member that declares and holds extensions, in a policy and in its rules.
pub const NAMESPACE: &str = "entrepot";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// ECR's, and nothing else.
    Ecr,
    /// ECR's, with extensions in policies that declare them.
    Extended,
}

/// Whether a policy may use extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extensions {
    Off,
    Undeclared,
    Declared,
}

impl Extensions {
    pub fn of(dialect: Dialect, is_declared: bool) -> Self {
        match dialect {
            Dialect::Ecr => Self::Off,
            Dialect::Extended if is_declared => Self::Declared,
            Dialect::Extended => Self::Undeclared,
        }
    }

    /// ECR's refusal of what is an extension here, with the way to have it.
    pub fn explain(self, refusal: PolicyError, extension: &str) -> PolicyError {
        let way = match self {
            Self::Off => "which has its extensions off (lifecycle.extensions)".to_owned(),
            Self::Undeclared | Self::Declared => {
                format!("to be declared with \"{NAMESPACE}\": {{\"version\": 1}} beside rules")
            }
        };
        refusal.hint(format!("{extension} is an extension of this registry, {way}"))
    }

    /// Refuses a member [`NAMESPACE`] where extensions may not be used.
    pub fn check_member(self, members: &Members<'_>) -> Result<(), PolicyError> {
        if self == Self::Declared || members.node(NAMESPACE).is_none() {
            return Ok(());
        }
        let unknown = Problem::UnknownMembers(vec![NAMESPACE.to_owned()]).at(members.place());
        Err(self.explain(unknown, NAMESPACE))
    }
}
