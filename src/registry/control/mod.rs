//! ECR's control plane: what its operations do.
//!
//! One file for each group of operations. What is asked was parsed and permitted before; what goes wrong is a [`Fault`] in ECR's
//! words. Images and layers go the same ways as on the data plane, so that both planes always agree.

mod images;
mod later;
mod layers;
mod policies;
mod repositories;
mod resource_tags;
mod rules;
mod settings;
mod templates;

use super::dispatch::Registry;
use super::error::Error;
use super::hosted::{Hosted, Repository};
use crate::auth::{Authenticator, Identity};
use crate::ecr::{Exception, Fault, Operation, Output, RepositoryArn, Timestamp};
use crate::meta::{self, Meta, RepositoryRow, now_ms};
use crate::oci::{AccountId, QualifiedName, RepositoryName};
use crate::policy::{Authorizer, Denied, EcrRequest, Permit, Viewer};
use crate::telemetry::Draft;
use crate::turns::Asker;

/// The registry as its clients name it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub account: AccountId,
    /// In the names of repositories.
    pub region: String,
    /// Where clients reach it, such as `https://registry.example`.
    pub url: String,
}

/// One request to the control plane.
struct Control<'a> {
    registry: &'a Registry,
    hosted: &'a Hosted,
    meta: &'a Meta,
    endpoint: &'a Endpoint,
    authorizer: &'a Authorizer,
    authenticator: &'a Authenticator,
    identity: Identity,
    making: Option<Draft>,
    viewer: Viewer,
    asker: Asker,
}

impl Registry {
    /// Carries out an operation. `making` is the record of a repository that a pull makes. `GetAuthorizationToken` is not the registry's to answer.
    pub async fn operate(
        &self,
        permit: Permit<EcrRequest>,
        making: Option<Draft>,
        endpoint: &Endpoint,
        authorizer: &Authorizer,
        authenticator: &Authenticator,
    ) -> Result<Output, Fault> {
        let asker = permit.asker();
        let (EcrRequest { operation, .. }, identity, viewer) = permit.into_parts();
        let (hosted, meta) = (self.hosted().on_behalf_of(asker), self.meta().on_behalf_of(asker));
        let (hosted, meta) = (&hosted, &meta);
        let control = Control {
            registry: self,
            hosted,
            meta,
            endpoint,
            authorizer,
            authenticator,
            identity,
            making,
            viewer,
            asker,
        };
        control.operate(operation).await
    }
}

