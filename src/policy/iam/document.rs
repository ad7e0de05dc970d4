//! A policy document, compiled.
//!
//! Parsing is the only place that can fail: what a [`Document`] holds can be asked without an error. Its size is bounded by the caller,
//! and with it the number of statements and values.

use std::fmt;

use super::error::{DocumentError, Refusal};
use super::json::{self, Place, member};
use super::statement::Statement;

/// What a document is attached to, which decides what it must and must not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// To a user or role, which is then its principal; also a permissions boundary and a session policy.
    Identity,
    /// To a repository, which is then its resource unless it names others.
    Repository,
    /// To the registry of an account and region.
    Registry,
    /// To a role, which is then its resource: who may assume it.
    Trust,
}

impl Kind {
    /// Whose actions it may name; `None` where it may name all.
    pub(super) const fn service(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Repository | Self::Registry => Some("ecr"),
            Self::Trust => Some("sts"),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Document {
    kind: Kind,
    id: Option<Box<str>>,
    statements: Box<[Statement]>,
    doubts: Box<[DocumentError]>,
}

impl Document {
    /// A policy that somebody writes: what would not say what it seems to is refused as well.
    pub fn written(kind: Kind, text: &str, max_bytes: usize) -> Result<Self, DocumentError> {
        let document = Self::parse(kind, text, max_bytes)?;
        match document.doubts.first() {
            Some(doubt) => Err(doubt.clone()),
            None => Ok(document),
        }
    }

    /// A policy that is there: what no request can have in it counts as absent. `max_bytes` bounds the text; for repository and registry policies the API's bound is 10,240 characters.
    pub fn parse(kind: Kind, text: &str, max_bytes: usize) -> Result<Self, DocumentError> {
        let node = json::read(text, max_bytes)?;
        let place = Place::Root;
        let members = node.known_members(&place, &["Version", "Id", "Statement"])?;
        let variables = match member(members, "Version") {
            None => false,
            Some(version) => {
                let place = place.member("Version");
                match version.text(&place)? {
                    "2012-10-17" => true,
                    "2008-10-17" => false,
                    other => return Err(place.refuse(Refusal::Version(other.to_owned()))),
                }
            }
        };
        let id = match member(members, "Id") {
            None => None,
            Some(id) => Some(id.text(&place.member("Id"))?.into()),
        };
        let list = member(members, "Statement").ok_or_else(|| place.refuse(Refusal::Missing("Statement")))?;
        let (mut statements, mut doubts) = (Vec::new(), Vec::new());
        list.each(&place.member("Statement"), "statement", &mut |node, place| {
            let statement = Statement::parse(node, place, kind, variables)?;
            doubts.extend(statement.doubts(place));
            statements.push(statement);
            Ok(())
        })?;
        Ok(Self { kind, id, statements: statements.into(), doubts: doubts.into() })
    }

    /// Why it would be refused if it were written now.
    pub fn doubts(&self) -> &[DocumentError] {
        &self.doubts
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// How many statements there are; at least one.
    pub fn statement_count(&self) -> usize {
        self.statements.len()
    }

    pub(super) fn statements(&self) -> &[Statement] {
        &self.statements
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "an identity policy",
            Self::Repository => "a repository policy",
            Self::Registry => "a registry policy",
            Self::Trust => "a trust policy",
        })
    }
}
