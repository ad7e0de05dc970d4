//! Repository creation templates: how a repository that is made by a push is set up.

use super::{Control, failed, now_ms, refused, timestamp};
use crate::ecr::{
    CreateRepositoryCreationTemplate, DeleteRepositoryCreationTemplate, DescribeRepositoryCreationTemplates,
    DescribeRepositoryCreationTemplatesOutput, EncryptionConfiguration, EncryptionType, Fault, Output, Prefix,
    RepositoryCreationTemplate, RepositoryCreationTemplateOutput, Selection, TemplateSettings,
    UpdateRepositoryCreationTemplate,
};
use crate::meta::{DocumentKind, DocumentRow, Made};
use crate::policy::{Below, Document, Kind, given};
use crate::registry::templates::{key, read};

/// Templates of one registry.
const MAX_TEMPLATES: u64 = 500;

/// Of a repository's policy, in bytes of UTF-8.
const MAX_POLICY_BYTES: usize = 40_960;

/// Times that an update is decided about again because another one changed what the template gives.
const MAX_DECISIONS: usize = 20;

/// Why an update does not take place.
enum Unchanged {
    Gone,
    /// Somebody changed the template after it was decided about.
    GivesOtherwise,
    Fault(Fault),
}

impl Control<'_> {
    pub(super) async fn create_template(&self, input: CreateRepositoryCreationTemplate) -> Result<Output, Fault> {
        check(&input.settings)?;
        let now_ms = now_ms();
        let template = self.describe_template(input, now_ms, now_ms);
        let (name, document) = (key(&template.prefix), document(&template)?);
        let (account, kind) = (self.endpoint.account, DocumentKind::Template);
        let made = self.meta.make_document(account, kind, name, &document, MAX_TEMPLATES, now_ms);
        match made.await.map_err(failed)? {
            Made::New(()) => Ok(self.template(template)),
            Made::TooMany => {
                Err(Fault::limit_exceeded(format!("there are {MAX_TEMPLATES} repository creation templates already")))
            }
            Made::IsThere | Made::NoOwner => {
                Err(Fault::template_already_exists(&template.prefix, &self.endpoint.account))
            }
        }
    }

    pub(super) async fn update_template(&self, input: UpdateRepositoryCreationTemplate) -> Result<Output, Fault> {
        check(&input.settings)?;
        let (account, prefix) = (self.endpoint.account, &input.prefix);
        let below = Below { account, prefix: prefix.clone() };
        let not_found = || Fault::template_not_found(prefix, &account);
        for _ in 0..MAX_DECISIONS {
            // All that it gives from now on is given by who changes it, whoever wrote it before.
            let (_, kept) = self.kept_template(prefix).await?;
            let decided = changed_by(kept, &input).settings;
            self.viewer.must_give(&below, &decided).await.map_err(refused)?;
            let (now_ms, mut changed) = (now_ms(), None);
            let update = |row: &DocumentRow| {
                let present = changed_by(read(row).ok_or(Unchanged::Gone)?, &input);
                if given(&below, &present.settings) != given(&below, &decided) {
                    return Err(Unchanged::GivesOtherwise);
                }
                let template = self.describe_template(present, row.created_at_ms, now_ms);
                let text = document(&template).map_err(Unchanged::Fault)?;
                changed = Some(template);
                Ok(text)
            };
            let done = self.meta.change_document(account, DocumentKind::Template, key(prefix), now_ms, update).await;
            match done.map_err(failed)?.ok_or_else(not_found)? {
                Ok(_) => return changed.map(|template| self.template(template)).ok_or_else(not_found),
                Err(Unchanged::Gone) => return Err(not_found()),
                Err(Unchanged::Fault(fault)) => return Err(fault),
                Err(Unchanged::GivesOtherwise) => {}
            }
        }
        Err(Fault::throttling())
    }

    pub(super) async fn delete_template(&self, input: DeleteRepositoryCreationTemplate) -> Result<Output, Fault> {
        let gone = self.meta.remove_document(self.endpoint.account, DocumentKind::Template, key(&input.prefix)).await;
        match gone.map_err(failed)?.and_then(|row| read(&row).map(|kept| (row, kept))) {
            Some((row, kept)) => Ok(self.template(self.describe_template(kept, row.created_at_ms, row.updated_at_ms))),
            None => Err(Fault::template_not_found(&input.prefix, &self.endpoint.account)),
        }
    }

    pub(super) async fn describe_templates(&self, input: DescribeRepositoryCreationTemplates) -> Result<Output, Fault> {
        let (rows, next_token) = match input.templates {
            Selection::Named(prefixes) => {
                let mut rows = Vec::with_capacity(prefixes.len());
                for prefix in prefixes {
                    rows.push(self.kept_template(&prefix).await?.0);
                }
                (rows, None)
            }
            Selection::All(page) => {
                let limit = u32::try_from(page.limit).unwrap_or(u32::MAX).saturating_add(1);
                let rows =
                    self.meta.documents(self.endpoint.account, DocumentKind::Template, page.after.as_deref(), limit);
                let mut rows = rows.await.map_err(failed)?;
                let more = rows.len() > page.limit;
                rows.truncate(page.limit);
                let next_token = rows.last().filter(|_| more).map(|row| page.next_token(&row.name));
                (rows, next_token)
            }
        };
        let describe =
            |row: &DocumentRow| Some(self.describe_template(read(row)?, row.created_at_ms, row.updated_at_ms));
        Ok(Output::DescribeRepositoryCreationTemplates(DescribeRepositoryCreationTemplatesOutput {
            registry_id: self.endpoint.account,
            repository_creation_templates: rows.iter().filter_map(describe).collect(),
            next_token,
        }))
    }

    async fn kept_template(&self, prefix: &Prefix) -> Result<(DocumentRow, CreateRepositoryCreationTemplate), Fault> {
        let row =
            self.meta.document(self.endpoint.account, DocumentKind::Template, key(prefix)).await.map_err(failed)?;
        let kept = row.and_then(|row| read(&row).map(|template| (row, template)));
        kept.ok_or_else(|| Fault::template_not_found(prefix, &self.endpoint.account))
    }

    fn template(&self, repository_creation_template: RepositoryCreationTemplate) -> Output {
        let registry_id = self.endpoint.account;
        Output::RepositoryCreationTemplate(RepositoryCreationTemplateOutput {
            registry_id,
            repository_creation_template,
        })
    }

    /// Empty text is none. Whether tags may move is as the configuration says where the template does not.
    fn describe_template(
        &self,
        template: CreateRepositoryCreationTemplate,
        created_at_ms: i64,
        updated_at_ms: i64,
    ) -> RepositoryCreationTemplate {
        let CreateRepositoryCreationTemplate { prefix, applied_for, settings } = template;
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        RepositoryCreationTemplate {
            prefix,
            description: some(settings.description),
            encryption_configuration: EncryptionConfiguration::default(),
            resource_tags: settings.resource_tags.unwrap_or_default(),
            tag_mutability: settings.tag_mutability.unwrap_or_else(|| self.hosted.usual_mutability()),
            repository_policy: some(settings.repository_policy),
            lifecycle_policy: some(settings.lifecycle_policy),
            applied_for,
            custom_role_arn: some(settings.custom_role_arn),
            created_at: timestamp(created_at_ms),
            updated_at: timestamp(updated_at_ms),
        }
    }
}

