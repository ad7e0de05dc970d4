//! Asking what somebody might do, and the answer.

/// `SimulatePrincipalPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulation {
    /// The ARN of a user or role.
    pub principal: String,
    /// As `ecr:PutImage`.
    pub actions: Vec<String>,
    /// ARNs, or `*`.
    pub resources: Vec<String>,
    /// Condition keys and their values.
    pub context: Vec<(String, Vec<String>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// A statement says Deny.
    Denied,
    /// No statement says anything that would do.
    NotAllowed,
}

/// What becomes of one action on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulated {
    pub action: String,
    pub resource: String,
    pub verdict: Verdict,
    pub matched: Vec<MatchedStatement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedStatement {
    /// The policy's name, or what it is attached to.
    pub policy: String,
    /// As AWS calls it: `user`, `role`, `resource`.
    pub policy_type: &'static str,
    /// Counts from 0.
    pub statement: usize,
    pub sid: Option<String>,
}

impl Verdict {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "explicitDeny",
            Self::NotAllowed => "implicitDeny",
        }
    }
}