impl Control<'_> {
    async fn operate(&self, operation: Operation) -> Result<Output, Fault> {
        match operation {
            Operation::GetAuthorizationToken(_) => Err(Fault::unsupported_operation("GetAuthorizationToken")),
            Operation::DescribeRegistry => self.describe_registry(),
            Operation::GetAccountSetting(input) => self.get_account_setting(input).await,
            Operation::PutAccountSetting(input) => self.put_account_setting(input).await,

            Operation::CreateRepository(input) => self.create_repository(input).await,
            Operation::DescribeRepositories(input) => self.describe_repositories(input).await,
            Operation::DeleteRepository(input) => self.delete_repository(input).await,
            Operation::PutImageTagMutability(input) => self.put_image_tag_mutability(input).await,
            Operation::PutImageScanningConfiguration(input) => self.put_image_scanning_configuration(input).await,

            Operation::TagResource(input) => self.tag_resource(input).await,
            Operation::UntagResource(input) => self.untag_resource(input).await,
            Operation::ListTagsForResource(input) => self.list_tags_for_resource(input).await,

            Operation::DescribeImages(input) => self.describe_images(input).await,
            Operation::ListImages(input) => self.list_images(input).await,
            Operation::BatchGetImage(input) => self.batch_get_image(input).await,
            Operation::BatchDeleteImage(input) => self.batch_delete_image(input).await,
            Operation::PutImage(input) => self.put_image(input).await,
            Operation::ListImageReferrers(input) => self.list_image_referrers(input).await,

            Operation::BatchCheckLayerAvailability(input) => self.batch_check_layer_availability(input).await,
            Operation::InitiateLayerUpload(input) => self.initiate_layer_upload(input).await,
            Operation::UploadLayerPart(input) => self.upload_layer_part(input).await,
            Operation::CompleteLayerUpload(input) => self.complete_layer_upload(input).await,
            Operation::GetDownloadUrlForLayer(input) => self.get_download_url_for_layer(input).await,

            Operation::SetRepositoryPolicy(input) => self.set_repository_policy(input).await,
            Operation::GetRepositoryPolicy(input) => self.get_repository_policy(input).await,
            Operation::DeleteRepositoryPolicy(input) => self.delete_repository_policy(input).await,
            Operation::PutRegistryPolicy(input) => self.put_registry_policy(input).await,
            Operation::GetRegistryPolicy => self.get_registry_policy().await,
            Operation::DeleteRegistryPolicy => self.delete_registry_policy().await,

            Operation::CreatePullThroughCacheRule(input) => self.create_pull_through_cache_rule(input).await,
            Operation::DescribePullThroughCacheRules(input) => self.describe_pull_through_cache_rules(input).await,
            Operation::UpdatePullThroughCacheRule(input) => self.update_pull_through_cache_rule(input).await,
            Operation::ValidatePullThroughCacheRule(input) => self.validate_pull_through_cache_rule(input).await,
            Operation::DeletePullThroughCacheRule(input) => self.delete_pull_through_cache_rule(input).await,

            Operation::CreateRepositoryCreationTemplate(input) => self.create_template(input).await,
            Operation::UpdateRepositoryCreationTemplate(input) => self.update_template(input).await,
            Operation::DeleteRepositoryCreationTemplate(input) => self.delete_template(input).await,
            Operation::DescribeRepositoryCreationTemplates(input) => self.describe_templates(input).await,

            Operation::RegisterPullTimeUpdateExclusion(input) => self.register_exclusion(input).await,
            Operation::DeregisterPullTimeUpdateExclusion(input) => self.deregister_exclusion(input).await,
            Operation::ListPullTimeUpdateExclusions(input) => self.list_exclusions(input).await,

            Operation::Later(later) => self.later(&later).await,
        }
    }

    /// The repository's row, which must be there.
    async fn row(&self, name: &RepositoryName) -> Result<RepositoryRow, Fault> {
        let row = self.meta.repository_row(&self.qualified(name)).await.map_err(failed)?;
        row.ok_or_else(|| Fault::repository_not_found(name, &self.endpoint.account))
    }

    /// The repository as the data plane knows it, which must be there, for reading.
    async fn repository(&self, name: &RepositoryName) -> Result<Repository, Fault> {
        Ok(Repository::of_row(self.endpoint.account, &self.row(name).await?))
    }

    /// One that can be pushed to.
    async fn own_repository(&self, name: &RepositoryName) -> Result<Repository, Fault> {
        let row = self.row(name).await?;
        if let Some(upstream) = &row.upstream {
            let detail = format!("{name} is pulled through from the upstream {upstream}: nothing can be pushed to it");
            return Err(Fault::invalid_parameter("repositoryName", &detail));
        }
        Ok(Repository::of_row(self.endpoint.account, &row))
    }

    fn qualified(&self, name: &RepositoryName) -> QualifiedName {
        QualifiedName::new(self.endpoint.account, name.clone())
    }

    fn arn(&self, name: &RepositoryName) -> Option<RepositoryArn> {
        let region = self.endpoint.region.parse().ok()?;
        Some(RepositoryArn { region, account: self.endpoint.account, name: name.clone() })
    }

    /// What stands before the repository's name in `docker pull`.
    fn host(&self) -> &str {
        self.endpoint.url.split_once("://").map_or(self.endpoint.url.as_str(), |(_, host)| host)
    }
}

/// There is no such registry.
pub fn no_registry(operation: &Operation, other: &AccountId) -> Fault {
    match operation.resource() {
        crate::ecr::Resource::Repository(name) => Fault::repository_not_found(name, other),
        _ => Fault::invalid_parameter("registryId", &format!("there is no registry {other} here")),
    }
}

/// Why the caller may not.
pub fn refused(denied: Denied) -> Fault {
    match denied {
        Denied::Unavailable(error) => failed(error),
        denied => Fault::new(Exception::AccessDenied, denied.to_string()),
    }
}

/// The database failed: the log says how under the request's id, the client only that it was not its fault, or to come again.
fn failed(error: meta::Error) -> Fault {
    unexpected(&error.into())
}

fn unexpected(error: &Error) -> Fault {
    let is_busy = matches!(error, Error::Meta(error) if error.is_busy());
    if is_busy { Fault::throttling().because(error) } else { Fault::server(error) }
}

fn timestamp(at_ms: i64) -> Timestamp {
    Timestamp::from_unix_millis(u64::try_from(at_ms).unwrap_or_default())
}
