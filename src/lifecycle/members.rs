//! Members of an object of the policy, read with the checks of a JSON schema and the place for the message.

use std::collections::BTreeMap;

use super::error::{PolicyError, Problem, shortened};
use super::json::Node;

/// ECR reads numbers into 32 bits.
const MAX_INTEGER: u64 = i32::MAX.unsigned_abs() as u64;

#[derive(Debug)]
pub(super) struct Members<'n> {
    place: String,
    members: &'n BTreeMap<String, Node>,
}

impl<'n> Members<'n> {
    /// Fails unless `node` is an object with all required members and no others than the optional ones.
    pub fn read(
        node: &'n Node,
        place: &str,
        required: &[&'static str],
        optional: &[&str],
    ) -> Result<Self, PolicyError> {
        let Node::Object(members) = node else {
            return Err(wrong_type(node, "object").at(place));
        };
        let missing: Vec<&str> = required.iter().copied().filter(|name| !members.contains_key(*name)).collect();
        if !missing.is_empty() {
            return Err(Problem::MissingMembers(missing).at(place));
        }
        let is_known = |name: &str| required.contains(&name) || optional.contains(&name);
        let unknown: Vec<String> = members.keys().filter(|name| !is_known(name)).cloned().collect();
        if !unknown.is_empty() {
            return Err(Problem::UnknownMembers(unknown).at(place));
        }
        Ok(Self { place: place.to_owned(), members })
    }

    pub fn place(&self) -> &str {
        &self.place
    }

    pub fn place_of(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    pub fn node(&self, name: &str) -> Option<&'n Node> {
        self.members.get(name)
    }

    pub fn text(&self, name: &'static str) -> Result<Option<&'n str>, PolicyError> {
        let Some(node) = self.node(name) else { return Ok(None) };
        as_text(node, &self.place_of(name)).map(Some)
    }

    pub fn flag(&self, name: &'static str) -> Result<Option<bool>, PolicyError> {
        match self.node(name) {
            None => Ok(None),
            Some(Node::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(wrong_type(other, "boolean").at(&self.place_of(name))),
        }
    }

    pub fn integer(&self, name: &'static str, minimum: u64) -> Result<Option<u64>, PolicyError> {
        let Some(node) = self.node(name) else { return Ok(None) };
        let place = self.place_of(name);
        let Node::Number(number) = node else { return Err(wrong_type(node, "integer").at(&place)) };
        if number.is_f64() {
            return Err(wrong_type(node, "integer").at(&place));
        }
        let found = number.to_string();
        match number.as_u64() {
            Some(value) if value > MAX_INTEGER => Err(Problem::TooHigh { maximum: MAX_INTEGER, found }.at(&place)),
            Some(value) if value >= minimum => Ok(Some(value)),
            _ => Err(Problem::TooLow { minimum, found }.at(&place)),
        }
    }

    /// One of a closed set of words; an absent member is the problem of whoever asks.
    pub fn word<T: Copy>(&self, name: &'static str, words: &[(&'static str, T)]) -> Result<Option<T>, PolicyError> {
        let Some(found) = self.text(name)? else { return Ok(None) };
        let known = words.iter().find(|(word, _)| *word == found).map(|(_, meaning)| *meaning);
        known.map(Some).ok_or_else(|| {
            let known = words.iter().map(|(word, _)| *word).collect();
            Problem::UnknownWord { found: found.to_owned(), known }.at(&self.place_of(name))
        })
    }

    pub fn list(&self, name: &'static str, maximum: usize) -> Result<Option<&'n [Node]>, PolicyError> {
        let Some(node) = self.node(name) else { return Ok(None) };
        let place = self.place_of(name);
        match node {
            Node::List(items) if items.len() > maximum => {
                Err(Problem::TooManyItems { maximum, found: items.len() }.at(&place))
            }
            Node::List(items) => Ok(Some(items)),
            other => Err(wrong_type(other, "array").at(&place)),
        }
    }

    /// Strings that are not empty, each once.
    pub fn texts(&self, name: &'static str, maximum: usize) -> Result<Option<Vec<&'n str>>, PolicyError> {
        let Some(items) = self.list(name, maximum)? else { return Ok(None) };
        let place = self.place_of(name);
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let place = format!("{place}[{index}]");
            match as_text(item, &place)? {
                "" => return Err(Problem::EmptyText.at(&place)),
                text => texts.push(text),
            }
        }
        let mut sorted = texts.clone();
        sorted.sort_unstable();
        match sorted.windows(2).find_map(|pair| pair.first().filter(|first| pair.last() == Some(first))) {
            Some(twice) => {
                Err(Problem::DuplicateItems.at(&place).hint(format!("\"{}\" is there twice", shortened(twice))))
            }
            None => Ok(Some(texts)),
        }
    }
}

fn as_text<'n>(node: &'n Node, place: &str) -> Result<&'n str, PolicyError> {
    if let Node::Text(text) = node { Ok(text) } else { Err(wrong_type(node, "string").at(place)) }
}

fn wrong_type(node: &Node, allowed: &'static str) -> Problem {
    Problem::WrongType { found: node.type_name(), allowed }
}
