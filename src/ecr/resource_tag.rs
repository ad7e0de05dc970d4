//! Tags in AWS's sense: keys and values that people put on a repository, which policies can ask about.

use serde::Serialize;

/// The capitals are the protocol's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResourceTag {
    /// 1 to 128 characters, not beginning with `aws:`.
    pub key: String,
    /// At most 256 characters.
    pub value: String,
}

/// On one repository.
pub const MAX_RESOURCE_TAGS: usize = 50;
