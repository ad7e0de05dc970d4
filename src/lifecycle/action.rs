//! Actions of rules as policies write them.

use super::dialect::Extensions;
use super::error::{PolicyError, Problem};
use super::json::Node;
use super::members::Members;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Expire,
    /// Transition to the archive, which is the only class that ECR moves images to.
    Archive,
    /// Extension: images that the rule selects are left alone by the rules below it.
    Keep,
}

const WORDS: [(&str, Action); 2] = [("expire", Action::Expire), ("transition", Action::Archive)];
const EXTENDED_WORDS: [(&str, Action); 3] =
    [("expire", Action::Expire), ("transition", Action::Archive), ("keep", Action::Keep)];

impl Action {
    pub fn read(node: &Node, place: &str, extensions: Extensions) -> Result<Self, PolicyError> {
        let members = Members::read(node, place, &["type"], &["targetStorageClass"])?;
        let is_keep = members.text("type")? == Some("keep");
        let action = match extensions {
            Extensions::Declared => members.word("type", &EXTENDED_WORDS),
            _ if is_keep => members.word("type", &WORDS).map_err(|refusal| extensions.explain(refusal, "keep")),
            _ => members.word("type", &WORDS),
        }?;
        let target = members.node("targetStorageClass");
        let archive = Node::Text("archive".to_owned());
        let refuse = |hint: &str| Err(Problem::NoAction.at(members.place()).hint(hint));
        match action {
            Some(Self::Archive) if target == Some(&archive) => Ok(Self::Archive),
            Some(Self::Archive) => refuse("transition needs targetStorageClass archive"),
            Some(_) if target.is_some() => refuse("targetStorageClass belongs to transition"),
            Some(action) => Ok(action),
            None => Err(Problem::MissingMembers(vec!["type"]).at(place)),
        }
    }
}
