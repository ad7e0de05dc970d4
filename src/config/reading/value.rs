//! One value at a time: from what was written to what it means.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use reqwest::Url;

use super::host;
use super::key::{Key, Kind};
use super::quantity::{format_size, parse_duration, parse_size};
use super::tree::{Node, Value};

/// A window may be this long: ten years. It keeps sums with the clock in range.
pub const MAX_WINDOW: Duration = Duration::from_secs(10 * 365 * 86_400);
const MAX_TIMEOUT: Duration = Duration::from_secs(86_400);

/// What stands in place of a secret where settings are shown.
pub const REDACTED: &str = "(secret)";

pub fn text(key: &Key, value: &Value) -> Result<String, String> {
    match value {
        Value::Text(text)
            if matches!(key.kind, Kind::Secret) && (text == REDACTED || text.ends_with("://(secret)")) =>
        {
            Err(format!("is {text}, which `config show` prints in place of a secret: write the secret itself"))
        }
        Value::Text(text) if text.is_empty() => Err("is empty".to_owned()),
        Value::Text(text) if text.contains('\0') => Err("holds a zero byte".to_owned()),
        Value::Text(text) => Ok(text.clone()),
        other => Err(wrong_type(other, "a text in quotes")),
    }
}

/// A text in which the empty one is a value, too.
pub fn text_or_empty(_: &Key, value: &Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        other => Err(wrong_type(other, "a text in quotes")),
    }
}

pub fn flag(_: &Key, value: &Value) -> Result<bool, String> {
    match value {
        Value::Flag(flag) => Ok(*flag),
        Value::Text(text) => Err(format!("{text:?} is neither true nor false")),
        other => Err(wrong_type(other, "true or false")),
    }
}

pub fn choice(key: &Key, value: &Value) -> Result<&'static str, String> {
    let Kind::Choice(words) = &key.kind else { return Err("has no list of choices".to_owned()) };
    let words: &'static [&'static str] = words;
    let text = text(key, value)?;
    words
        .iter()
        .copied()
        .find(|word| *word == text)
        .ok_or_else(|| format!("{text:?} is not one of {}", words.join(", ")))
}

pub fn size(key: &Key, value: &Value) -> Result<u64, String> {
    let bytes = match value {
        Value::Integer(number) => u64::try_from(*number).map_err(|_| format!("{number} is less than nothing"))?,
        Value::Text(text) => parse_size(text)?,
        other => return Err(wrong_type(other, "a size such as \"50GiB\", or a whole number of bytes")),
    };
    match key.kind {
        Kind::Size { min, .. } if bytes < min => Err(format!("must be at least {}", format_size(min))),
        Kind::Size { max, .. } if bytes > max => Err(format!("must be at most {}", format_size(max))),
        _ => Ok(bytes),
    }
}

pub fn count(key: &Key, value: &Value) -> Result<u64, String> {
    let number = match value {
        Value::Integer(number) => *number,
        other => return Err(wrong_type(other, "a whole number")),
    };
    let Kind::Count { min, max } = key.kind else { return Err("has no bounds".to_owned()) };
    match u64::try_from(number) {
        Ok(count) if (min..=max).contains(&count) => Ok(count),
        _ => Err(format!("{number} is not between {min} and {max}")),
    }
}

pub fn duration(key: &Key, value: &Value) -> Result<Duration, String> {
    let duration = match value {
        Value::Text(text) => parse_duration(text)?,
        Value::Integer(number) => {
            return Err(format!("{number} has no unit: write \"{number}s\" for seconds"));
        }
        other => return Err(wrong_type(other, "a duration such as \"60s\"")),
    };
    match key.kind {
        Kind::Timeout if duration.is_zero() => Err("must be more than zero".to_owned()),
        Kind::Timeout if duration > MAX_TIMEOUT => Err("must be at most \"24h\"".to_owned()),
        _ if duration > MAX_WINDOW => Err("must be at most \"3650d\"".to_owned()),
        _ => Ok(duration),
    }
}

pub fn host(key: &Key, node: &Node) -> Result<String, String> {
    host::parse_host(&text(key, &node.value)?)
}

pub fn url(key: &Key, node: &Node) -> Result<Url, String> {
    host::parse_url(&text(key, &node.value)?)
}

pub fn element(key: &Key, node: &Node) -> Result<String, String> {
    text(key, &node.value)
}

pub fn address(key: &Key, node: &Node) -> Result<SocketAddr, String> {
    parse_address(&text(key, &node.value)?)
}

/// A network, or an address, which is a network of one.
pub fn network(key: &Key, node: &Node) -> Result<IpNet, String> {
    let text = text(key, &node.value)?;
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
