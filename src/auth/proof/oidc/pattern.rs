//! Patterns of claims and of names in certificates: `*` is any run of characters, `/` and `:` too, and `?` is any one. There is no escape.

const MAX_PATTERN_CHARS: usize = 512;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPattern(Vec<char>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimPatternError {
    #[error("a pattern is empty: write * for anything")]
    Empty,
    #[error("a pattern has more than {MAX_PATTERN_CHARS} characters")]
    TooLong,
}

impl ClaimPattern {
    pub fn parse(pattern: &str) -> Result<Self, ClaimPatternError> {
        if pattern.is_empty() {
            return Err(ClaimPatternError::Empty);
        }
        if pattern.len() > MAX_PATTERN_CHARS {
            return Err(ClaimPatternError::TooLong);
        }
        let mut chars: Vec<_> = pattern.chars().collect();
        chars.dedup_by(|a, b| *a == '*' && *b == '*');
        Ok(Self(chars))
    }

    /// In time that grows with pattern times text: only the last `*` is ever tried again.
    pub fn matches(&self, text: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.as_slice(), text.chars());
        let mut again: Option<(&[char], std::str::Chars<'_>)> = None;
        loop {
            let mut ahead = rest.clone();
            match (pattern.split_first(), ahead.next()) {
                (Some(('*', after)), _) => {
                    again = Some((after, rest.clone()));
                    pattern = after;
                    continue;
                }
                (Some((wanted, after)), Some(c)) if *wanted == '?' || *wanted == c => {
                    (pattern, rest) = (after, ahead);
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            let Some((after, mut from)) = again else { return false };
            if from.next().is_none() {
                return false;
            }
            again = Some((after, from.clone()));
            (pattern, rest) = (after, from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything/at:all", true),
            ("repo:org/*", "repo:org/a:ref:refs/heads/main", true),
            ("repo:org/*", "repo:organisation/a", false),
            ("repo:*:ref:refs/heads/main", "repo:org/a:ref:refs/heads/main", true),
            ("repo:*:ref:refs/heads/main", "repo:org/a:ref:refs/heads/main2", false),
            ("a?c", "a\u{e4}c", true),
            ("a?c", "ac", false),
            ("**a**", "bab", true),
            ("*ab", "aab", true),
            ("*ab*ab", "abcab", true),
            ("a", "A", false),
            ("a", "", false),
            ("?", "", false),
            ("a*", "ba", false),
            ("[a]", "a", false),
        ] {
            assert_eq!(ClaimPattern::parse(pattern).unwrap().matches(text), expected, "{pattern} {text}");
        }
        assert_eq!(ClaimPattern::parse(""), Err(ClaimPatternError::Empty));
        assert_eq!(ClaimPattern::parse(&"a".repeat(513)), Err(ClaimPatternError::TooLong));
    }

    #[test]
    fn hostile_patterns_take_no_time() {
        let pattern = ClaimPattern::parse(&("*a".repeat(200) + "b")).unwrap();
        assert!(!pattern.matches(&"a".repeat(16_000)));
    }

    proptest::proptest! {
        #[test]
        fn against_recursion(pattern in "[ab*?]{1,8}", text in "[ab]{0,8}") {
            fn slow(pattern: &[char], text: &[char]) -> bool {
                match (pattern.split_first(), text.split_first()) {
                    (None, None) => true,
                    (Some(('*', after)), next) => slow(after, text) || next.is_some_and(|(_, rest)| slow(pattern, rest)),
                    (Some((p, after)), Some((c, rest))) => (*p == '?' || p == c) && slow(after, rest),
                    _ => false,
                }
            }
            let (p, t): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
            proptest::prop_assert_eq!(ClaimPattern::parse(&pattern).unwrap().matches(&text), slow(&p, &t));
        }
    }
}
