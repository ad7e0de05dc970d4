//! The kinds of values: how each is written, read, and written out again.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::Url;

use super::host;
use super::quantity::{format_duration, format_size, parse_duration, parse_size};
use super::reader::Reader;
use super::secret::{REDACTED, Secret};
use super::section::{Declaration, Shape};
use super::tree::{Node, Value};
use super::written::Written;

/// Values of type `T`, written in one way.
pub struct Kind<T: 'static> {
    pub shape: Shape,
    read: Read<T>,
    write: fn(&T) -> Written,
}

enum Read<T: 'static> {
    Value(fn(&Given<'_>) -> Result<T, String>),
    /// From a text that is not empty.
    Text(fn(&str) -> Result<T, String>),
}

/// A value under a key, as it was written.
pub struct Given<'a> {
    shape: Shape,
    node: &'a Node,
    reader: &'a Reader<'a>,
}

/// A closed list of values, each with its word.
pub trait Choice: Copy + PartialEq + 'static {
    /// In the order of `VALUES`.
    const WORDS: &'static [&'static str];
    const VALUES: &'static [Self];

    fn word(self) -> &'static str {
        let mut words = Self::VALUES.iter().zip(Self::WORDS);
        words.find(|(value, _)| **value == self).map_or("", |(_, word)| word)
    }
}

/// An enum whose values are words of the configuration.
macro_rules! choice {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $value:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $value,)* }

        impl $crate::config::reading::Choice for $name {
            const WORDS: &'static [&'static str] = &[$($word),*];
            const VALUES: &'static [Self] = &[$(Self::$value),*];
        }
    };
}
pub(in crate::config) use choice;

/// A window may be this long: ten years. It keeps sums with the clock in range.
pub const MAX_WINDOW: Duration = Duration::from_secs(10 * 365 * 86_400);
const MAX_TIMEOUT: Duration = Duration::from_secs(86_400);

pub const FLAG: Kind<bool> = Kind::of(Shape::Flag, flag, |flag| Written::Flag(*flag));
/// A flag that is printed only where it is set.
pub const SELDOM: Kind<bool> = FLAG.writing(|flag| if *flag { Written::Flag(true) } else { Written::Nothing });
pub const TEXT: Kind<String> = Kind::parsed(Shape::Text, |text| Ok(text.to_owned()));
pub const SECRET: Kind<Secret> = Kind::parsed(Shape::Secret, |text| Ok(Secret::new(text)));
/// A path, not yet looked at.
pub const PATH: Kind<PathBuf> = Kind::of(Shape::Path, path, |path| Written::text(path.display()));
pub const WINDOW: Kind<Duration> = Kind::of(Shape::Window, duration, write_duration);
pub const TIMEOUT: Kind<Duration> = Kind::of(Shape::Timeout, duration, write_duration);

// The elements of lists.
pub const TEXTS: Kind<String> = Kind::parsed(Shape::Texts, |text| Ok(text.to_owned()));
pub const HOSTS: Kind<String> = Kind::parsed(Shape::Hosts, host::parse_host);
pub const URLS: Kind<Url> = Kind::parsed(Shape::Urls, host::parse_url);
pub const ADDRESSES: Kind<SocketAddr> = Kind::parsed(Shape::Addresses, parse_address);
pub const NETWORKS: Kind<IpNet> = Kind::parsed(Shape::Networks, parse_network);

/// A whole number between two bounds, which the type must hold.
pub const fn count<N: TryFrom<u64> + Copy>(min: u64, max: u64) -> Kind<N>
where
    u64: TryFrom<N>,
{
    Kind::of(Shape::Count { min, max }, read_count, |number| Written::Number(wide(*number)))
}

/// Bytes between two bounds, which the type must hold.
pub const fn size<N: TryFrom<u64> + Copy>(min: u64, max: u64) -> Kind<N>
where
    u64: TryFrom<N>,
{
    Kind::of(Shape::Size { min, max }, read_size, |bytes| Written::text(format_size(wide(*bytes))))
}

pub const fn choice_of<T: Choice>() -> Kind<T> {
    Kind::of(Shape::Choice(T::WORDS), read_choice, |value| Written::text(value.word()))
}

impl<T> Kind<T> {
    pub const fn of(shape: Shape, read: fn(&Given<'_>) -> Result<T, String>, write: fn(&T) -> Written) -> Self {
        Self { shape, read: Read::Value(read), write }
    }

    /// A text that means something, and is shown as that is.
    pub const fn parsed(shape: Shape, parse: fn(&str) -> Result<T, String>) -> Self
    where
        T: Display,
    {
        Self { shape, read: Read::Text(parse), write: |value| Written::text(value) }
    }

    /// A text that means something, and is written out in its own way.
    pub const fn written(shape: Shape, parse: fn(&str) -> Result<T, String>, write: fn(&T) -> Written) -> Self {
        Self { shape, read: Read::Text(parse), write }
    }

    /// The same values, written out in another way.
    pub const fn writing(self, write: fn(&T) -> Written) -> Self {
        Self { write, ..self }
    }

    /// Reads a value that stands under `key`, and tells what is wrong with it.
    pub fn read(&self, reader: &Reader<'_>, key: &Declaration, node: &Node) -> Option<T> {
        let given = Given { shape: self.shape, node, reader };
        let read = match &self.read {
            Read::Value(read) => read(&given),
            Read::Text(parse) => given.text().and_then(parse),
        };
        match read {
            Ok(value) => Some(value),
            Err(message) => {
                reader.context().report(&node.place, reader.key_path(key), message);
                None
            }
        }
    }

    pub fn write(&self, value: &T) -> Written {
        (self.write)(value)
    }
}

impl<'a> Given<'a> {
    pub fn value(&self) -> &'a Value {
        &self.node.value
    }

