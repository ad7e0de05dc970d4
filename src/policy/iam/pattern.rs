//! Wildcards: `*` is any run of characters, also an empty one, and `?` is exactly one.
//!
//! A pattern is kept as bytes in which two values that never occur in UTF-8 stand for the wildcards, so that a literal star (written
//! `${*}`) needs no escape. Matching remembers only the last star: it never recurses, and it costs at most the length of the pattern
//! times the length of the text. What the patterns of one decision cost together is bounded ([`work`]).

use super::work;

const ANY: u8 = 0xFF;
const ONE: u8 = 0xFE;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Everything,
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Glob(Box<[u8]>),
}

impl Pattern {
    /// Reads the wildcards of `text`.
    pub fn new(text: &str) -> Self {
        Self::of_code(encode(text))
    }

    /// Takes what [`encode`] made, or bytes of plain text, which stand for themselves.
    pub fn of_code(mut code: Vec<u8>) -> Self {
        code.dedup_by(|a, b| *a == ANY && *b == ANY);
        let first_wild = code.iter().position(|byte| matches!(*byte, ANY | ONE));
        match first_wild {
            None => Self::Exact(code.into()),
            Some(at) if at + 1 == code.len() && code.last() == Some(&ANY) => {
                code.truncate(at);
                if code.is_empty() { Self::Everything } else { Self::Prefix(code.into()) }
            }
            Some(_) => Self::Glob(code.into()),
        }
    }

    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Exact(wanted) => **wanted == *text.as_bytes(),
            Self::Prefix(prefix) => text.as_bytes().starts_with(prefix),
            Self::Glob(code) => glob(code, text),
        }
    }

    /// The text, where there is no wildcard in it.
    pub fn as_exact(&self) -> Option<&[u8]> {
        if let Self::Exact(text) = self { Some(text) } else { None }
    }
}

/// The code of a text whose `*` and `?` are wildcards.
pub(super) fn encode(text: &str) -> Vec<u8> {
    text.bytes()
        .map(|byte| match byte {
            b'*' => ANY,
            b'?' => ONE,
            byte => byte,
        })
        .collect()
}

pub(super) fn glob(code: &[u8], text: &str) -> bool {
    let text = text.as_bytes();
    let (mut at, mut reached) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    loop {
        if !work::step() {
            return false;
        }
        match (code.get(at), text.get(reached)) {
            (Some(&ANY), _) => {
                at += 1;
                let Some(start) = candidate(code, at, text, reached) else { return at == code.len() };
                reached = start;
                last_star = Some((at, start));
            }
            (Some(&ONE), Some(first)) => {
                at += 1;
                reached += character_len(*first);
            }
            (Some(wanted), Some(found)) if wanted == found => {
                at += 1;
                reached += 1;
            }
            (None, None) => return true,
            _ => {
                let Some((after_star, tried)) = last_star else { return false };
                let Some(first) = text.get(tried) else { return false };
                let Some(start) = candidate(code, after_star, text, tried + character_len(*first)) else {
                    return false;
                };
                at = after_star;
                reached = start;
                last_star = Some((after_star, start));
            }
        }
    }
}

/// Where, at `from` or later, what follows a star may begin; none where it cannot, or where nothing follows the star.
fn candidate(code: &[u8], after_star: usize, text: &[u8], from: usize) -> Option<usize> {
    match code.get(after_star)? {
        &ANY | &ONE => Some(from),
        wanted => text.get(from..)?.iter().position(|byte| byte == wanted).map(|skipped| from + skipped),
    }
}

/// Bytes of the UTF-8 character that starts with this byte.
const fn character_len(first: u8) -> usize {
    match first {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn table() {
        for (pattern, text, matches) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "anything", true),
            ("a", "a", true),
            ("a", "A", false),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*", "ba", false),
            ("*c", "abc", true),
            ("a*c", "abcb", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
            ("?", "", false),
            ("?", "a", true),
            ("?", "ä", true),
            ("??", "ä", false),
            ("*ä?", "xxäy", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?*", "", false),
            ("?*", "ab", true),
            ("*?", "", false),
            ("*aab", "aaaaab", true),
            ("ecr:*image*", "ecr:batchgetimage", true),
            ("repository/team-?/*", "repository/team-a/b/c", true),
            ("repository/team-?/*", "repository/team-ab/c", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), matches, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        let pattern = Pattern::new(&"*a".repeat(5000));
        assert!(!pattern.matches(&format!("{}b", "a".repeat(2000))));
        let pattern = Pattern::new(&format!("*{}b", "a?".repeat(500)));
        assert!(!pattern.matches(&"a".repeat(2000)));
    }

    fn model(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                model(rest, text) || text.split_first().is_some_and(|(_, text)| model(pattern, text))
            }
            (Some(('?', rest)), Some((_, text))) => model(rest, text),
            (Some((wanted, rest)), Some((found, text))) => wanted == found && model(rest, text),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn agrees_with_the_model(pattern in "[abä*?]{0,8}", text in "[abä]{0,8}") {
            let wanted = model(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), wanted);
            prop_assert_eq!(glob(&encode(&pattern), &text), wanted);
        }
    }
}
