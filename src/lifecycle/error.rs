//! A policy that is refused: where, and why.
//!
//! ECR checks policies with a JSON schema validator and shows only its first message, which often names neither the
//! rule nor the reason (`instance failed to match exactly one schema (matched 0 out of 4)`). The message here begins
//! with ECR's text, which scripts look for, and goes on with the place and what would be right. Texts come from
//! captures where there are any, else from that validator.

use std::fmt;

/// Characters of a value of the policy that a message repeats.
const SHOWN_CHARS: usize = 60;

/// Names of unknown members that a message repeats.
const SHOWN_NAMES: usize = 5;

/// Prints as `Lifecycle policy validation failure: ...`, which is ECR's detail at the parameter `LifecyclePolicyText`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// `rules[0].selection.tagStatus`; empty for the policy as a whole.
    place: String,
    problem: Problem,
    hint: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    NotAPolicy,
    MissingMembers(Vec<&'static str>),
    UnknownMembers(Vec<String>),
    WrongType {
        found: &'static str,
        allowed: &'static str,
    },
    UnknownWord {
        found: String,
        known: Vec<&'static str>,
    },
    TooLow {
        minimum: u64,
        found: String,
    },
    TooHigh {
        maximum: u64,
        found: String,
    },
    TooManyItems {
        maximum: usize,
        found: usize,
    },
    DuplicateItems,
    EmptyText,
    /// The schemas of ECR for a selection are four, one for each count type.
    NoSelection,
    /// The schemas of ECR for an action are two.
    NoAction,
    /// A rule about rules, or about tags, in ECR's words where they are known.
    Broken(&'static str),
}

impl Problem {
    pub fn at(self, place: &str) -> PolicyError {
        PolicyError { place: place.to_owned(), problem: self, hint: None }
    }
}

impl PolicyError {
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl std::error::Error for PolicyError {}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lifecycle policy validation failure: {}", self.problem)?;
        match (self.place.as_str(), &self.hint) {
            ("", None) => Ok(()),
            ("", Some(hint)) => write!(f, " ({hint})"),
            (place, None) => write!(f, " ({place})"),
            (place, Some(hint)) => write!(f, " ({place}: {hint})"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAPolicy => f.write_str("Could not map policyString into LifecyclePolicy."),
            Self::MissingMembers(names) => {
                write!(f, "object has missing required properties ({})", list(names))
            }
            Self::UnknownMembers(names) => {
                let shown: Vec<String> = names.iter().take(SHOWN_NAMES).map(|name| shortened(name)).collect();
                write!(f, "object instance has properties which are not allowed by the schema: ({})", list(&shown))
            }
            Self::WrongType { found, allowed } => {
                write!(
                    f,
                    "instance type ({found}) does not match any allowed primitive type (allowed: [\"{allowed}\"])"
                )
            }
            Self::UnknownWord { found, known } => {
                write!(f, "instance value ({}) not found in enum :(possible values: {})", shortened(found), list(known))
            }
            Self::TooLow { minimum, found } => {
                write!(f, "numeric instance is lower than the required minimum (minimum: {minimum}, found: {found})")
            }
            Self::TooHigh { maximum, found } => {
                write!(f, "numeric instance is greater than the required maximum (maximum: {maximum}, found: {found})")
            }
            Self::TooManyItems { maximum, found } => {
                write!(f, "array is too long: must have at most {maximum} elements but instance has {found} elements")
            }
            Self::DuplicateItems => f.write_str("array must not contain duplicate elements"),
            Self::EmptyText => f.write_str("string \"\" is too short (length: 0, required minimum: 1)"),
            Self::NoSelection => f.write_str("instance failed to match exactly one schema (matched 0 out of 4)"),
            Self::NoAction => f.write_str("instance failed to match exactly one schema (matched 0 out of 2)"),
            Self::Broken(rule) => f.write_str(rule),
        }
    }
}

/// A value of the policy as messages repeat it: without what would break a line, and not longer than a line.
pub(super) fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

fn list(words: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{}\"", word.as_ref())).collect();
    format!("[{}]", quoted.join(","))
}
