//! The one way to write a request down, so that both sides sign the same text.
//!
//! Lines: method, path, query, each signed header, an empty line, the signed headers' names, the payload's hash. The path is
//! normalized and then encoded once more than it already is; query parameters are sorted by their encoded name, then value.

use std::borrow::Cow;

use http::{HeaderMap, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode};

use super::refusal::Refusal;

const MAX_QUERY_BYTES: usize = 8 << 10;
const MAX_QUERY_PAIRS: usize = 256;
const MAX_PATH_BYTES: usize = 4 << 10;
pub(super) const MAX_CANONICAL_BYTES: usize = 64 << 10;

const PARAMETER: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &PARAMETER.remove(b'/');

/// All lines but the last, which is the payload's hash. `signed` is sorted and in lower case.
pub(super) fn canonical_head(
    method: &http::Method,
    uri: &Uri,
    headers: &HeaderMap,
    signed: &[String],
) -> Result<String, Refusal> {
    let mut lines = format!("{method}\n{}\n{}\n", canonical_path(uri.path())?, canonical_query(uri.query())?);
    for name in signed {
        lines.push_str(name);
        lines.push(':');
        push_header(&mut lines, name, uri, headers)?;
        lines.push('\n');
        if lines.len() > MAX_CANONICAL_BYTES {
            return Err(Refusal::Incomplete("the signed headers are too long"));
        }
    }
    lines.push('\n');
    lines.push_str(&signed.join(";"));
    lines.push('\n');
    Ok(lines)
}

/// A repeated header is one line, its values joined by commas in the order in which they came.
fn push_header(lines: &mut String, name: &str, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut values = headers.get_all(name).iter().peekable();
    if values.peek().is_none() {
        // HTTP/2 has `:authority` in the place of Host.
        let Some(authority) = uri.authority().filter(|_| name == "host") else {
            return Err(Refusal::HeaderAbsent(name.to_owned()));
        };
        lines.push_str(authority.as_str());
    }
    for (index, value) in values.enumerate() {
        if index > 0 {
            lines.push(',');
        }
        let text = str::from_utf8(value.as_bytes()).map_err(|_| Refusal::Incomplete("a signed header is not UTF-8"))?;
        let mut words = text.trim_matches([' ', '\t']).split(' ').filter(|word| !word.is_empty());
        lines.extend(words.next());
        for word in words {
            lines.push(' ');
            lines.push_str(word);
        }
    }
    Ok(())
}

/// Empty segments and `.` are taken out, `..` takes the segment before it along; `%` is encoded again.
fn canonical_path(path: &str) -> Result<String, Refusal> {
    if path.len() > MAX_PATH_BYTES {
        return Err(Refusal::Incomplete("the path is too long"));
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let end = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    Ok(format!("/{}{end}", utf8_percent_encode(&segments.join("/"), PATH)))
}

fn canonical_query(query: Option<&str>) -> Result<String, Refusal> {
    let query = query.unwrap_or_default();
    if query.len() > MAX_QUERY_BYTES {
        return Err(Refusal::Incomplete("the query is too long"));
    }
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .take(MAX_QUERY_PAIRS + 1)
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encode_again(name), encode_again(value)))
        .collect();
    if pairs.len() > MAX_QUERY_PAIRS {
        return Err(Refusal::Incomplete("the query has too many parameters"));
    }
    pairs.sort();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    Ok(pairs.join("&"))
}

/// What clients encode, and with which digits, differs; botocore signs `%20` and sends `+`.
fn encode_again(text: &str) -> String {
    let spaced = text.replace('+', " ");
    let decoded: Cow<'_, [u8]> = percent_decode_str(&spaced).into();
    percent_encode(&decoded, PARAMETER).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, canonical) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/..", "/"),
            ("/../..", "/"),
            ("/a/..", "/"),
            ("/a/../", "/"),
            ("/a/b/../..", "/"),
            ("/./a", "/a"),
            ("//a//", "/a/"),
            ("/a b/", "/a%20b/"),
            ("/a%20b", "/a%2520b"),
            ("/a/$delete", "/a/%24delete"),
            ("/-._~9Az", "/-._~9Az"),
            ("/\u{1234}", "/%E1%88%B4"),
        ] {
            assert_eq!(canonical_path(path).as_deref(), Ok(canonical), "{path}");
        }
    }

    #[test]
    fn queries() {
        for (query, canonical) in [
            ("", ""),
            ("&&", ""),
            ("a", "a="),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1&a=10", "a=1&a=10&a=2"),
            ("a-=1&a=2", "a=2&a-=1"),
            ("a=b=c", "a=b%3Dc"),
            ("%61=%2f%2F~", "a=%2F%2F~"),
            ("a+b=%zz%", "a%20b=%25zz%25"),
            ("a%2Bb=c%20d", "a%2Bb=c%20d"),
            ("%ff=1", "%FF=1"),
        ] {
            assert_eq!(canonical_query(Some(query)).as_deref(), Ok(canonical), "{query}");
        }
    }

    #[test]
    fn bounded() {
        assert!(canonical_query(Some(&"a&".repeat(MAX_QUERY_PAIRS + 1))).is_err());
        assert!(canonical_query(Some(&"a".repeat(MAX_QUERY_BYTES + 1))).is_err());
        assert!(canonical_path(&"/".repeat(MAX_PATH_BYTES + 1)).is_err());
    }
}