    pub fn text(&self) -> Result<&'a str, String> {
        match self.text_or_empty()? {
            text if matches!(self.shape, Shape::Secret) && (text == REDACTED || text.ends_with("://(secret)")) => {
                Err(format!("is {text}, which `config show` prints in place of a secret: write the secret itself"))
            }
            "" => Err("is empty".to_owned()),
            text if text.contains('\0') => Err("holds a zero byte".to_owned()),
            text => Ok(text),
        }
    }

    /// A text in which the empty one is a value, too.
    pub fn text_or_empty(&self) -> Result<&'a str, String> {
        match &self.node.value {
            Value::Text(text) => Ok(text),
            other => Err(wrong_type(other, "a text in quotes")),
        }
    }
}

fn flag(given: &Given<'_>) -> Result<bool, String> {
    match given.value() {
        Value::Flag(flag) => Ok(*flag),
        Value::Text(text) => Err(format!("{text:?} is neither true nor false")),
        other => Err(wrong_type(other, "true or false")),
    }
}

fn path(given: &Given<'_>) -> Result<PathBuf, String> {
    Ok(given.reader.context().resolve(&given.node.place, given.text()?))
}

pub fn read_choice<T: Choice>(given: &Given<'_>) -> Result<T, String> {
    let text = given.text()?;
    let mut choices = T::VALUES.iter().zip(T::WORDS);
    let chosen = choices.find(|(_, word)| **word == text).map(|(value, _)| *value);
    chosen.ok_or_else(|| format!("{text:?} is not one of {}", T::WORDS.join(", ")))
}

fn read_size<N: TryFrom<u64>>(given: &Given<'_>) -> Result<N, String> {
    let bytes = match given.value() {
        Value::Integer(number) => u64::try_from(*number).map_err(|_| format!("{number} is less than nothing"))?,
        Value::Text(text) => parse_size(text)?,
        other => return Err(wrong_type(other, "a size such as \"50GiB\", or a whole number of bytes")),
    };
    match given.shape {
        Shape::Size { min, .. } if bytes < min => Err(format!("must be at least {}", format_size(min))),
        Shape::Size { max, .. } if bytes > max => Err(format!("must be at most {}", format_size(max))),
        _ => narrow(bytes),
    }
}

fn read_count<N: TryFrom<u64>>(given: &Given<'_>) -> Result<N, String> {
    let number = match given.value() {
        Value::Integer(number) => *number,
        other => return Err(wrong_type(other, "a whole number")),
    };
    match (u64::try_from(number), given.shape) {
        (Ok(count), Shape::Count { min, max }) if (min..=max).contains(&count) => narrow(count),
        (_, Shape::Count { min, max }) => Err(format!("{number} is not between {min} and {max}")),
        (count, _) => narrow(count.unwrap_or_default()),
    }
}

/// Bounds are such that this only fails on machines with narrower words.
fn narrow<N: TryFrom<u64>>(number: u64) -> Result<N, String> {
    N::try_from(number).map_err(|_| format!("{number} is more than this machine can count"))
}

fn wide<N>(number: N) -> u64
where
    u64: TryFrom<N>,
{
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn duration(given: &Given<'_>) -> Result<Duration, String> {
    let duration = match given.value() {
        Value::Text(text) => parse_duration(text)?,
        Value::Integer(number) => {
            return Err(format!("{number} has no unit: write \"{number}s\" for seconds"));
        }
        other => return Err(wrong_type(other, "a duration such as \"60s\"")),
    };
    match given.shape {
        Shape::Timeout if duration.is_zero() => Err("must be more than zero".to_owned()),
        Shape::Timeout if duration > MAX_TIMEOUT => Err("must be at most \"24h\"".to_owned()),
        _ if duration > MAX_WINDOW => Err("must be at most \"3650d\"".to_owned()),
        _ => Ok(duration),
    }
}

fn write_duration(duration: &Duration) -> Written {
    Written::Text(format_duration(*duration))
}

/// A network, or an address, which is a network of one.
fn parse_network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map(|network| network.trunc()).map_err(|_| {
        format!("{text:?} is no network: write an address and the length of its prefix, such as \"10.0.0.0/8\", or an address")
    })
}

pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let hint = match text.rsplit_once(':') {
            Some(("", port)) => format!("did you mean \"0.0.0.0:{port}\" or \"[::]:{port}\"?"),
            Some(("localhost", port)) => format!("did you mean \"127.0.0.1:{port}\"?"),
            Some(_) => "write an IP address and a port, such as \"127.0.0.1:5000\"".to_owned(),
            None => format!("the port is missing: write for instance \"{text}:5000\""),
        };
        format!("{text:?} is not an address to listen on: {hint}")
    })
}

fn wrong_type(value: &Value, wanted: &str) -> String {
    format!("is {} where {wanted} is needed", value.words())
}
