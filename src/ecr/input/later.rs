//! Operations that this registry knows by name and does not carry out: lifecycle, scanning, replication, signing,
//! storage classes. What they are about is read all the same, so that a caller without permission learns no more than that.
//! What they answer is in `ecr/later.rs`.

use super::super::fault::Fault;
use super::super::image::RequestedImage;
use super::super::operation_name::OperationName;
use super::item::Item;
use super::members::Members;
use super::shape;
use crate::oci::{AccountId, RepositoryName};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaterOperation {
    pub name: OperationName,
    pub registry_id: Option<AccountId>,
    /// None for an operation on the registry.
    pub repositories: Vec<RepositoryName>,
    /// Of an operation on an image: well formed, or with a digest that nothing here can have.
    pub image: Option<RequestedImage>,
    /// Whether a lifecycle policy comes with the request, so that none need be set.
    pub brings_policy: bool,
    /// Whether what it would set is what holds anyway: no replication, or basic scanning without rules.
    pub sets_nothing: bool,
}

impl LaterOperation {
    pub(in crate::ecr) fn read(name: OperationName, members: &mut Members) -> Result<Self, Fault> {
        let registry_id = members.optional("registryId", shape::account_id)?;
        let repositories = match name {
            OperationName::PutRegistryScanningConfiguration
            | OperationName::GetRegistryScanningConfiguration
            | OperationName::PutReplicationConfiguration
            | OperationName::StartReplicationBackfill
            | OperationName::DescribeReplicationBackfillResults
            | OperationName::ListReplicationBackfills
            | OperationName::StopReplicationBackfill
            | OperationName::PutSigningConfiguration
            | OperationName::GetSigningConfiguration
            | OperationName::DeleteSigningConfiguration => Vec::new(),
            OperationName::BatchGetRepositoryScanningConfiguration => {
                members.required("repositoryNames", |item| item.list(1..=25, shape::repository_name))?
            }
            _ => vec![members.required("repositoryName", shape::repository_name)?],
        };
        let image = match name {
            OperationName::StartImageScan
            | OperationName::DescribeImageScanFindings
            | OperationName::DescribeImageReplicationStatus
            | OperationName::DescribeImageSigningStatus
            | OperationName::UpdateImageStorageClass => Some(members.required("imageId", shape::well_formed_image)?),
            _ => None,
        };
        let policy = members.optional("lifecyclePolicyText", |item| item.text_within(100..=30_720))?;
        let sets_nothing = match name {
            OperationName::PutReplicationConfiguration => {
                members.optional("replicationConfiguration", |item| has_no_rules(&mut item.object()?))? == Some(true)
            }
            OperationName::PutRegistryScanningConfiguration => {
                let kind = members.optional("scanType", Item::text)?;
                kind.is_none_or(|kind| kind == "BASIC") && has_no_rules(members)?
            }
            _ => false,
        };
        Ok(Self { name, registry_id, repositories, image, brings_policy: policy.is_some(), sets_nothing })
    }
}

/// Rules are not looked into: any would be refused.
fn has_no_rules(members: &mut Members) -> Result<bool, Fault> {
    let rules = members.optional("rules", |item| item.list(0..=25, |_| Ok(())))?;
    Ok(rules.is_none_or(|rules| rules.is_empty()))
}
