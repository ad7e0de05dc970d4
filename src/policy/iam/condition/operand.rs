//! The values of a condition, compiled for their operator, and the comparison with one value of the request.
//!
//! Several values are alternatives. A value of the request that cannot be read as what the operator compares matches none of them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::arn::ArnPattern;
use super::super::context::Value;
use super::super::error::{DocumentError, Refusal};
use super::super::json::{Node, Place};
use super::super::moment::Moment;
use super::super::question::Question;
use super::super::variables::{self, Read, Style, Template, Variable};
use super::operator::{Order, Test};

#[derive(Clone, Debug)]
pub(super) enum Operand {
    Texts(Vec<Template>),
    FoldedTexts(Vec<Template>),
    Numbers(Order, Vec<f64>),
    Dates(Order, Vec<Moment>),
    Bools(Vec<bool>),
    Binaries(Vec<Box<str>>),
    Networks(Vec<IpNet>),
    Arns(Vec<ArnPattern>),
    /// For each value, whether the key is to be absent.
    Absent(Vec<bool>),
}

impl Operand {
    pub fn parse(test: Test, node: &Node, place: &Place<'_>, variables: bool) -> Result<Self, DocumentError> {
        let texts = |style| values(node, place, |text| Template::parse(text, style, variables));
        let bools = || values(node, place, |text| plain(text, variables, truth, Refusal::Bool));
        Ok(match test {
            Test::Text => Self::Texts(texts(Style::Exact)?),
            Test::TextLike => Self::Texts(texts(Style::Wild)?),
            Test::TextIgnoringCase => Self::FoldedTexts(texts(Style::Folded)?),
            Test::Number(order) => {
                Self::Numbers(order, values(node, place, |text| plain(text, variables, number, Refusal::Number))?)
            }
            Test::Date(order) => {
                Self::Dates(order, values(node, place, |text| plain(text, variables, Moment::parse, Refusal::Date))?)
            }
            Test::Bool => Self::Bools(bools()?),
            Test::Binary => {
                Self::Binaries(values(node, place, |text| plain(text, variables, base64, Refusal::Binary))?)
            }
            Test::Address => {
                Self::Networks(values(node, place, |text| plain(text, variables, network, Refusal::Network))?)
            }
            Test::Arn => Self::Arns(values(node, place, |text| arn(text, variables))?),
            Test::Absent => Self::Absent(bools()?),
        })
    }

    pub fn matches(&self, value: &Value<'_>, question: &Question<'_>) -> bool {
        match self {
            Self::Texts(templates) => {
                let text = value.text();
                templates.iter().any(|template| template.matches(&text, question))
            }
            Self::FoldedTexts(templates) => {
                let text = value.text().to_lowercase();
                templates.iter().any(|template| template.matches(&text, question))
            }
            Self::Numbers(order, wanted) => {
                number_of(value).is_some_and(|found| wanted.iter().any(|wanted| order.holds(found, *wanted)))
            }
            Self::Dates(order, wanted) => {
                moment_of(value).is_some_and(|found| wanted.iter().any(|wanted| order.holds(found, *wanted)))
            }
            Self::Bools(wanted) => truth(&value.text()).is_some_and(|found| wanted.contains(&found)),
            Self::Binaries(wanted) => wanted.iter().any(|wanted| **wanted == *value.text()),
            Self::Networks(wanted) => {
                address_of(value).is_some_and(|found| wanted.iter().any(|wanted| wanted.contains(&found)))
            }
            Self::Arns(wanted) => {
                let text = value.text();
                wanted.iter().any(|wanted| wanted.matches(&text, question))
            }
            Self::Absent(_) => false,
        }
    }
}

impl Operand {
    /// Whether nobody knows yet what a variable in it stands for.
    pub fn is_unknown(&self, question: &Question<'_>) -> bool {
        match self {
            Self::Texts(templates) | Self::FoldedTexts(templates) => {
                templates.iter().any(|template| template.is_unknown(question))
            }
            Self::Arns(arns) => {
                arns.iter().any(|arn| matches!(arn, ArnPattern::Woven(woven) if woven.is_unknown(question)))
            }
            Self::Numbers(..)
            | Self::Dates(..)
            | Self::Bools(_)
            | Self::Binaries(_)
            | Self::Networks(_)
            | Self::Absent(_) => false,
        }
    }
}

impl Operand {
    pub fn variables(&self) -> Vec<Variable<'_>> {
        match self {
            Self::Texts(templates) | Self::FoldedTexts(templates) => {
                templates.iter().flat_map(Template::variables).collect()
            }
            Self::Arns(arns) => arns
                .iter()
                .flat_map(|arn| match arn {
                    ArnPattern::Woven(woven) => woven.variables(),
                    _ => Vec::new(),
                })
                .collect(),
            Self::Numbers(..)
            | Self::Dates(..)
            | Self::Bools(_)
            | Self::Binaries(_)
            | Self::Networks(_)
            | Self::Absent(_) => Vec::new(),
        }
    }
}

/// Reads each value as text: JSON's own numbers and truth values are as good as quoted ones.
fn values<T>(
    node: &Node,
    place: &Place<'_>,
    read: impl Fn(&str) -> Result<T, Refusal>,
) -> Result<Vec<T>, DocumentError> {
    let mut list = Vec::new();
    node.each(place, "value", &mut |node, place| {
        let value = match node {
            Node::Text(text) => read(text),
            Node::Bool(value) => read(if *value { "true" } else { "false" }),
            Node::Number(number) => read(&number.to_string()),
            other => Err(Refusal::WrongType { found: other.type_name(), wanted: "a string or a list of strings" }),
        };
        list.push(value.map_err(|reason| place.refuse(reason))?);
        Ok(())
    })?;
    Ok(list)
}

/// A value of an operator that takes no variables.
fn plain<T>(
    text: &str,
    variables: bool,
    read: impl Fn(&str) -> Option<T>,
    refusal: impl Fn(String) -> Refusal,
) -> Result<T, Refusal> {
    if variables && text.contains("${") {
        return Err(Refusal::VariableNotHere(text.to_owned()));
    }
    read(text).ok_or_else(|| refusal(text.to_owned()))
}

fn arn(text: &str, variables: bool) -> Result<ArnPattern, Refusal> {
    match variables::read(text, Style::Wild, variables)? {
        Read::Code(code) => ArnPattern::of_code(&code).ok_or_else(|| Refusal::Arn(text.to_owned())),
        Read::Woven(woven) => Ok(ArnPattern::Woven(woven)),
    }
}

fn number_of(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Number(found) => Some(*found),
        other => number(&other.text()),
    }
}

fn moment_of(value: &Value<'_>) -> Option<Moment> {
    match value {
        Value::Time(found) => Some(*found),
        other => Moment::parse(&other.text()),
    }
}

fn address_of(value: &Value<'_>) -> Option<IpAddr> {
    match value {
        Value::Address(found) => Some(*found),
        other => other.text().parse().ok().map(|address: IpAddr| address.to_canonical()),
    }
}

/// `f64::from_str` also takes words such as `inf`.
fn number(text: &str) -> Option<f64> {
    let written = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse().ok().filter(|number: &f64| written && number.is_finite())
}

fn truth(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Bytes are compared in their encoding, of which there is one for each.
fn base64(text: &str) -> Option<Box<str>> {
    let body = text.trim_end_matches('=');
    let alphabet = body.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
    let padded = text.len().is_multiple_of(4) && text.len() - body.len() <= 2;
    if alphabet && padded { Some(text.into()) } else { None }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse().ok().map(|address: IpAddr| IpNet::from(address)))
}
