//! What the operations answer that this registry knows by name only: what ECR answers where nothing of the kind was ever set. That is a
//! document where ECR has one, and else the exception that ECR has for what is not there; what would set something is refused, unless it
//! sets what holds anyway.

use super::fault::Fault;
use super::input::LaterOperation;
use super::operation_name::OperationName as Name;
use super::output::{
    BatchGetRepositoryScanningConfigurationOutput, DescribeImageReplicationStatusOutput,
    DescribeImageSigningStatusOutput, GetRegistryScanningConfigurationOutput, ListReplicationBackfillsOutput, Output,
    PutRegistryScanningConfigurationOutput, PutReplicationConfigurationOutput, RegistryScanningConfiguration,
    RepositoryScanningConfiguration, RepositoryScanningConfigurationFailure,
};
use crate::oci::{AccountId, RepositoryName};

/// Which repositories of those that an operation names are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub repositories: Vec<RepositoryScanningConfiguration>,
    pub missing: Vec<RepositoryName>,
}

impl LaterOperation {
    /// The answer to a caller who may. `registry` is the one that the operation is about. That its image exists is to be checked
    /// before.
    pub fn answer(&self, registry: AccountId, found: Found) -> Result<Output, Fault> {
        if self.name == Name::BatchGetRepositoryScanningConfiguration {
            let failures = found.missing.into_iter().map(RepositoryScanningConfigurationFailure::not_found).collect();
            let scanning_configurations = found.repositories;
            let output = BatchGetRepositoryScanningConfigurationOutput { scanning_configurations, failures };
            return Ok(Output::BatchGetRepositoryScanningConfiguration(output));
        }
        if let Some(missing) = found.missing.first() {
            return Err(Fault::repository_not_found(missing, &registry));
        }
        match (self.repositories.first(), &self.image) {
            (None, _) => self.of_registry(registry),
            (Some(name), None) => Err(self.of_repository(name, &registry)),
            (Some(repository_name), Some(image_id)) => {
                let (repository_name, image_id) = (repository_name.clone(), image_id.clone());
                match self.name {
                    Name::DescribeImageReplicationStatus => {
                        let replication_statuses = [];
                        let output =
                            DescribeImageReplicationStatusOutput { repository_name, image_id, replication_statuses };
                        Ok(Output::DescribeImageReplicationStatus(output))
                    }
                    Name::DescribeImageSigningStatus => {
                        let (registry_id, signing_statuses) = (registry, []);
                        let output = DescribeImageSigningStatusOutput {
                            repository_name,
                            image_id,
                            registry_id,
                            signing_statuses,
                        };
                        Ok(Output::DescribeImageSigningStatus(output))
                    }
                    Name::DescribeImageScanFindings => Err(Fault::scan_not_found(&repository_name, &registry)),
                    Name::UpdateImageStorageClass => Err(Fault::image_storage_class_update_not_supported()),
                    _ => Err(self.unsupported()),
                }
            }
        }
    }

    fn of_registry(&self, registry: AccountId) -> Result<Output, Fault> {
        match self.name {
            Name::GetRegistryScanningConfiguration => {
                let scanning_configuration = RegistryScanningConfiguration::default();
                let output = GetRegistryScanningConfigurationOutput { registry_id: registry, scanning_configuration };
                Ok(Output::GetRegistryScanningConfiguration(output))
            }
            Name::PutReplicationConfiguration if self.sets_nothing => {
                let output = PutReplicationConfigurationOutput::default();
                Ok(Output::PutReplicationConfiguration(output))
            }
            Name::PutRegistryScanningConfiguration if self.sets_nothing => {
                let output = PutRegistryScanningConfigurationOutput::default();
                Ok(Output::PutRegistryScanningConfiguration(output))
            }
            Name::ListReplicationBackfills => {
                let output = ListReplicationBackfillsOutput { registry_id: registry, backfills: [] };
                Ok(Output::ListReplicationBackfills(output))
            }
            Name::GetSigningConfiguration | Name::DeleteSigningConfiguration => {
                Err(Fault::signing_configuration_not_found(&registry))
            }
            Name::DescribeReplicationBackfillResults | Name::StopReplicationBackfill => {
                Err(Fault::replication_backfill_not_found(&registry))
            }
            _ => Err(self.unsupported()),
        }
    }

    fn of_repository(&self, name: &RepositoryName, registry: &AccountId) -> Fault {
        match self.name {
            Name::GetLifecyclePolicy | Name::DeleteLifecyclePolicy => Fault::lifecycle_policy_not_found(name, registry),
            Name::StartLifecyclePolicyPreview if !self.brings_policy => {
                Fault::lifecycle_policy_not_found(name, registry)
            }
            Name::GetLifecyclePolicyPreview => Fault::lifecycle_policy_preview_not_found(name, registry),
            _ => self.unsupported(),
        }
    }

    fn unsupported(&self) -> Fault {
        Fault::unsupported_operation(self.name.name())
    }
}
