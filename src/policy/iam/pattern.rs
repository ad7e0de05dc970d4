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

    /// Whether it matches texts that begin with `stem` and go on as names of repositories do: each of them with `all`, else any. A pattern
    /// that ends in anything but stars is not believed to match them all.
    pub fn reaches(&self, stem: &str, all: bool) -> bool {
        let stem = stem.as_bytes();
        match self {
            Self::Everything => true,
            Self::Exact(wanted) => !all && wanted.strip_prefix(stem).is_some_and(matches_some_name),
            Self::Prefix(prefix) => {
                stem.starts_with(prefix) || (!all && prefix.strip_prefix(stem).is_some_and(matches_some_name))
            }
            Self::Glob(code) => {
                let mut rests = after(code, stem).into_iter().filter_map(|place| code.get(place..));
                rests.any(if all { matches_all } else { matches_some_name })
            }
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

/// The places of the code that one may be at after the stem. They are few, as each but those of stars has used up some of the stem.
fn after(code: &[u8], stem: &[u8]) -> Vec<usize> {
    let mut places = vec![0];
    let mut rest = stem;
    loop {
        // A star may also be passed without using it; two never stand side by side.
        let passed: Vec<usize> =
            places.iter().filter(|place| code.get(**place) == Some(&ANY)).map(|place| place + 1).collect();
        places.extend(passed);
        places.sort_unstable();
        places.dedup();
        let Some(first) = rest.first() else { return places };
        let (character, others) = rest.split_at(character_len(*first).min(rest.len()));
        let step = |place: usize| match code.get(place..).filter(|_| work::step())? {
            [ANY, ..] => Some(place),
            [ONE, ..] => Some(place + 1),
            ahead => ahead.starts_with(character).then_some(place + character.len()),
        };
        places = places.into_iter().filter_map(step).collect();
        rest = others;
    }
}

/// Every text of at least one character.
fn matches_all(code: &[u8]) -> bool {
    let count = |wild| code.iter().filter(|byte| **byte == wild).count();
    let (stars, ones) = (count(ANY), count(ONE));
    stars > 0 && ones <= 1 && stars + ones == code.len()
}

/// Some text of at least one character that may stand in the name of a repository. A colon does not: stars before it have reached too far.
fn matches_some_name(code: &[u8]) -> bool {
    let may_stand = |byte: &u8| match *byte {
        ANY | ONE => true,
        byte => byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/".contains(&byte),
    };
    !code.is_empty() && code.iter().all(may_stand)
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

    /// A pattern, and whether it matches all texts that begin with `team/` and go on, and any of them.
    #[test]
    fn what_begins_alike() {
        for (pattern, all, any) in [
            ("*", true, true),
            ("team/*", true, true),
            ("team/?*", true, true),
            ("team/*?", true, true),
            ("t*", true, true),
            ("t*/*", true, true),
            ("?eam/*", true, true),
            ("team*", true, true),
            ("team/", false, false),
            ("team", false, false),
            ("team/a", false, true),
            ("team/a*", false, true),
            ("team/?", false, true),
            ("team/*a", false, true),
            ("team/*/*", false, true),
            ("team/??*", false, true),
            ("*/app", false, true),
            ("*-prod", false, true),
            ("team2/*", false, false),
            ("tea/*", false, false),
            ("team?a", false, true),
            ("?", false, false),
            ("other*", false, false),
            ("t*x/a", false, true),
            // No name has a colon or a capital.
            ("*:team", false, false),
            ("*:team/*", false, false),
            ("team/A*", false, false),
            ("team/Ab", false, false),
            ("", false, false),
        ] {
            let pattern_of = Pattern::new(pattern);
            assert_eq!(
                (pattern_of.reaches("team/", true), pattern_of.reaches("team/", false)),
                (all, any),
                "{pattern}"
            );
        }
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        let pattern = Pattern::new(&"*a".repeat(5000));
        assert!(pattern.reaches(&"a".repeat(2000), false) && !pattern.reaches(&"a".repeat(2000), true));
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

        #[test]
        fn reaches_no_more_than_it_matches(pattern in "[ab:ä*?]{0,6}", stem in "[ab:ä]{0,3}", rest in "[abx/]{1,4}") {
            let pattern = Pattern::new(&pattern);
            let matches = pattern.matches(&format!("{stem}{rest}"));
            prop_assert!(matches || !pattern.reaches(&stem, true));
            prop_assert!(!matches || pattern.reaches(&stem, false));
        }
    }
}
