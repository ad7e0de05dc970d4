//! Repository creation templates: what a repository that the registry itself creates is given.

use super::super::applied_for::AppliedFor;
use super::super::encryption::EncryptionConfiguration;
use super::super::fault::Fault;
use super::super::mutability::TagMutability;
use super::super::page::{PageKind, Selection};
use super::super::prefix::Prefix;
use super::super::resource_tag::ResourceTag;
use super::item::Item;
use super::members::Members;
use super::pattern::is_kms_key_arn_or_empty;
use super::resource_tag;
use super::shape::{self, ANY_LENGTH, PageSize};

/// `None` where the request does not say: the default on creation, no change on update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateSettings {
    /// At most 256 characters.
    pub description: Option<String>,
    /// An empty key is none.
    pub encryption: Option<EncryptionConfiguration>,
    pub resource_tags: Option<Vec<ResourceTag>>,
    pub tag_mutability: Option<TagMutability>,
    pub repository_policy: Option<String>,
    /// At most 30,720 characters; empty is none.
    pub lifecycle_policy: Option<String>,
    pub custom_role_arn: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRepositoryCreationTemplate {
    pub prefix: Prefix,
    /// Each at most once.
    pub applied_for: Vec<AppliedFor>,
    pub settings: TemplateSettings,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateRepositoryCreationTemplate {
    pub prefix: Prefix,
    pub applied_for: Option<Vec<AppliedFor>>,
    pub settings: TemplateSettings,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteRepositoryCreationTemplate {
    pub prefix: Prefix,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeRepositoryCreationTemplates {
    pub templates: Selection<Prefix>,
}

impl TemplateSettings {
    fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            description: members.optional("description", |item| item.text_within(0..=256))?,
            encryption: members.optional("encryptionConfiguration", |item| shape::encryption(item, kms_key))?,
            resource_tags: members.optional("resourceTags", resource_tag::tags)?,
            tag_mutability: shape::tag_mutability(members)?,
            repository_policy: members.optional("repositoryPolicy", shape::policy_text)?,
            lifecycle_policy: members.optional("lifecyclePolicy", |item| item.text_within(0..=30_720))?,
            custom_role_arn: members.optional("customRoleArn", shape::custom_role_arn)?,
        })
    }
}

impl CreateRepositoryCreationTemplate {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            prefix: members.required("prefix", shape::template_prefix)?,
            applied_for: members.required("appliedFor", applied_for)?,
            settings: TemplateSettings::read(members)?,
        })
    }
}

impl UpdateRepositoryCreationTemplate {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            prefix: members.required("prefix", shape::template_prefix)?,
            applied_for: members.optional("appliedFor", applied_for)?,
            settings: TemplateSettings::read(members)?,
        })
    }
}

impl DeleteRepositoryCreationTemplate {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self { prefix: members.required("prefix", shape::template_prefix)? })
    }
}

impl DescribeRepositoryCreationTemplates {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            templates: shape::selection(
                members,
                "prefixes",
                |item| item.list(ANY_LENGTH, shape::template_prefix),
                PageKind::Templates,
                PageSize::USUAL,
            )?,
        })
    }
}

fn applied_for(item: Item) -> Result<Vec<AppliedFor>, Fault> {
    let mut list = item.list(ANY_LENGTH, Item::word::<AppliedFor>)?;
    list.sort_unstable();
    list.dedup();
    Ok(list)
}

fn kms_key(item: Item) -> Result<String, Fault> {
    const PATTERN: &str = r"^$|arn:aws[a-z0-9-]*:kms:[a-z0-9-]+:[0-9]{12}:key\/[a-z0-9-]+";
    item.read(0..=2048, PATTERN, |text| is_kms_key_arn_or_empty(text).then(|| text.to_owned()))
}
