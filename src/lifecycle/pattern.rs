//! Patterns of tags: `*` is any run of characters, also an empty one; every other character stands for itself.

/// Wildcards of a pattern, of which `**` has two.
pub(super) const MAX_WILDCARDS: usize = 4;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pattern {
    Exact(Box<str>),
    /// Text before the first wildcard, texts between wildcards, text after the last one; each may be empty.
    Wild {
        start: Box<str>,
        middle: Box<[Box<str>]>,
        end: Box<str>,
    },
}

impl Pattern {
    /// `None` where there are more than [`MAX_WILDCARDS`].
    pub fn new(text: &str) -> Option<Self> {
        let mut pieces = text.split('*');
        let start = pieces.next().unwrap_or_default();
        let Some(end) = pieces.next_back() else { return Some(Self::Exact(start.into())) };
        let middle: Box<[Box<str>]> = pieces.map(Into::into).collect();
        (middle.len() < MAX_WILDCARDS).then(|| Self::Wild { start: start.into(), middle, end: end.into() })
    }

    /// Costs the length of the text: each text between wildcards is sought once, from where the one before was found
    /// first, and taking the first place leaves the most for those that follow.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(wanted) => **wanted == *text,
            Self::Wild { start, middle, end } => {
                let inner = text.strip_prefix(&**start).and_then(|rest| rest.strip_suffix(&**end));
                let rest = middle.iter().try_fold(inner, |rest, piece| {
                    let rest = rest?;
                    Some(rest.find(&**piece).and_then(|at| rest.get(at + piece.len()..)))
                });
                rest.flatten().is_some()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching() {
        for (pattern, text, matches) in [
            ("latest", "latest", true),
            ("latest", "latest1", false),
            ("Latest", "latest", false),
            ("*", "x", true),
            ("****", "x", true),
            ("prod*", "prod", true),
            ("prod*", "prod-1", true),
            ("prod*", "a-prod", false),
            ("*-dev", "a-dev", true),
            ("*-dev", "a-dev1", false),
            ("*-dev", "-dev", true),
            ("a*b", "ab", true),
            ("a*a", "a", false),
            ("ab*bc", "abc", false),
            ("*mid*", "xmidx", true),
            ("*mid*", "mi", false),
            ("*a*b*", "xaxbx", true),
            ("*a*b*", "xbxax", false),
            ("*test*1*2*3", "mytest-1-2-3", true),
            ("*test*1*2*3", "mytest-1-3-2", false),
            ("test*1*2*3*", "test123", true),
            ("test*1*2*3*", "test13", false),
            ("v1.*", "v12", false),
            ("v?", "v1", false),
            ("a*aa", "aaa", true),
            ("a*aa", "aa", false),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "ab", false),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().matches(text), matches, "{pattern} on {text}");
        }
    }

    #[test]
    fn wildcards_are_limited() {
        assert!(Pattern::new("*a*b*c*").is_some());
        assert!(Pattern::new("*****").is_none());
        assert!(Pattern::new("test*1*2*3*4*5*6").is_none());
    }

    #[test]
    fn agrees_with_a_model() {
        fn model(pattern: &[u8], text: &[u8]) -> bool {
            match (pattern.split_first(), text.split_first()) {
                (None, None) => true,
                (Some((b'*', rest)), _) => model(rest, text) || (!text.is_empty() && model(pattern, &text[1..])),
                (Some((wanted, pattern)), Some((found, text))) => wanted == found && model(pattern, text),
                _ => false,
            }
        }
        let mut random = fastrand::Rng::with_seed(7);
        let mut word = |letters: &[u8], most: usize| -> String {
            (0..random.usize(..=most)).map(|_| char::from(letters[random.usize(..letters.len())])).collect()
        };
        let mut matched = 0;
        for _ in 0..50_000 {
            let (pattern, text) = (word(b"ab*", 7), word(b"ab", 9));
            let Some(compiled) = Pattern::new(&pattern) else { continue };
            let wanted = model(pattern.as_bytes(), text.as_bytes());
            matched += usize::from(wanted);
            assert_eq!(compiled.matches(&text), wanted, "{pattern} on {text}");
        }
        assert!(matched > 2_000, "{matched}");
    }
}
