//! The actions of a statement: exact names sorted for a search, and patterns.
//!
//! AWS compares actions without case, so names are kept in lower case and so is the question's.

use super::document::Kind;
use super::error::{DocumentError, Refusal};
use super::json::{Node, Place};
use super::pattern::Pattern;

#[derive(Clone, Debug)]
pub(super) struct ActionSet {
    /// `NotAction`: everything but these.
    negated: bool,
    everything: bool,
    exact: Box<[Box<[u8]>]>,
    patterns: Box<[Pattern]>,
}

impl ActionSet {
    pub fn parse(node: &Node, place: &Place<'_>, negated: bool, kind: Kind) -> Result<Self, DocumentError> {
        let (mut everything, mut exact, mut patterns) = (false, Vec::new(), Vec::new());
        node.each(place, "action", &mut |node, place| {
            let action = node.text(place)?;
            check(action, kind).map_err(|reason| place.refuse(reason))?;
            match Pattern::new(&action.to_ascii_lowercase()) {
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
        Ok(Self { negated, everything, exact: exact.into(), patterns: patterns.into() })
    }

    /// `action` is in lower case.
    pub fn holds(&self, action: &str) -> bool {
        let listed = self.everything
            || self.exact.binary_search_by(|name| (**name).cmp(action.as_bytes())).is_ok()
            || self.patterns.iter().any(|pattern| pattern.matches(action));
        listed != self.negated
    }
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
