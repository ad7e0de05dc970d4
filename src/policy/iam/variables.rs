//! Policy variables: `${aws:username}`, `${aws:PrincipalTag/team, 'none'}`, and `${*}`, `${?}`, `${$}` for those characters.
//!
//! A text without variables is compiled to a pattern once. One with variables is woven anew for each question. What a variable stands
//! for is always literal: a star in a tag's value is no wildcard. A variable stands for the one value of its key; where the key has none
//! or several and no default is written, the text that holds the variable matches nothing.

use std::borrow::Cow;

use super::context::lower_key;
use super::error::Refusal;
use super::pattern::{Pattern, encode, glob};
use super::question::Question;

/// Most texts are an ARN.
const LIKELY_BYTES: usize = 128;

/// How the literal parts of a text are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Exact,
    /// Compared without case; the other side is in lower case.
    Folded,
    /// `*` and `?` are wildcards.
    Wild,
}

#[derive(Clone, Debug)]
pub(super) enum Template {
    Fixed(Pattern),
    Woven(Woven),
}

#[derive(Clone, Debug)]
pub(super) struct Woven {
    parts: Box<[Part]>,
    folded: bool,
}

#[derive(Clone, Debug)]
enum Part {
    Code(Vec<u8>),
    Variable { key: Box<str>, default: Option<Box<str>> },
}

/// A text taken apart, before it is known what it will be compared with.
#[derive(Clone, Debug)]
pub(super) enum Read {
    Code(Vec<u8>),
    Woven(Woven),
}

/// A variable as it is written: the key, in lower case, and whether a text stands in where the key has no value.
pub(super) type Variable<'a> = (&'a str, bool);

impl Template {
    /// Without `variables` a `${` is text, as in documents of 2008.
    pub fn parse(text: &str, style: Style, variables: bool) -> Result<Self, Refusal> {
        Ok(match read(text, style, variables)? {
            Read::Code(code) => Self::Fixed(Pattern::of_code(code)),
            Read::Woven(woven) => Self::Woven(woven),
        })
    }

    pub fn matches(&self, text: &str, question: &Question<'_>) -> bool {
        match self {
            Self::Fixed(pattern) => pattern.matches(text),
            Self::Woven(woven) => woven.resolve(question).is_some_and(|code| glob(&code, text)),
        }
    }

    /// As [`Pattern::reaches`]. What a variable stands for that nobody knows matches some of them.
    pub fn reaches(&self, stem: &str, all: bool, question: &Question<'_>) -> bool {
        match self {
            Self::Fixed(pattern) => pattern.reaches(stem, all),
            Self::Woven(woven) if woven.is_unknown(question) => !all,
            Self::Woven(woven) => woven.resolve(question).is_some_and(|code| Pattern::of_code(code).reaches(stem, all)),
        }
    }

    pub fn variables(&self) -> Vec<Variable<'_>> {
        match self {
            Self::Fixed(_) => Vec::new(),
            Self::Woven(woven) => woven.variables(),
        }
    }

    pub fn is_unknown(&self, question: &Question<'_>) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::Woven(woven) => woven.is_unknown(question),
        }
    }

    /// Whether every variable has a value.
    pub fn resolves(&self, question: &Question<'_>) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::Woven(woven) => woven.resolve(question).is_some(),
        }
    }
}

impl Woven {
    pub fn variables(&self) -> Vec<Variable<'_>> {
        let parts = self.parts.iter();
        let variables = parts.filter_map(|part| match part {
            Part::Variable { key, default } => Some((&**key, default.is_some())),
            Part::Code(_) => None,
        });
        variables.collect()
    }

    /// Whether nobody knows yet what one of its variables stands for.
    pub fn is_unknown(&self, question: &Question<'_>) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Variable { key, .. } if question.is_unknown(key)))
    }

    /// The code of the text with values in place of the variables.
    pub fn resolve(&self, question: &Question<'_>) -> Option<Vec<u8>> {
        let mut code = Vec::with_capacity(LIKELY_BYTES);
        for part in &self.parts {
            match part {
                Part::Code(part) => code.extend_from_slice(part),
                Part::Variable { key, default } => {
                    let found = question.values(key);
                    let value = match (found.as_slice(), default) {
                        ([value], _) => value.text(),
                        ([], Some(default)) => Cow::Borrowed(&**default),
                        _ => return None,
                    };
                    let value = if self.folded { Cow::Owned(value.to_lowercase()) } else { value };
                    code.extend_from_slice(value.as_bytes());
                }
            }
        }
        Some(code)
    }
}

pub(super) fn read(text: &str, style: Style, variables: bool) -> Result<Read, Refusal> {
    let literal = |text: &str| match style {
        Style::Exact => text.as_bytes().to_vec(),
        Style::Folded => text.to_lowercase().into_bytes(),
        Style::Wild => encode(text),
    };
    if !variables {
        return Ok(Read::Code(literal(text)));
    }
    let refused = |what| Refusal::Variable { value: text.to_owned(), what };
    let mut parts = Vec::new();
    let mut code = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        code.extend(literal(before));
        let (inside, after) = after.split_once('}').ok_or_else(|| refused("not closed"))?;
        rest = after;
        match inside {
            "*" | "?" | "$" => code.extend_from_slice(inside.as_bytes()),
            _ => {
                parts.push(Part::Code(std::mem::take(&mut code)));
                parts.push(variable(inside).map_err(refused)?);
            }
        }
    }
    code.extend(literal(rest));
    if parts.is_empty() {
        return Ok(Read::Code(code));
    }
    parts.push(Part::Code(code));
    Ok(Read::Woven(Woven { parts: parts.into(), folded: style == Style::Folded }))
}

fn variable(inside: &str) -> Result<Part, &'static str> {
    let (key, default) = match inside.split_once(',') {
        None => (inside, None),
        Some((key, default)) => {
            let quoted = default.trim().strip_prefix('\'').and_then(|default| default.strip_suffix('\''));
            (key, Some(quoted.ok_or("followed by a default without single quotes")?))
        }
    };
    let key = key.trim();
    if key.is_empty() {
        return Err("empty");
    }
    if !key.contains(':') {
        return Err("no condition key");
    }
    if key.chars().any(|c| matches!(c, '$' | '{' | '*' | '?' | '\'') || c.is_control()) {
        return Err("no condition key");
    }
    Ok(Part::Variable { key: lower_key(key.into()).into(), default: default.map(Into::into) })
}
