//! When a statement holds: every operator and every key of it must.
//!
//! A key that the request lacks is no match, so a plain operator fails and a negated one holds; `IfExists` makes both hold.
//! `ForAllValues:` holds for a key without values and `ForAnyValue:` does not, whatever their suffix. Without either, several values of
//! the request are asked like `ForAnyValue:` by a plain operator, and a negated one wants that none of them matches.
//!
//! A value whose policy variable has no value matches nothing, so a negated operator holds on it, as AWS documents.
//!
//! *Never* here: where a key's values come from.

mod operand;
mod operator;

use operand::Operand;
use operator::{Operator, Quantifier, Test};

use super::context::lower_key;
use super::error::{DocumentError, Refusal};
use super::json::{Node, Place};
use super::keys::{self, Values};
use super::question::Question;
use super::variables::Variable;

/// One operator on one key.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    operator: Operator,
    /// In lower case.
    key: Box<str>,
    written_operator: Box<str>,
    written_key: Box<str>,
    operand: Operand,
    /// One of the values is written as a network is.
    has_network: bool,
}

pub(super) fn parse(node: &Node, place: &Place<'_>, variables: bool) -> Result<Box<[Condition]>, DocumentError> {
    let mut conditions = Vec::new();
    for (written_operator, keys) in node.members(place)? {
        let place = place.member(written_operator);
        let operator = Operator::parse(written_operator).map_err(|reason| place.refuse(reason))?;
        let keys = keys.members(&place)?;
        if keys.is_empty() {
            return Err(place.refuse(Refusal::Empty("condition key")));
        }
        for (key, values) in keys {
            let place = place.member(key);
            if !key.split_once(':').is_some_and(|(prefix, name)| !prefix.is_empty() && !name.is_empty()) {
                return Err(place.refuse(Refusal::ConditionKey(key.to_owned())));
            }
            conditions.push(Condition {
                operator,
                key: lower_key(key.into()).into(),
                written_operator: written_operator.as_str().into(),
                written_key: key.as_str().into(),
                operand: Operand::parse(operator.test, values, &place, variables)?,
                has_network: has_network(values),
            });
        }
    }
    Ok(conditions.into())
}

fn has_network(values: &Node) -> bool {
    match values {
        Node::Text(text) => text.contains('/'),
        Node::List(list) => list.iter().any(has_network),
        _ => false,
    }
}

impl Condition {
    /// `doubtful` is the answer where nobody knows the values.
    pub fn holds(&self, question: &Question<'_>, doubtful: bool) -> bool {
        if question.is_unknown(&self.key) || self.operand.is_unknown(question) {
            return doubtful;
        }
        let Operator { quantifier, negated, .. } = self.operator;
        let found = question.values(&self.key);
        let values = found.as_slice();
        if let Operand::Absent(wanted) = &self.operand {
            return wanted.contains(&values.is_empty());
        }
        let matches = |value| self.operand.matches(value, question);
        match (quantifier, values) {
            (_, []) => self.operator.on_nothing(),
            (Quantifier::Plain, values) => values.iter().any(matches) != negated,
            (Quantifier::All, values) => values.iter().all(|value| matches(value) != negated),
            (Quantifier::Any, values) => values.iter().any(|value| matches(value) != negated),
        }
    }

    /// Whether it holds for a request without the key.
    pub fn on_nothing(&self) -> bool {
        match &self.operand {
            Operand::Absent(wanted) => wanted.contains(&true),
            _ => self.operator.on_nothing(),
        }
    }

    /// Operators that the key's values can be compared by, where this one compares nothing: a network is no text, and a time no address.
    pub fn wanted_operators(&self) -> Option<&'static str> {
        let test = self.operator.test;
        let is_text = matches!(test, Test::Text | Test::TextLike | Test::TextIgnoringCase);
        let (is_right, wanted) = match keys::values(&self.key) {
            Values::Text => return None,
            Values::Address => {
                let is_address = is_text && !self.has_network;
                (test == Test::Address || is_address, "IpAddress or NotIpAddress")
            }
            Values::Time => (matches!(test, Test::Date(_) | Test::Number(_)), "DateLessThan or another Date operator"),
            Values::Truth => (test == Test::Bool || is_text, "Bool"),
        };
        (!is_right && test != Test::Absent).then_some(wanted)
    }

    /// Whether its values are those that must not be.
    pub const fn is_negated(&self) -> bool {
        self.operator.negated
    }

    pub fn variables(&self) -> Vec<Variable<'_>> {
        self.operand.variables()
    }

    pub fn written_operator(&self) -> &str {
        &self.written_operator
    }

    pub fn written_key(&self) -> &str {
        &self.written_key
    }

    /// The request's values of the key.
    pub fn seen(&self, question: &Question<'_>) -> Vec<String> {
        question.values(&self.key).as_slice().iter().map(|value| value.text().into_owned()).collect()
    }
}
