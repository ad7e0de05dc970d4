//! What is known about a request beside who asks for what: condition keys and their values.
//!
//! Names are lower-cased once, when a value is added, since AWS compares them without case, the tag's key in `aws:ResourceTag/K`
//! included. A key without values counts as absent.
//!
//! Whoever fills a context bounds the length of what a client sent: comparing with a wildcard may cost the pattern's length times it.

use std::borrow::Cow;
use std::net::IpAddr;

use super::moment::Moment;

/// A value of the request. Operators read text as what they need, so a number may also come as text.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Text(Cow<'a, str>),
    Number(f64),
    Bool(bool),
    Address(IpAddr),
    Time(Moment),
}

/// A small set: looking up is a walk, which for the twenty keys of a request is faster than hashing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context<'a> {
    entries: Vec<(Cow<'a, str>, Values<'a>)>,
}

/// Most keys have one value, which then costs no allocation.
#[derive(Clone, Debug, PartialEq)]
enum Values<'a> {
    One([Value<'a>; 1]),
    Many(Vec<Value<'a>>),
}

impl<'a> Context<'a> {
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    pub fn with_capacity(keys: usize) -> Self {
        Self { entries: Vec::with_capacity(keys) }
    }

    /// Where a key is added twice, the first stands.
    pub fn add(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) {
        self.entries.push((lower_key(key.into()), Values::One([value.into()])));
    }

    /// Adds a key of many values, such as `aws:TagKeys`.
    pub fn add_all<V: Into<Value<'a>>>(&mut self, key: impl Into<Cow<'a, str>>, values: impl IntoIterator<Item = V>) {
        let values = values.into_iter().map(Into::into).collect();
        self.entries.push((lower_key(key.into()), Values::Many(values)));
    }

    pub fn with(mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) -> Self {
        self.add(key, value);
        self
    }

    /// In lower case.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(key, _)| &**key)
    }

    /// `key` is in lower case.
    pub(super) fn values(&self, key: &str) -> Option<&[Value<'a>]> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, values)| match values {
            Values::One(one) => one.as_slice(),
            Values::Many(many) => many,
        })
    }
}

impl Value<'_> {
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Number(number) => number.to_string().into(),
            Self::Bool(true) => "true".into(),
            Self::Bool(false) => "false".into(),
            Self::Address(address) => address.to_string().into(),
            Self::Time(time) => time.epoch_seconds().to_string().into(),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<IpAddr> for Value<'_> {
    /// An IPv4 address that came over an IPv6 socket is the IPv4 address.
    fn from(address: IpAddr) -> Self {
        Self::Address(address.to_canonical())
    }
}

impl From<Moment> for Value<'_> {
    fn from(time: Moment) -> Self {
        Self::Time(time)
    }
}

/// A condition key as it is compared.
pub(super) fn lower_key(key: Cow<'_, str>) -> Cow<'_, str> {
    let lower_already = key.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if lower_already { key } else { key.to_lowercase().into() }
}
