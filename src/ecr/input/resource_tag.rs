//! Resource tags: putting them on a repository, taking them off, listing them.
//!
//! The model gives their keys and values no limits of their own; the ones here are those of the guide, and breaking one
//! has its own exception.

use std::collections::HashSet;

use super::super::arn::RepositoryArn;
use super::super::fault::Fault;
use super::super::resource_tag::{MAX_RESOURCE_TAGS, ResourceTag};
use super::item::Item;
use super::members::Members;
use super::shape::ANY_LENGTH;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagResource {
    pub resource: RepositoryArn,
    pub tags: Vec<ResourceTag>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntagResource {
    pub resource: RepositoryArn,
    pub tag_keys: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListTagsForResource {
    pub resource: RepositoryArn,
}

const MAX_KEY_CHARS: usize = 128;
const MAX_VALUE_CHARS: usize = 256;
const RESERVED_PREFIX: &str = "aws:";

impl TagResource {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self { resource: resource(members)?, tags: members.required("tags", tags)? })
    }
}

impl UntagResource {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        let resource = resource(members)?;
        let tag_keys = members.required("tagKeys", |item| item.list(ANY_LENGTH, key))?;
        if tag_keys.len() > MAX_RESOURCE_TAGS {
            return Err(Fault::too_many_tags(MAX_RESOURCE_TAGS));
        }
        Ok(Self { resource, tag_keys })
    }
}

impl ListTagsForResource {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self { resource: resource(members)? })
    }
}

fn resource(members: &mut Members) -> Result<RepositoryArn, Fault> {
    members.required("resourceArn", |item| {
        let refusal = item.refuse("Invalid ARN");
        item.text()?.parse().map_err(|_| refusal)
    })
}

/// Each key at most once, however it is written: conditions do not tell capitals apart.
pub fn tags(item: Item) -> Result<Vec<ResourceTag>, Fault> {
    let path = item.path().to_owned();
    let tags = item.list(ANY_LENGTH, |item| {
        let mut members = item.object()?;
        Ok(ResourceTag { key: members.required("Key", key)?, value: members.required("Value", value)? })
    })?;
    if tags.len() > MAX_RESOURCE_TAGS {
        return Err(Fault::too_many_tags(MAX_RESOURCE_TAGS));
    }
    let mut keys = HashSet::new();
    match tags.iter().find(|tag| !keys.insert(tag.key.to_lowercase())) {
        Some(twice) => {
            let message = format!("The key '{}' occurs twice: capitals make no other key", twice.key);
            Err(Fault::invalid_tag_parameter(&path, &message))
        }
        None => Ok(tags),
    }
}

fn key(item: Item) -> Result<String, Fault> {
    let path = item.path().to_owned();
    let key = item.text()?;
    if !(1..=MAX_KEY_CHARS).contains(&key.chars().count()) {
        return Err(Fault::invalid_tag_parameter(&path, &format!("A key has 1 to {MAX_KEY_CHARS} characters")));
    }
    if key.get(..RESERVED_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_PREFIX)) {
        return Err(Fault::invalid_tag_parameter(&path, "A key does not begin with 'aws:', which is reserved"));
    }
    Ok(key)
}

fn value(item: Item) -> Result<String, Fault> {
    let path = item.path().to_owned();
    let value = item.text()?;
    if value.chars().count() > MAX_VALUE_CHARS {
        return Err(Fault::invalid_tag_parameter(&path, &format!("A value has at most {MAX_VALUE_CHARS} characters")));
    }
    Ok(value)
}
