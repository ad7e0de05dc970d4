//! `[[repository]]`: what the configuration says of repositories by their names.

use super::names::ACCOUNT_ID;
use crate::config::reading::{FLAG, Key, Kind, Optional, Section, Shape, section, settings};
use crate::oci::AccountId;

settings! {
    pub struct RepositorySettings {
        /// With `*` for anything.
        pub name: String = NAME,
        /// `None` is that of `auth.account`.
        pub account: Option<AccountId> = ACCOUNT,
        /// Everybody may pull, also without a login.
        pub public: bool = PUBLIC,
    }
}

/// As long as a name.
const MAX_PATTERN_BYTES: usize = 256;

section! {
    pub static SECTION =
        Section::many("repository", "What holds for repositories of a name, whether they are there yet or not.");

    static NAME: Key<String> = Key::required(
        "name",
        Kind::parsed(Shape::Text, pattern),
        "The name, with `*` for anything, slashes too: `\"public/*\"`, `\"docker.io/library/*\"`.",
    );
    static ACCOUNT: Optional<AccountId> =
        Optional::follows("account", ACCOUNT_ID, "`auth.account`", "The account whose registry it is in.");
    static PUBLIC: Key<bool> = Key::usual(
        "public",
        FLAG,
        "false",
        "Whether everybody may pull from it, also without a login. A policy's deny goes before.",
    );
}

fn pattern(text: &str) -> Result<String, String> {
    let right = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-/*".contains(&c);
    if text.len() <= MAX_PATTERN_BYTES && text.bytes().all(right) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no name of a repository: lower-case letters, digits, `._-/`, and `*` for anything"))
    }
}
