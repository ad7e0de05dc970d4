//! The vocabulary of IAM and STS: operations with their inputs, outputs and faults.
//!
//! A request is `POST /` with a form (AWS's Query protocol): `Action=CreateUser&Version=2010-05-08&UserName=alice`. It is read once
//! into a [`Form`], which tells the [`OperationName`], and then into an [`Operation`] with every limit checked; what carries it out answers with an
//! [`Output`] or a [`Fault`], and both know their XML. A parameter that nothing here knows is refused: a permissions boundary or a
//! session policy that was passed over would give more than was meant.
//!
//! *Never* here: IO, async, HTTP, signatures, what a policy document says, deciding who may do something, or who there is.

mod entity;
mod name;
mod sensitive;

mod fault;

mod form;
mod managed_policy;
mod operation;
mod operation_name;
mod page;
mod role_arn;

mod input;

mod output;
mod simulation;
mod xml;

#[cfg(test)]
mod tests;

pub use entity::{Entity, EntityKind};
pub use fault::{Code, Fault};
pub use form::Form;
pub use input::{MAX_BODY_BYTES, MAX_POLICY_BYTES, MAX_TAGS};
pub use managed_policy::ManagedPolicy;
pub use name::{AccessKeyId, EntityName, PolicyName, SessionName};
pub use operation::{NewRole, Operation};
pub use operation_name::{OperationName, Service};
pub use output::{AccessKeyDetail, CallerIdentity, EntityDetail, Output, SessionCredentials};
pub use page::{Listed, Page};
pub use role_arn::RoleArn;
pub use sensitive::Sensitive;
pub use simulation::{MatchedStatement, Simulated, Simulation, Verdict};
