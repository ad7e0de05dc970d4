//! Repositories and what is set on one.

use super::super::encryption::EncryptionConfiguration;
use super::super::fault::Fault;
use super::super::mutability::TagMutability;
use super::super::page::{PageKind, Selection};
use super::super::resource_tag::ResourceTag;
use super::item::Item;
use super::members::Members;
use super::resource_tag;
use super::shape::{self, PageSize};
use crate::oci::{AccountId, RepositoryName};

/// Which repository; all that some operations are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryTarget {
    /// `None` is the caller's own registry.
    pub registry_id: Option<AccountId>,
    pub name: RepositoryName,
}

/// What is not given has its default: mutable tags, no scan on push, AES256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRepository {
    pub repository: RepositoryTarget,
    pub tags: Vec<ResourceTag>,
    pub tag_mutability: TagMutability,
    pub scan_on_push: bool,
    pub encryption: EncryptionConfiguration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteRepository {
    pub repository: RepositoryTarget,
    /// Also one with images.
    pub force: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeRepositories {
    pub registry_id: Option<AccountId>,
    pub repositories: Selection<RepositoryName>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutImageTagMutability {
    pub repository: RepositoryTarget,
    pub tag_mutability: TagMutability,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutImageScanningConfiguration {
    pub repository: RepositoryTarget,
    pub scan_on_push: bool,
}

impl RepositoryTarget {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            registry_id: members.optional("registryId", shape::account_id)?,
            name: members.required("repositoryName", shape::repository_name)?,
        })
    }
}

impl CreateRepository {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            repository: RepositoryTarget::read(members)?,
            tags: members.optional("tags", resource_tag::tags)?.unwrap_or_default(),
            tag_mutability: shape::tag_mutability(members)?.unwrap_or_default(),
            scan_on_push: members.optional("imageScanningConfiguration", scan_on_push)?.unwrap_or_default(),
            encryption: members
                .optional("encryptionConfiguration", |item| shape::encryption(item, |key| key.text_within(1..=2048)))?
                .unwrap_or_default(),
        })
    }
}

impl DeleteRepository {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self { repository: RepositoryTarget::read(members)?, force: members.flag("force")? })
    }
}

impl DescribeRepositories {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            registry_id: members.optional("registryId", shape::account_id)?,
            repositories: shape::selection(
                members,
                "repositoryNames",
                shape::repository_names,
                PageKind::Repositories,
                PageSize::USUAL,
            )?,
        })
    }
}

impl PutImageTagMutability {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        let repository = RepositoryTarget::read(members)?;
        match shape::tag_mutability(members)? {
            Some(tag_mutability) => Ok(Self { repository, tag_mutability }),
            None => Err(members.refuse("imageTagMutability", "Member must not be null")),
        }
    }
}

impl PutImageScanningConfiguration {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self {
            repository: RepositoryTarget::read(members)?,
            scan_on_push: members.required("imageScanningConfiguration", scan_on_push)?,
        })
    }
}

fn scan_on_push(item: Item) -> Result<bool, Fault> {
    item.object()?.flag("scanOnPush")
}
