//! Selections of rules: the images that a rule is about, by storage class and tags.

use super::error::{PolicyError, Problem};
use super::image::StorageClass;
use super::members::Members;
use super::pattern::{MAX_WILDCARDS, Pattern};

/// Entries of one list. ECR has no bound of its own but that of the policy's text.
const MAX_ENTRIES: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selection {
    pub storage_class: StorageClass,
    pub tags: TagStatus,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TagStatus {
    Any,
    Untagged,
    /// Each entry has to be matched by some tag.
    Tagged(Vec<TagEntry>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TagEntry {
    Prefix(Box<str>),
    Pattern(Pattern),
}

#[derive(Clone, Copy)]
enum Word {
    Any,
    Untagged,
    Tagged,
}

impl Selection {
    /// Reads the members that are about storage class and tags; the others are the rule's count.
    pub fn read(members: &Members<'_>) -> Result<Self, PolicyError> {
        let classes = [("archive", StorageClass::Archive), ("standard", StorageClass::Standard)];
        let storage_class = members.word("storageClass", &classes)?.unwrap_or(StorageClass::Standard);
        Ok(Self { storage_class, tags: TagStatus::read(members)? })
    }

    /// Whether an image of the storage class is selected, by the names of its tags.
    pub fn matches_tags<'t>(&self, mut tags: impl Iterator<Item = &'t str> + Clone) -> bool {
        match &self.tags {
            TagStatus::Any => true,
            TagStatus::Untagged => tags.next().is_none(),
            TagStatus::Tagged(entries) => entries.iter().all(|entry| tags.clone().any(|name| entry.matches(name))),
        }
    }

    /// Whether a tag by itself matches all entries.
    pub fn matches_tag(&self, name: &str) -> bool {
        match &self.tags {
            TagStatus::Any | TagStatus::Untagged => false,
            TagStatus::Tagged(entries) => entries.iter().all(|entry| entry.matches(name)),
        }
    }

    pub fn entries(&self) -> &[TagEntry] {
        if let TagStatus::Tagged(entries) = &self.tags { entries } else { &[] }
    }
}

impl TagStatus {
    fn read(members: &Members<'_>) -> Result<Self, PolicyError> {
        let words = [("any", Word::Any), ("tagged", Word::Tagged), ("untagged", Word::Untagged)];
        let status = members.word("tagStatus", &words)?;
        let prefixes = members.texts("tagPrefixList", MAX_ENTRIES)?;
        let patterns = members.texts("tagPatternList", MAX_ENTRIES)?;
        let refuse = |rule| Err(Problem::Broken(rule).at(members.place()));
        match (status, prefixes, patterns) {
            (Some(Word::Tagged), Some(_), Some(_)) => {
                refuse("tagPrefixList and tagPatternList cannot both be specified.")
            }
            (Some(Word::Tagged), Some(prefixes), None) if !prefixes.is_empty() => {
                Ok(Self::Tagged(prefixes.into_iter().map(|prefix| TagEntry::Prefix(prefix.into())).collect()))
            }
            (Some(Word::Tagged), None, Some(patterns)) if !patterns.is_empty() => {
                let entry = |(index, text)| TagEntry::pattern(text, members, index);
                Ok(Self::Tagged(patterns.into_iter().enumerate().map(entry).collect::<Result<_, _>>()?))
            }
            (Some(Word::Tagged), _, _) => refuse("Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED."),
            (Some(Word::Any), None, None) => Ok(Self::Any),
            (Some(Word::Untagged), None, None) => Ok(Self::Untagged),
            (Some(_), _, _) => refuse("Can only specify tagPrefixList or tagPatternList when tagStatus=TAGGED."),
            (None, _, _) => Err(Problem::MissingMembers(vec!["tagStatus"]).at(members.place())),
        }
    }
}

impl TagEntry {
    fn pattern(text: &str, members: &Members<'_>, index: usize) -> Result<Self, PolicyError> {
        Pattern::new(text).map(Self::Pattern).ok_or_else(|| {
            let place = format!("{}[{index}]", members.place_of("tagPatternList"));
            let found = text.matches('*').count();
            Problem::Broken("a tag pattern has more wildcards than allowed")
                .at(&place)
                .hint(format!("{found} of them; at most {MAX_WILDCARDS} are allowed"))
        })
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Prefix(prefix) => name.starts_with(&**prefix),
            Self::Pattern(pattern) => pattern.matches(name),
        }
    }
}
