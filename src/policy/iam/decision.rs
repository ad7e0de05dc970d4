//! What was decided, and by which statement.

use std::fmt;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "decision", rename_all = "camelCase")]
pub enum Decision<'a> {
    Allowed {
        by: Grant<'a>,
    },
    /// A statement says Deny, and nothing outweighs that.
    Denied {
        by: Citation<'a>,
    },
    /// No statement says Deny, but what is needed for Allow is not there.
    NotAllowed {
        missing: Missing,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Grant<'a> {
    /// The account owns the registry.
    RootUser,
    Identity(Citation<'a>),
    /// The registry's or the repository's policy.
    Resource(Citation<'a>),
    /// Another account's identity policy, and ours; or an identity policy, and a role's trust policy.
    Both {
        identity: Citation<'a>,
        resource: Citation<'a>,
    },
}

/// A statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Citation<'a> {
    pub source: Source<'a>,
    /// Counts from 0, as in a JSON pointer.
    pub statement: usize,
    pub sid: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Source<'a> {
    /// By its name.
    Identity(&'a str),
    Boundary,
    Session,
    Registry,
    Repository,
    /// What the configuration makes public.
    Configuration,
    /// Of a role.
    Trust,
}

/// Which Allow would be needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Missing {
    /// In an identity policy, or in the registry's or repository's: one is enough.
    Either,
    /// In an identity policy of the asker's account.
    Identity,
    /// In the registry's or the repository's policy.
    Resource,
    /// In an identity policy of the asker's account and in the registry's or repository's policy.
    Both,
    /// In the permissions boundary.
    Boundary,
    /// In the session policy.
    Session,
    /// In the trust policy of the role.
    Trust,
    /// None: the policies take too long to be compared.
    Patience,
}

impl Decision<'_> {
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

impl Source<'_> {
    /// The name of a policy of the asker's.
    pub fn identity(&self) -> Option<&str> {
        match self {
            Self::Identity(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn is_resource(self) -> bool {
        matches!(self, Self::Registry | Self::Repository | Self::Configuration | Self::Trust)
    }
}

impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed { by: Grant::RootUser } => f.write_str("allowed: the root user of the owning account"),
            Self::Allowed { by: Grant::Identity(by) | Grant::Resource(by) } => write!(f, "allowed by {by}"),
            Self::Allowed { by: Grant::Both { identity, resource } } => {
                write!(f, "allowed by {identity} and by {resource}")
            }
            Self::Denied { by } => write!(f, "denied by {by}"),
            Self::NotAllowed { missing } => write!(f, "not allowed: {missing}"),
        }
    }
}

impl fmt::Display for Citation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement {} of {}", self.statement, self.source)?;
        match self.sid {
            Some(sid) => write!(f, " (Sid {sid:?})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(name) => write!(f, "the identity policy {name:?}"),
            Self::Boundary => f.write_str("the permissions boundary"),
            Self::Session => f.write_str("the session policy"),
            Self::Registry => f.write_str("the registry policy"),
            Self::Repository => f.write_str("the repository policy"),
            Self::Configuration => f.write_str("what the configuration makes public"),
            Self::Trust => f.write_str("the role's trust policy"),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Either => "no policy allows it; add an Allow to an identity policy, or to the policy of the repository or of the registry",
            Self::Identity => "no identity policy allows it; add an Allow to one of the asker's",
            Self::Resource => {
                "neither the repository policy nor the registry policy allows it; add an Allow to one of them"
            }
            Self::Both => {
                "it needs an Allow in an identity policy of the asker's account, and one in the policy of the repository or of the registry"
            }
            Self::Boundary => "the permissions boundary does not allow it; widen the boundary",
            Self::Session => "the session policy does not allow it; assume the role with a wider one",
            Self::Patience => {
                "the policies that apply have too many wildcards to be compared with this request; write fewer and shorter patterns"
            }
            Self::Trust => "the role's trust policy does not let the asker in; name them in its Principal",
        })
    }
}
