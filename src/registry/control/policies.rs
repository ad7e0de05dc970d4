//! Policies of repositories and of the registry.

use super::{Control, failed, now_ms};
use crate::ecr::{
    Fault, Output, PutRegistryPolicy, RegistryPolicyOutput, RepositoryPolicyOutput, RepositoryTarget,
    SetRepositoryPolicy,
};
use crate::meta::{DocumentKind, RepositoryColumn};
use crate::oci::RepositoryName;
use crate::policy::{Document, DocumentError, Kind};

/// ECR's limit, in bytes of UTF-8.
const MAX_BYTES: usize = 40_960;

impl Control<'_> {
    pub(super) async fn set_repository_policy(&self, input: SetRepositoryPolicy) -> Result<Output, Fault> {
        let name = input.repository.name;
        let row = self.row(&name).await?;
        let document = Document::written(Kind::Repository, &input.policy_text, MAX_BYTES)
            .map_err(|e| refused("repository", &e))?;
        let about = self.registry.about_named(self.qualified(&name));
        if !input.force && self.viewer.is_locked_out_by(&document, &about).await.map_err(failed)? {
            return Err(Fault::repository_policy_locks_out());
        }
        let change = RepositoryColumn::Policy(Some(input.policy_text.clone()));
        if !self.meta.change_repository(row.id, &change).await.map_err(failed)? {
            return Err(Fault::repository_not_found(&name, &self.endpoint.account));
        }
        self.authorizer.policies_changed();
        Ok(self.repository_policy(name, input.policy_text))
    }

    pub(super) async fn get_repository_policy(&self, target: RepositoryTarget) -> Result<Output, Fault> {
        let row = self.row(&target.name).await?;
        match row.settings.policy {
            Some(text) => Ok(self.repository_policy(target.name, text)),
            None => Err(Fault::repository_policy_not_found(&target.name, &self.endpoint.account)),
        }
    }

    pub(super) async fn delete_repository_policy(&self, target: RepositoryTarget) -> Result<Output, Fault> {
        let row = self.row(&target.name).await?;
        let Some(text) = self.meta.remove_repository_policy(row.id).await.map_err(failed)? else {
            return Err(Fault::repository_policy_not_found(&target.name, &self.endpoint.account));
        };
        self.authorizer.policies_changed();
        Ok(self.repository_policy(target.name, text))
    }

    pub(super) async fn put_registry_policy(&self, input: PutRegistryPolicy) -> Result<Output, Fault> {
        Document::written(Kind::Registry, &input.policy_text, MAX_BYTES).map_err(|e| refused("registry", &e))?;
        let put = self.meta.put_document(
            self.endpoint.account,
            DocumentKind::RegistryPolicy,
            "",
            &input.policy_text,
            now_ms(),
        );
        put.await.map_err(failed)?;
        self.authorizer.policies_changed();
        Ok(self.registry_policy(input.policy_text))
    }

    pub(super) async fn get_registry_policy(&self) -> Result<Output, Fault> {
        match self.meta.document(self.endpoint.account, DocumentKind::RegistryPolicy, "").await.map_err(failed)? {
            Some(row) => Ok(self.registry_policy(row.document)),
            None => Err(Fault::registry_policy_not_found(&self.endpoint.account)),
        }
    }

    pub(super) async fn delete_registry_policy(&self) -> Result<Output, Fault> {
        match self
            .meta
            .remove_document(self.endpoint.account, DocumentKind::RegistryPolicy, "")
            .await
            .map_err(failed)?
        {
            Some(row) => {
                self.authorizer.policies_changed();
                Ok(self.registry_policy(row.document))
            }
            None => Err(Fault::registry_policy_not_found(&self.endpoint.account)),
        }
    }

    fn repository_policy(&self, repository_name: RepositoryName, policy_text: String) -> Output {
        let registry_id = self.endpoint.account;
        Output::RepositoryPolicy(RepositoryPolicyOutput { registry_id, repository_name, policy_text })
    }

    fn registry_policy(&self, policy_text: String) -> Output {
        Output::RegistryPolicy(RegistryPolicyOutput { registry_id: self.endpoint.account, policy_text })
    }
}

/// `of` is what the policy is of, as ECR says it.
fn refused(of: &str, error: &DocumentError) -> Fault {
    Fault::invalid_parameter("policyText", &format!("Invalid {of} policy provided: {error}"))
}
