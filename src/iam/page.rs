//! A part of a list.

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Entries whose names come after this one.
    pub after: Option<String>,
    /// From 1 to 1,000.
    pub most: u32,
}

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    pub items: Vec<T>,
    /// Where the list goes on, if it does.
    pub next: Option<String>,
}

impl Page {
    pub const USUAL: u32 = 100;
    pub const MOST: u32 = 1000;

    /// Where there is nothing to list.
    pub fn of_nothing() -> Self {
        // No name comes after it.
        Self { after: Some(char::MAX.to_string()), most: Self::USUAL }
    }

    /// Cuts what was asked for with one entry more than wanted, or a list that is held whole. In order of names.
    pub fn cut<T>(&self, items: impl IntoIterator<Item = T>, name: impl Fn(&T) -> &str) -> Listed<T> {
        let is_after = |item: &T| self.after.as_deref().is_none_or(|after| name(item) > after);
        let most = usize::try_from(self.most).unwrap_or(usize::MAX);
        let mut items: Vec<T> = items.into_iter().filter(is_after).take(most.saturating_add(1)).collect();
        let is_whole = items.len() <= most;
        items.truncate(most);
        let next = if is_whole { None } else { items.last().map(|last| name(last).to_owned()) };
        Listed { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let of = |after: Option<&str>, most| {
            let page = Page { after: after.map(str::to_owned), most };
            let listed = page.cut(["a", "b", "c"], |item| item);
            (listed.items.concat(), listed.next)
        };
        assert!(Page::of_nothing().cut(["a", "\u{ffff}"], |item| item).items.is_empty());
        assert_eq!(of(None, 100), ("abc".into(), None));
        assert_eq!(of(None, 3), ("abc".into(), None));
        assert_eq!(of(None, 2), ("ab".into(), Some("b".into())));
        assert_eq!(of(Some("b"), 2), ("c".into(), None));
        assert_eq!(of(Some("c"), 1), (String::new(), None));
        assert_eq!(of(Some("aa"), 1), ("b".into(), Some("b".into())));
    }
}
