//! Repositories: making, describing and removing them, and what is set on one.

use super::{Control, failed, now_ms, timestamp, unexpected};
use crate::ecr::{
    CreateRepository, DeleteRepository, DescribeRepositories, DescribeRepositoriesOutput, EncryptionConfiguration,
    EncryptionType, Fault, ImageScanningConfiguration, Output, PutImageScanningConfiguration,
    PutImageScanningConfigurationOutput, PutImageTagMutability, PutImageTagMutabilityOutput, Repository,
    RepositoryOutput, Selection, TagMutability,
};
use crate::meta::{RepositoryColumn, RepositoryRow, RepositorySettings};
use crate::registry::Error;
use crate::registry::hosted::{of_repository, stored};
use crate::registry::seen::Wanted;

impl Control<'_> {
    pub(super) async fn create_repository(&self, input: CreateRepository) -> Result<Output, Fault> {
        let name = input.repository.name;
        if input.encryption.encryption_type != EncryptionType::Aes256 {
            return Err(Fault::kms("keys of a key service cannot be used here: choose AES256", None));
        }
        if !self.registry.is_own(&self.qualified(&name)) {
            let detail = format!("{name} belongs to an upstream: its repositories are made by pulling");
            return Err(Fault::invalid_parameter("repositoryName", &detail));
        }
        let settings = RepositorySettings {
            mutability: Some(stored(&input.tag_mutability)),
            scan_on_push: input.scan_on_push,
            encryption: None,
            policy: None,
            resource_tags: input.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
        };
        let now_ms = now_ms();
        let _room = match self.hosted.take_repository(self.endpoint.account).await {
            Err(Error::QuotaExceeded(exceeded)) => return Err(Fault::limit_exceeded(exceeded.to_string())),
            taken => taken.map_err(|error| unexpected(&error))?,
        };
        match self.meta.add_repository(&self.qualified(&name), None, &settings, now_ms).await.map_err(failed)? {
            None => Err(Fault::repository_already_exists(&name, &self.endpoint.account)),
            Some(id) => {
                self.hosted.repository_was_made();
                self.authorizer.policies_changed();
                let row = RepositoryRow { id, name, upstream: None, created_at_ms: now_ms, settings };
                Ok(Output::Repository(RepositoryOutput { repository: self.describe(row)? }))
            }
        }
    }

    pub(super) async fn describe_repositories(&self, input: DescribeRepositories) -> Result<Output, Fault> {
        let (repositories, next_token) = match input.repositories {
            Selection::Named(names) => {
                let mut found = Vec::with_capacity(names.len());
                for name in names {
                    found.push(self.describe(self.row(&name).await?)?);
                }
                (found, None)
            }
            Selection::All(page) => {
                let (account, after) = (self.endpoint.account, page.after.as_deref());
                let wanted = Wanted { account, after, limit: page.limit };
                let reader = (&self.viewer, self.identity.name());
                let seen = self.registry.seen_repositories(self.meta, wanted, reader, |row| self.describe(row)).await;
                let seen = seen.map_err(|error| unexpected(&error))?;
                let next_token = seen.next.map(|last| page.next_token(&last));
                (seen.items.into_iter().collect::<Result<_, _>>()?, next_token)
            }
        };
        Ok(Output::DescribeRepositories(DescribeRepositoriesOutput { repositories, next_token }))
    }

    pub(super) async fn delete_repository(&self, input: DeleteRepository) -> Result<Output, Fault> {
        let row = self.row(&input.repository.name).await?;
        if !self.meta.remove_repository(row.id, input.force).await.map_err(failed)? {
            return Err(Fault::repository_not_empty(&row.name, &self.endpoint.account));
        }
        match row.upstream {
            Some(_) => self.registry.forget_repository(&self.qualified(&row.name), &row).await.map_err(failed)?,
            None => self.hosted.repository_is_gone(row.id),
        }
        self.authorizer.policies_changed();
        Ok(Output::Repository(RepositoryOutput { repository: self.describe(row)? }))
    }

    pub(super) async fn put_image_tag_mutability(&self, input: PutImageTagMutability) -> Result<Output, Fault> {
        let row = self.row(&input.repository.name).await?;
        let change = RepositoryColumn::Mutability(Some(stored(&input.tag_mutability)));
        if !self.meta.change_repository(row.id, &change).await.map_err(failed)? {
            return Err(Fault::repository_not_found(&row.name, &self.endpoint.account));
        }
        Ok(Output::PutImageTagMutability(PutImageTagMutabilityOutput {
            registry_id: self.endpoint.account,
            repository_name: row.name,
            tag_mutability: input.tag_mutability,
        }))
    }

    pub(super) async fn put_image_scanning_configuration(
        &self,
        input: PutImageScanningConfiguration,
    ) -> Result<Output, Fault> {
        let row = self.row(&input.repository.name).await?;
        let change = RepositoryColumn::ScanOnPush(input.scan_on_push);
        if !self.meta.change_repository(row.id, &change).await.map_err(failed)? {
            return Err(Fault::repository_not_found(&row.name, &self.endpoint.account));
        }
        Ok(Output::PutImageScanningConfiguration(PutImageScanningConfigurationOutput {
            registry_id: self.endpoint.account,
            repository_name: row.name,
            image_scanning_configuration: ImageScanningConfiguration { scan_on_push: input.scan_on_push },
        }))
    }

    fn describe(&self, row: RepositoryRow) -> Result<Repository, Fault> {
        let repository_arn = self.arn(&row.name).ok_or_else(|| Fault::server("no name can be made of it"))?;
        Ok(Repository {
            repository_arn,
            registry_id: self.endpoint.account,
            repository_uri: format!("{}/{}", self.host(), row.name),
            created_at: timestamp(row.created_at_ms),
            tag_mutability: self.mutability(&row.settings),
            image_scanning_configuration: ImageScanningConfiguration { scan_on_push: row.settings.scan_on_push },
            encryption_configuration: EncryptionConfiguration::default(),
            repository_name: row.name,
        })
    }

    /// What is set on the repository, else what the configuration says.
    fn mutability(&self, settings: &RepositorySettings) -> TagMutability {
        of_repository(settings).unwrap_or_else(|| self.hosted.usual_mutability())
    }
}