/// The template as the update leaves it.
fn changed_by(
    mut kept: CreateRepositoryCreationTemplate,
    update: &UpdateRepositoryCreationTemplate,
) -> CreateRepositoryCreationTemplate {
    change(&mut kept.settings, update.settings.clone());
    kept.applied_for = update.applied_for.clone().unwrap_or(kept.applied_for);
    kept
}

/// What of the new settings is given takes the place of the old.
fn change(old: &mut TemplateSettings, new: TemplateSettings) {
    let TemplateSettings {
        description,
        encryption,
        resource_tags,
        tag_mutability,
        repository_policy,
        lifecycle_policy,
        custom_role_arn,
    } = new;
    old.description = description.or(old.description.take());
    old.encryption = encryption.or(old.encryption.take());
    old.resource_tags = resource_tags.or(old.resource_tags.take());
    old.tag_mutability = tag_mutability.or(old.tag_mutability.take());
    old.repository_policy = repository_policy.or(old.repository_policy.take());
    old.lifecycle_policy = lifecycle_policy.or(old.lifecycle_policy.take());
    old.custom_role_arn = custom_role_arn.or(old.custom_role_arn.take());
}

/// A repository must be able to take on what its template says.
fn check(settings: &TemplateSettings) -> Result<(), Fault> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if settings.encryption.as_ref().is_some_and(|said| said.encryption_type != EncryptionType::Aes256) {
        let detail = "keys of a key service cannot be used here: choose AES256";
        return Err(Fault::invalid_parameter("encryptionConfiguration.encryptionType", detail));
    }
    if let Some(text) = given(&settings.repository_policy) {
        Document::written(Kind::Repository, &text, MAX_POLICY_BYTES).map_err(|error| {
            Fault::invalid_parameter("repositoryPolicy", &format!("Invalid repository policy provided: {error}"))
        })?;
    }
    if let Some(text) = given(&settings.lifecycle_policy)
        && serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).is_err()
    {
        return Err(Fault::invalid_parameter("lifecyclePolicy", "Member must be a JSON object"));
    }
    Ok(())
}

fn document(template: &RepositoryCreationTemplate) -> Result<String, Fault> {
    serde_json::to_string(template).map_err(Fault::server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_stays() {
        let text = |text: &str| Some(text.to_owned());
        let mut settings = TemplateSettings {
            description: text("old"),
            repository_policy: text("policy"),
            ..TemplateSettings::default()
        };
        let new = TemplateSettings { repository_policy: text(""), ..TemplateSettings::default() };
        change(&mut settings, new);
        assert_eq!((settings.description, settings.repository_policy), (text("old"), text("")));
    }

    #[test]
    fn what_no_repository_could_take_on() {
        let key = |encryption_type| Some(EncryptionConfiguration { encryption_type, kms_key: None });
        let settings = |policy: &str, encryption| TemplateSettings {
            repository_policy: Some(policy.to_owned()),
            encryption,
            ..TemplateSettings::default()
        };
        assert!(check(&settings("", key(EncryptionType::Aes256))).is_ok());
        assert!(check(&settings("", key(EncryptionType::Kms))).is_err());
        assert!(check(&settings("{}", None)).is_err());
        let lifecycle =
            |text: &str| TemplateSettings { lifecycle_policy: Some(text.to_owned()), ..TemplateSettings::default() };
        assert!(check(&lifecycle("{\"rules\":[]}")).is_ok() && check(&lifecycle("")).is_ok());
        assert!(check(&lifecycle("rules")).is_err());
    }
}
