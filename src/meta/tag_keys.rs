//! Keys of tags. Conditions of policies do not tell capitals apart, so a key has one spelling at what it is on. Another one is refused
//! wherever tags change: policies were asked about the key as it was written, and a key that they guard must not be changed by it.

use std::collections::BTreeMap;

/// The key that is there in other capitals, which such a change would mean as well.
pub fn in_other_capitals<'a>(
    tags: &'a BTreeMap<String, String>,
    put: impl IntoIterator<Item = &'a String>,
    removed: impl IntoIterator<Item = &'a String>,
) -> Option<&'a str> {
    let other = |key: &String| {
        let folded = key.to_lowercase();
        tags.keys().find(|there| *there != key && there.to_lowercase() == folded)
    };
    let put = put.into_iter().find_map(other);
    let removed = || removed.into_iter().filter(|key| !tags.contains_key(*key)).find_map(other);
    put.or_else(removed).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a10_a_key_has_one_spelling() {
        let tags = BTreeMap::from([("team".to_owned(), "blue".to_owned()), ("k".to_owned(), String::new())]);
        let other = |put: &[&str], removed: &[&str]| {
            let [put, removed] =
                [put, removed].map(|keys| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>());
            in_other_capitals(&tags, &put, &removed).map(str::to_owned)
        };
        assert_eq!(other(&["team", "new"], &["k", "gone"]), None);
        for key in ["TEAM", "Team"] {
            assert_eq!(other(&[key], &[]).as_deref(), Some("team"));
            assert_eq!(other(&[], &["k", key]).as_deref(), Some("team"));
        }
        // The Kelvin sign, which conditions take for a k.
        assert_eq!(other(&["\u{212a}"], &[]).as_deref(), Some("k"));
    }
}
