//! The place where a page of a list of repositories ended, whose reader may not see all that was looked at.
//!
//! Two names say it: the last one that was shown, and the last one that was looked at, which is sealed for its reader. What somebody else sealed,
//! or made up, is no place in the list.

use crate::auth::{Keyring, Purpose, open, seal};
use crate::oci::AccountId;

/// Repositories that are looked at for one page, seen or not: whoever may see few of many is sent on, with a page that may be empty.
pub(super) const LOOKED_AT: usize = 10_000;

/// No name of a repository has it.
const SEALED: char = '#';

/// Whoever reads the list, and which it is.
pub(super) struct Markers<'a> {
    keyring: &'a Keyring,
    whose: String,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) shown: Option<String>,
    pub(super) hidden: Option<String>,
}

impl<'a> Markers<'a> {
    pub(super) fn new(keyring: &'a Keyring, account: AccountId, reader: &str) -> Self {
        Self { keyring, whose: format!("{account} {reader}") }
    }

    pub(super) fn read(&self, text: Option<&str>) -> Marker {
        let Some(text) = text else { return Marker::default() };
        let (shown, sealed) = text.split_once(SEALED).unwrap_or((text, ""));
        let opened = open(self.keyring, Purpose::ListMarkers, self.whose.as_bytes(), sealed);
        let hidden = opened.ok().and_then(|name| String::from_utf8(name).ok());
        Marker { shown: Some(shown.to_owned()), hidden }
    }

    /// `None` where nothing can be sealed: the list ends.
    pub(super) fn write(&self, marker: &Marker) -> Option<String> {
        let hidden = marker.hidden.as_deref().unwrap_or_default();
        let sealed = seal(self.keyring, Purpose::ListMarkers, self.whose.as_bytes(), hidden.as_bytes()).ok()?;
        Some(format!("{}{SEALED}{sealed}", marker.shown.as_deref().unwrap_or_default()))
    }
}

impl Marker {
    /// The name after which the list goes on.
    pub(super) fn last(&self) -> Option<&str> {
        self.hidden.as_deref().or(self.shown.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h04_a_marker_is_its_readers() {
        let keyring = Keyring::generate().unwrap();
        let account: AccountId = "000000000000".parse().unwrap();
        let (ann, bob) = (Markers::new(&keyring, account, "ann"), Markers::new(&keyring, account, "bob"));
        let marker = Marker { shown: Some("a/b".to_owned()), hidden: Some("secret/name".to_owned()) };
        let text = ann.write(&marker).unwrap();
        assert!(text.starts_with("a/b#") && !text.contains("secret"));
        assert_eq!(ann.read(Some(&text)), marker);
        assert_eq!(ann.read(Some(&text)).last(), Some("secret/name"));
        assert_eq!(bob.read(Some(&text)).last(), Some("a/b"), "it goes on behind what was shown");
        assert_eq!(ann.read(Some("a/b")).last(), Some("a/b"));
        assert_eq!(ann.read(Some("a/b#x")).last(), Some("a/b"));
        assert_eq!(ann.read(None).last(), None);
    }
}
