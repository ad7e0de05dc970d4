//! `[[repository]]`: what the configuration says of repositories by their names.

use serde::Serialize;

use super::auth::account;
use crate::config::reading::key::{Fallback, Key, Kind, Section};
use crate::config::reading::reader::{Context, MAX_ELEMENTS, Reader};
use crate::config::reading::tree::Node;
use crate::config::reading::value;
use crate::oci::AccountId;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepositorySettings {
    /// With `*` for anything.
    pub name: String,
    /// `None` is that of `auth.account`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Whether everybody may pull, also without a login.
    pub public: bool,
}

/// As long as a name.
const MAX_PATTERN_BYTES: usize = 256;

pub static SECTION: Section = Section {
    name: "repository",
    meaning: "What holds for repositories of a name, whether they are there yet or not.",
    keys: &[
        Key {
            name: "name",
            kind: Kind::Text,
            fallback: Fallback::Required,
            meaning: "The name, with `*` for anything, slashes too: `\"public/*\"`, `\"docker.io/library/*\"`.",
        },
        Key {
            name: "account",
            kind: Kind::Text,
            fallback: Fallback::Follows("`auth.account`"),
            meaning: "The account whose registry it is in.",
        },
        Key {
            name: "public",
            kind: Kind::Flag,
            fallback: Fallback::Value("false"),
            meaning: "Whether everybody may pull from it, also without a login. A policy's deny goes before.",
        },
    ],
};

pub fn read(nodes: Vec<Node>, context: &Context) -> Option<Vec<RepositorySettings>> {
    if nodes.len() > MAX_ELEMENTS {
        context.report(&nodes.first()?.place, "repository", format!("has more than {MAX_ELEMENTS} elements"));
        return None;
    }
    let read = |(index, node): (usize, Node)| {
        let reader = Reader::of_node(&SECTION, format!("repository[{index}]"), node, context)?;
        let (name, account) = (reader.get("name", pattern), reader.optional("account", account));
        let public = reader.get("public", value::flag);
        Some(RepositorySettings { name: name?, account: account?, public: public? })
    };
    // All of them are read, so that every problem is told.
    let repositories: Vec<Option<RepositorySettings>> = nodes.into_iter().enumerate().map(read).collect();
    repositories.into_iter().collect()
}

fn pattern(key: &Key, node: &crate::config::reading::tree::Value) -> Result<String, String> {
    let text = value::text(key, node)?;
    let right = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-/*".contains(&c);
    if text.len() <= MAX_PATTERN_BYTES && text.bytes().all(right) {
        Ok(text)
    } else {
        Err(format!("{text:?} is no name of a repository: lower-case letters, digits, `._-/`, and `*` for anything"))
    }
}
