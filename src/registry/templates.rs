//! Repository creation templates: what a repository that the registry itself makes is given.
//!
//! A template is kept in the form in which it is asked for, under its prefix. The one with the longest prefix counts that is
//! for the occasion, and `ROOT` last. What it says is applied once: later changes of it change no repository.

use crate::ecr::{AppliedFor, CreateRepositoryCreationTemplate, Operation, Prefix};
use crate::meta::{DocumentKind, DocumentRow, Error, Meta, RepositorySettings};
use crate::oci::QualifiedName;

const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921.CreateRepositoryCreationTemplate";

/// `None` for a row that no version wrote.
pub(super) fn read(row: &DocumentRow) -> Option<CreateRepositoryCreationTemplate> {
    match Operation::parse(TARGET, row.document.as_bytes()) {
        Ok(Operation::CreateRepositoryCreationTemplate(template)) => Some(template),
        _ => None,
    }
}

/// Under which name a template of this prefix is kept. Prefixes that differ only in the last slash are one.
pub(super) fn key(prefix: &Prefix) -> &str {
    prefix.path().unwrap_or(prefix.as_str())
}

/// What a new repository of this name is given on that occasion; `None` where no template says it.
pub(super) async fn settings_for(
    meta: &Meta,
    name: &QualifiedName,
    occasion: AppliedFor,
) -> Result<Option<RepositorySettings>, Error> {
    for key in keys(name.name.as_str()) {
        let Some(row) = meta.document(name.account, DocumentKind::Template, key).await? else { continue };
        if let Some(template) = read(&row).filter(|template| template.applied_for.contains(&occasion)) {
            return Ok(Some(settings(template)));
        }
    }
    Ok(None)
}

/// Every prefix that claims the name, the longest first.
fn keys(name: &str) -> impl Iterator<Item = &str> {
    let prefixes = name.rmatch_indices('/').filter_map(|(at, _)| name.get(..at));
    prefixes.chain(std::iter::once("ROOT"))
}

fn settings(template: CreateRepositoryCreationTemplate) -> RepositorySettings {
    let said = template.settings;
    let tags = said.resource_tags.unwrap_or_default();
    RepositorySettings {
        mutability: said.tag_mutability.as_ref().map(super::hosted::stored),
        scan_on_push: false,
        encryption: None,
        policy: said.repository_policy.filter(|text| !text.is_empty()),
        resource_tags: tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_comes_first() {
        assert_eq!(keys("a/b/c").collect::<Vec<_>>(), ["a/b", "a", "ROOT"]);
        assert_eq!(keys("a").collect::<Vec<_>>(), ["ROOT"]);
    }

    #[tokio::test]
    async fn the_longest_that_is_for_the_occasion_counts() {
        let folder = tempfile::tempdir().unwrap();
        let account = "000000000000".parse().unwrap();
        let meta = Meta::open(&folder.path().join("x.db")).await.unwrap();
        for (prefix, occasion, tag) in
            [("ROOT", "CREATE_ON_PUSH", "root"), ("a/", "CREATE_ON_PUSH", "a"), ("a/b", "REPLICATION", "a/b")]
        {
            let document = serde_json::json!({
                "prefix": prefix, "appliedFor": [occasion], "imageTagMutability": "IMMUTABLE",
                "resourceTags": [{ "Key": "of", "Value": tag }], "repositoryPolicy": "", "createdAt": 1.0,
            });
            let key = prefix.trim_end_matches('/');
            meta.add_document(account, DocumentKind::Template, key, &document.to_string(), 1).await.unwrap();
        }
        let of = async |name: &str, occasion| {
            let settings =
                settings_for(&meta, &QualifiedName::new(account, name.parse().unwrap()), occasion).await.unwrap()?;
            assert_eq!((settings.policy, settings.mutability.is_some()), (None, true));
            settings.resource_tags.get("of").cloned()
        };
        assert_eq!(of("a/b/c", AppliedFor::CreateOnPush).await.as_deref(), Some("a"));
        assert_eq!(of("a/b/c", AppliedFor::Replication).await.as_deref(), Some("a/b"));
        assert_eq!(of("ab", AppliedFor::CreateOnPush).await.as_deref(), Some("root"));
        assert_eq!(of("a/b/c", AppliedFor::PullThroughCache).await, None);
    }
}
