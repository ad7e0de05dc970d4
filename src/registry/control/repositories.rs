//! Repositories: making, describing and removing them, and what is set on one.

use super::{Control, failed, now_ms, timestamp, unexpected};
use crate::ecr::{
    CreateRepository, DeleteRepository, DescribeRepositories, DescribeRepositoriesOutput, EncryptionConfiguration,
    EncryptionType, Fault, ImageScanningConfiguration, Output, Page, PutImageScanningConfiguration,
    PutImageScanningConfigurationOutput, PutImageTagMutability, PutImageTagMutabilityOutput, Repository,
    RepositoryOutput, Selection, TagMutability,
};
use crate::meta::{RepositoryColumn, RepositoryRow, RepositorySettings};

use crate::policy::About;
use crate::registry::Error;
use crate::registry::hosted::{of_repository, stored};
use crate::registry::marker::{LOOKED_AT, Marker, Markers};

/// Rows of one step of a list of which not everything may be seen.
const STEP: u32 = 500;

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
                let (rows, next) = self.visible(&page).await?;
                let next_token = next.map(|next| page.next_token(&next));
                (rows.into_iter().map(|row| self.describe(row)).collect::<Result<_, _>>()?, next_token)
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

    /// A page of those that the caller may see, and where it ended if there may be others.
    async fn visible(&self, page: &Page) -> Result<(Vec<RepositoryRow>, Option<String>), Fault> {
        let markers = Markers::new(self.registry.keyring(), self.endpoint.account, self.identity.name());
        let begin = markers.read(page.after.as_deref());
        let (mut rows, mut looked_at, mut last) = (Vec::<RepositoryRow>::new(), 0, begin.last().map(str::to_owned));
        loop {
            let some = self.meta.repository_rows(self.endpoint.account, last.as_deref(), STEP).await.map_err(failed)?;
            let is_end = some.len() < STEP as usize;
            looked_at += some.len();
            last = some.last().map(|row| row.name.to_string()).or(last);
            for row in some {
                let repository = self.qualified(&row.name);
                let about = About { repository, upstream: row.upstream.clone(), exists: true };
                if self.viewer.may_see(&about).await.map_err(failed)? {
                    if rows.len() == page.limit {
                        let next = rows.last().map(|row| row.name.to_string());
                        return Ok((rows, next));
                    }
                    rows.push(row);
                }
            }
            if is_end {
                return Ok((rows, None));
            }
            if looked_at >= LOOKED_AT {
                let shown = rows.last().map(|row| row.name.to_string()).or(begin.shown);
                return Ok((rows, markers.write(&Marker { shown, hidden: last })));
            }
        }
    }

    fn describe(&self, row: RepositoryRow) -> Result<Repository, Fault> {
        let repository_arn = self.arn(&row.name).ok_or_else(Fault::server)?;
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
