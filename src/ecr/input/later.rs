//! Operations that this registry knows by name and does not carry out: lifecycle, scanning, replication, signing,
//! storage classes. What they are about is read all the same, so that a caller without permission learns no more than that.

use super::super::fault::Fault;
use super::super::operation_name::OperationName;
use super::members::Members;
use super::shape;
use crate::oci::{AccountId, RepositoryName};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaterOperation {
    pub name: OperationName,
    pub registry_id: Option<AccountId>,
    /// None for an operation on the registry.
    pub repositories: Vec<RepositoryName>,
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
        Ok(Self { name, registry_id, repositories })
    }

    /// What to answer to a caller who may: that nothing of the kind is there, where ECR has a word for that. `registry`
    /// is the one that the operation is about. Whether the repository exists is to be checked before.
    pub fn fault(&self, registry: &AccountId) -> Fault {
        match (self.name, self.repositories.first()) {
            (OperationName::GetLifecyclePolicy | OperationName::DeleteLifecyclePolicy, Some(name)) => {
                Fault::lifecycle_policy_not_found(name, registry)
            }
            (OperationName::GetLifecyclePolicyPreview, Some(name)) => {
                Fault::lifecycle_policy_preview_not_found(name, registry)
            }
            (OperationName::DescribeImageScanFindings, Some(name)) => Fault::scan_not_found(name, registry),
            (OperationName::UpdateImageStorageClass, _) => Fault::image_storage_class_update_not_supported(),
            (OperationName::GetSigningConfiguration | OperationName::DeleteSigningConfiguration, _) => {
                Fault::signing_configuration_not_found(registry)
            }
            (OperationName::DescribeReplicationBackfillResults | OperationName::StopReplicationBackfill, _) => {
                Fault::replication_backfill_not_found(registry)
            }
            (name, _) => Fault::unsupported_operation(name.name()),
        }
    }
}
