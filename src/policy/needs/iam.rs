//! IAM and STS: each operation is an action of its own name, on the user or role that it is about.

use super::{Asked, Need, On, Subject};
use crate::iam::{Operation, OperationName};

/// An operation of IAM or STS, with the user or role that it is about.
#[derive(Debug)]
pub struct IamRequest {
    pub name: OperationName,
    pub operation: Operation,
    /// `None` where no right is needed but to be known.
    pub subject: Option<Subject>,
}

impl Asked for IamRequest {
    fn needs(&self) -> Vec<Need<'_>> {
        let Some(subject) = &self.subject else { return Vec::new() };
        let on = match self.operation {
            Operation::AssumeRole { .. } => On::Assumed(subject),
            _ => On::Principal(subject),
        };
        let actions = std::iter::once(self.name.iam_action()).chain(tagging(&self.operation));
        actions.map(|action| Need::new(action, on).said(self.operation.context())).collect()
    }

    fn is_write(&self) -> bool {
        self.name.is_write()
    }

    fn detail(&self) -> Option<String> {
        match &self.operation {
            Operation::PutPolicy { policy, .. } | Operation::DeletePolicy(_, policy) => {
                Some(format!("policy {policy}"))
            }
            Operation::Attach(_, policy) | Operation::Detach(_, policy) => Some(format!("policy {}", policy.arn())),
            Operation::DeleteAccessKey(_, id) => Some(format!("access key {}", id.as_str())),
            Operation::AssumeRole { session, .. } => Some(format!("session {session}")),
            Operation::CreateUser { tags, .. } | Operation::CreateRole { tags, .. } | Operation::Tag(_, tags)
                if !tags.is_empty() =>
            {
                let tags: Vec<_> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
                Some(format!("tags {}", tags.join(", ")))
            }
            Operation::Untag(_, keys) => Some(format!("tags {}", keys.join(", "))),
            _ => None,
        }
    }

    fn change(&self) -> Option<(&str, Option<On<'_>>)> {
        self.is_write().then_some((self.name.iam_action(), self.subject.as_ref().map(On::Principal)))
    }
}

/// The right of its own that giving tags to a new user or role needs: policies look at them.
fn tagging(operation: &Operation) -> Option<&'static str> {
    match operation {
        Operation::CreateUser { tags, .. } if !tags.is_empty() => Some("iam:TagUser"),
        Operation::CreateRole { tags, .. } if !tags.is_empty() => Some("iam:TagRole"),
        _ => None,
    }
}
