//! A list of tags, as one text: hundreds of thousands of small allocations would take many times as much.

use bytes::Bytes;

use crate::action::Page;
use crate::oci::Tag;

/// Sorted, each once, one on a line.
#[derive(Clone)]
pub(super) struct TagList(Bytes);

impl TagList {
    /// From names in any order, one on a line.
    pub(super) fn sorted(names: &str) -> Self {
        let mut tags: Vec<&str> = names.lines().collect();
        tags.sort_unstable();
        tags.dedup();
        Self(Bytes::from(tags.join("\n")))
    }

    pub(super) fn of_sorted(text: Bytes) -> Self {
        Self(text)
    }

    pub(super) fn text(&self) -> &Bytes {
        &self.0
    }

    /// Tags that come after `last`, at most `n`, and whether more follow.
    pub(super) fn page(&self, page: &Page, most: u32) -> (Vec<Tag>, bool) {
        let rest = page.last.as_deref().map_or(&*self.0, |last| after(&self.0, last.as_bytes()));
        let count = page.n.unwrap_or(most).min(most) as usize;
        let mut tags = std::str::from_utf8(rest).unwrap_or_default().lines().filter_map(|line| line.parse().ok());
        let found: Vec<Tag> = tags.by_ref().take(count).collect();
        let more = count > 0 && tags.next().is_some();
        (found, more)
    }
}

/// What of the lines comes after `last`.
fn after<'a>(lines: &'a [u8], last: &[u8]) -> &'a [u8] {
    // Both are at beginnings of lines: all before `low` are at most `last`, and all from `high` on come after it.
    let (mut low, mut high) = (0, lines.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let (before, from) = lines.split_at(middle);
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let end = from.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |at| middle + at);
        if lines.get(start..end).unwrap_or_default() <= last {
            low = end + 1;
        } else {
            high = start;
        }
    }
    lines.get(low..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let tags = TagList::sorted("c\na\nb\na");
        let names = |n, last: Option<&str>| {
            let (tags, more) = tags.page(&Page { n, last: last.map(str::to_owned) }, 100);
            (tags.iter().map(Tag::as_str).collect::<String>(), more)
        };
        assert_eq!(names(None, None), ("abc".into(), false));
        assert_eq!(names(Some(2), None), ("ab".into(), true));
        assert_eq!(names(Some(2), Some("b")), ("c".into(), false));
        assert_eq!(names(Some(3), None), ("abc".into(), false));
        assert_eq!(names(None, Some("bb")), ("c".into(), false));
        assert_eq!(names(None, Some("z")), (String::new(), false));
        assert_eq!(names(Some(0), None), (String::new(), false));
        assert_eq!(TagList::sorted("").page(&Page { n: None, last: Some("a".to_owned()) }, 10), (Vec::new(), false));
    }

    /// As a search from the beginning would find it, wherever the lines end.
    #[test]
    fn every_tag_is_found_by_the_one_before_it() {
        let names: Vec<String> =
            (0..200_u32).map(|n| format!("{}{}", "v".repeat(n as usize % 7 + 1), n * 7919 % 1000)).collect();
        let list = TagList::sorted(&names.join("\n"));
        let mut expected: Vec<&str> = names.iter().map(String::as_str).collect();
        expected.sort_unstable();
        expected.dedup();
        for last in ["", "v", "v5", "vvv", "vvvvvvv999", "zz"].into_iter().chain(expected.iter().copied()) {
            let (tags, _) = list.page(&Page { n: None, last: Some(last.to_owned()) }, 1000);
            let all: Vec<&str> = expected.iter().copied().filter(|tag| *tag > last).collect();
            assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), all, "{last}");
        }
    }
}
