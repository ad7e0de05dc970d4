//! Policies of a repository and of the registry, as text: what it says is read elsewhere.

use super::super::fault::Fault;
use super::members::Members;
use super::repository::RepositoryTarget;
use super::shape;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetRepositoryPolicy {
    pub repository: RepositoryTarget,
    /// At most 10,240 characters; to be kept as it was sent.
    pub policy_text: String,
    /// Also a policy under which the caller could not set another.
    pub force: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutRegistryPolicy {
    /// At most 10,240 characters; to be kept as it was sent.
    pub policy_text: String,
}

impl SetRepositoryPolicy {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            repository: RepositoryTarget::read(members)?,
            policy_text: members.required("policyText", shape::policy_text)?,
            force: members.flag("force")?,
        })
    }
}

impl PutRegistryPolicy {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self { policy_text: members.required("policyText", shape::policy_text)? })
    }
}
