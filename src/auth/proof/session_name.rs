//! Names of role sessions: 2 to 64 of the characters that AWS allows there, which are letters, digits and `_+=,.@-`. Whatever
//! a name holds, it stays one part of the session's ARN.

use sha2::{Digest as _, Sha256};

use super::hexadecimal;

const MIN_CHARS: usize = 2;
const MAX_CHARS: usize = 64;

/// Hexadecimal digits: 64 bits, which no name is found for that meet those of a given other.
const HASH_CHARS: usize = 16;

/// Other characters become dashes, what is too long is cut; and what had to be changed ends in a hash of the whole text, and so
/// does what looks as if it did: two names are never one session, since a policy may say which session it means. `None` for the
/// empty text.
pub(super) fn distinct_session_name(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let mut name = allowed(text);
    if name != text || ends_in_hash(text) {
        let hash = hexadecimal::encode(&Sha256::digest(text));
        name.truncate(MAX_CHARS - HASH_CHARS - 1);
        name.push('-');
        name.extend(hash.chars().take(HASH_CHARS));
    }
    Some(name)
}

fn allowed(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let mut name: String = text.chars().take(MAX_CHARS).map(|c| if allowed(c) { c } else { '-' }).collect();
    while name.len() < MIN_CHARS {
        name.push('-');
    }
    name
}

/// Whether it ends as names do that are made of something longer.
pub fn ends_in_hash(text: &str) -> bool {
    let is_hexadecimal = |hash: &str| hash.len() == HASH_CHARS && hash.bytes().all(|c| c.is_ascii_hexdigit());
    text.rsplit_once('-').is_some_and(|(_, hash)| is_hexadecimal(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct() {
        assert_eq!(distinct_session_name("node-1.example.org").as_deref(), Some("node-1.example.org"));
        assert_eq!(distinct_session_name("a@b.example").as_deref(), Some("a@b.example"));
        assert_eq!(distinct_session_name(""), None);
        let fits = "n".repeat(MAX_CHARS);
        assert_eq!(distinct_session_name(&fits), Some(fits.clone()));
        let spiffe = distinct_session_name("spiffe://a/ns/ci/sa/x").unwrap();
        assert_eq!(spiffe, "spiffe---a-ns-ci-sa-x-be1696c5305808e3");
        let others = [
            spiffe.as_str(),
            "spiffe://a/ns/ci-sa/x",
            "spiffe://a/ns-ci/sa/x",
            "x",
            "x-",
            "root:user/root",
            "*",
            "\u{e4}\u{f6}",
            "a\nb",
            &format!("{fits}1"),
            &format!("{fits}2"),
        ];
        let mut seen = std::collections::BTreeSet::from([spiffe.clone(), fits.clone()]);
        for other in others {
            let name = distinct_session_name(other).unwrap();
            let right = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
            assert!((MIN_CHARS..=MAX_CHARS).contains(&name.len()) && name.chars().all(right), "{name}");
            assert!(seen.insert(name), "{other}");
        }
    }
}
