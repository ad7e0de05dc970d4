//! What is asked for, with every limit checked. What users and roles have in common is one operation here.

use std::collections::BTreeMap;

use super::entity::{Entity, EntityKind};
use super::fault::Fault;
use super::form::Form;
use super::input;
use super::managed_policy::ManagedPolicy;
use super::name::{AccessKeyId, EntityName, PolicyName, SessionName};
use super::operation_name::OperationName;
use super::page::Page;
use super::role_arn::RoleArn;
use super::sensitive::Sensitive;
use super::simulation::Simulation;
use crate::oci::AccountId;

#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    GetCallerIdentity,
    GetSessionToken { seconds: u32 },
    AssumeRole { role: RoleArn, session: SessionName, seconds: u32 },
    AssumeRoleWithWebIdentity { role: RoleArn, session: SessionName, token: Sensitive, seconds: u32 },

    CreateUser { name: EntityName, tags: BTreeMap<String, String> },
    CreateRole { name: EntityName, tags: BTreeMap<String, String>, role: NewRole },
    Get(Entity),
    List(EntityKind, Page),
    Delete(Entity),
    PutTrust { role: EntityName, document: String },

    CreateAccessKey(EntityName),
    ListAccessKeys(EntityName, Page),
    UpdateAccessKey { of: EntityName, id: AccessKeyId, is_active: bool },
    DeleteAccessKey(EntityName, AccessKeyId),

    CreatePassword(EntityName, Sensitive),
    ChangePassword(EntityName, Sensitive),
    GetPassword(EntityName),
    DeletePassword(EntityName),

    PutPolicy { of: Entity, policy: PolicyName, document: String },
    GetPolicy(Entity, PolicyName),
    ListPolicies(Entity, Page),
    DeletePolicy(Entity, PolicyName),

    ListManaged(Page),
    GetManaged(ManagedPolicy),
    GetManagedDocument(ManagedPolicy),
    Attach(Entity, ManagedPolicy),
    Detach(Entity, ManagedPolicy),
    ListAttached(Entity, Page),

    Tag(Entity, BTreeMap<String, String>),
    Untag(Entity, Vec<String>),
    ListTags(Entity, Page),

    Simulate(Simulation),
}

/// What a role has besides its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRole {
    /// The policy that says who may assume it, unread.
    pub trust: String,
    pub description: Option<String>,
    pub longest_session_seconds: u32,
}

impl Operation {
    /// `caller` is the name of the user who asks, if it is one: it is meant where an operation names none.
    pub fn parse(name: OperationName, form: Form, caller: Option<&str>) -> Result<Self, Fault> {
        input::parse(name, form, caller)
    }

    /// The user or role of the caller's account that it is about.
    pub fn subject(&self) -> Option<Entity> {
        match self {
            Self::GetCallerIdentity
            | Self::GetSessionToken { .. }
            | Self::AssumeRole { .. }
            | Self::AssumeRoleWithWebIdentity { .. }
            | Self::List(..)
            | Self::ListManaged(_)
            | Self::GetManaged(_)
            | Self::GetManagedDocument(_)
            | Self::Simulate(_) => None,
            Self::CreateUser { name, .. }
            | Self::CreateAccessKey(name)
            | Self::ListAccessKeys(name, _)
            | Self::UpdateAccessKey { of: name, .. }
            | Self::DeleteAccessKey(name, _)
            | Self::CreatePassword(name, _)
            | Self::ChangePassword(name, _)
            | Self::GetPassword(name)
            | Self::DeletePassword(name) => Some(Entity::user(name.clone())),
            Self::CreateRole { name, .. } | Self::PutTrust { role: name, .. } => Some(Entity::role(name.clone())),
            Self::Get(of)
            | Self::Delete(of)
            | Self::PutPolicy { of, .. }
            | Self::GetPolicy(of, _)
            | Self::ListPolicies(of, _)
            | Self::DeletePolicy(of, _)
            | Self::Attach(of, _)
            | Self::Detach(of, _)
            | Self::ListAttached(of, _)
            | Self::Tag(of, _)
            | Self::Untag(of, _)
            | Self::ListTags(of, _) => Some(of.clone()),
        }
    }

    /// The ARN that policies know it by: `account` is the caller's. `None` where no right is needed.
    pub fn resource(&self, account: AccountId) -> Option<String> {
        match self {
            Self::AssumeRole { role, .. } => Some(role.to_string()),
            Self::List(kind, _) => Some(format!("arn:aws:iam::{account}:{}/", kind.word())),
            Self::ListManaged(_) => Some(format!("arn:aws:iam::{account}:policy/")),
            Self::GetManaged(policy) | Self::GetManagedDocument(policy) => Some(policy.arn()),
            Self::Simulate(simulation) => Some(simulation.principal.clone()),
            _ => self.subject().map(|subject| subject.arn(account)),
        }
    }

    /// Keys that conditions of policies can look at, each with its values.
    pub fn context(&self) -> Vec<(String, Vec<String>)> {
        match self {
            Self::AssumeRole { session, .. } => vec![("sts:RoleSessionName".to_owned(), vec![session.to_string()])],
            Self::Attach(_, policy) | Self::Detach(_, policy) => {
                vec![("iam:PolicyARN".to_owned(), policy.arns().to_vec())]
            }
            Self::CreateUser { tags, .. } | Self::CreateRole { tags, .. } | Self::Tag(_, tags) => {
                let values = tags.iter().map(|(key, value)| (format!("aws:RequestTag/{key}"), vec![value.clone()]));
                values.chain(of_keys(tags.keys().cloned().collect())).collect()
            }
            Self::Untag(_, keys) => of_keys(keys.clone()).into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

/// A request without tags has no such key.
fn of_keys(keys: Vec<String>) -> Option<(String, Vec<String>)> {
    (!keys.is_empty()).then(|| ("aws:TagKeys".to_owned(), keys))
}
