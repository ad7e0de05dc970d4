//! The names of condition operators: `[ForAllValues:|ForAnyValue:]Name[IfExists]`.

use super::super::error::Refusal;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Operator {
    pub quantifier: Quantifier,
    pub test: Test,
    pub negated: bool,
    pub if_exists: bool,
}

/// How several values of the request are taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Quantifier {
    Plain,
    All,
    Any,
}

/// What is compared, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Test {
    Text,
    TextIgnoringCase,
    TextLike,
    Number(Order),
    Date(Order),
    Bool,
    Binary,
    Address,
    /// `ArnEquals` and `ArnLike` are the same.
    Arn,
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

const OPERATORS: [(&str, Test, bool); 27] = [
    ("StringEquals", Test::Text, false),
    ("StringNotEquals", Test::Text, true),
    ("StringEqualsIgnoreCase", Test::TextIgnoringCase, false),
    ("StringNotEqualsIgnoreCase", Test::TextIgnoringCase, true),
    ("StringLike", Test::TextLike, false),
    ("StringNotLike", Test::TextLike, true),
    ("NumericEquals", Test::Number(Order::Equal), false),
    ("NumericNotEquals", Test::Number(Order::Equal), true),
    ("NumericLessThan", Test::Number(Order::Less), false),
    ("NumericLessThanEquals", Test::Number(Order::LessOrEqual), false),
    ("NumericGreaterThan", Test::Number(Order::Greater), false),
    ("NumericGreaterThanEquals", Test::Number(Order::GreaterOrEqual), false),
    ("DateEquals", Test::Date(Order::Equal), false),
    ("DateNotEquals", Test::Date(Order::Equal), true),
    ("DateLessThan", Test::Date(Order::Less), false),
    ("DateLessThanEquals", Test::Date(Order::LessOrEqual), false),
    ("DateGreaterThan", Test::Date(Order::Greater), false),
    ("DateGreaterThanEquals", Test::Date(Order::GreaterOrEqual), false),
    ("Bool", Test::Bool, false),
    ("BinaryEquals", Test::Binary, false),
    ("IpAddress", Test::Address, false),
    ("NotIpAddress", Test::Address, true),
    ("ArnEquals", Test::Arn, false),
    ("ArnLike", Test::Arn, false),
    ("ArnNotEquals", Test::Arn, true),
    ("ArnNotLike", Test::Arn, true),
    ("Null", Test::Absent, false),
];

impl Operator {
    pub fn parse(written: &str) -> Result<Self, Refusal> {
        let (quantifier, name) = match written.split_once(':') {
            Some(("ForAllValues", name)) => (Quantifier::All, name),
            Some(("ForAnyValue", name)) => (Quantifier::Any, name),
            Some(_) => return Err(unknown(written, "a prefix is ForAllValues: or ForAnyValue:".to_owned())),
            None => (Quantifier::Plain, written),
        };
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let Some(&(_, test, negated)) = OPERATORS.iter().find(|(known, _, _)| *known == name) else {
            let close = OPERATORS.iter().find(|(known, _, _)| known.eq_ignore_ascii_case(name));
            let hint = match close {
                Some((known, _, _)) => format!("write {known}"),
                None => format!("those are {}", OPERATORS.map(|(known, _, _)| known).join(", ")),
            };
            return Err(unknown(written, hint));
        };
        if test == Test::Absent && (if_exists || quantifier != Quantifier::Plain) {
            return Err(unknown(
                written,
                "Null takes no prefix and no suffix, as it already asks whether the key is there".to_owned(),
            ));
        }
        Ok(Self { quantifier, test, negated, if_exists })
    }

    /// The answer where the request has no such key. `Null` asks for that itself.
    pub const fn on_nothing(self) -> bool {
        match self.quantifier {
            Quantifier::Plain => self.if_exists || self.negated,
            Quantifier::All => true,
            Quantifier::Any => false,
        }
    }
}

fn unknown(written: &str, hint: String) -> Refusal {
    Refusal::Operator { name: written.to_owned(), hint }
}

impl Order {
    pub fn holds<T: PartialOrd>(self, found: T, wanted: T) -> bool {
        match self {
            Self::Equal => found == wanted,
            Self::Less => found < wanted,
            Self::LessOrEqual => found <= wanted,
            Self::Greater => found > wanted,
            Self::GreaterOrEqual => found >= wanted,
        }
    }
}
