//! Lists in pages: where one goes on, and the opaque text that says so.
//!
//! A token is base64 of versioned JSON with the kind of the list, the key of the last entry that was sent, and a check
//! sum. The sum finds a token that was cut or altered; it proves nothing about who made it, so a key grants nothing: a
//! list shows only what its reader may see, wherever it goes on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::words::{Word, words};
use crate::oci::Digest;

const VERSION: u8 = 1;
const MAX_TOKEN_BYTES: usize = 4096;
const SUM_BYTES: usize = 8;

words! {
    /// Which list a token belongs to.
    pub enum PageKind {
        Repositories = "repositories",
        ImageDetails = "image-details",
        ImageIds = "image-ids",
        Referrers = "referrers",
        PullThroughCacheRules = "pull-through-cache-rules",
        Templates = "templates",
        PullTimeUpdateExclusions = "pull-time-update-exclusions",
    }
}

/// The part of a list that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    kind: PageKind,
    /// At most so many entries, at least one.
    pub limit: usize,
    /// Entries after the one with this key.
    pub after: Option<String>,
}

/// Either the entries that a request names, or a page of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection<T> {
    /// Never empty.
    Named(Vec<T>),
    All(Page),
}

/// Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NextToken(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token is not one that this list gave out")]
pub struct NextTokenError;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    v: u8,
    kind: String,
    key: String,
    sum: String,
}

impl Page {
    pub fn new(kind: PageKind, limit: usize, after: Option<String>) -> Self {
        Self { kind, limit: limit.max(1), after }
    }

    pub const fn kind(&self) -> PageKind {
        self.kind
    }

    /// The token of the page after the entry with `key`.
    pub fn next_token(&self, key: &str) -> NextToken {
        NextToken::seal(self.kind, key)
    }
}

impl NextToken {
    /// A key that is too long for [`NextToken::open`] makes a token that is refused: keys are names, digests and tags.
    pub fn seal(kind: PageKind, key: &str) -> Self {
        let content = Content { v: VERSION, kind: kind.to_string(), key: key.to_owned(), sum: sum(kind, key) };
        Self(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&content).unwrap_or_default()))
    }

    /// The key that was sealed for a list of this kind.
    pub fn open(kind: PageKind, text: &str) -> Result<String, NextTokenError> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(NextTokenError);
        }
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| NextTokenError)?;
        let content: Content = serde_json::from_slice(&json).map_err(|_| NextTokenError)?;
        let ours = content.v == VERSION
            && PageKind::from_word(&content.kind) == Some(kind)
            && content.sum == sum(kind, &content.key)
            // PostgreSQL takes no NUL, and no key has a control character.
            && !content.key.chars().any(char::is_control);
        if ours { Ok(content.key) } else { Err(NextTokenError) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn sum(kind: PageKind, key: &str) -> String {
    let mut hex = Digest::of(format!("{kind}\0{key}").as_bytes()).hex();
    hex.truncate(SUM_BYTES * 2);
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_what_it_sealed() {
        for kind in PageKind::ALL {
            for key in ["", "library/nginx", "ä\"\\", &"k".repeat(600)] {
                let token = NextToken::seal(*kind, key);
                assert_eq!(NextToken::open(*kind, token.as_str()).as_deref(), Ok(key));
            }
        }
    }

    #[test]
    fn refuses_a_foreign_or_altered_one() {
        let token = NextToken::seal(PageKind::ImageIds, "v1").0;
        assert_eq!(NextToken::open(PageKind::Repositories, &token), Err(NextTokenError));
        for at in 0..token.len() {
            for replacement in ["", "A", "x"] {
                let mut altered = token.clone();
                altered.replace_range(at..=at, replacement);
                if altered != token {
                    assert_eq!(NextToken::open(PageKind::ImageIds, &altered), Err(NextTokenError), "{altered}");
                }
            }
        }
        let next_version = URL_SAFE_NO_PAD
            .encode(format!(r#"{{"v":2,"kind":"image-ids","key":"v1","sum":"{}"}}"#, sum(PageKind::ImageIds, "v1")));
        for text in ["", "abc", "e30", &next_version, &"A".repeat(MAX_TOKEN_BYTES + 1)] {
            assert_eq!(NextToken::open(PageKind::ImageIds, text), Err(NextTokenError), "{text}");
        }
    }
}
