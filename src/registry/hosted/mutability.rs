//! Whether a repository's tags may move: what is set on it, else what the configuration says.

use std::sync::Arc;

use serde_json::Value;

use super::Hosted;
use crate::config::{self, HostedSettings};
use crate::ecr::{ExclusionFilter, MutabilityMode, TagMutability, Word};
use crate::meta::{RepositorySettings, TagWrites};
use crate::oci::Tag;

impl Hosted {
    /// What the configuration says, in ECR's words.
    pub(in crate::registry) fn usual_mutability(&self) -> TagMutability {
        usual(&self.inner.settings)
    }

    /// The tags to be written. Whether one may move is decided when the repository is nobody else's to change.
    pub(super) fn tag_writes(&self, tags: impl Iterator<Item = Tag>) -> TagWrites {
        let this = self.clone();
        let is_immutable = move |set: Option<&str>, tag: &Tag| match set.and_then(read) {
            Some(own) => own.is_immutable(tag),
            None => this.inner.settings.is_immutable(tag.as_str()),
        };
        TagWrites { tags: tags.collect(), is_immutable: Arc::new(is_immutable) }
    }
}

/// What is set on the repository itself.
pub(in crate::registry) fn of_repository(settings: &RepositorySettings) -> Option<TagMutability> {
    read(settings.mutability.as_deref()?)
}

/// As it is kept.
pub(in crate::registry) fn stored(mutability: &TagMutability) -> String {
    serde_json::to_string(mutability).unwrap_or_default()
}

fn read(text: &str) -> Option<TagMutability> {
    let document: Value = serde_json::from_str(text).ok()?;
    let mode = MutabilityMode::from_word(document.get("imageTagMutability")?.as_str()?)?;
    let filters = document.get("imageTagMutabilityExclusionFilters").and_then(Value::as_array);
    let filter = |value: &Value| value.get("filter")?.as_str()?.parse().ok();
    TagMutability::from_parts(mode, filters.into_iter().flatten().map(filter).collect::<Option<_>>()?)
}

fn usual(settings: &HostedSettings) -> TagMutability {
    let filters: Vec<ExclusionFilter> =
        settings.tag_mutability_except.iter().filter_map(|pattern| pattern.parse().ok()).collect();
    let mode = match (settings.tag_mutability, filters.is_empty()) {
        (config::TagMutability::Mutable, true) => MutabilityMode::Mutable,
        (config::TagMutability::Mutable, false) => MutabilityMode::MutableWithExclusion,
        (config::TagMutability::Immutable, true) => MutabilityMode::Immutable,
        (config::TagMutability::Immutable, false) => MutabilityMode::ImmutableWithExclusion,
    };
    TagMutability::from_parts(mode, filters).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_as_it_was_stored() {
        let filters = vec!["dev-*".parse().unwrap()];
        for mutability in [
            TagMutability::Mutable,
            TagMutability::Immutable,
            TagMutability::ImmutableWithExclusion(filters.clone()),
            TagMutability::MutableWithExclusion(filters),
        ] {
            assert_eq!(read(&stored(&mutability)), Some(mutability));
        }
        assert_eq!(read("{}"), None);
    }

    #[test]
    fn the_configuration_in_the_words_of_ecr() {
        let settings = |text: &str| crate::config::parse(&format!("[hosted]\n{text}")).unwrap().hosted;
        assert_eq!(usual(&settings("")), TagMutability::Mutable);
        let said = usual(&settings("tag_mutability = \"immutable\"\ntag_mutability_except = [\"latest\"]"));
        assert_eq!(said, TagMutability::ImmutableWithExclusion(vec!["latest".parse().unwrap()]));
    }
}
