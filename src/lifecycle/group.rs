//! Groups of tags: `{*}-*` puts tags into the group of what stands for the part in braces.
//!
//! Where several readings are possible, the wildcards take as much as they can, the first one first: by `{*}-*` the tag
//! `feature-login-42` is of the group `feature-login`.

use super::pattern::MAX_WILDCARDS;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GroupPattern {
    /// Texts around the wildcards: the first begins the tag, the last ends it.
    pieces: Box<[Box<str>]>,
    opened: Brace,
    closed: Brace,
}

/// Place of a brace: in which piece, and after how many of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Brace {
    piece: usize,
    offset: usize,
}

impl GroupPattern {
    /// `None` unless there is one pair of braces with a wildcard inside, and at most four wildcards.
    pub fn new(text: &str) -> Option<Self> {
        let (before, rest) = text.split_once('{')?;
        let (inside, after) = rest.split_once('}')?;
        let plain = |text: &str| !text.contains(['{', '}']);
        let whole = [before, inside, after].concat();
        let wildcards = whole.matches('*').count();
        if !plain(&whole) || !inside.contains('*') || wildcards > MAX_WILDCARDS {
            return None;
        }
        Some(Self {
            pieces: whole.split('*').map(Into::into).collect(),
            opened: Brace::after(before),
            closed: Brace::after(&[before, inside].concat()),
        })
    }

    /// Group of a tag; `None` where the pattern does not match. Costs the length of the tag: the pieces are sought from
    /// the end, and the last place for each leaves the most to the wildcards before it.
    pub fn group<'t>(&self, tag: &'t str) -> Option<&'t str> {
        let (first, others) = self.pieces.split_first()?;
        let (last, middle) = others.split_last()?;
        let mut free = first.len()..tag.len();
        if !tag.starts_with(&**first) || !tag.get(free.clone())?.ends_with(&**last) {
            return None;
        }
        free.end -= last.len();
        // Starts of the pieces, the last one first.
        let mut starts = vec![free.end];
        for piece in middle.iter().rev() {
            free.end = free.start + tag.get(free.clone())?.rfind(&**piece)?;
            starts.push(free.end);
        }
        starts.push(0);
        starts.reverse();
        let place = |brace: Brace| Some(starts.get(brace.piece)? + brace.offset);
        tag.get(place(self.opened)?..place(self.closed)?)
    }
}

impl Brace {
    fn after(text: &str) -> Self {
        let offset = text.rfind('*').map_or(text.len(), |star| text.len() - star - 1);
        Self { piece: text.matches('*').count(), offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups() {
        for (pattern, tag, group) in [
            ("{*}-*", "main-42", Some("main")),
            ("{*}-*", "feature-login-42", Some("feature-login")),
            ("{*}-*", "main-", Some("main")),
            ("{*}-*", "-42", Some("")),
            ("{*}-*", "main", None),
            ("{*}-*-*", "main-1-2", Some("main")),
            ("{*}-*-*", "a-b-1-2", Some("a-b")),
            ("release-{*}.*", "release-1.2.3", Some("1.2")),
            ("release-{*}.*", "release-1", None),
            ("release-{*.*}.*", "release-1.2.3", Some("1.2")),
            ("{v*}.*", "v1.2", Some("v1")),
            ("{v*}.*", "w1.2", None),
            ("pr-{*}", "pr-17", Some("17")),
            ("*-{*}-rc", "app-eu-rc", Some("eu")),
            ("*-{*}-rc", "-rc", None),
            ("*{-*-}*", "a-b-c-d", Some("-c-")),
            ("{a*}a", "a", None),
            ("{a*}a", "aa", Some("a")),
            ("{*}", "all", Some("all")),
        ] {
            assert_eq!(GroupPattern::new(pattern).unwrap().group(tag), group, "{pattern} on {tag}");
        }
    }

    #[test]
    fn forms() {
        for bad in ["", "*", "{}", "{a}", "{a}*", "}*{", "{*", "*}", "{*}{*}", "{{*}}", "{*}*****", "{*}*}"] {
            assert_eq!(GroupPattern::new(bad), None, "{bad}");
        }
        assert!(GroupPattern::new("*{*}**").is_some());
    }

    /// Readings of a pattern, tried one by one from the longest first wildcard on.
    fn model(pattern: &[u8], text: &[u8], start: usize, at: usize) -> Option<(usize, usize)> {
        let Some((first, rest)) = pattern.split_first() else {
            return (at == text.len()).then_some((start, usize::MAX));
        };
        let closing = |found: (usize, usize)| if found.1 == usize::MAX { (found.0, at) } else { found };
        match first {
            b'{' => model(rest, text, at, at),
            b'}' => model(rest, text, start, at).map(closing),
            b'*' => (at..=text.len()).rev().find_map(|next| model(rest, text, start, next)),
            wanted => (text.get(at) == Some(wanted)).then(|| model(rest, text, start, at + 1)).flatten(),
        }
    }

    #[test]
    fn agrees_with_a_model() {
        let mut random = fastrand::Rng::with_seed(11);
        let mut word = |letters: &[u8], most: usize| -> String {
            (0..random.usize(..=most)).map(|_| char::from(letters[random.usize(..letters.len())])).collect()
        };
        let mut matched = 0;
        for _ in 0..100_000 {
            let pattern = format!("{}{{{}}}{}", word(b"a-*", 3), word(b"a-*", 3), word(b"a-*", 3));
            let Some(compiled) = GroupPattern::new(&pattern) else { continue };
            let tag = word(b"aa-", 8);
            let wanted = model(pattern.as_bytes(), tag.as_bytes(), 0, 0).map(|(start, end)| &tag[start..end]);
            matched += usize::from(wanted.is_some());
            assert_eq!(compiled.group(&tag), wanted, "{pattern} on {tag}");
        }
        assert!(matched > 2_000, "{matched}");
    }
}
