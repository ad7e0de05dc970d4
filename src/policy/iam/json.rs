//! A policy's JSON as a tree that forgets nothing: members keep their order, and one that is written twice is still there twice.
//!
//! The tree is a few levels deep and no deeper, so code that walks it may recurse. While it walks, a [`Place`] says where it is.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::error::{DocumentError, Refusal};

/// Objects and lists within each other. A policy needs six: document, statements, statement, condition, operator, values.
pub(super) const MAX_DEPTH: usize = 8;

const TOO_DEEP: &str = "nests too deep";

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// Reads a text of at most `limit` bytes.
pub(super) fn read(text: &str, limit: usize) -> Result<Node, DocumentError> {
    if text.len() > limit {
        return Err(DocumentError::TooBig { size: text.len(), limit });
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    Depth(MAX_DEPTH).deserialize(&mut reader).and_then(|node| reader.end().map(|()| node)).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default();
        match reason {
            TOO_DEEP => DocumentError::TooDeep { line, column },
            reason => DocumentError::NotJson { line, column, reason: reason.to_owned() },
        }
    })
}

impl Node {
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a truth value",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    pub fn text(&self, place: &Place<'_>) -> Result<&str, DocumentError> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(place.refuse(Refusal::WrongType { found: other.type_name(), wanted: "a string" })),
        }
    }

    /// Its members, each once.
    pub fn members(&self, place: &Place<'_>) -> Result<&[(String, Self)], DocumentError> {
        let Self::Object(members) = self else {
            return Err(place.refuse(Refusal::WrongType { found: self.type_name(), wanted: "an object" }));
        };
        let mut seen = BTreeSet::new();
        match members.iter().find(|(name, _)| !seen.insert(name.as_str())) {
            Some((twice, _)) => Err(place.member(twice).refuse(Refusal::Duplicate)),
            None => Ok(members),
        }
    }

    /// Its members, each once and each of them known.
    pub fn known_members(&self, place: &Place<'_>, known: &[&str]) -> Result<&[(String, Self)], DocumentError> {
        let members = self.members(place)?;
        match members.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((unknown, _)) => Err(place.member(unknown).refuse(Refusal::UnknownMember { known: known.join(", ") })),
            None => Ok(members),
        }
    }

    /// Visits the values of a list, or the one value that stands for a list of one. `what` is the word for a value.
    pub fn each<'n>(
        &'n self,
        place: &Place<'_>,
        what: &'static str,
        visit: &mut dyn FnMut(&'n Self, &Place<'_>) -> Result<(), DocumentError>,
    ) -> Result<(), DocumentError> {
        match self {
            Self::List(items) if items.is_empty() => Err(place.refuse(Refusal::Empty(what))),
            Self::List(items) => {
                items.iter().enumerate().try_for_each(|(index, item)| visit(item, &place.index(index)))
            }
            single => visit(single, place),
        }
    }
}

pub(super) fn member<'n>(members: &'n [(String, Node)], name: &str) -> Option<&'n Node> {
    members.iter().find(|(found, _)| found == name).map(|(_, node)| node)
}

/// Where in the document: a step, and the place it was taken from. It prints as a JSON pointer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'p> {
    Root,
    Member(&'p Place<'p>, &'p str),
    Index(&'p Place<'p>, usize),
}

impl Place<'_> {
    pub fn member<'p>(&'p self, name: &'p str) -> Place<'p> {
        Place::Member(self, name)
    }

    pub fn index(&self, index: usize) -> Place<'_> {
        Place::Index(self, index)
    }

    pub fn refuse(&self, reason: Refusal) -> DocumentError {
        DocumentError::Refused { pointer: self.to_string(), reason }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(parent, name) => write!(f, "{parent}/{}", name.replace('~', "~0").replace('/', "~1")),
            Self::Index(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}

/// How many levels may still be entered.
#[derive(Clone, Copy)]
struct Depth(usize);

impl Depth {
    fn enter<E: serde::de::Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom(TOO_DEEP))
    }
}

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Node, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        serde_json::Number::from_f64(value).map(Node::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let inner = self.enter()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let inner = self.enter()?;
        let mut members = Vec::new();
        while let Some(name) = entries.next_key::<String>()? {
            members.push((name, entries.next_value_seed(inner)?));
        }
        Ok(Node::Object(members))
    }
}
