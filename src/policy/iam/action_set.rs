//! The actions of a statement: exact names sorted for a search, and patterns.
//!
//! AWS compares actions without case, so names are kept in lower case and so is the question's.

use super::document::Kind;
use super::error::{DocumentError, Refusal};
use super::json::{Node, Place};
use super::pattern::Pattern;
use crate::ecr::{self, Word};
use crate::iam::OperationName;

#[derive(Clone, Debug)]
pub(super) struct ActionSet {
    /// `NotAction`: everything but these.
    negated: bool,
    everything: bool,
    exact: Box<[Box<[u8]>]>,
    patterns: Box<[Pattern]>,
    /// As they are written: names and patterns of ECR's that fit none of its actions.
    unknown: Box<[Box<str>]>,
}

/// ECR's actions that are no operations.
const BESIDES: [&str; 2] = ["ecr:BatchImportUpstreamImage", "ecr:ReplicateImage"];

impl ActionSet {
    pub fn parse(node: &Node, place: &Place<'_>, negated: bool, kind: Kind) -> Result<Self, DocumentError> {
        let (mut everything, mut exact, mut patterns, mut unknown) = (false, Vec::new(), Vec::new(), Vec::new());
        node.each(place, "action", &mut |node, place| {
            let action = node.text(place)?;
            check(action, kind).map_err(|reason| place.refuse(reason))?;
            let lower = action.to_ascii_lowercase();
            if lower.starts_with("ecr:") && !of_ecr().any(|known| Pattern::new(&lower).matches(&known)) {
                unknown.push(action.into());
            }
            match Pattern::new(&lower) {
                Pattern::Everything => everything = true,
                pattern => match pattern.as_exact() {
                    Some(name) => exact.push(name.into()),
                    None => patterns.push(pattern),
                },
            }
            Ok(())
        })?;
        exact.sort_unstable();
        exact.dedup();
        Ok(Self { negated, everything, exact: exact.into(), patterns: patterns.into(), unknown: unknown.into() })
    }

    pub const fn is_negated(&self) -> bool {
        self.negated
    }

    /// What is written and is no action of ECR's, with the nearest that is one.
    pub fn unknown(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.unknown.iter().map(|action| (&**action, nearest(action)))
    }

    /// Whether it is about anything that is ever asked here.
    pub fn is_ever_asked(&self) -> bool {
        let iam = OperationName::ALL.iter().map(|operation| operation.iam_action().to_ascii_lowercase());
        // Of STS's only this one asks policies.
        let mut iam = iam.filter(|action| !action.starts_with("sts:") || action == "sts:assumerole");
        of_ecr().any(|action| self.holds(&action)) || iam.any(|action| self.holds(&action))
    }

    /// `action` is in lower case.
    pub fn holds(&self, action: &str) -> bool {
        let listed = self.everything
            || self.exact.binary_search_by(|name| (**name).cmp(action.as_bytes())).is_ok()
            || self.patterns.iter().any(|pattern| pattern.matches(action));
        listed != self.negated
    }
}

/// ECR's actions, in lower case.
fn of_ecr() -> impl Iterator<Item = String> {
    names_of_ecr().map(str::to_ascii_lowercase)
}

fn names_of_ecr() -> impl Iterator<Item = &'static str> {
    ecr::OperationName::ALL.iter().map(|operation| operation.word()).chain(BESIDES)
}

fn nearest(action: &str) -> &'static str {
    let action = action.to_ascii_lowercase();
    let distance = |name: &&str| strsim::damerau_levenshtein(&name.to_ascii_lowercase(), &action);
    names_of_ecr().min_by_key(distance).unwrap_or_default()
}

fn check(action: &str, kind: Kind) -> Result<(), Refusal> {
    if !action.is_empty() && action.bytes().all(|byte| byte == b'*') {
        return Ok(());
    }
    let wild = |byte: u8| matches!(byte, b'*' | b'?');
    let fitting = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || wild(byte))
    };
    let Some((service, _)) = action.split_once(':').filter(|(service, name)| fitting(service) && fitting(name)) else {
        return Err(Refusal::Action(action.to_owned()));
    };
    if let Some(own) = kind.service()
        && !Pattern::new(&service.to_ascii_lowercase()).matches(own)
    {
        return Err(Refusal::ForeignAction { action: action.to_owned(), kind, own });
    }
    Ok(())
}
