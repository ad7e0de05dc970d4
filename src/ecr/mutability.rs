//! Whether a repository's tags may move, with the tags that are excepted.

use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::words::words;
use crate::oci::Tag;

/// How many filters a repository has at most; the modes with exclusions have at least one.
pub const MAX_EXCLUSION_FILTERS: usize = 5;

/// A filter has at most so many `*`.
const MAX_WILDCARDS: usize = 2;

words! {
    pub enum MutabilityMode {
        Mutable = "MUTABLE",
        Immutable = "IMMUTABLE",
        ImmutableWithExclusion = "IMMUTABLE_WITH_EXCLUSION",
        MutableWithExclusion = "MUTABLE_WITH_EXCLUSION",
    }
}

/// Written as two members: `imageTagMutability` and, with exclusions, `imageTagMutabilityExclusionFilters`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TagMutability {
    #[default]
    Mutable,
    Immutable,
    /// Tags that match a filter stay mutable.
    ImmutableWithExclusion(Vec<ExclusionFilter>),
    /// Tags that match a filter are immutable.
    MutableWithExclusion(Vec<ExclusionFilter>),
}

/// `[0-9a-zA-Z._*-]{1,128}`: `*` stands for any run of characters, every other character for itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExclusionFilter(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a filter has 1 to 128 letters, digits, '.', '_', '-' and at most {MAX_WILDCARDS} '*'")]
pub struct ExclusionFilterError;

impl TagMutability {
    pub fn is_immutable(&self, tag: &Tag) -> bool {
        let excepted = |filters: &[ExclusionFilter]| filters.iter().any(|filter| filter.matches(tag));
        match self {
            Self::Mutable => false,
            Self::Immutable => true,
            Self::ImmutableWithExclusion(filters) => !excepted(filters),
            Self::MutableWithExclusion(filters) => excepted(filters),
        }
    }

    pub const fn mode(&self) -> MutabilityMode {
        match self {
            Self::Mutable => MutabilityMode::Mutable,
            Self::Immutable => MutabilityMode::Immutable,
            Self::ImmutableWithExclusion(_) => MutabilityMode::ImmutableWithExclusion,
            Self::MutableWithExclusion(_) => MutabilityMode::MutableWithExclusion,
        }
    }

    pub fn filters(&self) -> &[ExclusionFilter] {
        match self {
            Self::Mutable | Self::Immutable => &[],
            Self::ImmutableWithExclusion(filters) | Self::MutableWithExclusion(filters) => filters,
        }
    }

    /// From what was kept. `None` where mode and filters do not agree.
    pub fn from_parts(mode: MutabilityMode, filters: Vec<ExclusionFilter>) -> Option<Self> {
        let few = (1..=MAX_EXCLUSION_FILTERS).contains(&filters.len());
        match mode {
            MutabilityMode::Mutable if filters.is_empty() => Some(Self::Mutable),
            MutabilityMode::Immutable if filters.is_empty() => Some(Self::Immutable),
            MutabilityMode::ImmutableWithExclusion if few => Some(Self::ImmutableWithExclusion(filters)),
            MutabilityMode::MutableWithExclusion if few => Some(Self::MutableWithExclusion(filters)),
            _ => None,
        }
    }
}

impl ExclusionFilter {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn matches(&self, tag: &Tag) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else { return self.0 == tag.as_str() };
        let (middle, last) = rest.rsplit_once('*').map_or((None, rest), |(middle, last)| (Some(middle), last));
        let inner = tag.as_str().strip_prefix(first).and_then(|text| text.strip_suffix(last));
        inner.is_some_and(|text| middle.is_none_or(|middle| text.contains(middle)))
    }
}

impl FromStr for ExclusionFilter {
    type Err = ExclusionFilterError;

    fn from_str(text: &str) -> Result<Self, ExclusionFilterError> {
        let known = |c: u8| c.is_ascii_alphanumeric() || b"._*-".contains(&c);
        let well_formed = (1..=128).contains(&text.len())
            && text.bytes().all(known)
            && text.bytes().filter(|c| *c == b'*').count() <= MAX_WILDCARDS;
        if well_formed { Ok(Self(text.to_owned())) } else { Err(ExclusionFilterError) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Members<'a> {
    image_tag_mutability: MutabilityMode,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    image_tag_mutability_exclusion_filters: &'a [ExclusionFilter],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FilterMembers<'a> {
    filter_type: &'static str,
    filter: &'a str,
}

impl Serialize for TagMutability {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Members { image_tag_mutability: self.mode(), image_tag_mutability_exclusion_filters: self.filters() }
            .serialize(serializer)
    }
}

impl Serialize for ExclusionFilter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FilterMembers { filter_type: "WILDCARD", filter: &self.0 }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> ExclusionFilter {
        text.parse().unwrap()
    }

    #[test]
    fn matching() {
        for (pattern, tag, expected) in [
            ("latest", "latest", true),
            ("latest", "latest1", false),
            ("*", "x", true),
            ("dev-*", "dev-", true),
            ("dev-*", "dev-1", true),
            ("dev-*", "mydev-1", false),
            ("*-dev", "a-dev", true),
            ("*-dev", "a-dev1", false),
            ("a*b", "ab", true),
            ("a*b", "a", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*mid*", "xmidx", true),
            ("*mid*", "mi", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c", false),
            ("ab*bc", "abc", false),
            ("**", "x", true),
            ("tagME.*", "tagME1", false),
            ("tagME.*", "tagME.1", true),
        ] {
            assert_eq!(filter(pattern).matches(&tag.parse().unwrap()), expected, "{pattern} {tag}");
        }
    }

    #[test]
    fn modes() {
        let (dev, prod): (Tag, Tag) = ("dev-1".parse().unwrap(), "v1".parse().unwrap());
        let filters = vec![filter("dev-*")];
        for (mutability, dev_is, prod_is) in [
            (TagMutability::Mutable, false, false),
            (TagMutability::Immutable, true, true),
            (TagMutability::ImmutableWithExclusion(filters.clone()), false, true),
            (TagMutability::MutableWithExclusion(filters.clone()), true, false),
        ] {
            assert_eq!((mutability.is_immutable(&dev), mutability.is_immutable(&prod)), (dev_is, prod_is));
            let parts = TagMutability::from_parts(mutability.mode(), mutability.filters().to_vec());
            assert_eq!(parts, Some(mutability));
        }
        assert_eq!(TagMutability::from_parts(MutabilityMode::Mutable, filters), None);
        assert_eq!(TagMutability::from_parts(MutabilityMode::ImmutableWithExclusion, Vec::new()), None);
        assert_eq!(TagMutability::from_parts(MutabilityMode::MutableWithExclusion, vec![filter("a"); 6]), None);
    }

    #[test]
    fn written_as_two_members() {
        let text = |mutability| serde_json::to_string(&mutability).unwrap();
        assert_eq!(text(TagMutability::Mutable), r#"{"imageTagMutability":"MUTABLE"}"#);
        assert_eq!(
            text(TagMutability::MutableWithExclusion(vec![filter("a*")])),
            r#"{"imageTagMutability":"MUTABLE_WITH_EXCLUSION","imageTagMutabilityExclusionFilters":[{"filterType":"WILDCARD","filter":"a*"}]}"#
        );
    }

    #[test]
    fn edges_of_a_filter() {
        assert!("a".repeat(128).parse::<ExclusionFilter>().is_ok());
        for bad in ["", "a/b", "a b", "***", "ä", &"a".repeat(129)] {
            assert_eq!(bad.parse::<ExclusionFilter>(), Err(ExclusionFilterError), "{bad}");
        }
    }
}
