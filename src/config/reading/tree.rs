//! The text of a configuration as a tree of values that know where they stand, before they mean anything.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};

#[derive(Clone, Debug)]
pub struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub enum Value {
    Text(String),
    Integer(i64),
    Flag(bool),
    List(Vec<Node>),
    Table(Table),
    /// TOML that no key takes; named in words.
    Other(&'static str),
}

pub type Table = BTreeMap<String, Entry>;

/// A key with its value. They stand in different places.
#[derive(Clone, Debug)]
pub struct Entry {
    pub place: Place,
    pub node: Node,
}

impl Value {
    /// In words, for messages.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(words) => words,
        }
    }

    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Node {
    pub fn new(place: Place, value: Value) -> Self {
        Self { place, value }
    }
}

impl Entry {
    pub fn new(place: Place, value: Value) -> Self {
        Self { place: place.clone(), node: Node { place, value } }
    }
}

/// Mistakes of a document as TOML.
pub struct Malformed {
    pub problems: Vec<Problem>,
    /// A key is there twice, but everything has been read; what is wrong with the values can be told, too.
    pub readable: bool,
}

/// Reads a whole document.
pub fn parse(text: &str) -> (Table, Malformed) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let lines = Lines::of(text);
    let readable = errors.iter().all(|error| error.message().starts_with("duplicate key"));
    let mut problems: Vec<Problem> = errors
        .iter()
        .map(|error| Problem {
            place: error.span().map_or(Place::File, |span| lines.place_at(span.start)),
            key: String::new(),
            message: format!("is not TOML here: {}", error.message()),
        })
        .collect();
    // Further errors on a line follow from the first.
    problems
        .dedup_by(|second, first| matches!((line(&first.place), line(&second.place)), (Some(a), Some(b)) if a == b));
    (convert_table(&lines, table.get_ref()), Malformed { problems, readable })
}

fn line(place: &Place) -> Option<usize> {
    match place {
        Place::Line { line, .. } => Some(*line),
        _ => None,
    }
}

/// Reads one value, for defaults.
pub fn parse_value(text: &str) -> Option<Value> {
    let value = DeValue::parse(text).ok()?;
    Some(without_place(convert(&Lines::of(text), &value)).value)
}

fn without_place(node: Node) -> Node {
    let value = match node.value {
        Value::List(nodes) => Value::List(nodes.into_iter().map(without_place).collect()),
        other => other,
    };
    Node::new(Place::BuiltIn, value)
}

fn convert_table(lines: &Lines<'_>, table: &DeTable<'_>) -> Table {
    table
        .iter()
        .map(|(key, value)| {
            let place = lines.place_at(key.span().start);
            (key.get_ref().to_string(), Entry { place, node: convert(lines, value) })
        })
        .collect()
}

fn convert(lines: &Lines<'_>, value: &Spanned<DeValue<'_>>) -> Node {
    let converted = match value.get_ref() {
        DeValue::String(string) => Value::text(string),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other("a number that is too large"),
        },
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Float(_) => Value::Other("a fraction"),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(nodes) => Value::List(nodes.iter().map(|node| convert(lines, node)).collect()),
        DeValue::Table(table) => Value::Table(convert_table(lines, table)),
    };
    Node::new(lines.place_at(value.span().start), converted)
}

/// Where the lines of a text begin, so that a place is found without reading the text again.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

/// In a line longer than this, a column counts bytes; nobody counts characters there.
const LONG_LINE_BYTES: usize = 4096;

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let after_newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(index, _)| index + 1);
        Self { text, starts: std::iter::once(0).chain(after_newlines).collect() }
    }

    fn place_at(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = match self.text.get(start..offset) {
            Some(before) if before.len() <= LONG_LINE_BYTES => before.chars().count(),
            _ => offset.saturating_sub(start),
        };
        Place::Line { line, column: column + 1 }
    }
}
